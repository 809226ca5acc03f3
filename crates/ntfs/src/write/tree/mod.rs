//! What a volume is to hold: files, their names, streams and everything attached to them, in little memory.

mod entry;
mod look;
mod record;

pub use entry::{Compression, FileId, Metadata, SecurityId, StreamContent, StreamId, Times, TreeName};
pub(super) use record::{ContentKind, Extras, File, Kind, NONE, Stream};

use super::error::TreeError;
use crate::structure::extended_attribute::ExtendedAttribute;
use crate::structure::object_id::ObjectId;
use crate::structure::reparse::{ReparseHeader, ReparsePoint};
use crate::structure::{Structure, security};
use cv_winname::check_stored_component;
use record::Name;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

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
