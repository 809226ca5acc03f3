//! A tree of files as one side: of a folder, a volume or an archive.

use super::side::{HashStreams, Known, Side};
use crate::content::{FileTree, Metadata, NodeId, NodeKind, Stream, StreamContent, entry_kind, index_attributes};
use crate::index::{Entry, EntryKind, Index, StreamEntry, compare_paths};
use crate::{FILES_DIRECTORY, Sha256Sum};
use cv_disk::ReadAt;
use cv_ntfs::write::{FileFrom, OpenStream};
use cv_winname::wtf8;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes that are read at once.
const PIECE: usize = 1 << 18;

/// A tree of files with the index that it would have in a layer. Its streams are hashed when they need to be.
#[derive(Debug)]
pub struct TreeSide<'t> {
    tree: &'t FileTree,
    index: Index,
    /// Of each entry.
    nodes: Vec<NodeId>,
}

impl<'t> TreeSide<'t> {
    /// The tree's entries below `\Files`.
    pub fn new(tree: &'t FileTree) -> Self {
        let mut names: HashMap<u32, u32> = HashMap::new();
        for node in tree.walk(FileTree::ROOT) {
            *names.entry(tree.file_number(node)).or_default() += 1;
        }
        let mut securities = Securities::default();
        let mut entries = Vec::new();
        let add = |node, below: &[u8]| {
            let path = [FILES_DIRECTORY.as_bytes(), b"/", below].concat();
            let mut entry = entry_of(path, tree.kind(node), tree.metadata(node));
            entry.security = securities.number(tree.metadata(node));
            let file = tree.file_number(node);
            entry.link = names.get(&file).is_some_and(|count| *count > 1).then_some(file);
            entry.short_name = tree.short_name(node).map(ToString::to_string);
            entries.push((entry, node));
            Ok::<_, Infallible>(())
        };
        let Ok(()) = tree.walk_paths(FileTree::ROOT, add);
        entries.sort_by(|(left, _), (right, _)| compare_paths(&left.path, &right.path));
        let (entries, nodes) = entries.into_iter().unzip();
        Self {
            tree,
            index: Index {
                securities: securities.all,
                entries,
            },
            nodes,
        }
    }

    /// The side, of which so much is known.
    pub fn side(&self, known: Known) -> Side<'_> {
        Side {
            index: Cow::Borrowed(&self.index),
            manifest: None,
            hives: BTreeMap::new(),
            known,
            hasher: Some(self),
        }
    }
}

/// Security descriptors by number.
#[derive(Default)]
struct Securities {
    all: Vec<Box<[u8]>>,
    numbers: HashMap<Arc<[u8]>, u32>,
}

impl Securities {
    fn number(&mut self, metadata: &Metadata) -> Option<u32> {
        let bytes = metadata.security.as_ref()?;
        if let Some(number) = self.numbers.get(bytes) {
            return Some(*number);
        }
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push((&**bytes).into());
        self.numbers.insert(bytes.clone(), number);
        Some(number)
    }
}

fn entry_of(path: Vec<u8>, kind: NodeKind, metadata: &Metadata) -> Entry {
    let is_directory = kind.is_directory();
    let kind = match kind {
        NodeKind::Whiteout => EntryKind::Whiteout,
        NodeKind::OpaqueDirectory => EntryKind::OpaqueDirectory,
        NodeKind::File | NodeKind::Directory => entry_kind(metadata.reparse.as_deref(), is_directory),
    };
    let times = &metadata.times;
    let mut streams: Vec<StreamEntry> = metadata.streams.iter().map(stream_of).collect();
    streams.sort_by(|left, right| left.name.cmp(&right.name));
    Entry {
        kind,
        attributes: index_attributes(metadata.attributes, is_directory, kind),
        times: [times.creation, times.modification, times.change, times.access].map(|time| time.0),
        streams,
        reparse: metadata.reparse.clone(),
        object_id: metadata.object_id,
        ..Entry::new(path, kind)
    }
}

fn stream_of(stream: &Stream) -> StreamEntry {
    StreamEntry {
        name: wtf8::encode(stream.name.units()),
        size: stream.size,
        ..StreamEntry::default()
    }
}

impl HashStreams for TreeSide<'_> {
    fn sha256(&self, entry: usize, stream: &[u8]) -> io::Result<Sha256Sum> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let node = *self.nodes.get(entry).ok_or_else(gone)?;
        let name = wtf8::decode(stream).unwrap_or_default();
        let mut streams = self.tree.metadata(node).streams.iter();
        let stream = streams.find(|stream| stream.name.units() == name).ok_or_else(gone)?;
        match (&stream.known, &stream.content) {
            (Some((sum, _)), _) => Ok(*sum),
            (None, StreamContent::Bytes(bytes)) => Ok(Sha256Sum(Sha256::digest(bytes).into())),
            (None, StreamContent::Origin { origin, item }) => {
                hash(origin.open(*item).map_err(io::Error::other)?, stream.size)
            }
        }
    }
}

fn hash(stream: OpenStream<'_>, size: u64) -> io::Result<Sha256Sum> {
    match stream {
        OpenStream::Disk(disk) => hash_disk(&*disk, size),
        OpenStream::File { file, offset } => hash_reader(FileFrom::new(file, offset).take(size), size),
        OpenStream::Reader(reader) => hash_reader(reader.take(size), size),
    }
}

fn hash_reader(mut reader: impl Read, size: u64) -> io::Result<Sha256Sum> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        match reader.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                hash.update(&piece[..length]);
                done += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if done == size {
        Ok(Sha256Sum(hash.finalize().into()))
    } else {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {size} bytes, found {done}"),
        ))
    }
}

fn hash_disk(disk: &dyn ReadAt, size: u64) -> io::Result<Sha256Sum> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    while offset < size {
        let length = (size - offset).min(PIECE as u64);
        let piece = &mut piece[..length as usize];
        disk.read_at(piece, offset).map_err(io::Error::other)?;
        hash.update(&*piece);
        offset += length;
    }
    Ok(Sha256Sum(hash.finalize().into()))
}
