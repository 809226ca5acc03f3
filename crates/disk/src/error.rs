//! What can go wrong while reading and writing bytes.

use crate::progress::Cancelled;
use std::io;
use std::path::PathBuf;

/// An on-disk structure that is not what its specification demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{structure} at {offset:#x}: expected {expected}, found {found}")]
pub struct Damage {
    /// The structure or field, in the specification's words.
    pub structure: String,
    /// Where it stands, in bytes from the start of the file (or of the volume).
    pub offset: u64,
    /// What the specification or the rest of the file demands there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Damage {
    /// Says that `structure` at `offset` should be `expected` and is `found`.
    pub fn new(
        structure: impl Into<String>,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self {
            structure: structure.into(),
            offset,
            expected: expected.into(),
            found: found.into(),
        }
    }
}

/// Why bytes could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The range reaches beyond the end.
    #[error("{length} bytes at {offset:#x} reach beyond the end at {size:#x}")]
    BeyondEnd {
        /// First byte wanted.
        offset: u64,
        /// Number of bytes wanted.
        length: u64,
        /// Size of what was read from, in bytes.
        size: u64,
    },
    /// The host refused.
    #[error("cannot read {length} bytes at {offset:#x}")]
    Io {
        /// First byte wanted.
        offset: u64,
        /// Number of bytes wanted.
        length: u64,
        /// What the host said.
        source: io::Error,
    },
    /// A structure needed to find the bytes is damaged.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The failure lies in another file than the one that was opened: an extent, or a parent.
    #[error("in {}", file.display())]
    In {
        /// That file.
        file: PathBuf,
        /// What failed there.
        source: Box<ReadError>,
    },
}

impl ReadError {
    /// [`ReadError::BeyondEnd`] unless `length` bytes at `offset` lie within `size`.
    pub fn check_range(offset: u64, length: u64, size: u64) -> Result<(), Self> {
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            _ => Err(Self::BeyondEnd { offset, length, size }),
        }
    }

    /// The same failure, said to lie in `file`.
    #[must_use]
    pub fn in_file(self, file: impl Into<PathBuf>) -> Self {
        Self::In {
            file: file.into(),
            source: Box::new(self),
        }
    }
}

/// Why bytes could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The range reaches beyond the end.
    #[error("{length} bytes at {offset:#x} reach beyond the end at {size:#x}")]
    BeyondEnd {
        /// First byte to be written.
        offset: u64,
        /// Number of bytes to be written.
        length: u64,
        /// Size of what was written to, in bytes.
        size: u64,
    },
    /// The host refused.
    #[error("cannot write {length} bytes at {offset:#x}")]
    Io {
        /// First byte to be written.
        offset: u64,
        /// Number of bytes to be written.
        length: u64,
        /// What the host said.
        source: io::Error,
    },
    /// The size could not be changed.
    #[error("cannot set the size to {size} bytes")]
    SetLen {
        /// The size wanted, in bytes.
        size: u64,
        /// What the host said.
        source: io::Error,
    },
    /// What was written could not be made durable.
    #[error("cannot flush to stable storage")]
    Flush(#[source] io::Error),
    /// The format cannot hold what is asked of it.
    #[error("{0}")]
    Limit(String),
    /// Something had to be read first, and that failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The failure lies in another file than the one that was opened.
    #[error("in {}", file.display())]
    In {
        /// That file.
        file: PathBuf,
        /// What failed there.
        source: Box<WriteError>,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl WriteError {
    /// [`WriteError::BeyondEnd`] unless `length` bytes at `offset` lie within `size`.
    pub fn check_range(offset: u64, length: u64, size: u64) -> Result<(), Self> {
        match offset.checked_add(length) {
            Some(end) if end <= size => Ok(()),
            _ => Err(Self::BeyondEnd { offset, length, size }),
        }
    }

    /// The same failure, said to lie in `file`.
    #[must_use]
    pub fn in_file(self, file: impl Into<PathBuf>) -> Self {
        Self::In {
            file: file.into(),
            source: Box::new(self),
        }
    }
}

impl From<Damage> for WriteError {
    fn from(damage: Damage) -> Self {
        Self::Read(ReadError::Damaged(damage))
    }
}
