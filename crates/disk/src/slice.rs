//! A part of another disk, such as a partition.

use crate::access::{ReadAt, Stored, WriteAt};
use crate::error::{ReadError, WriteError};
use crate::extent::Extent;
use std::fs::File;
use std::ops::Range;

/// A range of another disk, with offsets of its own.
#[derive(Debug, Clone)]
pub struct Slice<D> {
    disk: D,
    start: u64,
    length: u64,
}

impl<D: ReadAt> Slice<D> {
    /// The bytes of `range`; fails where it reaches beyond the end of `disk`.
    pub fn new(disk: D, range: Range<u64>) -> Result<Self, ReadError> {
        let length = range.end.saturating_sub(range.start);
        ReadError::check_range(range.start, length, disk.len())?;
        Ok(Self {
            disk,
            start: range.start,
            length,
        })
    }

    /// Where in the other disk this one begins, in bytes.
    pub fn start(&self) -> u64 {
        self.start
    }
}

impl<D: ReadAt> ReadAt for Slice<D> {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.length)?;
        self.disk.read_at(buf, self.start + offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.length)?;
        let extent = self
            .disk
            .extent_at(self.start + offset)?
            .clipped(self.start + self.length);
        Ok(Extent {
            start: offset,
            ..extent
        })
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.length)?;
        let stored = self.disk.stored_at(self.start + offset)?;
        Ok(stored.map(|stored| stored.clipped(self.length - offset)))
    }
}

impl<D: WriteAt> WriteAt for Slice<D> {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, buf.len() as u64, self.length)?;
        self.disk.write_at(buf, self.start + offset)
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.length)?;
        self.disk
            .write_zeros_at(self.start + range.start..self.start + range.end)
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.length)?;
        self.disk.reserve(self.start + range.start..self.start + range.end)
    }

    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, length, self.length)?;
        self.disk
            .copy_from_file(source, source_offset, self.start + offset, length)
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.disk.flush()
    }
}
