//! The two levels that say where a grain is: the grain directory names grain tables, a grain table names grains.

use crate::structures::{SECTOR, SeSparseConstHeader};
use cv_disk::{Damage, ExtentKind, PagedTable, ReadAt, ReadError, Resize, WriteAt, WriteError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of grain tables kept in memory.
const KEPT_BYTES: usize = 8 << 20;
/// Grain tables looked at for one extent at most, so that a single question stays cheap.
const TABLES_PER_RUN: u64 = 64;

/// What a grain table says of a grain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grain {
    /// Not in this file: the parent's, or zeros.
    Unallocated,
    /// Zeros, whatever the parent holds.
    Zeroed,
    /// At this byte of the file.
    At(u64),
    /// An entry that means nothing.
    Invalid(u64),
}

impl Grain {
    /// What it makes of the disk.
    pub fn kind(self) -> ExtentKind {
        match self {
            Self::Unallocated => ExtentKind::Hole,
            Self::Zeroed => ExtentKind::Zero,
            Self::At(_) | Self::Invalid(_) => ExtentKind::Data,
        }
    }
}

/// How a grain table's entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryFormat {
    /// 32 bits: the grain's sector, 0 for none, 1 for zeros.
    Sector,
    /// 64 bits of which the upper four say what it is; grains are numbered from the given byte.
    SeSparse { grains_start: u64 },
}

impl EntryFormat {
    /// Bytes of an entry.
    pub fn size(self) -> usize {
        match self {
            Self::Sector => 4,
            Self::SeSparse { .. } => 8,
        }
    }

    fn raw(self, bytes: &[u8]) -> u64 {
        match self {
            Self::Sector => u64::from(u32::from_le_bytes(std::array::from_fn(|i| bytes[i]))),
            Self::SeSparse { .. } => u64::from_le_bytes(std::array::from_fn(|i| bytes[i])),
        }
    }

    /// What an entry means.
    pub fn decode(self, raw: u64) -> Grain {
        match self {
            Self::Sector => match raw {
                0 => Grain::Unallocated,
                // Sector 1 is never a grain's, so that this needs no look at the flag.
                1 => Grain::Zeroed,
                sector => Grain::At(sector * SECTOR),
            },
            Self::SeSparse { grains_start } => match raw >> 60 {
                0 if raw == 0 => Grain::Unallocated,
                1 | 2 => Grain::Zeroed,
                3 => {
                    // The number's lower 12 bits stand above its upper 48.
                    let number = ((raw >> 48) & 0xfff) | ((raw & 0xffff_ffff_ffff) << 12);
                    number
                        .checked_mul(SeSparseConstHeader::GRAIN_SECTORS * SECTOR)
                        .and_then(|offset| offset.checked_add(grains_start))
                        .map_or(Grain::Invalid(raw), Grain::At)
                }
                _ => Grain::Invalid(raw),
            },
        }
    }
}

/// The grain directory.
#[derive(Debug)]
pub(crate) enum Directory {
    /// 32 bits an entry: the table's sector, 0 for none.
    Sector(PagedTable<4>),
    /// 64 bits an entry: the table's number, counted from the given byte, with 1 in the upper four bits.
    SeSparse { entries: PagedTable<8>, tables_start: u64 },
}

impl Directory {
    /// Makes the entry for `table` name byte `place` of `file`.
    pub fn set_place(&self, file: &dyn WriteAt, table: u64, place: u64) -> Result<(), WriteError> {
        let Self::Sector(entries) = self else {
            return Err(WriteError::Limit("seSparse extents are read only".into()));
        };
        let sector = u32::try_from(place / SECTOR)
            .map_err(|_| WriteError::Limit("a grain table would lie beyond the first 2 TiB of the file".into()))?;
        file.write_at(&sector.to_le_bytes(), entries.offset_of(table))?;
        entries.written(table, sector.to_le_bytes())?;
        Ok(())
    }

    /// Number of tables.
    pub fn len(&self) -> u64 {
        match self {
            Self::Sector(entries) => entries.len(),
            Self::SeSparse { entries, .. } => entries.len(),
        }
    }

