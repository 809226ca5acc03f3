//! One entry of the index.

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory, which is merged with those below it.
    Directory,
    /// A directory that hides everything below it.
    OpaqueDirectory,
    /// A symbolic link.
    Symlink,
    /// A junction, a mount point, or any other reparse point.
    Junction,
    /// Nothing, and it hides what is below it. It stands in the index alone, not in the volume.
    Whiteout,
}

impl EntryKind {
    /// Whether it may have entries of its own.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::OpaqueDirectory)
    }
}

/// The hashes of a large stream's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// The BLAKE3 hash of the stream, which is the root over the hashes of its blocks.
    pub root: [u8; 32],
    /// Where in `layer.blk` the hashes of its blocks begin: 32 bytes, the chaining value, for each
    /// [`BLOCK_SIZE`](super::BLOCK_SIZE) of the stream.
    pub offset: u64,
}

/// A stream of a file or directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamEntry {
    /// The name in WTF-8; empty for the unnamed stream.
    pub name: Vec<u8>,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: Sha256Sum,
    /// The hashes of its blocks, of a large one.
    pub blocks: Option<Blocks>,
}

/// An entry of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path from the root of the volume, names separated by `/`, in WTF-8: `Files/Program Files/App/app.exe`.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The file attributes (`FILE_ATTRIBUTE_*`), without those that follow from what the file holds.
    pub attributes: u32,
    /// Creation, modification, change and access, in 100 ns since 1601.
    pub times: [u64; 4],
    /// The number of its security descriptor; `None` for the volume's default.
    pub security: Option<u32>,
    /// Its streams: the unnamed one first, the others by name.
    pub streams: Vec<StreamEntry>,
    /// The value of `$REPARSE_POINT`.
    pub reparse: Option<Box<[u8]>>,
    /// The value of `$EA`.
    pub extended_attributes: Option<Box<[u8]>>,
    /// The object id.
    pub object_id: Option<Uuid>,
    /// Entries of the same number are names of one file.
    pub link: Option<u32>,
    /// The 8.3 name, where one is stored.
    pub short_name: Option<String>,
}

impl Entry {
    /// An entry with nothing attached to it.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        Self {
            path: path.into(),
            kind,
            attributes: 0,
            times: [0; 4],
            security: None,
            streams: Vec::new(),
            reparse: None,
            extended_attributes: None,
            object_id: None,
            link: None,
            short_name: None,
        }
    }

    /// The stream of this name.
    pub fn stream(&self, name: &[u8]) -> Option<&StreamEntry> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// Bytes of the unnamed stream.
    pub fn size(&self) -> u64 {
        self.stream(b"").map_or(0, |stream| stream.size)
    }
}
