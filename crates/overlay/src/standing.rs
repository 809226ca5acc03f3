//! What becomes of each member's entry at one path: it wins, merges or is hidden, and by what.

use crate::layer::Kind;
use crate::policy::{RuleRef, Scope};
use crate::stack::Stack;

/// What becomes of what a member has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The view shows it; a whiteout that wins shows nothing.
    Wins,
    /// It adds to the winner: a directory's entries, a key's values or subkeys.
    Merges,
    /// It shows nothing itself, and hides what is below it: a whiteout under a higher directory, a tombstone.
    Cuts,
    /// It is not seen.
    Hidden(Hidden),
}

impl Standing {
    /// Why it is not seen.
    pub const fn hidden(self) -> Option<Hidden> {
        match self {
            Self::Hidden(hidden) => Some(hidden),
            Self::Wins | Self::Merges | Self::Cuts => None,
        }
    }
}

/// Why something is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hidden {
    /// The position of the member that hides it: the one with the file, whiteout or directory, the owner of the rule.
    /// `None` for [`Hiding::OtherUpper`] without a rule.
    pub by: Option<usize>,
    /// How many names of the path lead to where it is hidden: less than the path's depth when it is hidden with a
    /// directory above it.
    pub depth: usize,
    /// By what.
    pub why: Hiding,
}

/// By what something is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hiding {
    /// A higher member has the same.
    HigherLayer,
    /// A higher member has a file where this is a directory, or the reverse.
    TypeChange,
    /// A higher member has a whiteout there.
    Whiteout,
    /// A higher member's directory is opaque.
    OpaqueDirectory,
    /// A higher member has a key tombstone there.
    KeyTombstone,
    /// A higher member's key supersedes the tree below it.
    SupersedeTree,
    /// A higher member's key supersedes the key's values below it.
    SupersedeLocal,
    /// A higher member has a value tombstone there.
    ValueTombstone,
    /// A rule of a manifest.
    Rule(RuleRef),
    /// Writes at this path go to another member than this writable one.
    OtherUpper,
}

/// The rule by which the entries at one path become one, told the kind of each, the highest first.
///
/// The first wins. While the winner is a directory, the directories below it merge with it, up to and with the first
/// opaque one; a file or whiteout among them ends the merging. Everything further down is hidden.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge {
    depth: usize,
    winner: Option<usize>,
    closed: Option<(usize, Closer)>,
}

#[derive(Clone, Copy, Debug)]
enum Closer {
    File,
    Whiteout,
    Opaque,
}

impl Judge {
    pub(crate) const fn new(depth: usize) -> Self {
        Self {
            depth,
            winner: None,
            closed: None,
        }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    pub(crate) fn take(&mut self, position: usize, kind: Kind) -> Standing {
        if let Some(hidden) = self.cut(kind) {
            return Standing::Hidden(hidden);
        }
        self.closed = match kind {
            Kind::Directory => None,
            Kind::OpaqueDirectory => Some((position, Closer::Opaque)),
            Kind::Whiteout => Some((position, Closer::Whiteout)),
            Kind::File | Kind::Symlink | Kind::Junction => Some((position, Closer::File)),
        };
        match self.winner {
            None => {
                self.winner = Some(position);
                Standing::Wins
            }
            Some(_) if kind.is_directory() => Standing::Merges,
            Some(_) if kind == Kind::Whiteout => Standing::Cuts,
            Some(by) => Standing::Hidden(Hidden {
                by: Some(by),
                depth: self.depth,
                why: Hiding::TypeChange,
            }),
        }
    }

    /// What hides an entry of this kind that stands below all that was told so far.
    pub(crate) fn cut(&self, kind: Kind) -> Option<Hidden> {
        let (by, closer) = self.closed?;
        Some(Hidden {
            by: Some(by),
            depth: self.depth,
            why: match closer {
                Closer::Whiteout => Hiding::Whiteout,
                Closer::Opaque => Hiding::OpaqueDirectory,
                Closer::File if kind.is_directory() => Hiding::TypeChange,
                Closer::File => Hiding::HigherLayer,
            },
        })
    }
}

impl<L> Stack<L> {
    /// What becomes of one entry, and what of it hides the entries below it in the same member.
    ///
    /// A member that a rule leaves out neither shows nor hides anything, but a deeper rule may let it in again; only
    /// what a member that is asked hides is gone for the tree below.
    pub(crate) fn judge(
        &self,
        judge: &mut Judge,
        scope: &Scope,
        position: usize,
        inherited: Option<Hidden>,
        kind: Kind,
    ) -> (Standing, Option<Hidden>) {
        if let Some(cut) = inherited
            && !(scope.is_base_alone() && self.is_base(position))
        {
            return (Standing::Hidden(cut), Some(cut));
        }
        match self.asks(scope, position) {
            Ok(()) => {
                let standing = judge.take(position, kind);
                (standing, inherited.or(standing.hidden()))
            }
            Err(rule) => {
                let cut = if self.is_upper(position) { None } else { judge.cut(kind) };
                (Standing::Hidden(left_out(rule, judge.depth)), cut)
            }
        }
    }
}

/// Why a member that is not asked is not seen.
pub(crate) fn left_out(rule: Option<RuleRef>, depth: usize) -> Hidden {
    Hidden {
        by: rule.map(|rule| rule.member),
        depth,
        why: rule.map_or(Hiding::OtherUpper, Hiding::Rule),
    }
}
