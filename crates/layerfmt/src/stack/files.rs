//! A layer's index as a member of a stack.

use crate::FILES_DIRECTORY;
use crate::index::{Entry, EntryKind, Index, compare_paths, is_below};
use cv_overlay::{Kind, Layer, NamePath};
use cv_winname::wtf8;
use std::convert::Infallible;
use std::ops::Range;

/// The `\Files` of a layer, by its index: nothing is read but that.
#[derive(Debug)]
pub struct FileLayer<'a> {
    index: &'a Index,
    /// The last name of each entry.
    names: Vec<Box<[u16]>>,
    /// What is compared of each entry.
    contents: Vec<Option<Box<[u8]>>>,
    /// The entries below `\Files`.
    below: Range<usize>,
}

/// The entry of `\Files`, which the index may leave out.
const ROOT: usize = usize::MAX;

impl<'a> FileLayer<'a> {
    /// The layer of this index.
    pub fn new(index: &'a Index) -> Self {
        let files = FILES_DIRECTORY.as_bytes();
        let start = index
            .entries
            .partition_point(|entry| compare_paths(&entry.path, files).is_le());
        let below = start..start + index.below(files).len();
        let name = |entry: &Entry| {
            let slash = entry.path.iter().rposition(|byte| *byte == b'/');
            let name = &entry.path[slash.map_or(0, |slash| slash + 1)..];
            wtf8::decode(name).unwrap_or_default().into_boxed_slice()
        };
        Self {
            index,
            names: index.entries.iter().map(name).collect(),
            contents: index.entries.iter().map(content_of).collect(),
            below,
        }
    }

    /// The index.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    fn path(&self, entry: usize) -> &'a [u8] {
        if entry == ROOT {
            return FILES_DIRECTORY.as_bytes();
        }
        self.index.entries.get(entry).map_or(&[], |entry| &entry.path)
    }

    /// The first entry behind all that is below this one.
    fn end(&self, entry: usize) -> usize {
        if entry == ROOT {
            return self.below.end;
        }
        let path = self.path(entry);
        let rest = self.index.entries.get(entry + 1..).unwrap_or_default();
        // The next sibling is mostly near, so it is looked for in growing steps.
        let mut step = 1;
        while rest.get(step - 1).is_some_and(|entry| is_below(&entry.path, path)) {
            step *= 2;
        }
        let near = rest.get(..step.min(rest.len())).unwrap_or_default();
        entry + 1 + near.partition_point(|entry| is_below(&entry.path, path))
    }
}

/// Bytes that are equal where the content is: the hashes of all streams, or where a link leads.
fn content_of(entry: &Entry) -> Option<Box<[u8]>> {
    if entry.kind.is_directory() || entry.kind == EntryKind::Whiteout {
        return None;
    }
    let mut content = Vec::new();
    for stream in &entry.streams {
        content.extend_from_slice(&(stream.name.len() as u64).to_le_bytes());
        content.extend_from_slice(&stream.name);
        content.extend_from_slice(&stream.sha256.0);
    }
    content.extend_from_slice(entry.reparse.as_deref().unwrap_or_default());
    Some(content.into_boxed_slice())
}

/// The entries of one directory.
#[derive(Debug)]
pub struct Listing<'l> {
    layer: &'l FileLayer<'l>,
    next: usize,
    end: usize,
}

impl Iterator for Listing<'_> {
    type Item = Result<usize, Infallible>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = (self.next < self.end).then_some(self.next)?;
        self.next = self.layer.end(entry);
        Some(Ok(entry))
    }
}

impl Layer for FileLayer<'_> {
    type Entry = usize;
    type Error = Infallible;
    type Listing<'l>
        = Listing<'l>
    where
        Self: 'l;

    fn root(&self) -> Result<Option<usize>, Infallible> {
        Ok((!self.below.is_empty()).then_some(ROOT))
    }

    fn lookup(&self, directory: &usize, name: &[u16]) -> Result<Option<usize>, Infallible> {
        let mut path = self.path(*directory).to_vec();
        path.push(b'/');
        wtf8::encode_into(name, &mut path);
        let found = self
            .index
            .entries
            .binary_search_by(|entry| compare_paths(&entry.path, &path));
        Ok(found.ok())
    }

    fn list(&self, directory: &usize) -> Result<Listing<'_>, Infallible> {
        Ok(Listing {
            layer: self,
            next: if *directory == ROOT {
                self.below.start
            } else {
                directory + 1
            },
            end: self.end(*directory),
        })
    }

    fn kind(&self, entry: &usize) -> Kind {
        if *entry == ROOT {
            let root = self.index.entry(FILES_DIRECTORY.as_bytes());
            return match root.map(|root| root.kind) {
                Some(EntryKind::OpaqueDirectory) => Kind::OpaqueDirectory,
                _ => Kind::Directory,
            };
        }
        match self.index.entries.get(*entry).map(|entry| entry.kind) {
            Some(EntryKind::Directory) => Kind::Directory,
            Some(EntryKind::OpaqueDirectory) => Kind::OpaqueDirectory,
            Some(EntryKind::Symlink) => Kind::Symlink,
            Some(EntryKind::Junction) => Kind::Junction,
            Some(EntryKind::Whiteout) => Kind::Whiteout,
            Some(EntryKind::File) | None => Kind::File,
        }
    }

    fn name<'l>(&'l self, entry: &'l usize) -> &'l [u16] {
        self.names.get(*entry).map_or(&[], |name| name)
    }

    fn content<'l>(&'l self, entry: &'l usize) -> Option<&'l [u8]> {
        self.contents.get(*entry)?.as_deref()
    }

    fn other_links(&self, entry: &usize) -> Result<Vec<NamePath>, Infallible> {
        let Some(link) = self.index.entries.get(*entry).and_then(|entry| entry.link) else {
            return Ok(Vec::new());
        };
        let others = self.index.entries.iter().enumerate();
        Ok(others
            .filter(|(number, other)| other.link == Some(link) && number != entry)
            .filter_map(|(_, other)| {
                let mut names = other.path.split(|byte| *byte == b'/');
                names
                    .next()
                    .filter(|first| first.eq_ignore_ascii_case(FILES_DIRECTORY.as_bytes()))?;
                let mut path = NamePath::root();
                names.for_each(|name| path.push(&wtf8::decode(name).unwrap_or_default()));
                Some(path)
            })
            .collect())
    }
}
