//! File records by number.

use crate::error::FileError;
use crate::read::clusters::Clusters;
use crate::structure::{
    Attributes, FileRecordHeader, FileReference, Geometry, RecordFlags, Structure, fixup, moved, within,
};
use cv_disk::{Damage, ReadAt, ReadError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of `$MFT` read at once.
const PAGE: u64 = 64 << 10;
/// Pages kept of one volume at most, 8 MiB.
const PAGES_KEPT: usize = 128;
/// Pages that every volume may keep, 1 MiB.
const PAGES_OF_EACH: usize = 16;
/// Pages kept of all volumes, 16 MiB, beside those that each may keep.
const PAGES_IN_ALL: usize = 256;

/// Pages that are kept now, of all volumes: who opens many shall not need 8 MiB for each.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// A file record with its fixups undone.
#[derive(Debug, Clone)]
pub struct FileRecord {
    /// Its number.
    pub number: u64,
    /// Where it stands on the volume, in bytes. A record whose clusters are apart continues elsewhere.
    pub offset: u64,
    /// Its header.
    pub header: FileRecordHeader,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl FileRecord {
    /// The record `number` whose bytes as they stand on the volume, at `offset`, are `bytes`.
    pub fn parse(number: u64, offset: u64, mut bytes: Vec<u8>) -> Result<Self, Damage> {
        fixup::apply(&mut bytes, FileRecordHeader::SIGNATURE)
            .and_then(|()| FileRecordHeader::read_from(&bytes, 0))
            .map(|header| Self {
                number,
                offset,
                header,
                bytes,
            })
            .map_err(|damage| moved(damage, offset))
    }

    /// Its attributes.
    pub fn attributes(&self) -> Result<Attributes<'_>, Damage> {
        self.header
            .attributes(&self.bytes)
            .map_err(|damage| self.located(damage))
    }

    /// The reference to the record as it is.
    pub fn reference(&self) -> FileReference {
        FileReference::new(self.number, self.header.sequence_number)
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.header.flags.contains(RecordFlags::FILE_NAME_INDEX_PRESENT)
    }

    /// The same damage, whose offset counts from the record's start, said of this record and the volume.
    pub(crate) fn located(&self, damage: Damage) -> Damage {
        within(moved(damage, self.offset), format_args!("file record {}", self.number))
    }
}

/// The records of a volume: `$MFT`, and `$MFTMirr` for the first ones.
pub(crate) struct Records {
    pub(crate) clusters: Clusters,
    mirror: Option<u64>,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    kept: HashMap<u64, (u64, Arc<[u8]>)>,
    clock: u64,
}

impl Drop for Pages {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.kept.len(), Ordering::Relaxed);
    }
}

impl Pages {
    fn is_full(&self) -> bool {
        let own = self.kept.len();
        own >= PAGES_KEPT || (own >= PAGES_OF_EACH && KEPT.load(Ordering::Relaxed) >= PAGES_IN_ALL)
    }

    fn remove_oldest(&mut self) {
        let oldest = self
            .kept
            .iter()
            .min_by_key(|(_, (used, _))| *used)
            .map(|(page, _)| *page);
        if oldest.and_then(|page| self.kept.remove(&page)).is_some() {
            KEPT.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn keep(&mut self, page: u64, content: Arc<[u8]>) {
        if self.is_full() {
            self.remove_oldest();
        }
        let clock = self.clock;
        if self.kept.insert(page, (clock, content)).is_none() {
            KEPT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Records {
    /// The records of `$MFT`, which lies in `clusters`; `mirror` is where on the volume `$MFTMirr` begins.
    pub(crate) fn new(clusters: Clusters, mirror: Option<u64>) -> Self {
        Self {
            clusters,
            mirror,
            pages: Mutex::default(),
        }
    }

    /// How many there are.
    pub(crate) fn count(&self, geometry: &Geometry) -> u64 {
        self.clusters.file_size / u64::from(geometry.record_size)
    }

    /// The bytes of record `number` as they stand on the volume, and where.
    fn bytes(&self, disk: &dyn ReadAt, geometry: &Geometry, number: u64) -> Result<(u64, Vec<u8>), ReadError> {
        let size = u64::from(geometry.record_size);
        let position = number.saturating_mul(size);
        ReadError::check_range(position, size, self.clusters.file_size)?;
        let offset = self
            .clusters
            .place(geometry, position)
            .map_or(0, |place| place.0.unwrap_or(0));
        let page = position / PAGE;
        let within = (position % PAGE) as usize;
        let bytes = |page: &[u8]| page[within..within + size as usize].to_vec();
        {
            let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            pages.clock += 1;
            let clock = pages.clock;
            if let Some((used, content)) = pages.kept.get_mut(&page) {
                *used = clock;
                return Ok((offset, bytes(content)));
            }
        }
        let length = PAGE.min(self.clusters.file_size / size * size - page * PAGE);
        let mut content = vec![0; length as usize];
        if self.clusters.read(disk, geometry, &mut content, page * PAGE).is_err() {
            // Something in the page cannot be read: perhaps not this record.
            let mut record = vec![0; size as usize];
            self.clusters.read(disk, geometry, &mut record, position)?;
            return Ok((offset, record));
        }
        let record = bytes(&content);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.keep(page, content.into());
        Ok((offset, record))
    }

    /// Record `number`, in use or not.
    pub(crate) fn read(&self, disk: &dyn ReadAt, geometry: &Geometry, number: u64) -> Result<FileRecord, FileError> {
        let from_table = self
            .bytes(disk, geometry, number)
            .and_then(|(offset, bytes)| Ok(FileRecord::parse(number, offset, bytes)?));
        from_table.or_else(|error| {
            self.read_mirrored(disk, geometry, number)
                .ok_or_else(|| FileError::read(number, error))
        })
    }

    /// Record `number` as the mirror has it.
    pub(crate) fn read_mirrored(&self, disk: &dyn ReadAt, geometry: &Geometry, number: u64) -> Option<FileRecord> {
        let mirrored = crate::structure::system_file::MIRRORED_RECORDS;
        let start = self.mirror.filter(|_| number < mirrored)?;
        read_at(disk, geometry, number, start + number * u64::from(geometry.record_size)).ok()
    }
}

/// Record `number`, which stands at `offset` of the volume.
pub(crate) fn read_at(
    disk: &dyn ReadAt,
    geometry: &Geometry,
    number: u64,
    offset: u64,
) -> Result<FileRecord, ReadError> {
    let mut bytes = vec![0; geometry.record_size as usize];
    disk.read_at(&mut bytes, offset)?;
    Ok(FileRecord::parse(number, offset, bytes)?)
}
