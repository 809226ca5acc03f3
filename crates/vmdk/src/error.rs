//! Why an image could not be opened.

use cv_disk::{Damage, ReadError};
use std::io;

/// Why a VMDK could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is something else.
    #[error("not a VMDK: it begins with neither a sparse extent's header nor a disk descriptor")]
    NotVmdk,
    /// The file is a VMDK of a kind that cannot be opened; the text says which and why.
    #[error("{0}")]
    Unsupported(String),
    /// A structure is not what the format demands.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The file could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// An extent's file could not be opened.
    #[error("cannot open the extent {name:?}")]
    Extent {
        /// The extent's name as the descriptor says it.
        name: String,
        /// What the opener said.
        source: io::Error,
    },
    /// The failure lies in an extent's file.
    #[error("in the extent {name:?}")]
    In {
        /// The extent's name as the descriptor says it.
        name: String,
        /// What failed there.
        source: Box<OpenError>,
    },
}

impl OpenError {
    /// The same failure, said to lie in the extent `name`.
    #[must_use]
    pub fn in_extent(self, name: &str) -> Self {
        Self::In {
            name: name.into(),
            source: Box::new(self),
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(damage) => Self::Damaged(damage),
            other => Self::Read(other),
        }
    }
}
