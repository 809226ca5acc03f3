//! A tree of files in memory that becomes a volume and is compared with what comes back.

use cv_disk::ReadAt;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::object_id::ObjectId;
use cv_ntfs::structure::reparse::ReparseTag;
use cv_ntfs::structure::{AttributeType, FileAttributes, Namespace, NtfsTime};
use cv_ntfs::write::{
    Compression, FileId, Hashes, Metadata, OpenStream, Source, SourceError, StreamContent, StreamId, Times, Tree,
    TreeError,
};
use cv_ntfs::{File, Volume};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::ops::Range;

/// Attributes that follow from what a file holds.
const DERIVED: FileAttributes = FileAttributes::SPARSE_FILE
    .union(FileAttributes::COMPRESSED)
    .union(FileAttributes::REPARSE_POINT);

/// How a stream is handed to the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Giving {
    /// In the tree.
    Bytes,
    /// Through a host file.
    File,
    /// Through a reader that gives little at a time.
    Reader,
    /// As a disk.
    Disk,
    /// After all others.
    Late,
}

#[derive(Clone)]
pub struct ModelStream {
    pub content: Vec<u8>,
    /// Where there is data, of a sparse stream.
    pub sparse: Option<Vec<Range<u64>>>,
    pub giving: Giving,
    pub compression: Compression,
}

impl std::fmt::Debug for ModelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (length, giving, compression) = (self.content.len(), self.giving, self.compression);
        write!(f, "{length} by {giving:?}, {compression:?}, {:?}", self.sparse)
    }
}

impl ModelStream {
    pub fn of(content: Vec<u8>, giving: Giving) -> Self {
        Self {
            content,
            sparse: None,
            giving,
            compression: Compression::None,
        }
    }
}

/// A file or directory; its names say the number of the directory, 0 for the root.
#[derive(Debug, Clone, Default)]
pub struct ModelFile {
    pub names: Vec<(usize, Vec<u16>)>,
    pub short_name: Option<Vec<u16>>,
    pub is_directory: bool,
    pub times: [u64; 4],
    pub attributes: FileAttributes,
    pub security: Option<Vec<u8>>,
    pub streams: BTreeMap<Vec<u16>, ModelStream>,
    pub reparse: Option<Vec<u8>>,
    pub extended_attributes: Vec<ExtendedAttribute>,
    pub object_id: Option<[u8; 16]>,
}

/// The files; number 0 is the root, parents come before what they hold.
#[derive(Debug, Clone)]
pub struct Model {
    pub files: Vec<ModelFile>,
}

pub fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

impl Model {
    pub fn new() -> Self {
        let root = ModelFile {
            is_directory: true,
            times: [1, 2, 3, 4].map(|number| 132_000_000_000_000_000 + number),
            ..ModelFile::default()
        };
        Self { files: vec![root] }
    }

    pub fn add(&mut self, parent: usize, name: &str, file: ModelFile) -> usize {
        let mut file = file;
        file.names.insert(0, (parent, units(name)));
        if file.times == [0; 4] {
            let number = self.files.len() as u64;
            file.times = [7, 5, 11, 13].map(|factor| 133_000_000_000_000_000 + number * factor);
        }
        self.files.push(file);
        self.files.len() - 1
    }

    pub fn directory(&mut self, parent: usize, name: &str) -> usize {
        let directory = ModelFile {
            is_directory: true,
            ..ModelFile::default()
        };
        self.add(parent, name, directory)
    }

    pub fn file(&mut self, parent: usize, name: &str, content: Vec<u8>, giving: Giving) -> usize {
        let mut file = ModelFile {
            attributes: FileAttributes::ARCHIVE,
            ..ModelFile::default()
        };
        file.streams.insert(Vec::new(), ModelStream::of(content, giving));
        self.add(parent, name, file)
    }

    pub fn tree(&self) -> Result<Tree, TreeError> {
        let mut tree = Tree::new();
        let mut ids: Vec<FileId> = Vec::new();
        let mut token = 0;
        for file in &self.files {
            let [creation, modification, change, access] = file.times.map(NtfsTime);
            let metadata = Metadata {
                times: Times {
                    creation,
                    modification,
                    change,
                    access,
                },
                attributes: file.attributes,
                security: file
                    .security
                    .as_deref()
                    .map(|descriptor| tree.intern_security(descriptor))
                    .transpose()?,
            };
            let id = match file.names.first() {
                None => {
                    tree.set_metadata(Tree::ROOT, &metadata);
                    Tree::ROOT
                }
                Some((parent, name)) if file.is_directory => tree.add_directory(ids[*parent], name, &metadata)?,
                Some((parent, name)) => tree.add_file(ids[*parent], name, &metadata)?,
            };
            ids.push(id);
            if let Some(short) = &file.short_name {
                tree.set_short_name(id, short)?;
            }
            for (parent, name) in file.names.iter().skip(1) {
                tree.add_link(ids[*parent], name, id)?;
            }
            for (name, stream) in &file.streams {
                let size = stream.content.len() as u64;
                let content = match (&stream.sparse, stream.giving) {
                    (Some(data), _) => StreamContent::Sparse { size, token, data },
                    (None, Giving::Bytes) => StreamContent::Bytes(&stream.content),
                    (None, Giving::Late) => StreamContent::Late {
                        limit: size + 10_000,
                        token,
                    },
                    (None, _) => StreamContent::Source { size, token },
                };
                tree.add_compressed_stream(id, name, content, stream.compression)?;
                token += 1;
            }
            if let Some(reparse) = &file.reparse {
                tree.set_reparse_data(id, reparse)?;
            }
            if !file.extended_attributes.is_empty() {
                tree.set_extended_attributes(id, &file.extended_attributes)?;
            }
            if let Some(object_id) = file.object_id {
                tree.set_object_id(
                    id,
                    ObjectId {
                        object_id,
                        ..ObjectId::default()
                    },
                );
            }
        }
        Ok(tree)
    }