    /// Where the directory's entry for `table` stands, in bytes.
    pub fn offset_of(&self, table: u64) -> u64 {
        match self {
            Self::Sector(entries) => entries.offset_of(table),
            Self::SeSparse { entries, .. } => entries.offset_of(table),
        }
    }

    /// Where `table` begins, in bytes; `None` where the directory names none.
    pub fn place(&self, table: u64) -> Result<Option<u64>, ReadError> {
        match self {
            Self::Sector(entries) => {
                let sector = u32::from_le_bytes(entries.get(table)?);
                Ok((sector != 0).then(|| u64::from(sector) * SECTOR))
            }
            Self::SeSparse { entries, tables_start } => {
                let raw = u64::from_le_bytes(entries.get(table)?);
                if raw == 0 {
                    return Ok(None);
                }
                let table_bytes = SeSparseConstHeader::GRAIN_TABLE_SECTORS * SECTOR;
                let place = (raw >> 32 == 0x1000_0000)
                    .then(|| tables_start.checked_add((raw & 0xffff_ffff) * table_bytes))
                    .flatten();
                place.map(Some).ok_or_else(|| {
                    Damage::new(
                        format!("grain directory entry {table}"),
                        entries.offset_of(table),
                        "0 or 0x10000000 in the upper half",
                        format!("{raw:#x}"),
                    )
                    .into()
                })
            }
        }
    }
}

/// The grain tables of an extent, read when asked and kept in bounded memory.
///
/// With a `sink` the tables can be changed, too: at once in the file, or, while a file is being built, in memory until
/// they are pushed out or [`write_back`](Self::write_back) is called.
pub(crate) struct GrainTables {
    file: Arc<dyn ReadAt>,
    directory: Directory,
    redundant: Option<Directory>,
    format: EntryFormat,
    entries_per_table: u64,
    grain_count: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tables: HashMap<u64, Table>,
    clock: u64,
    sink: Option<Sink>,
}

struct Table {
    used: u64,
    entries: Box<[u64]>,
    dirty: bool,
}

/// Where changed tables go.
#[derive(Clone)]
struct Sink {
    file: Arc<dyn Resize>,
    hold_back: bool,
}

impl GrainTables {
    /// The tables that `directory` names. `redundant` serves where the directory names a place outside the file.
    pub fn new(
        file: Arc<dyn ReadAt>,
        directory: Directory,
        redundant: Option<Directory>,
        format: EntryFormat,
        entries_per_table: u32,
        grain_count: u64,
    ) -> Self {
        Self {
            file,
            directory,
            redundant,
            format,
            entries_per_table: entries_per_table.into(),
            grain_count,
            kept: Mutex::default(),
        }
    }

    /// Lets the tables be changed in `file`; held back in memory where `hold_back` is set.
    pub fn make_writable(&self, file: Arc<dyn Resize>, hold_back: bool) {
        self.lock().sink = Some(Sink { file, hold_back });
    }

    /// The directory in use.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The redundant directory, where there is one.
    pub fn redundant(&self) -> Option<&Directory> {
        self.redundant.as_ref()
    }

    /// Bytes of a table.
    pub fn table_bytes(&self) -> u64 {
        self.entries_per_table * self.format.size() as u64
    }

    /// Bytes of an entry of the directory.
    pub fn directory_entry_bytes(&self) -> u64 {
        match self.directory {
            Directory::Sector(_) => 4,
            Directory::SeSparse { .. } => 8,
        }
    }

    /// Number of grains.
    pub fn grain_count(&self) -> u64 {
        self.grain_count
    }

    /// Grains that a table covers.
    pub fn entries_per_table(&self) -> u64 {
        self.entries_per_table
    }

    /// What the tables say of the grains from `first` on.
    pub fn lookup(&self, first: u64, grains: &mut [Grain]) -> Result<(), ReadError> {
        let mut kept = self.lock();
        let mut done = 0;
        while done < grains.len() {
            let (table, within) = self.place(first + done as u64);
            let count = (grains.len() - done).min(self.entries_per_table as usize - within);
            let wanted = &mut grains[done..done + count];
            match self.load(&mut kept, table)? {
                Some(entries) => {
                    for (grain, raw) in wanted.iter_mut().zip(&entries[within..]) {
                        *grain = self.format.decode(*raw);
                    }
                }
                None => wanted.fill(Grain::Unallocated),
            }
            done += count;
        }
        Ok(())
    }

