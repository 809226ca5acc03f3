//! What a volume is to hold: files, their names, streams and everything attached to them, in little memory.

use super::error::TreeError;
use crate::structure::extended_attribute::{EaInformation, ExtendedAttribute};
use crate::structure::object_id::ObjectId;
use crate::structure::reparse::{ReparseHeader, ReparsePoint, ReparseTag};
use crate::structure::{FileAttributes, NtfsTime, Structure, security};
use cv_winname::check_stored_component;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// A file or directory of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub(super) u32);

/// A stream of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// Its place among the tree's streams, counted from 0 in the order they were added.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A security descriptor of a [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityId(pub(super) u32);

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
    /// Its security descriptor; `None` for that of [`PlanOptions::default_security`](super::PlanOptions::default_security).
    pub security: Option<SecurityId>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamContent<'a> {
    /// These bytes, which the tree keeps.
    Bytes(&'a [u8]),
    /// `size` bytes that the [`Source`](super::Source) gives for `token`.
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

pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
}

#[derive(Debug, Clone)]
pub(super) struct File {
    pub times: Times,
    pub attributes: FileAttributes,
    /// Number in `Tree::securities`, or `NONE`.
    pub security: u32,
    /// The last name; names of a file form a ring.
    last_name: u32,
    /// The last stream; streams of a file form a ring. `NONE` where there is no stream.
    last_stream: u32,
    /// Number in `Tree::extras`, or `NONE`.
    extras: u32,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) struct Name {
    pub parent: u32,
    pub file: u32,
    next: u32,
    offset: u32,
    /// Where the 8.3 name begins, or `NONE`.
    short_offset: u32,
    length: u8,
    short_length: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentKind {
    Bytes,
    Source,
    Late,
}

#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub file: u32,
    next: u32,
    name_offset: u32,
    /// Number in `Tree::sparse`, or `NONE`.
    sparse: u32,
    /// Bytes of the stream; of a late one, the limit until it is made.
    pub size: u64,
    /// The source's token, or where the bytes begin in the arena.
    pub value: u64,
    name_length: u8,
    pub kind: ContentKind,
    pub compression: Compression,
}

/// What few files have.
#[derive(Debug, Clone, Default)]
pub(super) struct Extras {
    pub reparse: Option<Box<[u8]>>,
    pub extended_attributes: Option<(Box<[u8]>, EaInformation)>,
    pub object_id: Option<Box<ObjectId>>,
}

