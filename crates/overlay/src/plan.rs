//! What a write means: the steps that bring it about in the member that takes the writes.
//!
//! A plan is made from what the stack shows and changes nothing; the caller carries the steps out in their order. Up to
//! the last step the view stays as it was, and with the last step it is as it should be (a copy-up with
//! [`Data::Truncated`] shows the empty file at once, and its other hard links follow one by one). So a caller whose steps
//! are each atomic (after a crash a step has happened or it has not) needs no journal. A step is carried out atomically by
//! building the new thing beside its place and renaming it there (on Linux with `RENAME_EXCHANGE` or `RENAME_WHITEOUT`
//! where something takes the place of something else).
//!
//! A plan is good for the state from which it was made; what was left unfinished by a crash is planned anew.

mod complete;
mod create;
mod exchange;
mod remove;
mod rename;
mod target;

pub use complete::Completion;
pub use rename::Replace;

use alloc::vec::Vec;
use core::fmt;

use crate::layer::Kind;
use crate::path::NamePath;
use crate::policy::RuleRef;

/// Steps in one member, in the order in which to carry them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The position of the member in which they are carried out.
    pub upper: usize,
    /// The steps; none when nothing needs to be done.
    pub steps: Vec<Step>,
}

/// How much of a file is copied up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// Everything: streams, attributes, times, security.
    Whole,
    /// Everything but the bytes of the unnamed stream, which is about to be truncated to nothing: the file appears empty.
    Truncated,
}

/// One step, in the member that takes the writes. Each is atomic.
///
/// `over` is what that member itself has in the place: nothing, a whiteout, or what the new thing replaces. A directory
/// there shows no entries in the view, but may hold whiteouts, which go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes the directories of `path` from the depth `present` on (the first `present` are there), each with the
    /// attributes, times and security of the view's directory, which `from` gives by the position of its winner. They
    /// merge with what is below. Whiteouts in their place are replaced; directories that are there already stay. Each
    /// directory by itself is atomic.
    CopyUpDirectories {
        /// The deepest directory.
        path: NamePath,
        /// How many of them are there.
        present: usize,
        /// Where each of the others is copied from.
        from: Vec<usize>,
    },
    /// Copies a file or link whole from another member.
    CopyUp {
        /// The path, the same in both.
        path: NamePath,
        /// The position of the member that has it.
        from: usize,
        /// How much of it.
        data: Data,
    },
    /// Makes the new entry.
    Create {
        /// Its path.
        path: NamePath,
        /// What it is; an opaque directory where what is below must not show.
        kind: Kind,
        /// What it replaces.
        over: Option<Kind>,
    },
    /// Gives the file at `from` the further name `to`.
    Link {
        /// A path of the file in this member.
        from: NamePath,
        /// The new path.
        to: NamePath,
        /// What it replaces.
        over: Option<Kind>,
    },
    /// Renames within this member.
    Rename {
        /// The path before.
        from: NamePath,
        /// The path after.
        to: NamePath,
        /// Whether a whiteout takes the place of `from`, in the same moment.
        leave_whiteout: bool,
        /// What it replaces at `to`.
        over: Option<Kind>,
    },
    /// Puts each of two entries in the place of the other, in one moment.
    Exchange {
        /// The one path.
        one: NamePath,
        /// The other.
        other: NamePath,
    },
    /// Puts a whiteout.
    Whiteout {
        /// Where.
        path: NamePath,
        /// What it replaces.
        over: Option<Kind>,
    },
    /// Removes the entry; a directory with the whiteouts in it.
    Remove {
        /// Its path.
        path: NamePath,
        /// What it is.
        kind: Kind,
    },
    /// Makes a directory opaque.
    MakeOpaque {
        /// Its path.
        path: NamePath,
    },
    /// Copies up everything that the view shows below a directory and this member does not have:
    /// [`Stack::complete`](crate::Stack::complete) gives the steps. The view stays the same, so it may stop anywhere.
    CompleteTree {
        /// The directory's path; this member has it.
        path: NamePath,
    },
}

/// Why a write is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No member takes writes there.
    ReadOnly,
    /// There is nothing of the name at this depth, counted from 0.
    NotFound {
        /// The depth of the name.
        depth: usize,
    },
    /// What the names up to this depth lead to is no directory.
    NotADirectory {
        /// How many names lead there.
        depth: usize,
    },
    /// Something is there already.
    Exists,
    /// It is a directory.
    IsADirectory,
    /// The view shows entries in the directory.
    NotEmpty,
    /// A directory cannot move into itself.
    IntoItself,
    /// Not possible for the root.
    Root,
    /// The two paths take their writes in different members, or rules hold below them. The caller may copy and remove,
    /// as between volumes.
    CrossesUppers,
    /// A rule hides what would be written.
    HiddenByRule(RuleRef),
    /// The member that takes the writes has something else where a directory of the path must be, at this depth, counted
    /// from 0.
    Obstructed {
        /// The depth of the name.
        depth: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => f.write_str("no writable volume takes writes there"),
            Self::NotFound { .. } => f.write_str("not found"),
            Self::NotADirectory { .. } => f.write_str("not a directory"),
            Self::Exists => f.write_str("exists already"),
            Self::IsADirectory => f.write_str("is a directory"),
            Self::NotEmpty => f.write_str("the directory is not empty"),
            Self::IntoItself => f.write_str("a directory cannot move into itself"),
            Self::Root => f.write_str("not possible for the root"),
            Self::CrossesUppers => f.write_str("the paths take their writes in different places"),
            Self::HiddenByRule(_) => f.write_str("a rule hides what would be written there"),
            Self::Obstructed { .. } => f.write_str("the writable volume has no directory where the path needs one"),
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError<E> {
    /// The write is not possible.
    Refused(Refusal),
    /// A layer could not answer.
    Layer(E),
}

impl<E> From<E> for PlanError<E> {
    fn from(error: E) -> Self {
        Self::Layer(error)
    }
}

impl<E> fmt::Display for PlanError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "cannot write: {refusal}"),
            Self::Layer(_) => f.write_str("a layer of the stack cannot be read"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for PlanError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Layer(error) => Some(error),
        }
    }
}
