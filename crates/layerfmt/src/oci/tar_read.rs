//! Taking a tar of a layer apart. Anyone may have made it.

use super::links::TarLink;
use super::{OPAQUE, WHITEOUT, hives, pax};
use crate::applications;
use crate::content::kept_attributes;
use crate::content::{Content, FileTree, HiveName, Metadata, NodeId, NodeKind, Origin, Stream, StreamContent};
use crate::manifest::{self, Manifest, Provenance};
use crate::read::MAX_HIVE;
use crate::source::tar_file::TarOrigin;
use crate::source::{ArchiveOptions, FileAt, MAX_NAMES, SourceError, names, plain_tar, unpacked_limit};
use crate::{FILES_DIRECTORY, HIVES_DIRECTORY, Kind, MANIFEST_NAME, SCRIPTS_DIRECTORY};
use cv_disk::Progress;
use cv_hive::{Hive, Name};
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::Times;
use cv_winname::wtf8;
use data_encoding::BASE64;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tar::{EntryType, Header};
use uuid::Uuid;

/// Bytes of an entry's records at most.
pub const MAX_RECORDS: u64 = 4 << 20;

/// Bytes of a script at most.
const MAX_SCRIPT: u64 = 16 << 20;

/// Bytes of a security descriptor at most.
const MAX_SECURITY: usize = 64 << 10;

/// Ranges of a sparse stream at most.
const MAX_RANGES: usize = 1 << 16;

/// What the tar at `path` holds, plain or packed by gzip or zstd. The streams stay in it until they are written. A tar without a
/// manifest becomes a layer of this name, else of that of the file.
pub fn read_tar(path: &Path, name: Option<&str>, progress: &dyn Progress) -> Result<Content, SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let packed = FileAt::new(Arc::new(file)).map_err(failed)?;
    let limit = unpacked_limit(packed.len(), ArchiveOptions::default().limit);
    let file = plain_tar(&packed, limit, None, progress, path)?;
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem.split(".tar").next().unwrap_or_default().to_owned();
    let mut reader = Reader {
        origin: Arc::new(TarOrigin(file.clone())),
        content: Content::new(Manifest::new(name.unwrap_or(&stem), "", Kind::App)),
        has_manifest: false,
        file,
        names: 0,
    };
    reader.entries(progress).map_err(|error| match error {
        Stop::Source(error) => error,
        Stop::Io(source) => failed(source),
    })?;
    Ok(finished(reader.content, reader.has_manifest))
}

/// The content with what follows from it: of a layer's own manifest the id where it was made, of a foreign tar the manifest.
pub(super) fn finished(mut content: Content, has_manifest: bool) -> Content {
    if has_manifest {
        if content.manifest.id.get_version_num() == 8 {
            content.manifest.id = Uuid::nil();
        }
        return content;
    }
    let found = applications::find(&content);
    let manifest = &mut content.manifest;
    if let Some(application) = found.applications.installed.first() {
        manifest.version.clone_from(&application.version);
        manifest.publisher.clone_from(&application.publisher);
    }
    manifest.applications = found.applications;
    manifest.architecture = found.architecture.unwrap_or_default();
    manifest.provenance = Some(Provenance {
        method: "import".to_owned(),
        ..Provenance::default()
    });
    content
}

/// Why reading ends.
enum Stop {
    Source(SourceError),
    Io(io::Error),
}

impl<E: Into<SourceError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Source(error.into())
    }
}

fn refused(path: &[u8], reason: impl Into<String>) -> SourceError {
    SourceError::Refused {
        path: String::from_utf8_lossy(path).escape_debug().to_string(),
        reason: reason.into(),
    }
}

struct Reader {
    file: FileAt,
    origin: Arc<dyn Origin>,
    content: Content,
    has_manifest: bool,
    names: u64,
}

/// An entry, with what the records before it say.
#[derive(Debug, Default)]
struct Entry {
    path: Vec<u8>,
    link: Vec<u8>,
    size: u64,
    start: u64,
    modified: NtfsTime,
    records: Vec<(String, Vec<u8>)>,
}

impl Entry {
    fn record(&self, key: &str) -> Option<&[u8]> {
        // The last one counts.
        let mut records = self.records.iter().rev();
        records.find(|(known, _)| known == key).map(|(_, value)| &value[..])
    }