    /// The kind of grain `first`, and how many grains from there on are of that kind, as far as is cheaply known.
    pub fn run(&self, first: u64) -> Result<(ExtentKind, u64), ReadError> {
        let mut kept = self.lock();
        let mut kind = None;
        let mut grain = first;
        for _ in 0..TABLES_PER_RUN {
            if grain >= self.grain_count {
                break;
            }
            let (table, within) = self.place(grain);
            let left = (self.entries_per_table - within as u64).min(self.grain_count - grain);
            let same = match self.load(&mut kept, table)? {
                None if *kind.get_or_insert(ExtentKind::Hole) == ExtentKind::Hole => left,
                None => 0,
                Some(entries) => {
                    let entries = &entries[within..within + left as usize];
                    let kind = *kind.get_or_insert_with(|| self.format.decode(entries[0]).kind());
                    let differs = |raw: &u64| self.format.decode(*raw).kind() != kind;
                    entries
                        .iter()
                        .position(differs)
                        .map_or(left, |position| position as u64)
                }
            };
            grain += same;
            if same < left {
                break;
            }
        }
        Ok((kind.unwrap_or(ExtentKind::Hole), grain - first))
    }

    /// Changes the entries from grain `first` on, in the main and the redundant table. Every table must exist.
    pub fn store(&self, first: u64, entries: &[u32]) -> Result<(), WriteError> {
        let mut kept = self.lock();
        let Some(sink) = kept.sink.clone() else {
            return Err(WriteError::Limit("the grain tables are open for reading only".into()));
        };
        let mut done = 0;
        while done < entries.len() {
            let (table, within) = self.place(first + done as u64);
            let count = (entries.len() - done).min(self.entries_per_table as usize - within);
            let new = &entries[done..done + count];
            if self.load(&mut kept, table)?.is_none() {
                return Err(Damage::new(
                    format!("grain directory entry {table}"),
                    self.directory.offset_of(table),
                    "a grain table to write to",
                    "0",
                )
                .into());
            }
            if !sink.hold_back {
                let bytes: Vec<u8> = new.iter().flat_map(|entry| entry.to_le_bytes()).collect();
                for directory in [Some(&self.directory), self.redundant.as_ref()].into_iter().flatten() {
                    if let Some(place) = self.place_in_file(directory, table)? {
                        sink.file.write_at(&bytes, place + within as u64 * 4)?;
                    }
                }
            }
            if let Some(kept) = kept.tables.get_mut(&table) {
                for (old, new) in kept.entries[within..].iter_mut().zip(new) {
                    *old = u64::from(*new);
                }
                kept.dirty = sink.hold_back;
            }
            done += count;
        }
        Ok(())
    }

    /// Writes every table that was held back.
    pub fn write_back(&self) -> Result<(), WriteError> {
        let mut kept = self.lock();
        let Some(sink) = kept.sink.clone() else {
            return Ok(());
        };
        let mut dirty: Vec<u64> = kept
            .tables
            .iter()
            .filter(|(_, table)| table.dirty)
            .map(|(index, _)| *index)
            .collect();
        dirty.sort_unstable();
        for index in dirty {
            if let Some(table) = kept.tables.get_mut(&index) {
                self.write_table(&sink, index, &table.entries)?;
                table.dirty = false;
            }
        }
        Ok(())
    }

