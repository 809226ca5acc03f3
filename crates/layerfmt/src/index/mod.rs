//! The index, `layer.idx`: every entry of the file tree and of the scripts, with the SHA-256 of every stream.
//!
//! JSON Lines, compressed as one zstd frame. The first line is the head, every other one an [`Entry`]; entries stand in the
//! order of their paths ([`compare_paths`]), so that two indexes are compared in one pass. Unknown members of a line are
//! ignored.

mod entry;
mod line;
mod path;
mod read;
mod write;

pub use entry::{Blocks, Entry, EntryKind, StreamEntry};
pub use path::{compare_paths, is_below};
pub use read::{IndexError, Limits};

use std::cmp::Ordering;

/// The schema that this crate writes.
pub const SCHEMA: &str = "cvindex/1";

/// Streams of at least this many bytes have block hashes.
pub const BLOCKS_FROM: u64 = 1 << 20;

/// Bytes of a block of [`Blocks`].
pub const BLOCK_SIZE: u64 = 1 << 16;

/// The index of a layer in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// The self-relative security descriptors that entries refer to by number.
    pub securities: Vec<Box<[u8]>>,
    /// The entries in the order of their paths.
    pub entries: Vec<Entry>,
}

impl Index {
    /// The entry at a path from the root, names separated by `/`, in WTF-8; the case does not matter.
    pub fn entry(&self, path: &[u8]) -> Option<&Entry> {
        let place = self.entries.binary_search_by(|entry| compare_paths(&entry.path, path));
        place.ok().and_then(|place| self.entries.get(place))
    }

    /// The entries below a directory, it itself not among them.
    pub fn below(&self, directory: &[u8]) -> &[Entry] {
        let start = self
            .entries
            .partition_point(|entry| compare_paths(&entry.path, directory) != Ordering::Greater);
        let rest = self.entries.get(start..).unwrap_or_default();
        let end = rest.partition_point(|entry| is_below(&entry.path, directory));
        rest.get(..end).unwrap_or_default()
    }

    /// Puts the entries into the order of their paths.
    pub fn sort(&mut self) {
        self.entries
            .sort_by(|left, right| compare_paths(&left.path, &right.path));
    }
}
