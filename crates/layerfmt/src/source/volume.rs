//! An NTFS volume, or a directory of one, as a source.

use super::{MAX_DEPTH, MAX_NAMES, SourceError, make_way};
use crate::content::{FileTree, Metadata, NodeId, NodeKind, Origin, Stream, StreamContent};
use crate::content::{kept_attributes, reparse_tag};
use cv_disk::{ExtentKind, Extents, Progress};
use cv_hive::Name;
use cv_ntfs::structure::reparse::ReparseTag;
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{AttributeFlags, AttributeType, FileAttributes, Namespace};
use cv_ntfs::write::{OpenStream, SourceError as StreamError, Times};
use cv_ntfs::{File, FileError, Volume};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// Bits of an item that hold the file's record; those above hold the number of the stream.
const RECORD_BITS: u32 = 48;

/// The streams of a volume.
#[derive(Debug)]
pub struct VolumeOrigin {
    volume: Volume,
}

impl VolumeOrigin {
    /// The streams of `volume`.
    pub fn new(volume: Volume) -> Self {
        Self { volume }
    }

    /// What a stream is known by: the number of its file's record, and its place among the file's streams.
    pub fn item(record: u64, stream: usize) -> u64 {
        record | (stream as u64) << RECORD_BITS
    }

    /// The stream that `item` is of.
    pub fn stream(&self, item: u64) -> Result<cv_ntfs::Stream, FileError> {
        let file = self.volume.file(item & ((1 << RECORD_BITS) - 1))?;
        let streams = file.streams();
        let name = streams
            .get((item >> RECORD_BITS) as usize)
            .map_or(&[][..], |stream| &stream.name);
        file.stream(name)
    }
}

impl Origin for VolumeOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, StreamError> {
        Ok(OpenStream::Disk(Box::new(self.stream(item)?)))
    }
}

/// Adds everything that is on `volume`, but its own files, to the directory `at`.
pub fn add_volume(
    tree: &mut FileTree,
    at: NodeId,
    volume: &Volume,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let root = volume.root().map_err(|source| SourceError::File {
        path: "/".to_owned(),
        source,
    })?;
    add_directory(tree, at, &root, progress)
}

/// Adds what is in the directory `top` of a volume to the directory `at`, which gets what `top` has where that is not the
/// root. Directories there already are merged, other files replaced.
pub fn add_directory(tree: &mut FileTree, at: NodeId, top: &File, progress: &dyn Progress) -> Result<(), SourceError> {
    let volume = top.volume();
    let mut walk = Walk {
        origin: Arc::new(VolumeOrigin::new(volume.clone())),
        links: HashMap::new(),
        entered: HashSet::from([top.reference().record()]),
        names: 0,
    };
    if top.reference().record() != ROOT.record {
        *tree.metadata_mut(at) = walk.metadata(tree, at, top)?;
    }
    let mut pending = vec![(at, top.clone(), 0)];
    while let Some((node, directory, depth)) = pending.pop() {
        progress.advance(0)?;
        if depth == MAX_DEPTH {
            return Err(SourceError::TooDeep {
                path: shown(tree, node),
            });
        }
        for (child, file) in walk.children(tree, node, &directory)? {
            pending.push((child, file, depth + 1));
        }
    }
    Ok(())
}

struct Walk {
    origin: Arc<dyn Origin>,
    /// Nodes of files with several names, by record.
    links: HashMap<u64, NodeId>,
    /// Directories, by record: a hostile one may be in itself.
    entered: HashSet<u64>,
    names: u64,
}

fn shown(tree: &FileTree, node: NodeId) -> String {
    String::from_utf8_lossy(&tree.path(node)).into_owned()
}

