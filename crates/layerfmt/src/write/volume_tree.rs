//! From a layer's content to the tree of its volume, and to an index that lacks nothing but hashes.

use super::hives::WrittenHive;
use super::{MAX_SIGNATURE, WriteError};
use crate::content::{Content, FileTree, Metadata, NodeId, NodeKind, Stream, StreamContent};
use crate::content::{entry_kind, index_attributes, kept_attributes};
use crate::index::{BLOCK_SIZE, BLOCKS_FROM, Blocks, Entry, EntryKind, Index, StreamEntry};
use crate::{
    BLOCKS_NAME, FILES_DIRECTORY, HIVES_DIRECTORY, INDEX_NAME, MANIFEST_NAME, SCRIPTS_DIRECTORY, SIGNATURE_NAME,
    Sha256Sum,
};
use cv_ntfs::structure::object_id::ObjectId;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::tree_hash::{ChainingValue, root_of};
use cv_ntfs::write::{self as ntfs, FileId, SecurityId, StreamId, Times, Tree};
use cv_volume::{FolderSecurity, PlaceSecurity};
use cv_winname::{UpcaseTable, wtf8};
use std::collections::{HashMap, HashSet};

/// Where a stream of the index is in the volume's tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Number of the entry in the index.
    pub entry: usize,
    /// Number of the stream in the entry.
    pub stream: usize,
    pub id: StreamId,
    /// Number of what gives it.
    pub token: Option<u64>,
}

/// A stream whose bytes the content gives.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub content: &'a StreamContent,
    /// Its hashes, where they need not be computed.
    pub known: Option<(Sha256Sum, Vec<ChainingValue>)>,
    /// Its bytes, where they were read before their turn.
    pub read: Option<Vec<u8>>,
}

/// The streams that are made last, in this order; behind them comes the signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct LateStreams {
    pub blocks: Option<StreamId>,
    pub index: StreamId,
    pub manifest: StreamId,
}

/// Bytes of a stream that the tree keeps itself.
const SMALL: usize = 64 << 10;

/// The tree of the volume, and the index of what is in it.
#[derive(Debug)]
pub(super) struct VolumeTree<'a> {
    pub tree: Tree,
    pub index: Index,
    /// The streams of the index.
    pub slots: Vec<Slot>,
    /// Entries of further names of a file, and the entry of its first name.
    pub copies: Vec<(usize, usize)>,
    /// By token.
    pub given: Vec<Given<'a>>,
    /// Which entry each name of the tree has, in the order in which they were added.
    pub names: Vec<Option<usize>>,
    /// The latest modification of all files, which is the time of the volume's own directories.
    pub newest: NtfsTime,
    /// Bytes of all streams of the file tree and the scripts.
    pub size: u64,
    securities: HashMap<SecurityId, u32>,
    blocks_size: u64,
}

impl<'a> VolumeTree<'a> {
    /// The tree for `content`; its files are made at `fallback` where none has a time.
    pub fn new(content: &'a Content, hives: &'a [WrittenHive], fallback: NtfsTime) -> Result<Self, WriteError> {
        let files = &content.files;
        let nodes = || std::iter::once(FileTree::ROOT).chain(files.walk(FileTree::ROOT));
        let newest = nodes()
            .filter(|node| files.kind(*node) != NodeKind::Whiteout)
            .map(|node| files.metadata(node).times.modification)
            .max()
            .filter(|time| time.0 != 0)
            .unwrap_or(fallback);
        let mut this = Self {
            tree: Tree::new(),
            index: Index::default(),
            slots: Vec::new(),
            copies: Vec::new(),
            given: Vec::new(),
            names: Vec::new(),
            newest,
            size: 0,
            securities: HashMap::new(),
            blocks_size: 0,
        };
        let own = this.own();
        this.tree.set_metadata(Tree::ROOT, &own);
        this.add_files(files)?;
        if !hives.is_empty() {
            let directory = this.own_directory(HIVES_DIRECTORY)?;
            for hive in hives {
                let file = this.own_file(directory, hive.name.file_name())?;
                this.tree
                    .add_stream(file, &[], ntfs::StreamContent::Bytes(&hive.bytes))?;
            }
        }
        if !content.scripts.is_empty() {
            this.add_scripts(content)?;
        }
        Ok(this)
    }