/// What a volume is to hold.
///
/// Names, however many, lie in one piece of memory and each file, name and stream in a record of fixed size: about 120
/// bytes a file and two for each unit of its name.
///
/// ```
/// use cv_ntfs::write::{Metadata, StreamContent, Tree};
///
/// let units = |name: &str| name.encode_utf16().collect::<Vec<_>>();
/// let mut tree = Tree::new();
/// let folder = tree.add_directory(Tree::ROOT, &units("Files"), &Metadata::default())?;
/// let file = tree.add_file(folder, &units("hello.txt"), &Metadata::default())?;
/// tree.add_stream(file, &[], StreamContent::Bytes(b"hello"))?;
/// tree.add_stream(file, &units("Zone.Identifier"), StreamContent::Bytes(b"[ZoneTransfer]\r\nZoneId=3\r\n"))?;
/// tree.add_link(Tree::ROOT, &units("same file"), file)?;
/// assert_eq!(String::from_utf16_lossy(&tree.path(file)), r"\Files\hello.txt");
/// # Ok::<(), cv_ntfs::write::TreeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) files: Vec<File>,
    pub(super) names: Vec<Name>,
    pub(super) streams: Vec<Stream>,
    units: Vec<u16>,
    bytes: Vec<u8>,
    sparse: Vec<Box<[Range<u64>]>>,
    extras: Vec<Extras>,
    securities: Vec<Box<[u8]>>,
    /// Security descriptors by hash, to find equal ones.
    security_by_hash: HashMap<u64, Vec<u32>>,
    hasher: RandomState,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// The root directory.
    pub const ROOT: FileId = FileId(0);

    /// An empty root directory.
    pub fn new() -> Self {
        let mut tree = Self {
            files: Vec::new(),
            names: Vec::new(),
            streams: Vec::new(),
            units: Vec::new(),
            bytes: Vec::new(),
            sparse: Vec::new(),
            extras: Vec::new(),
            securities: Vec::new(),
            security_by_hash: HashMap::new(),
            hasher: RandomState::new(),
        };
        tree.push_file(Kind::Directory, &Metadata::default());
        tree
    }

    /// Number of files and directories, the root included.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The streams in the order they were added.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        (0..self.streams.len() as u32).map(StreamId)
    }

    /// Number of streams.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Replaces what the file has.
    pub fn set_metadata(&mut self, file: FileId, metadata: &Metadata) {
        let record = &mut self.files[file.0 as usize];
        record.times = metadata.times;
        record.attributes = metadata.attributes;
        record.security = metadata.security.map_or(NONE, |id| id.0);
    }

    /// Adds a directory to `parent`.
    pub fn add_directory(&mut self, parent: FileId, name: &[u16], metadata: &Metadata) -> Result<FileId, TreeError> {
        self.add(Kind::Directory, parent, name, metadata)
    }

    /// Adds a file without content to `parent`.
    pub fn add_file(&mut self, parent: FileId, name: &[u16], metadata: &Metadata) -> Result<FileId, TreeError> {
        self.add(Kind::File, parent, name, metadata)
    }

    /// Gives `file`, which must not be a directory, one more name (a hard link).
    pub fn add_link(&mut self, parent: FileId, name: &[u16], file: FileId) -> Result<(), TreeError> {
        if self.is_directory(file) {
            return Err(TreeError::LinkToDirectory(self.shown_path(file)));
        }
        self.check_new_name(parent, name)?;
        self.push_name(parent, name, file);
        Ok(())
    }

    /// Gives the last name that `file` was given an 8.3 name to stand beside it.
    pub fn set_short_name(&mut self, file: FileId, short_name: &[u16]) -> Result<(), TreeError> {
        if !cv_winname::is_short_name(short_name) {
            return Err(TreeError::ShortName(cv_winname::wtf8::display(short_name)));
        }
        let name = self.files[file.0 as usize].last_name;
        if name != NONE {
            self.store_short_name(name, short_name);
        }
        Ok(())
    }

    /// Adds a stream; `name` is empty for the unnamed one, which a directory cannot have.
    pub fn add_stream(
        &mut self,
        file: FileId,
        name: &[u16],
        content: StreamContent<'_>,
    ) -> Result<StreamId, TreeError> {
        self.add_compressed_stream(file, name, content, Compression::None)
    }

    /// Adds a stream that is to be compressed.
    pub fn add_compressed_stream(
        &mut self,
        file: FileId,
        name: &[u16],
        content: StreamContent<'_>,
        compression: Compression,
    ) -> Result<StreamId, TreeError> {
        self.check_stream(file, name, content, compression)?;
        let (kind, size, value) = match content {
            StreamContent::Bytes(bytes) => {
                let offset = self.bytes.len() as u64;
                self.bytes.extend_from_slice(bytes);
                (ContentKind::Bytes, bytes.len() as u64, offset)
            }
            StreamContent::Source { size, token } | StreamContent::Sparse { size, token, .. } => {
                (ContentKind::Source, size, token)
            }
            StreamContent::Late { limit, token } => (ContentKind::Late, limit, token),
        };
        let sparse = match content {
            StreamContent::Sparse { data, .. } => {
                self.sparse.push(data.into());
                self.sparse.len() as u32 - 1
            }
            _ => NONE,
        };
        let number = self.streams.len() as u32;
        let name_offset = self.units.len() as u32;
        self.units.extend_from_slice(name);
        let last = self.files[file.0 as usize].last_stream;
        let next = match self.streams.get_mut(last as usize) {
            Some(last) => std::mem::replace(&mut last.next, number),
            None => number,
        };
        self.files[file.0 as usize].last_stream = number;
        self.streams.push(Stream {
            file: file.0,
            next,
            name_offset,
            sparse,
            size,
            value,
            name_length: name.len() as u8,
            kind,
            compression,
        });
        Ok(StreamId(number))
    }

    fn check_stream(
        &self,
        file: FileId,
        name: &[u16],
        content: StreamContent<'_>,
        compression: Compression,
    ) -> Result<(), TreeError> {
        let refuse = |reason: &str| TreeError::Stream {
            path: self.shown_path(file),
            name: cv_winname::wtf8::display(name),
            reason: reason.into(),
        };
        let forbidden = [0, u16::from(b'/'), u16::from(b'\\'), u16::from(b':')];
        if name.len() > cv_winname::MAX_COMPONENT || name.iter().any(|unit| forbidden.contains(unit)) {
            return Err(refuse("NTFS cannot store the name"));
        }
        if name.is_empty() && self.is_directory(file) {
            return Err(refuse("a directory has no unnamed stream"));
        }
        if compression == Compression::WofXpress4k && !name.is_empty() {
            return Err(refuse("only the unnamed stream can be compressed by WOF"));
        }
        if compression != Compression::None
            && !matches!(content, StreamContent::Source { .. } | StreamContent::Bytes(_))
        {
            return Err(refuse("a sparse or late stream cannot be compressed"));
        }
        if let StreamContent::Sparse { size, data, .. } = content {
            let mut end = 0;
            for range in data {
                if range.start < end || range.end <= range.start || range.end > size {
                    return Err(refuse("its data ranges do not ascend within its size"));
                }
                end = range.end;
            }
        }
        let size = match content {
            StreamContent::Bytes(bytes) => bytes.len() as u64,
            StreamContent::Source { size, .. }
            | StreamContent::Sparse { size, .. }
            | StreamContent::Late { limit: size, .. } => size,
        };
        if size >> 62 != 0 {
            return Err(refuse("it is larger than NTFS allows"));
        }
        self.check_room()
    }

    /// Keeps a security descriptor in self-relative form; equal ones are kept once.
    pub fn intern_security(&mut self, descriptor: &[u8]) -> Result<SecurityId, TreeError> {
        if descriptor.len() > security::MAX_DESCRIPTOR as usize || descriptor.len() < 20 {
            return Err(TreeError::Security {
                length: descriptor.len(),
            });
        }
        let numbers = match self.security_by_hash.entry(self.hasher.hash_one(descriptor)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Vec::new()),
        };
        let known = numbers
            .iter()
            .find(|number| *self.securities[**number as usize] == *descriptor);
        if let Some(number) = known {
            return Ok(SecurityId(*number));
        }
        let number = self.securities.len() as u32;
        numbers.push(number);
        self.securities.push(descriptor.into());
        Ok(SecurityId(number))
    }

    /// Gives the file reparse data: the whole value of `$REPARSE_POINT`, as [`ReparsePoint::to_bytes`] makes it.
    pub fn set_reparse_data(&mut self, file: FileId, bytes: &[u8]) -> Result<(), TreeError> {
        if bytes.len() > ReparsePoint::MAX_SIZE || ReparseHeader::read_from(bytes, 0).is_err() {
            return Err(TreeError::Reparse(self.shown_path(file)));
        }
        self.extras_mut(file).reparse = Some(bytes.into());
        Ok(())
    }

    /// Gives the file extended attributes.
    pub fn set_extended_attributes(&mut self, file: FileId, list: &[ExtendedAttribute]) -> Result<(), TreeError> {
        let (bytes, information) =
            ExtendedAttribute::encode_all(list).ok_or_else(|| TreeError::ExtendedAttributes(self.shown_path(file)))?;
        self.extras_mut(file).extended_attributes = (!list.is_empty()).then(|| (bytes.into_boxed_slice(), information));
        Ok(())
    }

    /// Gives the file an object id.
    pub fn set_object_id(&mut self, file: FileId, object_id: ObjectId) {
        self.extras_mut(file).object_id = Some(Box::new(object_id));
    }

    /// Whether it is a directory.
    pub fn is_directory(&self, file: FileId) -> bool {
        self.files[file.0 as usize].kind == Kind::Directory
    }

    /// The path by the file's first name, from the root, which is `\`.
    pub fn path(&self, file: FileId) -> Vec<u16> {
        let mut names = Vec::new();
        let mut current = file;
        while let Some(name) = self.first_name(current) {
            names.push(name);
            current = FileId(self.names[name as usize].parent);
        }
        if names.is_empty() {
            return vec![u16::from(b'\\')];
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(u16::from(b'\\'));
            path.extend_from_slice(self.name_units(*name));
        }
        path
    }

    /// The file that a stream belongs to.
    pub fn file_of(&self, stream: StreamId) -> FileId {
        FileId(self.streams[stream.0 as usize].file)
    }

    /// The stream's name, empty for the unnamed one.
    pub fn stream_name(&self, stream: StreamId) -> &[u16] {
        let stream = &self.streams[stream.0 as usize];
        &self.units[stream.name_offset as usize..][..usize::from(stream.name_length)]
    }

    /// What the source knows a stream by; `None` where the tree has its bytes.
    pub fn token(&self, stream: StreamId) -> Option<u64> {
        let stream = &self.streams[stream.0 as usize];
        (stream.kind != ContentKind::Bytes).then_some(stream.value)
    }

    /// The path for people, with the stream's name behind a colon.
    pub(super) fn shown_stream(&self, stream: StreamId) -> String {
        let mut path = self.path(self.file_of(stream));
        if !self.stream_name(stream).is_empty() {
            path.push(u16::from(b':'));
            path.extend_from_slice(self.stream_name(stream));
        }
        cv_winname::wtf8::display(&path)
    }

    pub(super) fn shown_path(&self, file: FileId) -> String {
        cv_winname::wtf8::display(&self.path(file))
    }

    pub(super) fn first_name(&self, file: FileId) -> Option<u32> {
        let last = self.files[file.0 as usize].last_name;
        self.names.get(last as usize).map(|name| name.next)
    }

    /// The file's names in the order they were added.
    pub(super) fn names_of(&self, file: u32) -> impl Iterator<Item = u32> + '_ {
        let last = self.files[file as usize].last_name;
        ring(last, move |name| self.names[name as usize].next)
    }

    /// The file's streams in the order they were added.
    pub(super) fn streams_of(&self, file: u32) -> impl Iterator<Item = u32> + '_ {
        let last = self.files[file as usize].last_stream;
        ring(last, move |stream| self.streams[stream as usize].next)
    }

    pub(super) fn unnamed_stream(&self, file: u32) -> Option<u32> {
        self.streams_of(file)
            .find(|stream| self.streams[*stream as usize].name_length == 0)
    }

    pub(super) fn name_units(&self, name: u32) -> &[u16] {
        let name = &self.names[name as usize];
        &self.units[name.offset as usize..][..usize::from(name.length)]
    }

    pub(super) fn name_length(&self, name: u32) -> usize {
        usize::from(self.names[name as usize].length)
    }

    pub(super) fn short_name(&self, name: u32) -> Option<&[u16]> {
        let name = &self.names[name as usize];
        (name.short_offset != NONE).then(|| &self.units[name.short_offset as usize..][..usize::from(name.short_length)])
    }

    pub(super) fn store_short_name(&mut self, name: u32, short_name: &[u16]) {
        let offset = self.units.len() as u32;
        self.units.extend_from_slice(short_name);
        let name = &mut self.names[name as usize];
        name.short_offset = offset;
        name.short_length = short_name.len() as u8;
    }

    pub(super) fn forget_short_name(&mut self, name: u32) {
        self.names[name as usize].short_offset = NONE;
    }

    pub(super) fn rename(&mut self, name: u32, new: &[u16]) {
        let offset = self.units.len() as u32;
        self.units.extend_from_slice(new);
        let name = &mut self.names[name as usize];
        name.offset = offset;
        name.length = new.len() as u8;
    }

    pub(super) fn bytes_of(&self, stream: &Stream) -> &[u8] {
        &self.bytes[stream.value as usize..][..stream.size as usize]
    }

    pub(super) fn sparse_ranges(&self, stream: &Stream) -> Option<&[Range<u64>]> {
        self.sparse.get(stream.sparse as usize).map(|ranges| &**ranges)
    }

    /// Bytes of a stream that are not known to be zeros.
    pub(super) fn source_size(&self, stream: &Stream) -> u64 {
        match self.sparse_ranges(stream) {
            Some(ranges) => ranges.iter().map(|range| range.end - range.start).sum(),
            None => stream.size,
        }
    }

    pub(super) fn extras(&self, file: u32) -> Option<&Extras> {
        self.extras.get(self.files[file as usize].extras as usize)
    }

    pub(super) fn security(&self, number: u32) -> Option<&[u8]> {
        self.securities.get(number as usize).map(|descriptor| &**descriptor)
    }

    pub(super) fn security_count(&self) -> usize {
        self.securities.len()
    }

    fn extras_mut(&mut self, file: FileId) -> &mut Extras {
        let record = &mut self.files[file.0 as usize];
        if record.extras == NONE {
            record.extras = self.extras.len() as u32;
            self.extras.push(Extras::default());
        }
        &mut self.extras[record.extras as usize]
    }

    fn add(&mut self, kind: Kind, parent: FileId, name: &[u16], metadata: &Metadata) -> Result<FileId, TreeError> {
        self.check_new_name(parent, name)?;
        let file = self.push_file(kind, metadata);
        self.push_name(parent, name, file);
        Ok(file)
    }

    fn check_new_name(&self, parent: FileId, name: &[u16]) -> Result<(), TreeError> {
        check_stored_component(name).map_err(|source| TreeError::Name {
            directory: self.shown_path(parent),
            name: cv_winname::wtf8::display(name),
            source,
        })?;
        if !self.is_directory(parent) {
            return Err(TreeError::NotADirectory(self.shown_path(parent)));
        }
        self.check_room()
    }

    /// Numbers stay below 2^30, so that two bits remain for the planner's marks; offsets of units below 2^32.
    fn check_room(&self) -> Result<(), TreeError> {
        let most = self.files.len().max(self.names.len()).max(self.streams.len());
        let has_room = most < (1 << 30) && self.units.len() < NONE as usize - 1024;
        has_room.then_some(()).ok_or(TreeError::Full)
    }

    fn push_file(&mut self, kind: Kind, metadata: &Metadata) -> FileId {
        self.files.push(File {
            times: metadata.times,
            attributes: metadata.attributes,
            security: metadata.security.map_or(NONE, |id| id.0),
            last_name: NONE,
            last_stream: NONE,
            extras: NONE,
            kind,
        });
        FileId(self.files.len() as u32 - 1)
    }

    fn push_name(&mut self, parent: FileId, units: &[u16], file: FileId) {
        let number = self.names.len() as u32;
        let offset = self.units.len() as u32;
        self.units.extend_from_slice(units);
        let last = self.files[file.0 as usize].last_name;
        let next = match self.names.get_mut(last as usize) {
            Some(last) => std::mem::replace(&mut last.next, number),
            None => number,
        };
        self.files[file.0 as usize].last_name = number;
        self.names.push(Name {
            parent: parent.0,
            file: file.0,
            next,
            offset,
            short_offset: NONE,
            length: units.len() as u8,
            short_length: 0,
        });
    }
}

