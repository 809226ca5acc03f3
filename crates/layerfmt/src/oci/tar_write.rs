//! Writing a layer's content as a tar.

use super::links::TarLink;
use super::pax::{self, Records};
use super::{OPAQUE, WHITEOUT, hives};
use crate::applications::StreamDisk;
use crate::content::{Content, FileTree, HiveName, Metadata, NodeId, NodeKind, Stream, kept_attributes};
use crate::{FILES_DIRECTORY, HIVES_DIRECTORY, MANIFEST_NAME, SCRIPTS_DIRECTORY, Sha256Sum};
use cv_disk::{Cancelled, Progress, ReadAt};
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::write::SourceError;
use cv_winname::wtf8;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use tar::{EntryType, Header};

/// Bytes that are moved at once.
const PIECE: usize = 1 << 20;

/// What of a layer goes into a tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Everything: the manifest and the scripts too, as `layer.json` and `Scripts/…`, so that importing it gives the same
    /// layer again.
    All,
    /// Files and hives alone, as the Windows container host takes them.
    FilesAndHives,
}

/// Why a layer could not be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output cannot be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
    /// A stream cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: String,
        /// What failed.
        source: SourceError,
    },
    /// A stream is not what the index says it is.
    #[error("{path} is damaged: its SHA-256 is {found}, expected {expected}")]
    Damaged {
        /// Its path.
        path: String,
        /// What the index says.
        expected: Sha256Sum,
        /// What it is.
        found: Sha256Sum,
    },
    /// A name means something else in a tar.
    #[error("{0}: a name that begins with {WHITEOUT} stands for a whiteout in a tar")]
    Name(String),
    /// A hive cannot be written.
    #[error("cannot write the hive {name}")]
    Hive {
        /// Which one.
        name: HiveName,
        /// Why.
        source: cv_hive::WriteError,
    },
    /// The output is there already.
    #[error("it is there already")]
    Exists,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Writes `content` as a tar: directories before what is in them, names in the order of the index, hard links as such. Streams
/// whose hash is known are checked on the way.
///
/// The same content gives the same bytes.
pub fn write_tar(
    content: &Content,
    contents: Contents,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), ExportError> {
    let mut writer = Writer {
        out,
        progress,
        links: HashMap::new(),
    };
    if contents == Contents::All {
        writer.plain(MANIFEST_NAME, &content.manifest.to_bytes())?;
    }
    let files = &content.files;
    writer.node(files, FileTree::ROOT, FILES_DIRECTORY.as_bytes())?;
    files.walk_paths(FileTree::ROOT, |node, below| {
        progress.advance(0)?;
        let path = [FILES_DIRECTORY.as_bytes(), b"/", below].concat();
        writer.node(files, node, &path)
    })?;
    if !content.hives.is_empty() {
        writer.directory(HIVES_DIRECTORY)?;
        for (name, root) in &content.hives {
            let root = hives::numbered(*name, root.clone());
            let written = crate::write::hives::encode(*name, Cow::Owned(root));
            let written = written.map_err(|source| ExportError::Hive { name: *name, source })?;
            let path = format!("{HIVES_DIRECTORY}/{}", hives::file_name(*name));
            writer.plain(&path, &written.bytes)?;
        }
    }
    if contents == Contents::All && !content.scripts.is_empty() {
        writer.directory(SCRIPTS_DIRECTORY)?;
        for (name, bytes) in &content.scripts {
            writer.plain(&format!("{SCRIPTS_DIRECTORY}/{name}"), bytes)?;
        }
    }
    // Two blocks of zeros end a tar.
    writer.out.write_all(&[0; 1024])?;
    Ok(())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    progress: &'a dyn Progress,
    /// The first path of files with several names, by the file's number.
    links: HashMap<u32, Vec<u8>>,
}

