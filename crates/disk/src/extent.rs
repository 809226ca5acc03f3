//! Which parts of a disk hold data.

use crate::access::ReadAt;
use crate::error::ReadError;
use std::ops::Range;

/// What a range of a disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExtentKind {
    /// Stored bytes, of any value.
    Data,
    /// Zeros, recorded as such without storing them.
    Zero,
    /// Nothing stored: zeros, or in one file of a differencing chain whatever the parent holds.
    Hole,
}

/// A range of a disk that is of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Number of bytes, never zero.
    pub length: u64,
    /// What it holds.
    pub kind: ExtentKind,
}

impl Extent {
    /// The byte after the last.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    /// The range in bytes.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end()
    }

    /// The extent without what lies at or beyond `end`, which must be behind its start.
    #[must_use]
    pub fn clipped(self, end: u64) -> Self {
        debug_assert!(self.start < end);
        Self {
            length: self.length.min(end.saturating_sub(self.start)),
            ..self
        }
    }
}

/// The extents of a range in ascending order, neighbours of one kind joined.
///
/// Ends after the first error.
#[derive(Debug)]
pub struct Extents<'a, D: ReadAt + ?Sized> {
    disk: &'a D,
    position: u64,
    end: u64,
    pending: Option<Extent>,
    failed: Option<ReadError>,
}

impl<'a, D: ReadAt + ?Sized> Extents<'a, D> {
    /// The extents of the whole disk.
    pub fn all(disk: &'a D) -> Self {
        Self {
            disk,
            position: 0,
            end: disk.len(),
            pending: None,
            failed: None,
        }
    }

    /// The extents of `range`; fails where it reaches beyond the end of the disk.
    pub fn new(disk: &'a D, range: Range<u64>) -> Result<Self, ReadError> {
        ReadError::check_range(range.start, range.end.saturating_sub(range.start), disk.len())?;
        Ok(Self {
            disk,
            position: range.start,
            end: range.end,
            pending: None,
            failed: None,
        })
    }
}

impl<D: ReadAt + ?Sized> Iterator for Extents<'_, D> {
    type Item = Result<Extent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.position < self.end {
            let extent = match self.disk.extent_at(self.position) {
                Ok(extent) => extent.clipped(self.end),
                Err(error) => {
                    self.position = self.end;
                    self.failed = Some(error);
                    break;
                }
            };
            self.position = extent.end();
            match &mut self.pending {
                Some(pending) if pending.kind == extent.kind => pending.length += extent.length,
                _ => {
                    if let Some(done) = self.pending.replace(extent) {
                        return Some(Ok(done));
                    }
                }
            }
        }
        match self.pending.take() {
            Some(last) => Some(Ok(last)),
            None => self.failed.take().map(Err),
        }
    }
}