impl Extras {
    pub fn reparse_tag(&self) -> Option<ReparseTag> {
        let bytes = self.reparse.as_deref()?;
        ReparseHeader::read_from(bytes, 0).ok().map(|header| header.reparse_tag)
    }
}

/// The members of a ring whose last one is `last`, from the first.
fn ring(last: u32, next: impl Fn(u32) -> u32) -> impl Iterator<Item = u32> {
    let mut current = (last != NONE).then(|| next(last));
    std::iter::from_fn(move || {
        let item = current?;
        current = (item != last).then(|| next(item));
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_and_streams_come_back_in_order() {
        let mut tree = Tree::new();
        let metadata = Metadata::default();
        let folder = tree.add_directory(Tree::ROOT, &units("d"), &metadata).unwrap();
        let file = tree.add_file(folder, &units("f"), &metadata).unwrap();
        tree.add_link(Tree::ROOT, &units("g"), file).unwrap();
        tree.add_link(folder, &units("h"), file).unwrap();
        let names: Vec<_> = tree
            .names_of(file.0)
            .map(|name| tree.name_units(name).to_vec())
            .collect();
        assert_eq!(names, [units("f"), units("g"), units("h")]);
        assert_eq!(tree.streams_of(file.0).count(), 0);
        for name in ["b", "", "a"] {
            tree.add_stream(file, &units(name), StreamContent::Bytes(name.as_bytes()))
                .unwrap();
        }
        let streams: Vec<_> = tree
            .streams_of(file.0)
            .map(|stream| tree.stream_name(StreamId(stream)).to_vec())
            .collect();
        assert_eq!(streams, [units("b"), units(""), units("a")]);
        assert_eq!(tree.shown_stream(StreamId(2)), r"\d\f:a");
        assert_eq!(tree.shown_path(Tree::ROOT), r"\");
    }

    #[test]
    fn equal_security_descriptors_are_kept_once() {
        let mut tree = Tree::new();
        let first = tree.intern_security(&[1; 20]).unwrap();
        let second = tree.intern_security(&[2; 20]).unwrap();
        assert_ne!(first, second);
        assert_eq!(tree.intern_security(&[1; 20]).unwrap(), first);
        assert!(tree.intern_security(&[1; 3]).is_err());
    }

    #[test]
    fn what_ntfs_cannot_hold_is_refused() {
        let mut tree = Tree::new();
        let metadata = Metadata::default();
        let file = tree.add_file(Tree::ROOT, &units("f"), &metadata).unwrap();
        assert!(matches!(
            tree.add_file(file, &units("g"), &metadata),
            Err(TreeError::NotADirectory(_))
        ));
        assert!(matches!(
            tree.add_file(Tree::ROOT, &units("a/b"), &metadata),
            Err(TreeError::Name { .. })
        ));
        assert!(matches!(
            tree.add_link(Tree::ROOT, &units("x"), Tree::ROOT),
            Err(TreeError::LinkToDirectory(_))
        ));
        assert!(tree.add_stream(Tree::ROOT, &[], StreamContent::Bytes(b"x")).is_err());
        assert!(
            tree.add_stream(file, &units("a:b"), StreamContent::Bytes(b"x"))
                .is_err()
        );
        let data = [0..5, 4..6];
        let sparse = StreamContent::Sparse {
            size: 10,
            token: 0,
            data: &data,
        };
        assert!(tree.add_stream(file, &[], sparse).is_err());
        assert!(tree.set_reparse_data(file, &[0; 4]).is_err());
        assert!(tree.set_short_name(file, &units("not a short name")).is_err());
    }

    #[test]
    fn a_file_takes_little_memory() {
        let fixed = size_of::<File>() + size_of::<Name>() + size_of::<Stream>();
        assert!(fixed <= 124, "{fixed} bytes");
    }
}
