//! Tars, read by offset.

use super::SourceError;
use super::archive::{Adder, ArchiveEntry};
use super::file_at::FileAt;
use crate::content::{Origin, Stream, StreamContent};
use crate::oci::pax::{MODIFICATION_TIME, parse_time};
use cv_hive::Name;
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{OpenStream, SourceError as StreamError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tar::{Archive, EntryType};

/// A plain tar; an item is where the content begins.
#[derive(Debug)]
pub(crate) struct TarOrigin(pub FileAt);

impl Origin for TarOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, StreamError> {
        let file = self.0.file().try_clone()?;
        Ok(OpenStream::File { file, offset: item })
    }
}

pub(super) fn add(adder: &mut Adder<'_>, file: &FileAt, path: &Path) -> Result<(), SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let origin: Arc<dyn Origin> = Arc::new(TarOrigin(file.clone()));
    let mut archive = Archive::new(file.clone());
    for entry in archive.entries_with_seek().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| SourceError::Refused {
                path: String::from_utf8_lossy(bytes).into_owned(),
                reason: "the name is not UTF-8".to_owned(),
            })
        };
        let name = text(&entry.path_bytes())?;
        let kind = entry.header().entry_type();
        let size = entry.size();
        adder.count(path, if kind == EntryType::Directory { 0 } else { size })?;
        let seconds = i64::try_from(entry.header().mtime().map_err(failed)?).unwrap_or(i64::MAX);
        let described = ArchiveEntry {
            path: &name,
            mode: entry.header().mode().ok(),
            modified: modified(&mut entry, seconds),
        };
        let target = || -> Result<String, SourceError> { text(&entry.link_name_bytes().unwrap_or_default()) };
        match kind {
            EntryType::Directory => adder.directory(&described)?,
            EntryType::Regular | EntryType::Continuous => {
                let start = entry.raw_file_position();
                if start.checked_add(size).is_none_or(|end| end > file.len()) {
                    return Err(failed(io::ErrorKind::UnexpectedEof.into()));
                }
                adder.file(&described, |metadata| {
                    metadata.streams.push(Stream {
                        name: Name::default(),
                        size,
                        content: StreamContent::Origin {
                            origin: origin.clone(),
                            item: start,
                        },
                        data: None,
                        known: None,
                    });
                })?;
            }
            EntryType::Symlink => adder.link(&described, &target()?)?,
            EntryType::Link => adder.hard_link(&described, &target()?)?,
            EntryType::XGlobalHeader => {}
            _ => adder.left_out.push(name),
        }
    }
    Ok(())
}

/// The modification time, with the fraction that a PAX header gives.
fn modified(entry: &mut tar::Entry<'_, FileAt>, seconds: i64) -> NtfsTime {
    let mut exact = None;
    if let Ok(Some(extensions)) = entry.pax_extensions() {
        for extension in extensions.flatten() {
            if extension.key() == Ok(MODIFICATION_TIME) {
                exact = extension.value().ok().and_then(parse_time);
            }
        }
    }
    exact.or_else(|| NtfsTime::from_unix(seconds, 0)).unwrap_or_default()
}