    fn own(&self) -> ntfs::Metadata {
        ntfs::Metadata {
            times: Times::all(self.newest),
            ..ntfs::Metadata::default()
        }
    }

    fn own_directory(&mut self, name: &str) -> Result<FileId, WriteError> {
        self.names.push(None);
        let own = self.own();
        Ok(self.tree.add_directory(Tree::ROOT, &units(name), &own)?)
    }

    fn own_file(&mut self, directory: FileId, name: &str) -> Result<FileId, WriteError> {
        self.names.push(None);
        let own = self.own();
        Ok(self.tree.add_file(directory, &units(name), &own)?)
    }

    fn add_files(&mut self, files: &'a FileTree) -> Result<(), WriteError> {
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for node in files.walk(FileTree::ROOT) {
            *counts.entry(files.file_number(node)).or_default() += 1;
        }
        let mut links: HashMap<u32, (FileId, u32, usize)> = HashMap::new();
        let mut security = PlaceSecurity::default();
        let mut directories: HashMap<NodeId, (FileId, FolderSecurity)> = HashMap::new();
        let mut paths: HashMap<NodeId, Vec<u8>> = HashMap::new();
        for node in std::iter::once(FileTree::ROOT).chain(files.walk(FileTree::ROOT)) {
            let mut path = paths.get(&files.parent(node)).cloned().unwrap_or_default();
            if node == FileTree::ROOT {
                path.extend_from_slice(FILES_DIRECTORY.as_bytes());
            } else {
                path.push(b'/');
                wtf8::encode_into(files.name(node).units(), &mut path);
            }
            if files.kind(node).is_directory() {
                paths.insert(node, path.clone());
            }
            if files.kind(node) == NodeKind::Whiteout {
                self.index.entries.push(Entry::new(path, EntryKind::Whiteout));
                continue;
            }
            let number = files.file_number(node);
            let parent = directories.get(&files.parent(node)).copied();
            let (above, _) = parent.unzip();
            let above = above.unwrap_or(Tree::ROOT);
            let files_units;
            let name = if node == FileTree::ROOT {
                files_units = units(FILES_DIRECTORY);
                &files_units
            } else {
                files.name(node).units()
            };
            if let Some((file, link, first)) = links.get(&number) {
                self.tree.add_link(above, name, *file)?;
                self.set_short_name(files, node, *file)?;
                let mut entry = self.index.entries[*first].clone();
                entry.path = path;
                entry.link = Some(*link);
                self.index.entries[*first].link = Some(*link);
                self.names.push(Some(self.index.entries.len()));
                self.copies.push((self.index.entries.len(), *first));
                self.index.entries.push(entry);
                continue;
            }
            let metadata = files.metadata(node);
            let facts = Facts::of(files, node);
            let folder = match (&metadata.security, parent) {
                (Some(bytes), _) => FolderSecurity::with(security.brought(&mut self.tree, bytes)?),
                (None, None) => security.root(&mut self.tree)?,
                (None, Some((_, parent))) if facts.is_directory => {
                    let name = wtf8::display(name);
                    security.directory(&mut self.tree, parent, &name, false)?
                }
                (None, Some((_, parent))) => FolderSecurity::with(security.file(&mut self.tree, parent, false)?),
            };
            let times = if metadata.times == Times::default() {
                Times::all(self.newest)
            } else {
                metadata.times
            };
            let stored = ntfs::Metadata {
                times,
                attributes: kept_attributes(metadata.attributes, facts.is_directory),
                security: Some(folder.id()),
            };
            let file = if facts.is_directory {
                self.tree.add_directory(above, name, &stored)?
            } else {
                self.tree.add_file(above, name, &stored)?
            };
            self.names.push(Some(self.index.entries.len()));
            self.set_short_name(files, node, file)?;
            if files.kind(node).is_directory() {
                directories.insert(node, (file, folder));
            }
            let mut entry = Entry::new(path, facts.kind);
            entry.attributes = index_attributes(metadata.attributes, facts.is_directory, facts.kind);
            entry.times = [times.creation, times.modification, times.change, times.access].map(|time| time.0);
            entry.security = Some(self.security_number(folder.id()));
            self.add_extras(&mut entry, file, metadata)?;
            self.add_streams(&mut entry, file, metadata, facts.is_directory)?;
            if counts.get(&number).is_some_and(|count| *count > 1) {
                let link = links.len() as u32;
                links.insert(number, (file, link, self.index.entries.len()));
            }
            self.index.entries.push(entry);
        }
        Ok(())
    }

