//! Where a layer's files come from: each source adds what it holds to a [`FileTree`](crate::content::FileTree), and gives
//! the streams later, when they are written.

mod volume;

pub use volume::{VolumeOrigin, add_directory, add_volume};

use crate::content::TreeError;
use cv_disk::{Cancelled, ReadError};
use cv_ntfs::FileError;

/// Levels of directories at most.
pub const MAX_DEPTH: usize = 512;

/// Names at most.
pub const MAX_NAMES: u64 = 1 << 24;

/// Why a source could not be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The tree refuses a name.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of a volume cannot be read.
    #[error("cannot read {path} on the volume")]
    File {
        /// Its path.
        path: String,
        /// What failed.
        source: FileError,
    },
    /// A stream of a volume cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: String,
        /// What failed.
        source: ReadError,
    },
    /// Something is not as it must be.
    #[error("{path}: {reason}")]
    Refused {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// There are more levels than any layer has.
    #[error("{path} is deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// The path, or the beginning of it.
        path: String,
    },
    /// There are more names than any layer has.
    #[error("there are more than {MAX_NAMES} names")]
    TooMany,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
