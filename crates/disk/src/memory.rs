//! A disk in memory.

use crate::access::{ReadAt, Resize, WriteAt};
use crate::error::{ReadError, WriteError};
use crate::extent::{Extent, ExtentKind};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes kept together; a piece that was never written takes no memory.
const PIECE: u64 = 4096;

/// A sparse disk in memory: for tests, examples and small images.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    content: RwLock<Content>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    length: u64,
    /// Shared with copies of the disk until either is written to.
    pieces: BTreeMap<u64, Arc<[u8]>>,
}

impl MemoryDisk {
    /// A disk of `length` bytes, all zero.
    pub fn new(length: u64) -> Self {
        Self {
            content: RwLock::new(Content {
                length,
                pieces: BTreeMap::new(),
            }),
        }
    }

    /// All bytes of the disk.
    pub fn to_vec(&self) -> Vec<u8> {
        let content = self.read();
        let mut bytes = vec![0; content.length as usize];
        content.read(&mut bytes, 0);
        bytes
    }

    fn read(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for MemoryDisk {
    fn clone(&self) -> Self {
        Self {
            content: RwLock::new(self.read().clone()),
        }
    }
}

impl From<&[u8]> for MemoryDisk {
    fn from(bytes: &[u8]) -> Self {
        let mut content = Content {
            length: bytes.len() as u64,
            pieces: BTreeMap::new(),
        };
        content.write(bytes, 0);
        Self {
            content: RwLock::new(content),
        }
    }
}

impl Content {
    /// Where `range` meets the pieces: the piece's number, the range within it, and the range within the buffer.
    fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
        let end = offset + length as u64;
        let mut position = offset;
        std::iter::from_fn(move || {
            (position < end).then(|| {
                let piece = position / PIECE;
                let stop = end.min((piece + 1).saturating_mul(PIECE));
                let within = (position - piece * PIECE) as usize..(stop - piece * PIECE) as usize;
                let buffer = (position - offset) as usize..(stop - offset) as usize;
                position = stop;
                (piece, within, buffer)
            })
        })
    }

    fn read(&self, buf: &mut [u8], offset: u64) {
        for (piece, within, buffer) in Self::parts(offset, buf.len()) {
            match self.pieces.get(&piece) {
                Some(bytes) => buf[buffer].copy_from_slice(&bytes[within]),
                None => buf[buffer].fill(0),
            }
        }
    }

    fn write(&mut self, buf: &[u8], offset: u64) {
        for (piece, within, buffer) in Self::parts(offset, buf.len()) {
            let bytes = self
                .pieces
                .entry(piece)
                .or_insert_with(|| vec![0; PIECE as usize].into());
            Arc::make_mut(bytes)[within].copy_from_slice(&buf[buffer]);
        }
    }

    fn zero(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let whole = range.start.div_ceil(PIECE)..range.end / PIECE;
        if whole.start >= whole.end {
            let touched: Vec<u64> = self
                .pieces
                .range(range.start / PIECE..range.end.div_ceil(PIECE))
                .map(|p| *p.0)
                .collect();
            for piece in touched {
                let start = range.start.max(piece * PIECE) - piece * PIECE;
                let end = range.end.min((piece + 1).saturating_mul(PIECE)) - piece * PIECE;
                if let (Some(bytes), true) = (self.pieces.get_mut(&piece), start < end) {
                    Arc::make_mut(bytes)[start as usize..end as usize].fill(0);
                }
            }
            return;
        }
        let mut later = self.pieces.split_off(&whole.start);
        self.pieces.append(&mut later.split_off(&whole.end));
        self.zero(range.start..whole.start * PIECE);
        self.zero(whole.end * PIECE..range.end);
    }
}

impl ReadAt for MemoryDisk {
    fn len(&self) -> u64 {
        self.read().length
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let content = self.read();
        ReadError::check_range(offset, buf.len() as u64, content.length)?;
        content.read(buf, offset);
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let content = self.read();
        ReadError::check_range(offset, 1, content.length)?;
        let piece = offset / PIECE;
        let (kind, end) = if content.pieces.contains_key(&piece) {
            (ExtentKind::Data, (piece + 1).saturating_mul(PIECE))
        } else {
            let next = content
                .pieces
                .range(piece..)
                .next()
                .map_or(content.length, |next| next.0 * PIECE);
            (ExtentKind::Hole, next)
        };
        Ok(Extent {
            start: offset,
            length: end.min(content.length) - offset,
            kind,
        })
    }
}

impl WriteAt for MemoryDisk {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        let mut content = self.write();
        WriteError::check_range(offset, buf.len() as u64, content.length)?;
        content.write(buf, offset);
        Ok(())
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        let mut content = self.write();
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), content.length)?;
        content.zero(range);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl Resize for MemoryDisk {
    fn set_len(&self, len: u64) -> Result<(), WriteError> {
        let mut content = self.write();
        if len < content.length {
            let end = content.length;
            content.zero(len..end);
        }
        content.length = len;
        Ok(())
    }
}
