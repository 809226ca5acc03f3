//! Mistakes in a recipe, and where they are.

use std::fmt;
use std::path::PathBuf;

/// A place in the recipe's text, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// What is wrong at one place of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub position: Position,
    /// What.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.position.line, self.position.column, self.message)
    }
}

/// Why there is no layer from a recipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// The recipe has mistakes, all that could be found, in the order of the text.
    #[error("{}", listed(file, mistakes))]
    Mistakes {
        /// The recipe.
        file: PathBuf,
        /// What is wrong; at least one.
        mistakes: Vec<Mistake>,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] cv_disk::Cancelled),
}

fn listed(file: &std::path::Path, mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("{}:{mistake}", file.display()))
        .collect();
    lines.join("\n")
}

/// An error and its causes on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

/// Something of a recipe, and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked<T> {
    /// What.
    pub value: T,
    /// Where.
    pub position: Position,
}

/// Finds positions in a text.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// The place of the byte at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let before = self.text.get(start..offset).unwrap_or_default();
        Position {
            line,
            column: before.chars().count() + 1,
        }
    }
}
