//! What is to be written.

use cv_disk::{RawFile, ReadAt, ReadError, Resize, WriteError, is_zero};
use std::fs::File;
use std::ops::Range;

/// Bytes to be written, wherever they come from.
pub(super) enum Source<'a> {
    /// From memory.
    Bytes(&'a [u8]),
    /// From `offset` of a host file on.
    File { file: &'a File, offset: u64 },
    /// Zeros.
    Zeros,
}

impl<'a> Source<'a> {
    /// The `length` bytes from `start` of this source on.
    pub fn from(&self, start: u64, length: u64) -> Source<'a> {
        match self {
            Self::Bytes(bytes) => Source::Bytes(&bytes[start as usize..(start + length) as usize]),
            Self::File { file, offset } => Source::File {
                file,
                offset: offset + start,
            },
            Self::Zeros => Source::Zeros,
        }
    }

    /// Writes the bytes `part` of the source to byte `at` of `target`.
    pub fn put(&self, target: &dyn Resize, at: u64, part: Range<u64>) -> Result<(), WriteError> {
        let length = part.end - part.start;
        match self {
            Self::Bytes(bytes) => target.write_at(&bytes[part.start as usize..part.end as usize], at),
            Self::File { file, offset } => target.copy_from_file(file, offset + part.start, at, length),
            Self::Zeros => target.write_zeros_at(at..at + length),
        }
    }

    /// Copies the bytes `part` of the source to `target`, which is as long.
    pub fn read(&self, target: &mut [u8], part: Range<u64>) -> Result<(), WriteError> {
        match self {
            Self::Bytes(bytes) => target.copy_from_slice(&bytes[part.start as usize..part.end as usize]),
            Self::File { file, offset } => {
                let duplicate = file.try_clone().and_then(RawFile::from_file);
                let file = duplicate.map_err(|source| ReadError::Io {
                    offset: *offset,
                    length: target.len() as u64,
                    source,
                })?;
                file.read_at(target, offset + part.start)?;
            }
            Self::Zeros => target.fill(0),
        }
        Ok(())
    }

    /// Whether the bytes `part` are known to be zero; a file is not looked at.
    pub fn is_zero(&self, part: Range<u64>) -> bool {
        match self {
            Self::Bytes(bytes) => is_zero(&bytes[part.start as usize..part.end as usize]),
            Self::File { .. } => false,
            Self::Zeros => true,
        }
    }
}
