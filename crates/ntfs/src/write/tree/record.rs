//! How a tree holds files, names and streams in memory: records of fixed size that name each other by number.

use super::entry::{Compression, Times};
use crate::structure::extended_attribute::EaInformation;
use crate::structure::object_id::ObjectId;
use crate::structure::reparse::{ReparseHeader, ReparseTag};
use crate::structure::{FileAttributes, Structure};

pub(in crate::write) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::write) enum Kind {
    File,
    Directory,
}

#[derive(Debug, Clone)]
pub(in crate::write) struct File {
    pub times: Times,
    pub attributes: FileAttributes,
    /// Number in `Tree::securities`, or `NONE`.
    pub security: u32,
    /// The last name; names of a file form a ring.
    pub(super) last_name: u32,
    /// The last stream; streams of a file form a ring. `NONE` where there is no stream.
    pub(super) last_stream: u32,
    /// Number in `Tree::extras`, or `NONE`.
    pub(super) extras: u32,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(in crate::write) struct Name {
    pub parent: u32,
    pub file: u32,
    pub(super) next: u32,
    pub(super) offset: u32,
    /// Where the 8.3 name begins, or `NONE`.
    pub(super) short_offset: u32,
    pub(super) length: u8,
    pub(super) short_length: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::write) enum ContentKind {
    Bytes,
    Source,
    Late,
}

#[derive(Debug, Clone)]
pub(in crate::write) struct Stream {
    pub file: u32,
    pub(super) next: u32,
    pub(super) name_offset: u32,
    /// Number in `Tree::sparse`, or `NONE`.
    pub(super) sparse: u32,
    /// Bytes of the stream; of a late one, the limit until it is made.
    pub size: u64,
    /// The source's token, or where the bytes begin in the arena.
    pub value: u64,
    pub(super) name_length: u8,
    pub kind: ContentKind,
    pub compression: Compression,
}

/// What few files have.
#[derive(Debug, Clone, Default)]
pub(in crate::write) struct Extras {
    pub reparse: Option<Box<[u8]>>,
    pub extended_attributes: Option<(Box<[u8]>, EaInformation)>,
    pub object_id: Option<Box<ObjectId>>,
}

impl Extras {
    pub fn reparse_tag(&self) -> Option<ReparseTag> {
        let bytes = self.reparse.as_deref()?;
        ReparseHeader::read_from(bytes, 0).ok().map(|header| header.reparse_tag)
    }
}