    fn text(&self, key: &str) -> Result<Option<&str>, SourceError> {
        let Some(value) = self.record(key) else { return Ok(None) };
        let text = std::str::from_utf8(value).map_err(|_| self.bad(key, "UTF-8"))?;
        Ok(Some(text))
    }

    fn base64(&self, key: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let Some(value) = self.record(key) else { return Ok(None) };
        BASE64.decode(value).map(Some).map_err(|_| self.bad(key, "base64"))
    }

    fn time(&self, key: &str) -> Result<Option<NtfsTime>, SourceError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        pax::parse_time(text).map(Some).ok_or_else(|| self.bad(key, "a time"))
    }

    fn bad(&self, key: &str, expected: &str) -> SourceError {
        refused(&self.path, format!("the record {key} is not {expected}"))
    }
}

impl Reader {
    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; length as usize];
        self.file.at(start).read_exact(&mut bytes).map_err(Stop::Io)?;
        Ok(bytes)
    }

    fn entries(&mut self, progress: &dyn Progress) -> Result<(), Stop> {
        let mut offset = 0_u64;
        let mut pending = Entry::default();
        while offset < self.file.len() {
            progress.advance(0)?;
            let block = self.read(offset, 512)?;
            if block.iter().all(|byte| *byte == 0) {
                break;
            }
            let header = Header::from_byte_slice(&block);
            check(&block, header, offset)?;
            let kind = header.entry_type();
            let mut size = header.entry_size().map_err(Stop::Io)?;
            let start = offset + 512;
            if let Some(text) = pending.text(pax::SIZE)?.filter(|_| !is_about_next(kind)) {
                size = text.parse().map_err(|_| pending.bad(pax::SIZE, "a number"))?;
            }
            let end = start.checked_add(size).filter(|end| *end <= self.file.len());
            let end = end.ok_or_else(|| Stop::Io(io::ErrorKind::UnexpectedEof.into()))?;
            offset = end.div_ceil(512) * 512;
            if is_about_next(kind) {
                if size > MAX_RECORDS {
                    let reason = format!("{size} bytes of records, more than the {MAX_RECORDS} that are allowed");
                    return Err(refused(&header.path_bytes(), reason).into());
                }
                let bytes = self.read(start, size)?;
                let text = || bytes.strip_suffix(b"\0").unwrap_or(&bytes).to_vec();
                match kind {
                    EntryType::XHeader => pending.records.extend(parse_records(&header.path_bytes(), &bytes)?),
                    EntryType::GNULongName => pending.path = text(),
                    EntryType::GNULongLink => pending.link = text(),
                    _ => {}
                }
                continue;
            }
            let mut entry = std::mem::take(&mut pending);
            let from_records = |entry: &Entry, key| entry.record(key).map(<[u8]>::to_vec);
            if let Some(path) = from_records(&entry, pax::PATH) {
                entry.path = path;
            } else if entry.path.is_empty() {
                entry.path = header.path_bytes().into_owned();
            }
            if let Some(link) = from_records(&entry, pax::LINK_PATH) {
                entry.link = link;
            } else if entry.link.is_empty() {
                entry.link = header.link_name_bytes().unwrap_or_default().into_owned();
            }
            (entry.size, entry.start) = (size, start);
            let seconds = i64::try_from(header.mtime().map_err(Stop::Io)?).unwrap_or(i64::MAX);
            entry.modified = NtfsTime::from_unix(seconds, 0).unwrap_or_default();
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(SourceError::TooMany.into());
            }
            self.entry(&entry, kind)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, kind: EntryType) -> Result<(), Stop> {
        let path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let (top, below) = match path.iter().position(|byte| *byte == b'/' || *byte == b'\\') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (path, &path[path.len()..]),
        };
        let is_regular = matches!(kind, EntryType::Regular | EntryType::Continuous);
        let is = |name: &str| top.eq_ignore_ascii_case(name.as_bytes());
        if is(FILES_DIRECTORY) {
            return self.file_entry(entry, kind, below);
        }
        if !is_regular {
            return Ok(());
        }
        if is(MANIFEST_NAME) && below.is_empty() {
            let bytes = self.whole(entry, manifest::MAX_SIZE)?;
            let parsed = Manifest::parse(&bytes).map_err(|error| refused(&entry.path, error.to_string()))?;
            self.content.manifest = parsed;
            self.has_manifest = true;
        } else if is(HIVES_DIRECTORY) && !below.is_empty() {
            if let Some(hive) = std::str::from_utf8(below).ok().and_then(hives::of_file) {
                let bytes = self.whole(entry, MAX_HIVE)?;
                let root = hive_tree(&bytes).map_err(|reason| refused(&entry.path, reason))?;
                self.content.hives.insert(hive, root);
            }
        } else if is(SCRIPTS_DIRECTORY) && !below.is_empty() {
            let parts = names::components(&String::from_utf8_lossy(below))?;
            let [name] = &parts[..] else {
                return Err(refused(&entry.path, "scripts are in no directories").into());
            };
            let bytes = self.whole(entry, MAX_SCRIPT)?;
            self.content.scripts.insert(String::from_utf16_lossy(name), bytes);
        }
        // Anything else is of the container host alone, as UtilityVM is.
        Ok(())
    }

    /// All bytes of an entry.
    fn whole(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, Stop> {
        if entry.size > limit {
            let reason = format!("{} bytes, more than the {limit} that are allowed", entry.size);
            return Err(refused(&entry.path, reason).into());
        }
        self.read(entry.start, entry.size)
    }

    /// An entry of the file tree, at a path below `Files`.
    fn file_entry(&mut self, entry: &Entry, kind: EntryType, below: &[u8]) -> Result<(), Stop> {
        // A stream stands behind its file, and its name behind a colon in the last name.
        let last = below
            .iter()
            .rposition(|byte| *byte == b'/' || *byte == b'\\')
            .map_or(0, |at| at + 1);
        let colon = below[last..].iter().position(|byte| *byte == b':').map(|at| last + at);
        let (below, stream) = colon.map_or((below, None), |at| (&below[..at], Some(&below[at + 1..])));
        let mut names = path_names(&entry.path, below)?;
        if let Some(stream) = stream {
            return self.stream_entry(entry, kind, &names, stream);
        }
        let Some(name) = names.pop() else {
            *self.content.files.metadata_mut(FileTree::ROOT) = metadata(entry, true)?;
            return Ok(());
        };
        let text = wtf8::encode(&name);
        if kind != EntryType::Directory && text.starts_with(WHITEOUT.as_bytes()) {
            return self.whiteout(&names, &text);
        }
        let files = &mut self.content.files;
        let directory = directories(files, &names)?;
        let there = files.child(directory, &name);
        let node = match kind {
            EntryType::Directory => {
                let hides = there.is_some_and(|there| files.kind(there) == NodeKind::Whiteout);
                let node = files.directory(directory, name)?;
                *files.metadata_mut(node) = metadata(entry, true)?;
                if hides {
                    files.set_opaque(node, true);
                }
                node
            }
            EntryType::Regular | EntryType::Continuous | EntryType::Symlink => {
                let mut metadata = metadata(entry, false)?;
                if kind == EntryType::Symlink {
                    if metadata.reparse.is_none() {
                        metadata.reparse = Some(link(entry)?);
                    }
                } else if metadata.reparse.is_none() || entry.size > 0 {
                    metadata.streams.push(stream_of(&self.origin, entry, Name::default())?);
                }
                if let Some(there) = there {
                    files.remove(there);
                }
                files.add(directory, name, NodeKind::File, metadata)?
            }
            EntryType::Link => {
                let target = entry.link.strip_prefix(b"./").unwrap_or(&entry.link);
                let missing = || refused(&entry.path, "a hard link to what is no file before it in the tar");
                let (front, target) = target.split_at_checked(FILES_DIRECTORY.len() + 1).ok_or_else(missing)?;
                if !front[..FILES_DIRECTORY.len()].eq_ignore_ascii_case(FILES_DIRECTORY.as_bytes()) {
                    return Err(missing().into());
                }
                let target = path_names(&entry.path, target)?;
                let first = target.iter().try_fold(FileTree::ROOT, |at, name| files.child(at, name));
                let first = first
                    .filter(|first| files.kind(*first) == NodeKind::File)
                    .ok_or_else(missing)?;
                match there {
                    Some(there) if there == first => return Ok(()),
                    Some(there) => files.remove(there),
                    None => {}
                }
                files.link(directory, name, first)?
            }
            // Devices and the like have no place on a volume.
            _ => return Ok(()),
        };
        if let Some(short_name) = entry.record(pax::SHORT_NAME) {
            let units = wtf8::decode(short_name).map_err(|_| entry.bad(pax::SHORT_NAME, "a name"))?;
            self.content.files.set_short_name(node, Some(Name::from(units)));
        }
        Ok(())
    }

    fn whiteout(&mut self, above: &[Vec<u16>], name: &[u8]) -> Result<(), Stop> {
        let files = &mut self.content.files;
        let directory = directories(files, above)?;
        if name == OPAQUE.as_bytes() {
            files.set_opaque(directory, true);
            return Ok(());
        }
        let hidden = wtf8::decode(&name[WHITEOUT.len()..]).unwrap_or_default();
        // Others of that form are of the host that made the tar.
        if hidden.is_empty() || name[WHITEOUT.len()..].starts_with(WHITEOUT.as_bytes()) {
            return Ok(());
        }
        match files.child(directory, &hidden) {
            // It hides what is below the layer, not what the layer has itself.
            Some(there) => files.set_opaque(there, true),
            None => {
                files.add(directory, hidden, NodeKind::Whiteout, Metadata::default())?;
            }
        }
        Ok(())
    }

    fn stream_entry(&mut self, entry: &Entry, kind: EntryType, names: &[Vec<u16>], stream: &[u8]) -> Result<(), Stop> {
        let refuse = |reason: &str| Stop::Source(refused(&entry.path, reason));
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            return Err(refuse("a stream that is no file"));
        }
        // The type of the only streams there are may stand behind the name.
        let stream = stream.strip_suffix(b":$DATA").unwrap_or(stream);
        let name = wtf8::decode(stream).map_err(|_| refuse("the name of the stream is no text"))?;
        if name.is_empty() || name.contains(&u16::from(b':')) {
            return Err(refuse("the stream has no proper name"));
        }
        let files = &self.content.files;
        let node = names.iter().try_fold(FileTree::ROOT, |at, name| files.child(at, name));
        let node = node.ok_or_else(|| refuse("a stream of what is not before it in the tar"))?;
        let new = stream_of(&self.origin, entry, Name::from(name))?;
        let streams = &mut self.content.files.metadata_mut(node).streams;
        streams.retain(|there| !there.name.matches(new.name.units()));
        streams.push(new);
        Ok(())
    }
}

