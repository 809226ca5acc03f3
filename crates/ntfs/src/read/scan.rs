//! All file records of a volume in one pass.
//!
//! `$MFT` is read in large pieces in ascending order, on several threads, and each record is looked at where it lies in the
//! piece. This is many times as fast as going through the directories, and finds files that no directory leads to.

use crate::read::volume::Volume;
use crate::structure::system_file::MIRRORED_RECORDS;
use crate::structure::{Attributes, FileRecordHeader, FileReference, RecordFlags, Structure, fixup, moved, within};
use cv_disk::{Damage, ExtentKind, ReadError};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes of `$MFT` read at once: large enough for a disk, small enough for a processor's cache.
const PIECE: u64 = 1 << 20;
const MAX_THREADS: usize = 64;

/// A file record in use, in the piece it was read with.
#[derive(Debug, Clone, Copy)]
pub struct ScannedRecord<'a> {
    /// Its number.
    pub number: u64,
    /// Its header.
    pub header: FileRecordHeader,
    /// Its bytes, fixups undone.
    pub bytes: &'a [u8],
}

impl<'a> ScannedRecord<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> Result<Attributes<'a>, Damage> {
        self.header.attributes(self.bytes)
    }

    /// The file it is of: itself, or the base of a further record.
    pub fn file(&self) -> FileReference {
        if self.header.is_base() {
            FileReference::new(self.number, self.header.sequence_number)
        } else {
            self.header.base_file_record_segment
        }
    }
}

/// What a scan gathers: one is made for each piece, and later ones are added to earlier ones.
pub trait Gather: Send + Sized {
    /// Takes note of a record in use.
    fn record(&mut self, record: ScannedRecord);

    /// Takes note of something that cannot be read.
    fn damage(&mut self, damage: Damage);

    /// Adds what was gathered of the records that follow.
    fn append(&mut self, later: Self);
}

/// Shows every record in use to gatherers that `new` makes, on `threads` threads; gives what they gathered, in the order of the
/// records whatever the number of threads. `None` where there is no record.
pub fn scan<G: Gather>(volume: &Volume, threads: usize, new: impl Fn() -> G + Sync) -> Option<G> {
    let pieces = Mutex::new(Pieces::new(volume));
    let gathered = Mutex::new(Ordered {
        next: 0,
        whole: None,
        waiting: Vec::new(),
    });
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let piece = pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, records)) = piece else {
                return;
            };
            let mut gatherer = new();
            scan_piece(volume, records, &mut buffer, &mut gatherer);
            gathered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(number, gatherer);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, MAX_THREADS) {
            scope.spawn(work);
        }
        work();
    });
    gathered.into_inner().unwrap_or_else(PoisonError::into_inner).whole
}

/// The pieces of `$MFT` that hold data. What is not stored holds no record in use, and is not read.
struct Pieces<'a> {
    volume: &'a Volume,
    position: u64,
    number: u64,
    /// Bytes still to read at most: runs that lie over each other do not make a volume larger.
    budget: u64,
}

impl<'a> Pieces<'a> {
    fn new(volume: &'a Volume) -> Self {
        Self {
            volume,
            position: 0,
            number: 0,
            budget: volume.geometry().size(),
        }
    }
}