    fn set_short_name(&mut self, files: &FileTree, node: NodeId, file: FileId) -> Result<(), WriteError> {
        if let Some(short) = files.short_name(node) {
            self.tree.set_short_name(file, short.units())?;
        }
        Ok(())
    }

    fn security_number(&mut self, security: SecurityId) -> u32 {
        let next = self.index.securities.len() as u32;
        *self.securities.entry(security).or_insert_with(|| {
            let bytes = self.tree.security_descriptor(security);
            self.index.securities.push(bytes.into());
            next
        })
    }

    fn add_extras(&mut self, entry: &mut Entry, file: FileId, metadata: &Metadata) -> Result<(), WriteError> {
        if let Some(reparse) = &metadata.reparse {
            self.tree.set_reparse_data(file, reparse)?;
            entry.reparse = Some(reparse.clone());
        }
        if !metadata.extended_attributes.is_empty() {
            self.tree.set_extended_attributes(file, &metadata.extended_attributes)?;
            entry.extended_attributes = self.tree.extended_attributes(file).map(Into::into);
        }
        if let Some(id) = metadata.object_id {
            let object_id = ObjectId {
                object_id: id.to_bytes_le(),
                ..ObjectId::default()
            };
            self.tree.set_object_id(file, object_id);
            entry.object_id = Some(id);
        }
        Ok(())
    }

    fn add_streams(
        &mut self,
        entry: &mut Entry,
        file: FileId,
        metadata: &'a Metadata,
        is_directory: bool,
    ) -> Result<(), WriteError> {
        let table = UpcaseTable::windows();
        let mut streams: Vec<&Stream> = metadata.streams.iter().collect();
        streams.sort_by(|left, right| table.collate(left.name.units(), right.name.units()));
        if !is_directory && streams.first().is_none_or(|stream| !stream.name.is_empty()) {
            let id = self.tree.add_stream(file, &[], ntfs::StreamContent::Bytes(&[]))?;
            self.add_slot(entry, id, None, (Vec::new(), 0));
        }
        for stream in streams {
            let name = stream.name.units();
            let (id, token) = match (&stream.content, &stream.data) {
                (StreamContent::Bytes(bytes), None) if bytes.len() <= SMALL => {
                    let content = ntfs::StreamContent::Bytes(bytes);
                    (self.tree.add_stream(file, name, content)?, None)
                }
                (_, data) => {
                    let (size, token) = (stream.size, self.given.len() as u64);
                    self.given.push(Given {
                        content: &stream.content,
                        known: known(stream),
                        read: None,
                    });
                    let content = match data {
                        Some(data) => ntfs::StreamContent::Sparse { size, token, data },
                        None => ntfs::StreamContent::Source { size, token },
                    };
                    (self.tree.add_stream(file, name, content)?, Some(token))
                }
            };
            self.add_slot(entry, id, token, (wtf8::encode(name), stream.size));
        }
        Ok(())
    }

    fn add_slot(&mut self, entry: &mut Entry, id: StreamId, token: Option<u64>, (name, size): (Vec<u8>, u64)) {
        let blocks = (size >= BLOCKS_FROM).then(|| {
            let offset = self.blocks_size;
            self.blocks_size += size.div_ceil(BLOCK_SIZE) * 32;
            Blocks { root: [0; 32], offset }
        });
        self.slots.push(Slot {
            entry: self.index.entries.len(),
            stream: entry.streams.len(),
            id,
            token,
        });
        self.size += size;
        entry.streams.push(StreamEntry {
            name,
            size,
            sha256: Sha256Sum::default(),
            blocks,
        });
    }

