//! Streams of a file tree, to be read in part.

use crate::content::{FileTree, NodeId, Stream, StreamContent};
use cv_disk::{RawFile, ReadAt, ReadError, Slice};
use cv_ntfs::write::{OpenStream, SourceError};
use std::io::Read;
use std::sync::Arc;

/// A stream as a disk: where its source can be read anywhere, nothing is read yet; else its first bytes are in memory.
pub enum StreamDisk<'a> {
    /// Bytes in memory.
    Bytes(Arc<[u8]>),
    /// A part of a file of the host.
    File(Slice<RawFile>),
    /// A stream of a volume.
    Disk(Box<dyn ReadAt + 'a>),
}

impl std::fmt::Debug for StreamDisk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamDisk").field("len", &self.len()).finish()
    }
}

impl<'a> StreamDisk<'a> {
    /// Opens a stream. Of one that can only be read from its start, `limit` bytes are read at most.
    pub fn open(stream: &'a Stream, limit: u64) -> Result<Self, SourceError> {
        Ok(match &stream.content {
            StreamContent::Bytes(bytes) => Self::Bytes(bytes.clone()),
            StreamContent::Origin { origin, item } => match origin.open(*item)? {
                OpenStream::File { file, offset } => {
                    let file = RawFile::from_file(file)?;
                    let end = offset.saturating_add(stream.size).min(file.len());
                    Self::File(Slice::new(file, offset.min(end)..end)?)
                }
                OpenStream::Disk(disk) => Self::Disk(disk),
                OpenStream::Reader(reader) => {
                    let mut bytes = Vec::new();
                    reader.take(limit.min(stream.size)).read_to_end(&mut bytes)?;
                    Self::Bytes(bytes.into())
                }
            },
        })
    }

    /// The unnamed stream of a file.
    pub(super) fn of(files: &'a FileTree, node: NodeId, limit: u64) -> Option<Result<Self, SourceError>> {
        let streams = &files.metadata(node).streams;
        let stream = streams.iter().find(|stream| stream.name.is_empty())?;
        Some(Self::open(stream, limit))
    }

    /// All its bytes, where they are no more than `limit`.
    pub fn to_vec(&self, limit: u64) -> Result<Vec<u8>, SourceError> {
        if self.len() > limit {
            return Err(format!("{} bytes, and {limit} are the most", self.len()).into());
        }
        let mut bytes = vec![0; self.len() as usize];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl ReadAt for StreamDisk<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len(),
            Self::Disk(disk) => disk.len(),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        match self {
            Self::Bytes(bytes) => {
                ReadError::check_range(offset, buf.len() as u64, bytes.len() as u64)?;
                let start = offset as usize;
                buf.copy_from_slice(&bytes[start..start + buf.len()]);
                Ok(())
            }
            Self::File(slice) => slice.read_at(buf, offset),
            Self::Disk(disk) => disk.read_at(buf, offset),
        }
    }
}
