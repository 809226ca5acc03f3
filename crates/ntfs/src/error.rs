//! What can go wrong while opening a volume and reading its files.

use crate::structure::FileReference;
use cv_disk::{Damage, ReadError};

/// Why a disk could not be opened as an NTFS volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Neither the first sector nor the copy behind the volume is an NTFS boot sector.
    #[error("not an NTFS volume")]
    NotNtfs(#[source] ReadError),
    /// The first file record, which says where the others are, can be read neither in its place nor in the mirror.
    #[error("cannot find the file records")]
    Mft(#[source] ReadError),
}

/// Why a file could not be found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The directory has no entry of that name.
    #[error("no such file or directory: {name}")]
    NotFound {
        /// The path up to the name that is missing.
        name: String,
    },
    /// Something under a file was asked for.
    #[error("not a directory: {name}")]
    NotADirectory {
        /// The file, by path or record.
        name: String,
    },
    /// The file has no stream of that name.
    #[error("file record {record} has no stream {name:?}")]
    NoStream {
        /// The file.
        record: u64,
        /// The name asked for.
        name: String,
    },
    /// The record belongs to no file: it was deleted or never used.
    #[error("file record {record} is not in use")]
    NotInUse {
        /// That record.
        record: u64,
    },
    /// The record belongs to another file than when the reference was made.
    #[error("file record {} is at sequence number {found}, not {}", reference.record(), reference.sequence())]
    Stale {
        /// The reference.
        reference: FileReference,
        /// The sequence number that the record has.
        found: u16,
    },
    /// The record is a further one of another file.
    #[error("file record {record} is a further record of {base}")]
    NotABase {
        /// That record.
        record: u64,
        /// The file.
        base: FileReference,
    },
    /// The record, or something it leads to, cannot be read.
    #[error("cannot read file record {record}")]
    Record {
        /// That record.
        record: u64,
        /// What failed.
        source: ReadError,
    },
}

impl FileError {
    /// What is wrong in `record`.
    pub(crate) fn damaged(record: u64, damage: Damage) -> Self {
        Self::Record {
            record,
            source: damage.into(),
        }
    }

    pub(crate) fn read(record: u64, source: impl Into<ReadError>) -> Self {
        Self::Record {
            record,
            source: source.into(),
        }
    }

    /// Whether it is damage or a failing disk, not a wrong question.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}
