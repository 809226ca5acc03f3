//! A path of the view, found.

use alloc::vec::Vec;

use crate::layer::Kind;
use crate::policy::{Cursor, RuleRef, Scope};

/// What one member has at a path of the view.
#[derive(Clone, Debug)]
pub struct Part<E> {
    /// The position of the member.
    pub position: usize,
    /// Its entry.
    pub entry: E,
    /// What the entry is.
    pub kind: Kind,
    /// Whether the view shows it here. Directories that a rule leaves out are kept because a deeper rule may let their
    /// entries in.
    pub(crate) asked: bool,
    /// Whether it is hidden for the whole tree below, but where a rule asks the base alone.
    pub(crate) cut: bool,
}

/// What the view shows at a path: the winner and, for a directory, what merges with it.
///
/// It is good for the stack that gave it, and shows what was there then.
#[derive(Clone, Debug)]
pub struct Place<E> {
    winner: Part<E>,
    /// How many of the rest stand above the winner.
    above: usize,
    rest: Vec<Part<E>>,
    pub(crate) scope: Scope,
    pub(crate) cursor: Cursor,
    pub(crate) depth: usize,
}

impl<E> Place<E> {
    /// The part that wins: it gives the name as spelled, attributes, times, security and, for a file, the content.
    pub fn winner(&self) -> &Part<E> {
        &self.winner
    }

    /// What it is: what the winner is.
    pub fn kind(&self) -> Kind {
        self.winner.kind
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.winner.kind.is_directory()
    }

    /// How many names its path has.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The rule that decides which member takes the writes there, if it is not plainly the writable volume.
    pub fn rule(&self) -> Option<RuleRef> {
        self.scope.rule
    }

    /// The winner and the directories that merge with it, the highest first.
    pub fn merged(&self) -> impl Iterator<Item = &Part<E>> {
        self.parts().filter(|part| part.asked)
    }

    /// All parts, with those that a rule leaves out here.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part<E>> {
        let (above, below) = self.rest.split_at_checked(self.above).unwrap_or((&self.rest, &[]));
        above.iter().chain(core::iter::once(&self.winner)).chain(below)
    }
}

/// Gathers the parts of a place, the highest first.
#[derive(Debug)]
pub(crate) struct Gathering<E> {
    winner: Option<Part<E>>,
    above: usize,
    rest: Vec<Part<E>>,
}

impl<E> Gathering<E> {
    pub(crate) const fn new() -> Self {
        Self {
            winner: None,
            above: 0,
            rest: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, part: Part<E>) {
        if part.asked && self.winner.is_none() {
            self.above = self.rest.len();
            self.winner = Some(part);
        } else {
            self.rest.push(part);
        }
    }

    /// The place, if the view shows something there.
    pub(crate) fn finish(self, scope: Scope, cursor: Cursor, depth: usize) -> Option<Place<E>> {
        let Self {
            winner,
            mut above,
            mut rest,
        } = self;
        let winner = winner.filter(|winner| winner.kind != Kind::Whiteout)?;
        if !winner.kind.is_directory() {
            rest = Vec::new();
            above = 0;
        }
        Some(Place {
            winner,
            above,
            rest,
            scope,
            cursor,
            depth,
        })
    }
}
