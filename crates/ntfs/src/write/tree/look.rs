//! What a tree holds.

use super::entry::{Metadata, StreamContent, TreeName};
use super::record::{ContentKind, Extras, Kind, NONE, Stream};
use super::{FileId, SecurityId, StreamId, Tree};
use crate::structure::object_id::ObjectId;
use std::ops::Range;

impl Tree {
    /// Whether it is a directory.
    pub fn is_directory(&self, file: FileId) -> bool {
        self.files[file.0 as usize].kind == Kind::Directory
    }

    /// The names in the order they were added, so that a directory's own comes before those in it.
    pub fn names(&self) -> impl ExactSizeIterator<Item = TreeName<'_>> + '_ {
        (0..self.names.len() as u32).map(|number| TreeName {
            parent: FileId(self.names[number as usize].parent),
            file: FileId(self.names[number as usize].file),
            name: self.name_units(number),
            short_name: self.short_name(number),
        })
    }

    /// What the file has, as it was given.
    pub fn metadata(&self, file: FileId) -> Metadata {
        let file = &self.files[file.0 as usize];
        Metadata {
            times: file.times,
            attributes: file.attributes,
            security: (file.security != NONE).then_some(SecurityId(file.security)),
        }
    }

    /// A security descriptor in self-relative form.
    pub fn security_descriptor(&self, security: SecurityId) -> &[u8] {
        &self.securities[security.0 as usize]
    }

    /// The file's streams in the order they were added.
    pub fn streams_of_file(&self, file: FileId) -> impl Iterator<Item = StreamId> + '_ {
        self.streams_of(file.0).map(StreamId)
    }

    /// What a stream holds, as it was given.
    pub fn content(&self, stream: StreamId) -> StreamContent<'_> {
        let stream = &self.streams[stream.0 as usize];
        let (size, token) = (stream.size, stream.value);
        match (stream.kind, self.sparse_ranges(stream)) {
            (ContentKind::Bytes, _) => StreamContent::Bytes(self.bytes_of(stream)),
            (ContentKind::Source, None) => StreamContent::Source { size, token },
            (ContentKind::Source, Some(data)) => StreamContent::Sparse { size, token, data },
            (ContentKind::Late, _) => StreamContent::Late { limit: size, token },
        }
    }

    /// The file's reparse data, the value of `$REPARSE_POINT`.
    pub fn reparse_data(&self, file: FileId) -> Option<&[u8]> {
        self.extras(file.0)?.reparse.as_deref()
    }

    /// The file's extended attributes, the value of `$EA`.
    pub fn extended_attributes(&self, file: FileId) -> Option<&[u8]> {
        let attributes = self.extras(file.0)?.extended_attributes.as_ref();
        attributes.map(|(bytes, _)| &**bytes)
    }

    /// The file's object id.
    pub fn object_id(&self, file: FileId) -> Option<&ObjectId> {
        self.extras(file.0)?.object_id.as_deref()
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
    pub(in crate::write) fn shown_stream(&self, stream: StreamId) -> String {
        let mut path = self.path(self.file_of(stream));
        if !self.stream_name(stream).is_empty() {
            path.push(u16::from(b':'));
            path.extend_from_slice(self.stream_name(stream));
        }
        cv_winname::wtf8::display(&path)
    }

    pub(in crate::write) fn shown_path(&self, file: FileId) -> String {
        cv_winname::wtf8::display(&self.path(file))
    }

    pub(in crate::write) fn first_name(&self, file: FileId) -> Option<u32> {
        let last = self.files[file.0 as usize].last_name;
        self.names.get(last as usize).map(|name| name.next)
    }

    /// The file's names in the order they were added.
    pub(in crate::write) fn names_of(&self, file: u32) -> impl Iterator<Item = u32> + '_ {
        let last = self.files[file as usize].last_name;
        ring(last, move |name| self.names[name as usize].next)
    }

    /// The file's streams in the order they were added.
    pub(in crate::write) fn streams_of(&self, file: u32) -> impl Iterator<Item = u32> + '_ {
        let last = self.files[file as usize].last_stream;
        ring(last, move |stream| self.streams[stream as usize].next)
    }

    pub(in crate::write) fn unnamed_stream(&self, file: u32) -> Option<u32> {
        self.streams_of(file)
            .find(|stream| self.streams[*stream as usize].name_length == 0)
    }

    pub(in crate::write) fn name_units(&self, name: u32) -> &[u16] {
        let name = &self.names[name as usize];
        &self.units[name.offset as usize..][..usize::from(name.length)]
    }

    pub(in crate::write) fn name_length(&self, name: u32) -> usize {
        usize::from(self.names[name as usize].length)
    }

    pub(in crate::write) fn short_name(&self, name: u32) -> Option<&[u16]> {
        let name = &self.names[name as usize];
        (name.short_offset != NONE).then(|| &self.units[name.short_offset as usize..][..usize::from(name.short_length)])
    }

    pub(in crate::write) fn store_short_name(&mut self, name: u32, short_name: &[u16]) {
        let offset = self.units.len() as u32;
        self.units.extend_from_slice(short_name);
        let name = &mut self.names[name as usize];
        name.short_offset = offset;
        name.short_length = short_name.len() as u8;
    }

    pub(in crate::write) fn forget_short_name(&mut self, name: u32) {
        self.names[name as usize].short_offset = NONE;
    }

    pub(in crate::write) fn rename(&mut self, name: u32, new: &[u16]) {
        let offset = self.units.len() as u32;
        self.units.extend_from_slice(new);
        let name = &mut self.names[name as usize];
        name.offset = offset;
        name.length = new.len() as u8;
    }

    pub(in crate::write) fn bytes_of(&self, stream: &Stream) -> &[u8] {
        &self.bytes[stream.value as usize..][..stream.size as usize]
    }

    pub(in crate::write) fn sparse_ranges(&self, stream: &Stream) -> Option<&[Range<u64>]> {
        self.sparse.get(stream.sparse as usize).map(|ranges| &**ranges)
    }

    /// Bytes of a stream that are not known to be zeros.
    pub(in crate::write) fn source_size(&self, stream: &Stream) -> u64 {
        match self.sparse_ranges(stream) {
            Some(ranges) => ranges.iter().map(|range| range.end - range.start).sum(),
            None => stream.size,
        }
    }

    pub(in crate::write) fn extras(&self, file: u32) -> Option<&Extras> {
        self.extras.get(self.files[file as usize].extras as usize)
    }

    pub(in crate::write) fn security(&self, number: u32) -> Option<&[u8]> {
        self.securities.get(number as usize).map(|descriptor| &**descriptor)
    }

    pub(in crate::write) fn security_count(&self) -> usize {
        self.securities.len()
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