fn stream_of(origin: &Arc<dyn Origin>, entry: &Entry, name: Name) -> Result<Stream, SourceError> {
    Ok(Stream {
        name,
        size: entry.size,
        content: StreamContent::Origin {
            origin: origin.clone(),
            item: entry.start,
        },
        data: ranges(entry)?,
        known: None,
    })
}

/// Whether such an entry says something of the next one, or of none.
fn is_about_next(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
    )
}

/// The sum in a header is that of its bytes, its own field taken as spaces.
fn check(block: &[u8], header: &Header, offset: u64) -> Result<(), Stop> {
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    let found = header.cksum().map_err(Stop::Io)?;
    if found != sum {
        let text = format!("the header at {offset:#x} has the sum {found}, expected {sum}");
        return Err(Stop::Io(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    Ok(())
}

fn parse_records(path: &[u8], bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
    let refuse = || refused(path, "records that are not of the form LENGTH KEY=VALUE");
    let mut records = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(refuse)?;
        let length: usize = std::str::from_utf8(&rest[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(refuse)?;
        let record = rest.get(space + 1..length).ok_or_else(refuse)?;
        let record = record.strip_suffix(b"\n").ok_or_else(refuse)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(refuse)?;
        let key = String::from_utf8_lossy(&record[..equals]).into_owned();
        records.push((key, record[equals + 1..].to_vec()));
        rest = &rest[length..];
    }
    Ok(records)
}

/// The names of a path; what would lead out of the layer is refused.
fn path_names(path: &[u8], below: &[u8]) -> Result<Vec<Vec<u16>>, SourceError> {
    if let Ok(text) = std::str::from_utf8(below) {
        return names::components(text);
    }
    // Names of Windows need not be text.
    let units = wtf8::decode(below).map_err(|_| refused(path, "the name is neither UTF-8 nor WTF-8"))?;
    // Each name is checked by its text, in which what is none is replaced.
    names::components(&String::from_utf16_lossy(&units))?;
    let parts = units.split(|unit| *unit == 0x2F || *unit == 0x5C);
    let is_name = |part: &&[u16]| !part.is_empty() && *part != [0x2E];
    Ok(parts.filter(is_name).map(<[u16]>::to_vec).collect())
}

fn directories(files: &mut FileTree, names: &[Vec<u16>]) -> Result<NodeId, SourceError> {
    let mut directory = FileTree::ROOT;
    for name in names {
        directory = files.directory(directory, name.clone())?;
    }
    Ok(directory)
}

fn metadata(entry: &Entry, is_directory: bool) -> Result<Metadata, SourceError> {
    let modification = entry.time(pax::MODIFICATION_TIME)?.unwrap_or(entry.modified);
    let times = Times {
        modification,
        access: entry.time(pax::ACCESS_TIME)?.unwrap_or(modification),
        change: entry.time(pax::CHANGE_TIME)?.unwrap_or(modification),
        creation: entry.time(pax::CREATION_TIME)?.unwrap_or(modification),
    };
    let mut attributes = FileAttributes::empty();
    if let Some(text) = entry.text(pax::ATTRIBUTES)? {
        let bits: u32 = text
            .parse()
            .map_err(|_| entry.bad(pax::ATTRIBUTES, "a number of 32 bits"))?;
        let said = FileAttributes::from_bits_retain(bits);
        attributes = kept_attributes(said, is_directory);
        // Of a link it tells whether it leads to a directory.
        if !is_directory && said.contains(FileAttributes::DIRECTORY) {
            attributes |= FileAttributes::DIRECTORY;
        }
    } else if !is_directory {
        attributes = FileAttributes::ARCHIVE;
    }
    let security = entry.base64(pax::SECURITY)?;
    if let Some(bytes) = &security
        && !(20..=MAX_SECURITY).contains(&bytes.len())
    {
        return Err(entry.bad(pax::SECURITY, "a self-relative security descriptor of at most 64 KiB"));
    }
    let mut extended_attributes = Vec::new();
    for (key, _) in &entry.records {
        let Some(name) = key.strip_prefix(pax::EXTENDED_ATTRIBUTE) else {
            continue;
        };
        let flags = entry.text(&format!("{}{name}", pax::EXTENDED_ATTRIBUTE_FLAGS))?;
        extended_attributes.push(ExtendedAttribute {
            flags: flags.and_then(|text| text.parse().ok()).unwrap_or(0),
            name: name.as_bytes().to_vec(),
            value: entry.base64(key)?.unwrap_or_default(),
        });
    }
    let object_id = match entry.text(pax::OBJECT_ID)? {
        Some(text) => Some(Uuid::parse_str(text).map_err(|_| entry.bad(pax::OBJECT_ID, "a UUID"))?),
        None => None,
    };
    Ok(Metadata {
        attributes,
        times,
        security: security.map(Into::into),
        streams: Vec::new(),
        reparse: entry.base64(pax::REPARSE)?.map(Vec::into_boxed_slice),
        extended_attributes,
        object_id,
    })
}

fn link(entry: &Entry) -> Result<Box<[u8]>, SourceError> {
    let link = TarLink {
        target: entry.link.clone(),
        is_mount_point: entry.record(pax::MOUNT_POINT).is_some(),
    };
    let data = link.to_reparse().map(Vec::into_boxed_slice);
    data.ok_or_else(|| refused(&entry.path, "the link's target is too long, or no text"))
}

/// Where a sparse stream has data.
fn ranges(entry: &Entry) -> Result<Option<Box<[Range<u64>]>>, SourceError> {
    let Some(text) = entry.text(pax::DATA)? else {
        return Ok(None);
    };
    let bad = || entry.bad(pax::DATA, "ascending ranges of the stream");
    let mut ranges = Vec::new();
    let mut last = 0;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (start, end) = part.split_once('-').ok_or_else(bad)?;
        let (start, end): (u64, u64) = (start.parse().map_err(|_| bad())?, end.parse().map_err(|_| bad())?);
        if start < last || end <= start || end > entry.size || ranges.len() == MAX_RANGES {
            return Err(bad());
        }
        ranges.push(start..end);
        last = end;
    }
    Ok(Some(ranges.into_boxed_slice()))
}

/// A hive as a tree, or what is wrong with it.
pub(super) fn hive_tree(bytes: &[u8]) -> Result<cv_hive::Key, String> {
    let hive = Hive::open(bytes).map_err(|error| error.to_string())?;
    hive.to_tree().map_err(|damage| damage.to_string())
}

/// The hive that a name is of, for folders as well.
pub(super) fn hive_of(name: &str) -> Option<HiveName> {
    hives::of_file(name)
}
