//! What a captured file has, apart from its names.

use crate::snapshot::{ContentError, Entry, EntryKind, Files, Storage};
use cv_disk::{ExtentKind, Extents, RawFile, ReadAt};
use cv_hive::Name;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{AttributeFlags, FileAttributes, NtfsTime};
use cv_ntfs::write::{OpenStream, SourceError, Times};
use layerfmt::content::{Metadata, Origin, Stream, StreamContent};
use std::ops::Range;
use std::sync::Arc;

/// Attributes that follow from what a file is or how it is stored.
const IMPLIED: FileAttributes = FileAttributes::DIRECTORY
    .union(FileAttributes::REPARSE_POINT)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::COMPRESSED)
    .union(FileAttributes::NORMAL);

/// The streams of a snapshot's files.
#[derive(Debug)]
pub struct StorageOrigin {
    storage: Storage,
    files: Arc<Files>,
}

/// Bits of an item that number the entry; those above number the stream, the content proper first.
const ENTRY_BITS: u32 = 32;

impl StorageOrigin {
    /// The streams of `files`, which are in `storage`.
    pub fn new(storage: Storage, files: Arc<Files>) -> Self {
        Self { storage, files }
    }

    fn stream_name(&self, item: u64) -> (u32, Vec<u16>) {
        let entry = (item & ((1 << ENTRY_BITS) - 1)) as u32;
        let stream = (item >> ENTRY_BITS) as usize;
        let names = &self.files.entry(entry).streams;
        let name = stream.checked_sub(1).and_then(|place| names.get(place));
        (entry, name.map_or_else(Vec::new, |stream| stream.name.clone()))
    }
}

impl Origin for StorageOrigin {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, SourceError> {
        let (entry, name) = self.stream_name(item);
        match &self.storage {
            Storage::Folder(_) | Storage::Live(_) => {
                let file = self.storage.open_file(&self.files, entry, &name)?;
                Ok(OpenStream::File { file, offset: 0 })
            }
            Storage::Volume(_) => Ok(OpenStream::Disk(self.storage.open(&self.files, entry, &name)?)),
        }
    }
}

/// What an entry has. The second is what could not be taken over, for people.
pub fn metadata(
    files: &Files,
    number: u32,
    storage: &Storage,
    origin: &Arc<dyn Origin>,
) -> Result<(Metadata, Option<String>), ContentError> {
    let entry = files.entry(number);
    let times = Times {
        creation: NtfsTime(entry.created),
        modification: NtfsTime(entry.modified),
        change: NtfsTime(entry.changed),
        access: NtfsTime(entry.modified),
    };
    let mut metadata = Metadata {
        attributes: FileAttributes::from_bits_retain(entry.attributes) - IMPLIED,
        times,
        security: files.security(number).map(Arc::from),
        ..Metadata::default()
    };
    let mut note = None;
    match storage {
        Storage::Volume(_) => metadata.reparse = entry.reparse.clone().map(Vec::into_boxed_slice),
        Storage::Live(drive) => {
            metadata.reparse = entry.reparse.clone().map(Vec::into_boxed_slice);
            if drive.is_wine {
                metadata.times.change = metadata.times.modification;
            }
            if entry.kind == EntryKind::Link && metadata.reparse.is_none() {
                note = Some("the link leads to a place that only the host has".to_owned());
            }
        }
        // The host's own times of change say when the capture ran.
        Storage::Folder(_) => {
            metadata.times.change = metadata.times.modification;
            if entry.kind == EntryKind::Link {
                match link_data(entry) {
                    Some(data) => metadata.reparse = Some(data),
                    None => note = Some("the link leads to a place that only the host has".to_owned()),
                }
            }
        }
    }
    if entry.kind == EntryKind::Link && files_is_directory_link(entry) {
        metadata.attributes |= FileAttributes::DIRECTORY;
    }
    if entry.kind == EntryKind::File {
        metadata.streams.push(stream(files, number, 0, storage, origin)?);
    }
    for place in 1..=entry.streams.len() {
        metadata.streams.push(stream(files, number, place, storage, origin)?);
    }
    if let Storage::Volume(volume) = storage {
        let file = volume.file(crate::snapshot::record_of(entry.id))?;
        if let Some(information) = file.standard_information()? {
            metadata.times.access = information.base.last_access_time;
        }
        metadata.extended_attributes = file.extended_attributes()?;
    }
    Ok((metadata, note))
}

/// Whether a link of a volume stands for a directory.
fn files_is_directory_link(entry: &Entry) -> bool {
    FileAttributes::from_bits_retain(entry.attributes).contains(FileAttributes::DIRECTORY)
}

fn stream(
    files: &Files,
    number: u32,
    place: usize,
    storage: &Storage,
    origin: &Arc<dyn Origin>,
) -> Result<Stream, ContentError> {
    let entry = files.entry(number);
    let named = place.checked_sub(1).and_then(|place| entry.streams.get(place));
    let name = named.map_or(&[][..], |stream| &stream.name);
    let mut size = named.map_or(entry.size, |stream| stream.size);
    let mut data = None;
    match storage {
        Storage::Volume(volume) => {
            let file = volume.file(crate::snapshot::record_of(entry.id))?;
            let info = file.streams().into_iter().find(|stream| stream.name == name);
            if info.is_some_and(|stream| stream.flags.contains(AttributeFlags::SPARSE)) {
                data = data_ranges(&file.stream(name)?)?;
            }
        }
        Storage::Folder(_) | Storage::Live(_) => {
            // It may have grown since; what is announced must be what is read.
            let file = RawFile::from_file(storage.open_file(files, number, name)?)?;
            size = file.len();
            if size >= 64 << 10 {
                data = data_ranges(&file)?;
            }
        }
    }
    Ok(Stream {
        name: Name::from(name),
        size,
        content: StreamContent::Origin {
            origin: origin.clone(),
            item: u64::from(number) | (place as u64) << ENTRY_BITS,
        },
        data,
        known: None,
    })
}

/// Where a stream has data; `None` where that is everywhere.
fn data_ranges(stream: &dyn ReadAt) -> Result<Option<Box<[Range<u64>]>>, ContentError> {
    let mut ranges = Vec::new();
    for extent in Extents::all(stream) {
        let extent = extent?;
        if extent.kind == ExtentKind::Data {
            ranges.push(extent.range());
        }
    }
    let whole = 0..stream.len();
    Ok((ranges != [whole]).then(|| ranges.into_boxed_slice()))
}

/// A link of the host as one of Windows: a relative one.
fn link_data(entry: &Entry) -> Option<Box<[u8]>> {
    let target = entry.reparse.as_deref()?;
    if target.starts_with(b"/") || target.contains(&b'\\') || target.contains(&b':') {
        return None;
    }
    let mut units = cv_winname::wtf8::decode(target).ok()?;
    for unit in &mut units {
        if *unit == u16::from(b'/') {
            *unit = u16::from(b'\\');
        }
    }
    let point = ReparsePoint::Symlink {
        substitute_name: units.clone(),
        print_name: units,
        is_relative: true,
    };
    point.to_bytes().map(Vec::into_boxed_slice)
}
