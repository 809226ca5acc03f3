//! What can go wrong between a tree and its volume.

use cv_disk::{Cancelled, WriteError};
use cv_winname::NameFault;
use std::error::Error;
use std::fmt;

/// Why something cannot be put into a tree. Paths are those in the volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// NTFS cannot store the name.
    #[error("NTFS cannot store the name {name:?} in {directory}")]
    Name {
        /// The directory's path.
        directory: String,
        /// The name, for people.
        name: String,
        /// What is wrong with it.
        source: NameFault,
    },
    /// What should hold a name is a file.
    #[error("{0} is not a directory")]
    NotADirectory(String),
    /// Directories have one name.
    #[error("{0} is a directory, which cannot have a second name")]
    LinkToDirectory(String),
    /// The 8.3 name is none.
    #[error("{0:?} is not an 8.3 name")]
    ShortName(String),
    /// The stream cannot be stored.
    #[error("cannot store the stream {name:?} of {path}: {reason}")]
    Stream {
        /// The file's path.
        path: String,
        /// The stream's name, for people.
        name: String,
        /// Why.
        reason: String,
    },
    /// The security descriptor is too short or too long.
    #[error("a security descriptor of {length} bytes is not between 20 bytes and 64 KiB")]
    Security {
        /// Its bytes.
        length: usize,
    },
    /// The reparse data has no header or more than 16 KiB.
    #[error("the reparse data of {0} is not between 8 bytes and 16 KiB")]
    Reparse(String),
    /// The extended attributes do not fit.
    #[error("the extended attributes of {0} are more than the 64 KiB that NTFS allows")]
    ExtendedAttributes(String),
    /// The tree holds as much as it can.
    #[error("the tree holds 2^30 files already, or names of 8 GiB")]
    Full,
}

/// A name that Windows cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameProblem {
    /// The path, for people.
    pub path: String,
    /// What is wrong with its last name.
    pub reason: String,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// Names of one directory that are one and the same to Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseConflict {
    /// The directory's path, for people.
    pub directory: String,
    /// The names, for people.
    pub names: [String; 2],
}

impl fmt::Display for CaseConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and {:?} in {}", self.names[0], self.names[1], self.directory)
    }
}

/// Why a tree cannot become a volume as wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Names that Windows programs cannot use.
    #[error("{} names that Windows cannot use: {}", .0.len(), listed(.0))]
    Names(Vec<NameProblem>),
    /// Names that differ in case alone.
    #[error("{} pairs of names that are the same to Windows: {}", .0.len(), listed(.0))]
    CaseConflicts(Vec<CaseConflict>),
    /// An option is not possible.
    #[error("{option} cannot be {value}: it must be {expected}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The content needs a larger volume.
    #[error("the volume would need {needed} bytes, {available} are wanted")]
    TooSmall {
        /// Bytes of the smallest volume that holds the tree.
        needed: u64,
        /// Bytes wanted.
        available: u64,
    },
    /// A file has more than NTFS can hold.
    #[error("{path}: {reason}")]
    File {
        /// Its path, for people.
        path: String,
        /// What is too much.
        reason: String,
    },
}

fn listed<T: fmt::Display>(list: &[T]) -> String {
    const SHOWN: usize = 10;
    let mut text = list.iter().take(SHOWN).map(T::to_string).collect::<Vec<_>>().join("; ");
    if list.len() > SHOWN {
        text.push_str("; and so on");
    }
    text
}

/// Why a volume could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopulateError {
    /// The source could not give a stream's content.
    #[error("cannot read the content of {path}")]
    Source {
        /// The stream's path in the volume, for people.
        path: String,
        /// What the source said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stream is not as long as the tree says: it changed since.
    #[error("{path} has {found} bytes, expected {expected}")]
    Length {
        /// The stream's path in the volume, for people.
        path: String,
        /// Bytes that the tree says, or the most it allows.
        expected: u64,
        /// Bytes that the source gave.
        found: u64,
    },
    /// The target has no room for the volume.
    #[error("the volume has {needed} bytes, its target {available}")]
    TargetTooSmall {
        /// Bytes of the volume.
        needed: u64,
        /// Bytes of the target.
        available: u64,
    },
    /// The target could not be written.
    #[error("cannot write the volume")]
    Target(#[from] WriteError),
    /// What was found while writing makes the plan impossible.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
