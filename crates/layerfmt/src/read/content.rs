//! A layer taken apart again, to be changed and written anew.

use super::{HiveName, Layer, LayerError, MAX_HIVE};
use crate::content::{Content, FileTree, Metadata, NodeKind, Origin, StreamContent};
use crate::index::{BLOCK_SIZE, Blocks, Entry, EntryKind, Index};
use crate::source::{self, SourceError, VolumeOrigin};
use crate::{FILES_DIRECTORY, SCRIPTS_DIRECTORY};
use cv_disk::{Quiet, ReadAt};
use cv_hive::{Deletions, Hive, Name};
use cv_ntfs::FileError;
use cv_ntfs::write::{OpenStream, SourceError as StreamError};
use cv_winname::wtf8;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Bytes of a script at most.
const MAX_SCRIPT: u64 = 16 << 20;

/// The streams of a layer, with the hashes of their blocks.
#[derive(Debug)]
struct LayerOrigin {
    streams: VolumeOrigin,
    block_hashes: Option<cv_ntfs::Stream>,
    /// Where the hashes of large streams are, and how long those streams are, by item.
    large: HashMap<u64, (Blocks, u64)>,
}

impl Origin for LayerOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, StreamError> {
        self.streams.open(item)
    }

    fn block_hashes(&self, item: u64) -> Result<Option<Vec<u8>>, StreamError> {
        let (Some((blocks, size)), Some(all)) = (self.large.get(&item), &self.block_hashes) else {
            return Ok(None);
        };
        let length = size.div_ceil(BLOCK_SIZE) * 32;
        if blocks.offset.checked_add(length).is_none_or(|end| end > all.len()) {
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        all.read_at(&mut bytes, blocks.offset)?;
        Ok(Some(bytes))
    }
}

impl Layer {
    /// Everything in the layer, to be changed and written anew. The streams stay where they are until they are written; what
    /// the index says of their hashes is believed, so that they need not be hashed again.
    pub fn content(&self) -> Result<Content, LayerError> {
        let index = self.index()?;
        let mut content = Content::new(self.manifest().clone());
        match self.volume().open_str(FILES_DIRECTORY) {
            Ok(files) => source::add_directory(&mut content.files, FileTree::ROOT, &files, &Quiet)?,
            Err(FileError::NotFound { .. }) => {}
            Err(source) => {
                return Err(LayerError::File {
                    name: FILES_DIRECTORY.to_owned(),
                    source,
                });
            }
        }
        add_marks(&mut content.files, index)?;
        self.know_hashes(&mut content.files, index)?;
        for name in self.hives() {
            content.hives.insert(name, self.hive_tree(name)?);
        }
        content.scripts = self.scripts()?;
        Ok(content)
    }

    /// A hive as a tree of keys.
    pub fn hive_tree(&self, name: HiveName) -> Result<cv_hive::Key, LayerError> {
        let bytes = self.hive(name)?;
        debug_assert!(bytes.len() as u64 <= MAX_HIVE);
        let hive = Hive::open(&bytes).map_err(|source| LayerError::Hive { name, source })?;
        hive.to_tree().map_err(|source| LayerError::HiveDamage { name, source })
    }

    /// The hives as one delta, whose first keys are the roots of the registry.
    pub fn registry(&self) -> Result<cv_hive::Key, LayerError> {
        let mut registry = cv_hive::Key::new("");
        for name in self.hives() {
            let mut root = self.hive_tree(name)?;
            let mut names = name.root().split('\\').rev();
            root.name = Name::from(names.next().unwrap_or_default());
            let root = names.fold(root, |below, above| {
                let mut key = cv_hive::Key::new(above);
                key.subkeys.push(below);
                key
            });
            cv_hive::merge(&mut registry, under(root), Deletions::Mark);
        }
        Ok(registry)
    }

