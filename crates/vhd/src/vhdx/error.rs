//! Why a VHDX file cannot be opened.

use cv_disk::{Damage, ReadError, WriteError};
use uuid::Uuid;

/// Why a VHDX file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file type identifier is missing.
    #[error("not a VHDX file")]
    NotVhdx,
    /// The file needs a region that this library does not know (section 2.2.3.2).
    #[error("the region {guid} listed at {offset:#x} is required and unknown")]
    UnknownRegion {
        /// The region's identifier.
        guid: Uuid,
        /// Where its entry stands in the file, in bytes.
        offset: u64,
    },
    /// The file needs a metadata item that this library does not know (section 2.6.1.2).
    #[error("the metadata item {guid} listed at {offset:#x} is required and unknown")]
    UnknownItem {
        /// The item's identifier.
        guid: Uuid,
        /// Where its entry stands in the file, in bytes.
        offset: u64,
    },
    /// The parent is of a kind that this library does not know (section 2.6.2.6).
    #[error("the parent locator at {offset:#x} is of the unknown type {guid}")]
    UnknownLocator {
        /// The locator's type.
        guid: Uuid,
        /// Where the locator stands in the file, in bytes.
        offset: u64,
    },
    /// A structure could not be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log could not be replayed to the file.
    #[error("cannot replay the log")]
    Replay(#[source] WriteError),
}

impl From<Damage> for OpenError {
    fn from(damage: Damage) -> Self {
        Self::Read(ReadError::Damaged(damage))
    }
}