impl Writer<'_> {
    fn node(&mut self, files: &FileTree, node: NodeId, path: &[u8]) -> Result<(), ExportError> {
        let kind = files.kind(node);
        let name = wtf8::encode(files.name(node).units());
        if kind == NodeKind::Whiteout {
            let (directory, _) = path.split_at(path.len() - name.len());
            let whiteout = [directory, WHITEOUT.as_bytes(), &name].concat();
            return self.entry(&whiteout, EntryType::Regular, 0, &[], &Records::default(), 0);
        }
        if name.starts_with(WHITEOUT.as_bytes()) {
            return Err(ExportError::Name(shown(path)));
        }
        let metadata = files.metadata(node);
        if kind == NodeKind::File {
            let number = files.file_number(node);
            if let Some(first) = self.links.get(&number) {
                let first = first.clone();
                let mut records = Records::default();
                if let Some(short_name) = files.short_name(node) {
                    records.add(pax::SHORT_NAME, &wtf8::encode(short_name.units()));
                }
                return self.entry(path, EntryType::Link, 0, &first, &records, 0);
            }
            self.links.insert(number, path.to_vec());
        }
        let mut records = Records::default();
        let link = describe(&mut records, metadata, kind);
        if let Some(short_name) = files.short_name(node) {
            records.add(pax::SHORT_NAME, &wtf8::encode(short_name.units()));
        }
        let (seconds, _) = metadata.times.modification.to_unix();
        let unnamed = metadata.streams.iter().find(|stream| stream.name.is_empty());
        match (kind.is_directory(), &link) {
            (true, _) => self.entry(path, EntryType::Directory, 0, &[], &records, seconds)?,
            (false, Some(link)) => self.entry(path, EntryType::Symlink, 0, &link.target, &records, seconds)?,
            (false, None) => match unnamed {
                Some(stream) => self.stream(path, stream, records, seconds)?,
                None => self.entry(path, EntryType::Regular, 0, &[], &records, seconds)?,
            },
        }
        for stream in &metadata.streams {
            // What stands for something else is read nowhere; its content is kept all the same.
            if !stream.name.is_empty() {
                let mut named = path.to_vec();
                named.push(b':');
                named.extend_from_slice(&wtf8::encode(stream.name.units()));
                self.stream(&named, stream, Records::default(), seconds)?;
            }
        }
        if kind == NodeKind::OpaqueDirectory {
            let opaque = [path, b"/", OPAQUE.as_bytes()].concat();
            self.entry(&opaque, EntryType::Regular, 0, &[], &Records::default(), 0)?;
        }
        Ok(())
    }

    /// An entry with the bytes of a stream.
    fn stream(&mut self, path: &[u8], stream: &Stream, mut records: Records, seconds: i64) -> Result<(), ExportError> {
        if let Some(data) = &stream.data {
            let ranges: Vec<String> = data
                .iter()
                .map(|range| format!("{}-{}", range.start, range.end))
                .collect();
            records.add(pax::DATA, ranges.join(",").as_bytes());
        }
        self.entry(path, EntryType::Regular, stream.size, &[], &records, seconds)?;
        let failed = |source: SourceError| ExportError::Read {
            path: shown(path),
            source,
        };
        let mut hash = Sha256::new();
        let disk = StreamDisk::open(stream, stream.size).map_err(failed)?;
        if disk.len() < stream.size {
            return Err(failed(
                format!("{} bytes instead of {}", disk.len(), stream.size).into(),
            ));
        }
        let mut buffer = vec![0; PIECE.min(stream.size as usize)];
        let mut offset = 0;
        while offset < stream.size {
            let length = (stream.size - offset).min(PIECE as u64) as usize;
            let piece = &mut buffer[..length];
            disk.read_at(piece, offset).map_err(|error| failed(error.into()))?;
            if stream.known.is_some() {
                hash.update(&*piece);
            }
            self.out.write_all(piece)?;
            self.progress.advance(length as u64)?;
            offset += length as u64;
        }
        self.pad(stream.size)?;
        if let Some((expected, _)) = &stream.known {
            let found = Sha256Sum(hash.finalize().into());
            if found != *expected {
                let expected = *expected;
                return Err(ExportError::Damaged {
                    path: shown(path),
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }

    fn plain(&mut self, path: &str, bytes: &[u8]) -> Result<(), ExportError> {
        self.entry(
            path.as_bytes(),
            EntryType::Regular,
            bytes.len() as u64,
            &[],
            &Records::default(),
            0,
        )?;
        self.out.write_all(bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        self.entry(path.as_bytes(), EntryType::Directory, 0, &[], &Records::default(), 0)
    }

    /// The headers of an entry: first that of the records, where there are any.
    fn entry(
        &mut self,
        path: &[u8],
        kind: EntryType,
        size: u64,
        link: &[u8],
        records: &Records,
        seconds: i64,
    ) -> Result<(), ExportError> {
        let mut extra = Records::default();
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        // Eleven octal digits are what there is room for.
        if size >= 1 << 33 {
            extra.add(pax::SIZE, size.to_string().as_bytes());
        }
        header.set_size(size.min((1 << 33) - 1));
        let mut path = path.to_vec();
        if kind == EntryType::Directory {
            path.push(b'/');
        }
        let fits = |text: &[u8]| text.len() <= 100 && text.is_ascii();
        if !fits(&path) {
            extra.add(pax::PATH, &path);
        }
        put(&mut header.as_old_mut().name, &path);
        if !fits(link) {
            extra.add(pax::LINK_PATH, link);
        }
        put(&mut header.as_old_mut().linkname, link);
        header.set_cksum();
        let records = [extra.as_bytes(), records.as_bytes()].concat();
        if !records.is_empty() {
            let mut before = Header::new_ustar();
            before.set_entry_type(EntryType::XHeader);
            before.set_mode(0o644);
            before.set_uid(0);
            before.set_gid(0);
            before.set_mtime(0);
            before.set_size(records.len() as u64);
            put(&mut before.as_old_mut().name, b"PaxHeaders/entry");
            before.set_cksum();
            self.out.write_all(before.as_bytes())?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.out.write_all(header.as_bytes())?;
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), ExportError> {
        let rest = (512 - size % 512) % 512;
        self.out.write_all(&[0; 512][..rest as usize])?;
        Ok(())
    }
}

/// Puts what fits of a text into a field of a header.
fn put(field: &mut [u8; 100], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// The records of what a tar's header has no room for; gives the link that the entry is.
fn describe(records: &mut Records, metadata: &Metadata, kind: NodeKind) -> Option<TarLink> {
    let times = &metadata.times;
    records.time(pax::MODIFICATION_TIME, times.modification);
    records.time(pax::ACCESS_TIME, times.access);
    records.time(pax::CHANGE_TIME, times.change);
    records.time(pax::CREATION_TIME, times.creation);
    let mut attributes = kept_attributes(metadata.attributes, kind.is_directory());
    if kind.is_directory() || metadata.attributes.contains(FileAttributes::DIRECTORY) {
        attributes |= FileAttributes::DIRECTORY;
    }
    if metadata.reparse.is_some() {
        attributes |= FileAttributes::REPARSE_POINT;
    }
    records.add(pax::ATTRIBUTES, attributes.bits().to_string().as_bytes());
    if let Some(security) = &metadata.security {
        records.add(pax::SECURITY, BASE64.encode(security).as_bytes());
    }
    let reparse = metadata.reparse.as_deref();
    let link = reparse.and_then(TarLink::of_reparse).filter(|_| !kind.is_directory());
    if link.as_ref().is_some_and(|link| link.is_mount_point) {
        records.add(pax::MOUNT_POINT, b"1");
    }
    if let Some(data) = reparse
        && link.as_ref().and_then(TarLink::to_reparse).as_deref() != Some(data)
    {
        records.add(pax::REPARSE, BASE64.encode(data).as_bytes());
    }
    for attribute in &metadata.extended_attributes {
        let name = String::from_utf8_lossy(&attribute.name);
        let key = format!("{}{name}", pax::EXTENDED_ATTRIBUTE);
        records.add(&key, BASE64.encode(&attribute.value).as_bytes());
        if attribute.flags != 0 {
            let key = format!("{}{name}", pax::EXTENDED_ATTRIBUTE_FLAGS);
            records.add(&key, attribute.flags.to_string().as_bytes());
        }
    }
    if let Some(id) = metadata.object_id {
        records.add(pax::OBJECT_ID, id.to_string().as_bytes());
    }
    link
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