impl Iterator for Pieces<'_> {
    /// Its number, and its records.
    type Item = (u64, Range<u64>);

    fn next(&mut self) -> Option<Self::Item> {
        let geometry = self.volume.geometry();
        let clusters = self.volume.mft_clusters();
        let record_size = u64::from(geometry.record_size);
        let size = clusters.file_size / record_size * record_size;
        while self.position < size && self.budget > 0 {
            let end = match clusters.extent(&**self.volume.disk(), geometry, self.position) {
                Ok(extent) if extent.kind == ExtentKind::Data => extent.end().min(self.position + PIECE),
                Ok(extent) => {
                    // Rounded down: the record that the extent ends in may hold data.
                    let end = extent.end() / record_size * record_size;
                    self.position = end.max(self.position + record_size);
                    continue;
                }
                // Where runs are missing, the next one that is known.
                Err(_) => match clusters.next_run_offset(geometry, self.position) {
                    Some(next) if next > self.position => {
                        self.position = (next / record_size * record_size).max(self.position + record_size);
                        continue;
                    }
                    // The bytes themselves cannot be had: each record is tried.
                    _ => self.position + record_size,
                },
            };
            let end = end.next_multiple_of(record_size).min(size);
            let records = self.position / record_size..end / record_size;
            self.budget = self.budget.saturating_sub(end - self.position);
            self.position = end;
            self.number += 1;
            return Some((self.number - 1, records));
        }
        None
    }
}

/// Puts what threads gathered into the order of the pieces.
struct Ordered<G> {
    next: u64,
    whole: Option<G>,
    waiting: Vec<(u64, G)>,
}

impl<G: Gather> Ordered<G> {
    fn add(&mut self, piece: u64, gatherer: G) {
        self.waiting.push((piece, gatherer));
        while let Some(index) = self.waiting.iter().position(|(piece, _)| *piece == self.next) {
            let (_, gatherer) = self.waiting.swap_remove(index);
            match &mut self.whole {
                Some(whole) => whole.append(gatherer),
                None => self.whole = Some(gatherer),
            }
            self.next += 1;
        }
    }
}

fn scan_piece(volume: &Volume, records: Range<u64>, buffer: &mut Vec<u8>, gatherer: &mut impl Gather) {
    let record_size = volume.geometry().record_size as usize;
    buffer.resize((records.end - records.start) as usize * record_size, 0);
    let piece = &mut buffer[..];
    let read = |buf: &mut [u8], number: u64| {
        let geometry = volume.geometry();
        volume
            .mft_clusters()
            .read(&**volume.disk(), geometry, buf, number * record_size as u64)
    };
    let is_whole = read(piece, records.start).is_ok();
    for (number, bytes) in records.zip(piece.chunks_exact_mut(record_size)) {
        if !is_whole {
            // Something in the piece cannot be read: each record is tried by itself.
            if let Err(error) = read(bytes, number) {
                let damage = match error {
                    ReadError::Damaged(damage) => damage,
                    other => Damage::new("bytes", 0, "a readable disk", other.to_string()),
                };
                gatherer.damage(within(damage, format_args!("file record {number}")));
                continue;
            }
        }
        if let Err(damage) = scan_record(number, bytes, gatherer) {
            if let Some(copy) = volume.inner.mirrored(number) {
                gatherer.record(ScannedRecord {
                    number,
                    header: copy.header,
                    bytes: &copy.bytes,
                });
            }
            let offset = volume
                .mft_clusters()
                .place(volume.geometry(), number * record_size as u64)
                .map_or(0, |place| place.0.unwrap_or(0));
            gatherer.damage(within(moved(damage, offset), format_args!("file record {number}")));
        }
    }
}

fn scan_record(number: u64, bytes: &mut [u8], gatherer: &mut impl Gather) -> Result<(), Damage> {
    let signature = &bytes[..4];
    // Never used: zeros (Windows 10) or anything else that says nothing. The first records are always in use.
    if number >= MIRRORED_RECORDS
        && signature != FileRecordHeader::SIGNATURE
        && signature != FileRecordHeader::BAD_SIGNATURE
    {
        return Ok(());
    }
    // Not worth undoing its fixups.
    if signature == FileRecordHeader::SIGNATURE && u16::from(bytes[0x16]) & RecordFlags::IN_USE.bits() == 0 {
        return Ok(());
    }
    fixup::apply(bytes, FileRecordHeader::SIGNATURE)?;
    let header = FileRecordHeader::read_from(bytes, 0)?;
    gatherer.record(ScannedRecord { number, header, bytes });
    Ok(())
}
