//! Where a text is not what its grammar demands.

use nom::IResult;
use nom::error::{ErrorKind, ParseError};

/// Characters of the text that an error shows at most.
const SHOWN: usize = 24;

/// A text that its grammar does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct TextError {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// What the grammar demands there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl TextError {
    /// Says that `expected` should stand where `rest`, the end of `text`, begins.
    pub(super) fn new(text: &[u8], rest: &[u8], expected: &str) -> Self {
        let before = &text[..text.len() - rest.len()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // Every byte but those that continue a character begins one.
        let starts = |byte: &&u8| **byte & 0xC0 != 0x80;
        let rest_of_line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let rest_of_line = rest_of_line.strip_suffix(b"\r").unwrap_or(rest_of_line);
        Self {
            line: before.split(|byte| *byte == b'\n').count(),
            column: 1 + before[line_start..].iter().filter(starts).count(),
            expected: expected.to_owned(),
            found: if rest.is_empty() {
                "the end of the file".to_owned()
            } else if rest_of_line.is_empty() {
                "the end of the line".to_owned()
            } else {
                let shown = &rest_of_line[..rest_of_line.len().min(SHOWN * 4)];
                let shown: String = String::from_utf8_lossy(shown).chars().take(SHOWN).collect();
                format!("{shown:?}")
            },
        }
    }
}

/// What a grammar's parser says where it does not accept the text.
#[derive(Clone, Debug)]
pub(super) struct Unexpected<'a> {
    /// The text from there on.
    pub rest: &'a [u8],
    /// What should stand there.
    pub expected: &'static str,
}

impl<'a> ParseError<&'a [u8]> for Unexpected<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Self {
            rest,
            expected: "something else",
        }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What a grammar's parser gives.
pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, Unexpected<'a>>;

/// Ends parsing: nothing but `expected` may stand at `rest`.
pub(super) fn unexpected<'a, T>(rest: &'a [u8], expected: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Failure(Unexpected { rest, expected }))
}

/// Says what was expected where `parsed` failed.
pub(super) fn expect<'a, T>(parsed: Parsed<'a, T>, expected: &'static str) -> Parsed<'a, T> {
    match parsed {
        Err(nom::Err::Error(error)) => unexpected(error.rest, expected),
        parsed => parsed,
    }
}