impl Walk {
    /// Adds the names of a directory; gives the directories among them.
    fn children(
        &mut self,
        tree: &mut FileTree,
        node: NodeId,
        directory: &File,
    ) -> Result<Vec<(NodeId, File)>, SourceError> {
        let failed = |tree: &FileTree, source| SourceError::File {
            path: shown(tree, node),
            source,
        };
        let volume = directory.volume().clone();
        let mut entries = Vec::new();
        let mut short_names: HashMap<u64, Vec<Name>> = HashMap::new();
        let listed = directory.directory().map_err(|source| failed(tree, source))?;
        let is_in_root = directory.reference().record() == ROOT.record;
        for entry in listed.all_entries() {
            let entry = entry.map_err(|source| failed(tree, source))?;
            let record = entry.reference.record();
            if is_in_root && (record == ROOT.record || cv_volume::is_system_record(record)) {
                continue;
            }
            if entry.is_short_name() {
                let names = short_names.entry(record).or_default();
                names.push(Name::from(entry.name()));
                continue;
            }
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(SourceError::TooMany);
            }
            let has_short_name = entry.file_name.namespace() == Namespace::WIN32;
            entries.push((Name::from(entry.name()), entry.reference, has_short_name));
        }
        let mut directories = Vec::new();
        for (name, reference, has_short_name) in entries {
            let path = || format!("{}/{name}", shown(tree, node));
            let file = volume
                .file_by_reference(reference)
                .map_err(|source| SourceError::File { path: path(), source })?;
            let record = reference.record();
            if let Some(known) = self.links.get(&record) {
                let known = *known;
                make_way(tree, node, &name);
                let link = tree.link(node, name, known)?;
                if has_short_name {
                    set_short_name(tree, link, &mut short_names, record);
                }
                continue;
            }
            let metadata = read_metadata(&file, &self.origin).map_err(|error| error.at(path()))?;
            let child = if is_plain_directory(&file, &metadata) {
                if !self.entered.insert(record) {
                    return Err(SourceError::Refused {
                        path: path(),
                        reason: "a directory that has several names".to_owned(),
                    });
                }
                let child = tree.directory(node, name)?;
                *tree.metadata_mut(child) = metadata;
                directories.push((child, file));
                child
            } else {
                make_way(tree, node, &name);
                let child = tree.add(node, name, NodeKind::File, metadata)?;
                if file.header().reference_count > 1 && !file.is_directory() {
                    self.links.insert(record, child);
                }
                child
            };
            if has_short_name {
                set_short_name(tree, child, &mut short_names, record);
            }
        }
        Ok(directories)
    }

    fn metadata(&self, tree: &FileTree, node: NodeId, file: &File) -> Result<Metadata, SourceError> {
        read_metadata(file, &self.origin).map_err(|error| error.at(shown(tree, node)))
    }
}

/// Takes the 8.3 name of the record; of several names in one directory the first one has the first.
fn set_short_name(tree: &mut FileTree, node: NodeId, names: &mut HashMap<u64, Vec<Name>>, record: u64) {
    if let Some(names) = names.get_mut(&record).filter(|names| !names.is_empty()) {
        tree.set_short_name(node, Some(names.remove(0)));
    }
}

/// Whether it has entries of its own, not those of what it stands for.
fn is_plain_directory(file: &File, metadata: &Metadata) -> bool {
    let is_link = metadata.reparse.as_deref().and_then(reparse_tag);
    file.is_directory() && is_link.is_none_or(|tag| !tag.is_name_surrogate())
}

/// Why a file's metadata could not be read.
pub(crate) enum MetadataError {
    File(FileError),
    Read(cv_disk::ReadError),
}

impl MetadataError {
    pub fn at(self, path: String) -> SourceError {
        match self {
            Self::File(source) => SourceError::File { path, source },
            Self::Read(source) => SourceError::Read { path, source },
        }
    }
}

impl From<FileError> for MetadataError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

/// What a file of a volume has, apart from its names. Its streams are items of `origin`, a [`VolumeOrigin`].
pub(crate) fn read_metadata(file: &File, origin: &Arc<dyn Origin>) -> Result<Metadata, MetadataError> {
    if let Some(damage) = file.damage().first() {
        return Err(MetadataError::Read(damage.clone().into()));
    }
    let information = file.standard_information()?.unwrap_or_default().base;
    let reparse = match file.wof() {
        // Compressed is how it is stored, not what it is.
        Some(_) => None,
        None => file.value(AttributeType::REPARSE_POINT)?.map(Vec::into_boxed_slice),
    };
    let mut attributes = kept_attributes(information.file_attributes, file.is_directory());
    if file.is_directory()
        && reparse
            .as_deref()
            .and_then(reparse_tag)
            .is_some_and(ReparseTag::is_name_surrogate)
    {
        attributes |= FileAttributes::DIRECTORY;
    }
    let mut streams = Vec::new();
    for (number, stream) in file.streams().into_iter().enumerate() {
        let data = if stream.flags.contains(AttributeFlags::SPARSE) {
            data_ranges(file, &stream.name)?
        } else {
            None
        };
        streams.push(Stream {
            name: Name::from(stream.name),
            size: stream.size,
            content: StreamContent::Origin {
                origin: origin.clone(),
                item: VolumeOrigin::item(file.reference().record(), number),
            },
            data,
            known: None,
        });
    }
    Ok(Metadata {
        attributes,
        times: Times {
            creation: information.creation_time,
            modification: information.last_modification_time,
            change: information.last_change_time,
            access: information.last_access_time,
        },
        security: file.security_descriptor()?,
        streams,
        reparse,
        extended_attributes: file.extended_attributes()?,
        object_id: file.object_id()?.map(|id| Uuid::from_bytes_le(id.object_id)),
    })
}

/// Where a sparse stream has data; `None` where that is everywhere.
fn data_ranges(file: &File, name: &[u16]) -> Result<Option<Box<[Range<u64>]>>, MetadataError> {
    let stream = file.stream(name)?;
    let mut ranges = Vec::new();
    for extent in Extents::all(&stream) {
        let extent = extent.map_err(MetadataError::Read)?;
        if extent.kind == ExtentKind::Data {
            ranges.push(extent.range());
        }
    }
    let is_everything = ranges.len() == 1 && ranges[0].end - ranges[0].start == cv_disk::ReadAt::len(&stream);
    Ok((!is_everything).then(|| ranges.into_boxed_slice()))
}
