//! Where the content of a tree's streams comes from.

use super::tree::StreamId;
use super::tree_hash::TreeHash;
use cv_disk::ReadAt;
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// What a source says when it fails.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// The SHA-256 of a stream's content.
pub type Sha256Sum = [u8; 32];

/// An open stream.
pub enum OpenStream<'a> {
    /// The bytes of a host file from `offset` on: copied by the kernel where nothing must be known of them. Others may read the
    /// same open file, so nobody relies on its position: see [`FileFrom`].
    File {
        /// The file.
        file: File,
        /// Where the content begins in it.
        offset: u64,
    },
    /// The bytes of a disk from its start: a stream of another volume.
    Disk(Box<dyn ReadAt + 'a>),
    /// What comes out of a reader. Of a sparse stream it gives all bytes, the zeros too.
    Reader(Box<dyn Read + Send + 'a>),
}

/// Reads a host file from a position of its own.
#[derive(Debug)]
pub struct FileFrom {
    file: File,
    position: u64,
}

impl FileFrom {
    /// Reads from `position` on.
    pub fn new(file: File, position: u64) -> Self {
        Self { file, position }
    }
}

impl Read for FileFrom {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let count = std::os::unix::fs::FileExt::read_at(&self.file, buf, self.position)?;
        #[cfg(windows)]
        let count = std::os::windows::fs::FileExt::seek_read(&self.file, buf, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl fmt::Debug for OpenStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File { .. } => "File",
            Self::Disk(_) => "Disk",
            Self::Reader(_) => "Reader",
        })
    }
}

/// Where the content of a tree's streams comes from. Shared between threads.
pub trait Source: Sync {
    /// Opens a stream, which `token` stands for; asked once for each, nearly in the order they have in the volume.
    fn open(&self, stream: StreamId, token: u64) -> Result<OpenStream<'_>, SourceError>;

    /// Makes the content of a [late](super::StreamContent::Late) stream, when all others but later ones are written.
    fn late(&self, stream: StreamId, token: u64, hashes: &Hashes) -> Result<Vec<u8>, SourceError> {
        let _ = (stream, token, hashes);
        Err("this source makes no late streams".into())
    }

    /// The SHA-256 of a stream, where the source knows it: the stream is moved without being hashed.
    fn known_hash(&self, stream: StreamId, token: u64) -> Option<Sha256Sum> {
        let _ = (stream, token);
        None
    }
}

/// The source of a tree that holds all its content itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSource;

impl Source for NoSource {
    fn open(&self, _stream: StreamId, _token: u64) -> Result<OpenStream<'_>, SourceError> {
        Err("there is no source".into())
    }
}

/// The hashes of streams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    sums: Vec<Sha256Sum>,
    trees: HashMap<StreamId, TreeHash>,
}

impl Hashes {
    pub(super) fn new(count: usize, wanted: bool) -> Self {
        Self {
            sums: if wanted { vec![[0; 32]; count] } else { Vec::new() },
            trees: HashMap::new(),
        }
    }

    pub(super) fn set(&mut self, stream: StreamId, sum: impl Into<Sha256Sum>) {
        if let Some(place) = self.sums.get_mut(stream.index()) {
            *place = sum.into();
        }
    }

    pub(super) fn set_tree(&mut self, stream: StreamId, hash: TreeHash) {
        self.trees.insert(stream, hash);
    }

    /// The SHA-256 of `stream`'s content; `None` where none was asked for. All zeros in a late stream not made yet.
    pub fn get(&self, stream: StreamId) -> Option<&Sha256Sum> {
        self.sums.get(stream.index())
    }

    /// The BLAKE3 hash of `stream`'s content, of one that has one by
    /// [`tree_hash_from`](super::WriteOptions::tree_hash_from).
    pub fn tree(&self, stream: StreamId) -> Option<&TreeHash> {
        self.trees.get(&stream)
    }
}