    /// The scripts, by name.
    pub fn scripts(&self) -> Result<BTreeMap<String, Vec<u8>>, LayerError> {
        let mut scripts = BTreeMap::new();
        let failed = |source| LayerError::File {
            name: SCRIPTS_DIRECTORY.to_owned(),
            source,
        };
        let directory = match self.volume().open_str(SCRIPTS_DIRECTORY) {
            Ok(directory) => directory,
            Err(FileError::NotFound { .. }) => return Ok(scripts),
            Err(source) => return Err(failed(source)),
        };
        for entry in directory.directory().map_err(failed)?.entries() {
            let entry = entry.map_err(failed)?;
            let name = wtf8::display(entry.name());
            let bytes = super::read_file(self.volume(), &format!("{SCRIPTS_DIRECTORY}/{name}"), MAX_SCRIPT)?;
            scripts.insert(name, bytes);
        }
        Ok(scripts)
    }

    /// Gives streams the hashes that the index has of them.
    fn know_hashes(&self, files: &mut FileTree, index: &Index) -> Result<(), LayerError> {
        let mut large = HashMap::new();
        let mut known = Vec::new();
        for entry in index.below(FILES_DIRECTORY.as_bytes()) {
            let Some(node) = units_below(entry).and_then(|path| files.find(&path)) else {
                continue;
            };
            for (number, stream) in files.metadata(node).streams.iter().enumerate() {
                let name = wtf8::encode(stream.name.units());
                let Some(indexed) = entry.stream(&name).filter(|indexed| indexed.size == stream.size) else {
                    continue;
                };
                if let (Some(blocks), StreamContent::Origin { item, .. }) = (indexed.blocks, &stream.content) {
                    large.insert(*item, (blocks, stream.size));
                }
                known.push((node, number, indexed.sha256, indexed.blocks));
            }
        }
        let layer_origin: Arc<dyn Origin> = Arc::new(LayerOrigin {
            streams: VolumeOrigin::new(self.volume().clone()),
            block_hashes: self.blocks()?,
            large,
        });
        for (node, number, sum, blocks) in known {
            let stream = &mut files.metadata_mut(node).streams[number];
            stream.known = Some((sum, blocks));
            if let StreamContent::Origin { origin, .. } = &mut stream.content {
                *origin = layer_origin.clone();
            }
        }
        Ok(())
    }
}

/// A root without a name above a key.
fn under(key: cv_hive::Key) -> cv_hive::Key {
    let mut root = cv_hive::Key::new("");
    root.subkeys.push(key);
    root
}

/// The path of an entry below `Files`.
fn units_below(entry: &Entry) -> Option<Vec<u16>> {
    let below = entry.path.get(FILES_DIRECTORY.len()..)?;
    wtf8::decode(below).ok()
}

/// Adds what stands in the index alone: whiteouts, and that directories are opaque.
fn add_marks(files: &mut FileTree, index: &Index) -> Result<(), LayerError> {
    for entry in &index.entries {
        if !matches!(entry.kind, EntryKind::Whiteout | EntryKind::OpaqueDirectory) {
            continue;
        }
        let is_in_files =
            entry.path == FILES_DIRECTORY.as_bytes() || crate::index::is_below(&entry.path, FILES_DIRECTORY.as_bytes());
        let Some(path) = units_below(entry).filter(|_| is_in_files) else {
            continue;
        };
        if entry.kind == EntryKind::OpaqueDirectory {
            if let Some(node) = files.find(&path) {
                files.set_opaque(node, true);
            }
            continue;
        }
        let cut = path.iter().rposition(|unit| *unit == u16::from(b'/')).unwrap_or(0);
        let (directory, name) = path.split_at(cut);
        let directory = files.directories(directory).map_err(SourceError::from)?;
        if let Some(name) = name.get(1..)
            && files.child(directory, name).is_none()
        {
            let added = files.add(directory, name, NodeKind::Whiteout, Metadata::default());
            added.map_err(SourceError::from)?;
        }
    }
    Ok(())
}