    pub fn source(&self) -> ModelSource<'_> {
        let streams = self.files.iter().flat_map(|file| file.streams.values());
        ModelSource {
            streams: streams.collect(),
        }
    }

    /// The SHA-256 of every stream, in the order in which the tree has them.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let streams = self.source().streams;
        streams
            .iter()
            .map(|stream| Sha256::digest(&stream.content).into())
            .collect()
    }

    /// The BLAKE3 hash of every stream of at least `least` bytes, in the order of the streams.
    pub fn tree_hashes(&self, least: usize) -> Vec<Option<[u8; 32]>> {
        let streams = self.source().streams;
        let has_one = |stream: &ModelStream| stream.content.len() >= least && !matches!(stream.giving, Giving::Late);
        streams
            .iter()
            .map(|stream| has_one(stream).then(|| *blake3::hash(&stream.content).as_bytes()))
            .collect()
    }

    fn path(&self, directory: usize) -> Vec<u16> {
        let Some((parent, name)) = self.files[directory].names.first() else {
            return Vec::new();
        };
        let mut path = self.path(*parent);
        path.push(u16::from(b'\\'));
        path.extend(name);
        path
    }

    /// The paths of one of the files, by each of its names; the root's is empty.
    pub fn paths(&self, file: &ModelFile) -> BTreeSet<Vec<u16>> {
        let path = |name: &(usize, Vec<u16>)| {
            let mut path = self.path(name.0);
            path.push(u16::from(b'\\'));
            path.extend(&name.1);
            path
        };
        let mut paths: BTreeSet<Vec<u16>> = file.names.iter().map(path).collect();
        if paths.is_empty() {
            paths.insert(Vec::new());
        }
        paths
    }

    /// What a reader should find; `default_security` is that of files that have none.
    pub fn shown(&self, default_security: &[u8]) -> BTreeMap<Vec<u16>, Shown> {
        let mut shown = BTreeMap::new();
        for file in &self.files {
            let paths = self.paths(file);
            let mut streams: BTreeMap<_, _> = file
                .streams
                .iter()
                .map(|(name, stream)| (name.clone(), stream.content.clone()))
                .collect();
            if !file.is_directory {
                streams.entry(Vec::new()).or_default();
            }
            let is_compressed_directory = file.is_directory && file.attributes.contains(FileAttributes::COMPRESSED);
            let mut attributes = file.attributes - DERIVED;
            attributes.set(FileAttributes::COMPRESSED, is_compressed_directory);
            let one = Shown {
                is_directory: file.is_directory,
                times: file.times,
                attributes,
                security: file.security.clone().unwrap_or_else(|| default_security.to_vec()),
                streams,
                reparse: file.reparse.clone(),
                extended_attributes: file.extended_attributes.clone(),
                object_id: file.object_id,
                paths: paths.clone(),
            };
            shown.extend(paths.into_iter().map(|path| (path, one.clone())));
        }
        shown
    }
}

/// The model's streams by number.
pub struct ModelSource<'a> {
    streams: Vec<&'a ModelStream>,
}

/// Gives seven bytes at a time at most, and sometimes one.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let most = if self.0.len() > 100_000 {
            50_000
        } else {
            1 + self.0.len() % 7
        };
        let length = most.min(buf.len()).min(self.0.len());
        buf[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

impl Source for ModelSource<'_> {
    fn open(&self, _stream: StreamId, token: u64) -> Result<OpenStream<'_>, SourceError> {
        let stream = self.streams[token as usize];
        Ok(match stream.giving {
            Giving::Bytes | Giving::Reader | Giving::Late => OpenStream::Reader(Box::new(Slowly(&stream.content))),
            Giving::Disk => OpenStream::Disk(Box::new(cv_disk::MemoryDisk::from(&stream.content[..]))),
            Giving::File => {
                let mut file = tempfile::tempfile()?;
                std::io::Write::write_all(&mut file, b"before")?;
                std::io::Write::write_all(&mut file, &stream.content)?;
                OpenStream::File { file, offset: 6 }
            }
        })
    }

    fn late(&self, _stream: StreamId, token: u64, _hashes: &Hashes) -> Result<Vec<u8>, SourceError> {
        Ok(self.streams[token as usize].content.clone())
    }
}

