//! A folder of the host as a source.

use super::ahead::Reading;
use super::{SourceError, make_way};
use crate::content::{FileTree, Metadata, NodeId, NodeKind, Origin, ReadAhead, Stream, StreamContent};
use crate::content::{kept_attributes, reparse_tag};
use cv_disk::Progress;
use cv_hive::Name;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::reparse::ReparseTag;
use cv_ntfs::write::{self as ntfs, FileId, OpenStream, SecurityId, SourceError as StreamError, Tree};
use cv_volume::{FolderError, FolderOptions, HostFolder, HostSecurity, HostTree, LeftOut, read_folder};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

#[derive(Debug)]
struct FolderOrigin {
    folder: Arc<HostFolder>,
    ahead: Mutex<Reading>,
}

impl FolderOrigin {
    fn new(source: HostFolder, tree: &Tree) -> Self {
        let mut files = Vec::new();
        for name in tree.names() {
            for stream in tree.streams_of_file(name.file) {
                if let ntfs::StreamContent::Source { size, token } = tree.content(stream) {
                    files.push((token, size));
                }
            }
        }
        let folder = Arc::new(source);
        Self {
            folder: folder.clone(),
            ahead: Mutex::new(Reading::begin(folder, files)),
        }
    }
}

impl Origin for FolderOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, StreamError> {
        self.folder.open_content(item)
    }

    fn read_ahead(&self, item: u64) -> Option<ReadAhead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take(item)
    }
}

/// Adds what is in `folder` to the directory `at`, which gets what `folder` itself has. Directories there already are
/// merged, other files replaced. Gives what the host has that no volume can hold.
///
/// What a packed or extracted folder keeps in extended attributes is taken over, see [`cv_volume`]. Files without a security
/// descriptor get that of their place when the layer is written.
pub fn add_folder(
    tree: &mut FileTree,
    at: NodeId,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<LeftOut, SourceError> {
    let failed = |source: FolderError| SourceError::Folder {
        folder: folder.to_path_buf(),
        source,
    };
    let open = || Ok((cv_volume::open_top(folder)?, folder.canonicalize()?));
    let (top, path) = open().map_err(|error| failed(FolderError::Folder(error)))?;
    let options = FolderOptions {
        security: HostSecurity::Brought,
        ..FolderOptions::default()
    };
    let host = read_folder(top, Some(path), &options, progress).map_err(failed)?;
    add_tree(tree, at, host)
}

/// Adds a folder that was described before.
fn add_tree(tree: &mut FileTree, at: NodeId, host: HostTree) -> Result<LeftOut, SourceError> {
    let mut taker = Taker {
        source: &host.tree,
        origin: Arc::new(FolderOrigin::new(host.source, &host.tree)),
        securities: HashMap::new(),
    };
    *tree.metadata_mut(at) = taker.metadata(Tree::ROOT);
    let mut nodes = HashMap::from([(Tree::ROOT, at)]);
    for name in host.tree.names() {
        // A directory's own name comes before those in it; what is in a link's place has none.
        let Some(parent) = nodes.get(&name.parent).copied() else {
            continue;
        };
        let units = Name::from(name.name);
        let node = if let Some(known) = nodes.get(&name.file).copied() {
            make_way(tree, parent, &units);
            tree.link(parent, units, known)?
        } else {
            let mut metadata = taker.metadata(name.file);
            let tag = metadata.reparse.as_deref().and_then(reparse_tag);
            let is_link = tag.is_some_and(ReparseTag::is_name_surrogate);
            if host.tree.is_directory(name.file) && !is_link {
                let node = tree.directory(parent, units)?;
                *tree.metadata_mut(node) = metadata;
                node
            } else {
                if host.tree.is_directory(name.file) {
                    metadata.attributes |= FileAttributes::DIRECTORY;
                }
                make_way(tree, parent, &units);
                tree.add(parent, units, NodeKind::File, metadata)?
            }
        };
        tree.set_short_name(node, name.short_name.map(Name::from));
        nodes.entry(name.file).or_insert(node);
    }
    Ok(host.left_out)
}

struct Taker<'a> {
    source: &'a Tree,
    origin: Arc<dyn Origin>,
    securities: HashMap<SecurityId, Arc<[u8]>>,
}

impl Taker<'_> {
    fn metadata(&mut self, file: FileId) -> Metadata {
        let source = self.source;
        let stored = source.metadata(file);
        let security = stored.security.map(|id| {
            let known = self.securities.entry(id);
            known.or_insert_with(|| source.security_descriptor(id).into()).clone()
        });
        let extended = source.extended_attributes(file).unwrap_or_default();
        Metadata {
            attributes: kept_attributes(stored.attributes, source.is_directory(file)),
            times: stored.times,
            security,
            streams: source.streams_of_file(file).map(|stream| self.stream(stream)).collect(),
            reparse: source.reparse_data(file).map(Into::into),
            extended_attributes: ExtendedAttribute::parse_all(extended).filter_map(Result::ok).collect(),
            object_id: source.object_id(file).map(|id| Uuid::from_bytes_le(id.object_id)),
        }
    }

    fn stream(&self, stream: ntfs::StreamId) -> Stream {
        let from_host = |size, token, data: Option<&[std::ops::Range<u64>]>| Stream {
            name: Name::default(),
            size,
            content: StreamContent::Origin {
                origin: self.origin.clone(),
                item: token,
            },
            data: data.map(Into::into),
            known: None,
        };
        let made = match self.source.content(stream) {
            ntfs::StreamContent::Bytes(bytes) => Stream::of(bytes),
            ntfs::StreamContent::Source { size, token } => from_host(size, token, None),
            ntfs::StreamContent::Sparse { size, token, data } => from_host(size, token, Some(data)),
            // A folder has none.
            ntfs::StreamContent::Late { .. } => Stream::of([]),
        };
        Stream {
            name: Name::from(self.source.stream_name(stream)),
            ..made
        }
    }
}