    fn write_table(&self, sink: &Sink, table: u64, entries: &[u64]) -> Result<(), WriteError> {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| (*entry as u32).to_le_bytes()).collect();
        for directory in [Some(&self.directory), self.redundant.as_ref()].into_iter().flatten() {
            if let Some(place) = self.place_in_file(directory, table)? {
                sink.file.write_at(&bytes, place)?;
            }
        }
        Ok(())
    }

    fn place(&self, grain: u64) -> (u64, usize) {
        (
            grain / self.entries_per_table,
            (grain % self.entries_per_table) as usize,
        )
    }

    /// Where `directory` says that `table` is, `None` where that is nowhere or outside the file.
    fn place_in_file(&self, directory: &Directory, table: u64) -> Result<Option<u64>, ReadError> {
        let place = directory.place(table)?;
        Ok(place.filter(|place| ReadError::check_range(*place, self.table_bytes(), self.file.len()).is_ok()))
    }

    /// The entries of `table`, `None` where the directory names none.
    fn load<'k>(&self, kept: &'k mut Kept, table: u64) -> Result<Option<&'k [u64]>, ReadError> {
        kept.clock += 1;
        let clock = kept.clock;
        if !kept.tables.contains_key(&table) {
            let Some(said) = self.directory.place(table)? else {
                return Ok(None);
            };
            let place = match (self.place_in_file(&self.directory, table)?, &self.redundant) {
                (Some(place), _) => Some(place),
                (None, Some(redundant)) => self.place_in_file(redundant, table)?,
                (None, None) => None,
            };
            let place = place.ok_or_else(|| {
                Damage::new(
                    format!("grain directory entry {table}"),
                    self.directory.offset_of(table),
                    format!("a grain table within the file of {:#x} bytes", self.file.len()),
                    format!("{said:#x}"),
                )
            })?;
            let mut bytes = vec![0; self.table_bytes() as usize];
            self.file.read_at(&mut bytes, place)?;
            let entries = bytes
                .chunks_exact(self.format.size())
                .map(|bytes| self.format.raw(bytes))
                .collect();
            self.make_room(kept)?;
            kept.tables.insert(
                table,
                Table {
                    used: clock,
                    entries,
                    dirty: false,
                },
            );
        }
        Ok(kept.tables.get_mut(&table).map(|table| {
            table.used = clock;
            &*table.entries
        }))
    }

    /// Pushes the longest unused quarter of the tables out where memory is full.
    fn make_room(&self, kept: &mut Kept) -> Result<(), ReadError> {
        let most = (KEPT_BYTES / (self.entries_per_table as usize * 8)).max(16);
        if kept.tables.len() < most {
            return Ok(());
        }
        let mut ages: Vec<(u64, u64)> = kept.tables.iter().map(|(index, table)| (table.used, *index)).collect();
        ages.sort_unstable();
        for (_, index) in ages.into_iter().take(most / 4) {
            if let (Some(table), Some(sink)) = (kept.tables.get(&index).filter(|table| table.dirty), &kept.sink) {
                self.write_table(sink, index, &table.entries).map_err(as_read_error)?;
            }
            kept.tables.remove(&index);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A failure to push a changed table out, met while another was wanted for reading.
fn as_read_error(error: WriteError) -> ReadError {
    match error {
        WriteError::Read(error) => error,
        WriteError::Io { offset, length, source } => ReadError::Io { offset, length, source },
        other => ReadError::Io {
            offset: 0,
            length: 0,
            source: std::io::Error::other(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_mean_what_each_format_says() {
        assert_eq!(EntryFormat::Sector.decode(0), Grain::Unallocated);
        assert_eq!(EntryFormat::Sector.decode(1), Grain::Zeroed);
        assert_eq!(EntryFormat::Sector.decode(128), Grain::At(65536));
        let format = EntryFormat::SeSparse { grains_start: 1 << 20 };
        assert_eq!(format.decode(0), Grain::Unallocated);
        assert_eq!(format.decode(5), Grain::Invalid(5));
        assert_eq!(format.decode(0x1000_0000_0000_0000), Grain::Zeroed);
        assert_eq!(format.decode(0x2000_0000_0000_0000), Grain::Zeroed);
        assert_eq!(format.decode(0x3000_0000_0000_0000), Grain::At(1 << 20));
        assert_eq!(format.decode(0x3001_0000_0000_0000), Grain::At((1 << 20) + 4096));
        assert_eq!(format.decode(0x3000_0000_0000_0001), Grain::At((1 << 20) + 4096 * 4096));
        assert_eq!(
            format.decode(0x3000_ffff_ffff_ffff),
            Grain::Invalid(0x3000_ffff_ffff_ffff)
        );
        assert_eq!(format.decode(u64::MAX), Grain::Invalid(u64::MAX));
    }
}