    fn add_scripts(&mut self, content: &'a Content) -> Result<(), WriteError> {
        let directory = self.own_directory(SCRIPTS_DIRECTORY)?;
        let times = [self.newest.0; 4];
        let mut entry = Entry::new(SCRIPTS_DIRECTORY, EntryKind::Directory);
        entry.times = times;
        let mut seen = HashSet::new();
        if let Some(name) = self.names.last_mut() {
            *name = Some(self.index.entries.len());
        }
        self.index.entries.push(entry);
        for (name, bytes) in &content.scripts {
            if !seen.insert(UpcaseTable::windows().fold(&units(name))) {
                return Err(WriteError::Script(name.clone()));
            }
            let file = self.own_file(directory, name)?;
            let mut entry = Entry::new(format!("{SCRIPTS_DIRECTORY}/{name}"), EntryKind::File);
            entry.times = times;
            if let Some(name) = self.names.last_mut() {
                *name = Some(self.index.entries.len());
            }
            let id = self.tree.add_stream(file, &[], ntfs::StreamContent::Bytes(bytes))?;
            self.add_slot(&mut entry, id, None, (Vec::new(), bytes.len() as u64));
            self.index.entries.push(entry);
        }
        Ok(())
    }

    /// Takes what sources have read ahead.
    pub fn take_read_ahead(&mut self) {
        for given in self.given.iter_mut().filter(|given| given.known.is_none()) {
            if let StreamContent::Origin { origin, item } = given.content
                && let Some(read) = origin.read_ahead(*item)
            {
                given.known = Some((read.sha256, Vec::new()));
                given.read = Some(read.bytes);
            }
        }
    }

    /// Adds the streams that are made last.
    pub fn add_late(&mut self, index_limit: u64, manifest_limit: u64) -> Result<LateStreams, WriteError> {
        let blocks_size = Some(self.blocks_size).filter(|size| *size > 0);
        let mut add = |name: &str, limit: u64| -> Result<StreamId, WriteError> {
            let file = self.own_file(Tree::ROOT, name)?;
            let content = ntfs::StreamContent::Late { limit, token: 0 };
            Ok(self.tree.add_stream(file, &[], content)?)
        };
        let late = LateStreams {
            blocks: blocks_size.map(|size| add(BLOCKS_NAME, size)).transpose()?,
            index: add(INDEX_NAME, index_limit)?,
            manifest: add(MANIFEST_NAME, manifest_limit)?,
        };
        add(SIGNATURE_NAME, MAX_SIGNATURE)?;
        Ok(late)
    }
}

/// What a name of a file tree is in the volume.
struct Facts {
    kind: EntryKind,
    is_directory: bool,
}

impl Facts {
    fn of(files: &FileTree, node: NodeId) -> Self {
        let metadata = files.metadata(node);
        let is_link_to_directory =
            metadata.reparse.is_some() && metadata.attributes.contains(FileAttributes::DIRECTORY);
        let is_directory = files.kind(node).is_directory() || is_link_to_directory;
        let kind = match files.kind(node) {
            NodeKind::Directory => EntryKind::Directory,
            NodeKind::OpaqueDirectory => EntryKind::OpaqueDirectory,
            NodeKind::Whiteout => EntryKind::Whiteout,
            NodeKind::File => entry_kind(metadata.reparse.as_deref(), is_directory),
        };
        Self { kind, is_directory }
    }
}

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

/// The hashes that a stream brings along, as far as they are complete.
fn known(stream: &Stream) -> Option<(Sha256Sum, Vec<ChainingValue>)> {
    let (sum, blocks) = stream.known?;
    if stream.size < BLOCKS_FROM {
        return Some((sum, Vec::new()));
    }
    let StreamContent::Origin { origin, item } = &stream.content else {
        return None;
    };
    let bytes = origin.block_hashes(*item).ok()??;
    let groups: Vec<ChainingValue> = bytes.as_chunks().0.to_vec();
    (root_of(&groups, stream.size)? == blocks?.root).then_some((sum, groups))
}
