//! The traits of random access.

use crate::error::{ReadError, WriteError};
use crate::extent::{Extent, ExtentKind};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

/// Bytes at offsets, read by any number of threads at once.
pub trait ReadAt: Send + Sync {
    /// Size in bytes.
    fn len(&self) -> u64;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` with the bytes from `offset` on; fails where that reaches beyond [`len`](Self::len).
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError>;

    /// The extent that begins at `offset`: how far the bytes from there on are of one kind, as far as is cheaply known.
    ///
    /// `offset` must be below [`len`](Self::len), else the error is [`ReadError::BeyondEnd`]. The answer starts at
    /// `offset`, is at least a byte long and ends at `len` at the latest. Two neighbouring answers may be of one kind;
    /// [`Extents`](crate::Extents) joins them. Saying [`ExtentKind::Data`] of zeros is allowed, the reverse is not.
    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        Ok(Extent {
            start: offset,
            length: self.len() - offset,
            kind: ExtentKind::Data,
        })
    }

    /// Where a file of the host has the bytes from `offset` on as they are, so that the kernel can copy them.
    ///
    /// `None` where none does: they are compressed, in memory, zeros that nobody stored, or nobody knows. `offset` must be below
    /// [`len`](Self::len).
    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        Ok(None)
    }
}

/// Bytes in a file of the host.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// The file.
    pub file: &'a File,
    /// Where in it they begin.
    pub offset: u64,
    /// How many follow each other there.
    pub length: u64,
}

impl Stored<'_> {
    /// No more than `length` of them.
    #[must_use]
    pub fn clipped(self, length: u64) -> Self {
        Self {
            length: self.length.min(length),
            ..self
        }
    }
}

/// Bytes at offsets, written by any number of threads at once; writers of overlapping ranges arrange their order
/// themselves.
pub trait WriteAt: ReadAt {
    /// Writes `buf` at `offset`; fails where that reaches beyond [`len`](ReadAt::len).
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError>;

    /// Makes `range` read as zeros, without storing them where the disk can express that.
    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        let length = range.end.saturating_sub(range.start);
        WriteError::check_range(range.start, length, self.len())?;
        let zeros = vec![0; length.min(1 << 20) as usize];
        let mut offset = range.start;
        while offset < range.end {
            let length = (range.end - offset).min(zeros.len() as u64);
            self.write_at(&zeros[..length as usize], offset)?;
            offset += length;
        }
        Ok(())
    }

    /// Announces a write to `range`.
    ///
    /// Room is assigned in the order of the announcements, so that threads which then write at the same time leave the
    /// same bytes as one thread would. A disk whose layout does not depend on the order of writes does nothing.
    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        let _ = range;
        Ok(())
    }

    /// Copies `length` bytes of a host file to `offset`, inside the kernel where the disk allows it.
    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        crate::raw_file::copy_through_memory(source, source_offset, self, offset, length)
    }

    /// Returns when everything written before is on stable storage.
    fn flush(&self) -> Result<(), WriteError>;
}

/// A [`WriteAt`] whose size can change: what a container needs of the file it lives in.
pub trait Resize: WriteAt {
    /// Cuts or extends to `len` bytes; what is new reads as zeros.
    fn set_len(&self, len: u64) -> Result<(), WriteError>;
}

/// One file of a differencing chain, read as the whole disk through [`ReadAt`] and by itself through this trait.
pub trait Differencing: ReadAt {
    /// As [`extent_at`](ReadAt::extent_at), but of this file alone: a [`Hole`](ExtentKind::Hole) is what it leaves to
    /// its parent, [`Zero`](ExtentKind::Zero) and [`Data`](ExtentKind::Data) hide the parent.
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError>;
}

/// Lets what points to a disk serve as that disk.
macro_rules! delegate {
    ($pointer:ty) => {
        impl<T: ReadAt + ?Sized> ReadAt for $pointer {
            fn len(&self) -> u64 {
                (**self).len()
            }

            fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
                (**self).read_at(buf, offset)
            }

            fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
                (**self).extent_at(offset)
            }

            fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
                (**self).stored_at(offset)
            }
        }

        impl<T: WriteAt + ?Sized> WriteAt for $pointer {
            fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
                (**self).write_at(buf, offset)
            }

            fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
                (**self).write_zeros_at(range)
            }

            fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
                (**self).reserve(range)
            }

            fn copy_from_file(
                &self,
                source: &File,
                source_offset: u64,
                offset: u64,
                length: u64,
            ) -> Result<(), WriteError> {
                (**self).copy_from_file(source, source_offset, offset, length)
            }

            fn flush(&self) -> Result<(), WriteError> {
                (**self).flush()
            }
        }

        impl<T: Resize + ?Sized> Resize for $pointer {
            fn set_len(&self, len: u64) -> Result<(), WriteError> {
                (**self).set_len(len)
            }
        }
    };
}

delegate!(Arc<T>);
delegate!(&T);
