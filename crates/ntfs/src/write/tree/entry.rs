//! What callers say of the files and streams that they add.

use crate::structure::{FileAttributes, NtfsTime};
use std::ops::Range;

/// A file or directory of a [`Tree`](super::Tree).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(in crate::write) u32);

/// A stream of a [`Tree`](super::Tree).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(in crate::write) u32);

impl StreamId {
    /// Its place among the tree's streams, counted from 0 in the order they were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A security descriptor of a [`Tree`](super::Tree).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityId(pub(in crate::write) u32);

/// A name of a [`Tree`](super::Tree).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeName<'a> {
    /// The directory it is in.
    pub parent: FileId,
    /// The file it is of.
    pub file: FileId,
    /// Its units.
    pub name: &'a [u16],
    /// The 8.3 name beside it: as it was given, or after planning as it is written.
    pub short_name: Option<&'a [u16]>,
}

/// The four times of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Times {
    /// When it was made.
    pub creation: NtfsTime,
    /// When its content last changed.
    pub modification: NtfsTime,
    /// When anything of it last changed.
    pub change: NtfsTime,
    /// When it was last read.
    pub access: NtfsTime,
}

impl Times {
    /// All four the same.
    pub fn all(time: NtfsTime) -> Self {
        Self {
            creation: time,
            modification: time,
            change: time,
            access: time,
        }
    }
}

/// What every file and directory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Its times.
    pub times: Times,
    /// Its attributes. Those that follow from what it holds (sparse, compressed, reparse point, directory) are set by the
    /// writer, whatever stands here; of a directory `COMPRESSED` counts.
    pub attributes: FileAttributes,
    /// Its security descriptor; `None` for that of [`PlanOptions::default_security`](crate::write::PlanOptions::default_security).
    pub security: Option<SecurityId>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamContent<'a> {
    /// These bytes, which the tree keeps.
    Bytes(&'a [u8]),
    /// `size` bytes that the [`Source`](crate::write::Source) gives for `token`.
    Source {
        /// Bytes of the stream.
        size: u64,
        /// What the source knows it by.
        token: u64,
    },
    /// The same, stored as a sparse stream: zeros outside of `data`.
    Sparse {
        /// Bytes of the stream.
        size: u64,
        /// What the source knows it by.
        token: u64,
        /// Where there may be anything but zeros: ascending, apart from each other, within `size`.
        data: &'a [Range<u64>],
    },
    /// At most `limit` bytes that the source makes when every other stream is written and hashed.
    Late {
        /// Most bytes of the stream; room is kept for as many.
        limit: u64,
        /// What the source knows it by.
        token: u64,
    },
}

/// How a stream is to be compressed. One that fits into its file record, or that would not become smaller, is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By NTFS itself, in units of 16 clusters; clusters of 4 KiB at most.
    Lznt1,
    /// By the Windows Overlay Filter, XPRESS in chunks of 4 KiB: read by Windows 10 and later. Only the unnamed stream of a
    /// file without reparse data.
    WofXpress4k,
}