/// What a reader finds under a path.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    pub is_directory: bool,
    pub times: [u64; 4],
    pub attributes: FileAttributes,
    pub security: Vec<u8>,
    pub streams: BTreeMap<Vec<u16>, Vec<u8>>,
    pub reparse: Option<Vec<u8>>,
    pub extended_attributes: Vec<ExtendedAttribute>,
    pub object_id: Option<[u8; 16]>,
    pub paths: BTreeSet<Vec<u16>>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let streams: Vec<_> = self
            .streams
            .iter()
            .map(|(name, content)| (String::from_utf16_lossy(name), content.len(), Sha256::digest(content)))
            .map(|(name, length, hash)| format!("{name}: {length} {hash:x}"))
            .collect();
        f.debug_struct("Shown")
            .field("is_directory", &self.is_directory)
            .field("times", &self.times)
            .field("attributes", &self.attributes)
            .field("security", &self.security.len())
            .field("streams", &streams)
            .field("reparse", &self.reparse)
            .field("extended_attributes", &self.extended_attributes)
            .field("object_id", &self.object_id)
            .field("paths", &self.paths.len())
            .finish()
    }
}

/// Everything that `volume` holds, read by our own reader; each index entry is compared with its record on the way, and
/// each name looked up.
pub fn read(volume: &Volume) -> BTreeMap<Vec<u16>, Shown> {
    let mut shown = BTreeMap::new();
    let mut paths_of: BTreeMap<u64, BTreeSet<Vec<u16>>> = BTreeMap::new();
    let mut pending = vec![(Vec::new(), volume.root().unwrap())];
    while let Some((path, file)) = pending.pop() {
        assert!(file.damage().is_empty(), "{:?}", file.damage());
        let record = file.reference().record();
        paths_of.entry(record).or_default().insert(path.clone());
        if file.is_directory() {
            let directory = file.directory().unwrap();
            for entry in directory.all_entries() {
                let entry = entry.unwrap();
                let child = volume.file_by_reference(entry.reference).unwrap();
                let own = child
                    .names()
                    .find(|name| name.name == entry.name() && name.parent() == file.reference());
                assert_eq!(own.as_ref(), Some(&entry.file_name), "index entry and record differ");
                assert_eq!(
                    directory.find(entry.name()).unwrap().unwrap().reference,
                    entry.reference
                );
                if entry.is_short_name() || entry.reference.record() < 24 {
                    continue;
                }
                assert_ne!(entry.file_name.namespace(), Namespace::DOS);
                let mut path = path.clone();
                path.push(u16::from(b'\\'));
                path.extend(entry.name());
                pending.push((path, child));
            }
        }
        shown.insert(path, (record, show(&file)));
    }
    shown
        .into_iter()
        .map(|(path, (record, mut one))| {
            one.paths.clone_from(&paths_of[&record]);
            (path, one)
        })
        .collect()
}

fn show(file: &File) -> Shown {
    let information = file.standard_information().unwrap().unwrap();
    let base = information.base;
    let streams = file
        .streams()
        .into_iter()
        .map(|stream| {
            let content = file.stream(&stream.name).unwrap();
            let mut bytes = vec![0; content.len() as usize];
            content.read_at(&mut bytes, 0).unwrap();
            (stream.name, bytes)
        })
        .collect();
    let names = file.names().count();
    assert_eq!(usize::from(file.header().reference_count), names);
    let reparse = file.value(AttributeType::REPARSE_POINT).unwrap();
    assert_eq!(
        base.file_attributes.contains(FileAttributes::REPARSE_POINT),
        reparse.is_some()
    );
    let is_directory = file.is_directory();
    let mut attributes = base.file_attributes - (DERIVED - FileAttributes::COMPRESSED);
    if !is_directory {
        attributes.remove(FileAttributes::COMPRESSED);
    }
    if file.reference().record() == 5 {
        attributes -= FileAttributes::HIDDEN | FileAttributes::SYSTEM;
    }
    Shown {
        is_directory,
        times: [
            base.creation_time,
            base.last_modification_time,
            base.last_change_time,
            base.last_access_time,
        ]
        .map(|time| time.0),
        attributes,
        security: file.security_descriptor().unwrap().unwrap().to_vec(),
        streams,
        // What the writer made of compressed content is not the model's.
        reparse: reparse.filter(|bytes| bytes[..4] != ReparseTag::WOF.0.to_le_bytes()),
        extended_attributes: file.extended_attributes().unwrap(),
        object_id: file.object_id().unwrap().map(|id| id.object_id),
        paths: BTreeSet::new(),
    }
}

/// Compares what came back with what went in, and says the first difference.
pub fn compare(found: &BTreeMap<Vec<u16>, Shown>, expected: &BTreeMap<Vec<u16>, Shown>) {
    let names = |map: &BTreeMap<Vec<u16>, Shown>| map.keys().cloned().collect::<Vec<_>>();
    assert!(names(found) == names(expected), "other paths came back");
    for (path, one) in expected {
        if found[path] != *one {
            let path = String::from_utf16_lossy(path);
            let found = &found[&units(&path)];
            panic!("{path}: expected\n{one:#?}\nfound\n{found:#?}");
        }
    }
}
