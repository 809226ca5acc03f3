//! Why a VHD could not be opened.

use cv_disk::{Damage, ReadError, WriteError};

/// Why a file could not be opened as a VHD.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither the start nor the end of the file holds a footer.
    #[error("not a VHD: no footer at the start or at the end ({size:#x})")]
    NotVhd {
        /// Size of the file in bytes.
        size: u64,
    },
    /// The file could not be read.
    #[error("cannot read the file")]
    Read(#[source] ReadError),
    /// What has to be written before the disk can be changed in place could not be.
    #[error("cannot prepare the file for writing")]
    Write(#[from] WriteError),
    /// A structure needed to find the disk's bytes is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            error => Self::Read(error),
        }
    }
}
