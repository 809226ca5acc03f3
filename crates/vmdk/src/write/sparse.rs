//! Writing a hosted sparse extent: in place, or while it is built.
//!
//! A grain's data is written before the entry that names it, so that a kill between the two leaves what was there. Only
//! assigning room takes a lock that all writers share.

use super::source::Source;
use crate::sparse::{Below, Grain, SparseExtent};
use crate::structures::{FLAG_ZEROED_GRAINS, SECTOR, SparseExtentHeader};
use cv_disk::{Damage, ExtentKind, ReadAt, Resize, WriteError};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Grains looked at together.
const BATCH: usize = 64;
/// Locks for grains that are filled from the parent; two grains may share one.
const FILLING: usize = 64;

/// A hosted sparse extent that can be written.
pub(super) struct SparseWriter {
    extent: Arc<SparseExtent>,
    file: Arc<dyn Resize>,
    /// Whether zeros can be recorded as such.
    zeroed_grains: bool,
    /// Whether the tables are held back, so that room can be used again at once.
    is_new: bool,
    room: Mutex<Room>,
    filling: Vec<Mutex<()>>,
}

/// Which parts of the file are free. All of it reads as zeros.
struct Room {
    /// Where the next grain goes.
    end: u64,
    /// Grains with a place that their table does not name yet.
    assigned: HashMap<u64, u64>,
    /// Places to use again.
    free: Vec<u64>,
    /// Places to use again after the next flush: until then the tables on stable storage may still name them.
    freed: Vec<u64>,
}

/// The value of a grain table entry for zeros.
const ENTRY_ZEROED: u32 = 1;

impl SparseWriter {
    /// A writer of `extent`, which was opened from `file`; fails where the header's `overHead` is wrong.
    pub fn new(
        extent: Arc<SparseExtent>,
        header: &SparseExtentHeader,
        file: Arc<dyn Resize>,
        is_new: bool,
    ) -> Result<Self, Damage> {
        let overhead = header.overhead.saturating_mul(SECTOR);
        if overhead > file.len() {
            return Err(Damage::new(
                "sparse extent header, overHead",
                0x40,
                format!("a sector within the file of {:#x} bytes", file.len()),
                format!("{:#x}", header.overhead),
            ));
        }
        let end = file.len().next_multiple_of(extent.grain_size());
        extent.tables().make_writable(file.clone(), is_new);
        Ok(Self {
            zeroed_grains: header.has(FLAG_ZEROED_GRAINS),
            extent,
            file,
            is_new,
            room: Mutex::new(Room {
                end,
                assigned: HashMap::new(),
                free: Vec::new(),
                freed: Vec::new(),
            }),
            filling: (0..FILLING).map(|_| Mutex::default()).collect(),
        })
    }

    /// The file.
    pub fn file(&self) -> &Arc<dyn Resize> {
        &self.file
    }

    /// The extent as it is read.
    pub fn extent(&self) -> &Arc<SparseExtent> {
        &self.extent
    }

    /// A writer that goes on with the same file, opened anew as `extent`.
    pub fn continued(&self, extent: Arc<SparseExtent>, header: &SparseExtentHeader) -> Result<Self, Damage> {
        let continued = Self::new(extent, header, self.file.clone(), self.is_new)?;
        continued.room().free = std::mem::take(&mut self.room().free);
        Ok(continued)
    }

    /// Assigns room to the grains of `range`, in their order.
    pub fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let mut grain = range.start / grain_size;
        let stop = range.end.div_ceil(grain_size);
        let mut grains = [Grain::Unallocated; BATCH];
        while grain < stop {
            let count = (stop - grain).min(BATCH as u64);
            let mut room = self.room();
            let batch = &mut grains[..count as usize];
            self.extent.tables().lookup(grain, batch)?;
            for (index, state) in batch.iter().enumerate() {
                if !matches!(state, Grain::At(_)) && !room.assigned.contains_key(&(grain + index as u64)) {
                    let place = self.take(&mut room)?;
                    room.assigned.insert(grain + index as u64, place);
                }
            }
            self.extend_file(&room)?;
            grain += count;
        }
        Ok(())
    }

    /// Writes the source to `range`.
    pub fn write(&self, range: Range<u64>, source: &Source<'_>, below: Option<Below<'_>>) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let mut grains = [Grain::Unallocated; BATCH];
        let mut position = range.start;
        while position < range.end {
            let first = position / grain_size;
            let count = (range.end.div_ceil(grain_size) - first).min(BATCH as u64) as usize;
            self.extent.tables().lookup(first, &mut grains[..count])?;
            let mut index = 0;
            while index < count {
                let next = index + alike(&grains[index..count], grain_size);
                let stop = ((first + next as u64) * grain_size).min(range.end);
                match grains[index] {
                    Grain::At(place) => {
                        let at = place + (position - (first + index as u64) * grain_size);
                        source.put(&*self.file, at, position - range.start..stop - range.start)?;
                    }
                    Grain::Invalid(_) => {
                        return Err(WriteError::Limit(
                            "a grain table entry is damaged; repair the image first".into(),
                        ));
                    }
                    Grain::Unallocated | Grain::Zeroed => {
                        let below = below.filter(|_| grains[index] == Grain::Unallocated);
                        self.write_new(position..stop, range.start, source, below)?;
                    }
                }
                position = stop;
                index = next;
            }
        }
        Ok(())
    }

    /// Writes `range`, whose grains are not stored; `source` begins at `origin`. With `below` a grain shows the parent
    /// until it is stored.
    fn write_new(
        &self,
        range: Range<u64>,
        origin: u64,
        source: &Source<'_>,
        below: Option<Below<'_>>,
    ) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let mut position = range.start;
        // The run of grains that are written by one call.
        let mut run = position..position;
        while position < range.end {
            let grain = position / grain_size;
            let whole = self.grain_range(grain);
            let stop = whole.end.min(range.end);
            let is_whole = position == whole.start && stop == whole.end;
            let is_zero = source.is_zero(position - origin..stop - origin);
            let skip = match below {
                None => is_zero,
                Some(_) => is_zero && is_whole && self.zeroed_grains,
            };
            let fill = below.is_some() && !is_whole;
            if skip || fill {
                self.write_run(run, origin, source)?;
                run = stop..stop;
                if let (true, Some(below)) = (fill, below) {
                    self.write_filled(grain, position..stop, origin, source, below)?;
                } else if below.is_some() {
                    self.name(grain, &[ENTRY_ZEROED])?;
                }
            } else {
                run.end = stop;
            }
            position = stop;
        }
        self.write_run(run, origin, source)
    }

    /// Writes `range` to new places, one call for each stretch of neighbours, then names the places.
    fn write_run(&self, range: Range<u64>, origin: u64, source: &Source<'_>) -> Result<(), WriteError> {
        if range.is_empty() {
            return Ok(());
        }
        let grain_size = self.extent.grain_size();
        let first = range.start / grain_size;
        let count = (range.end.div_ceil(grain_size) - first) as usize;
        let places = self.assign(first, count)?;
        let mut index = 0;
        while index < count {
            let mut next = index + 1;
            while next < count && places[next] == places[next - 1] + grain_size {
                next += 1;
            }
            let begin = ((first + index as u64) * grain_size).max(range.start);
            let stop = ((first + next as u64) * grain_size).min(range.end);
            let at = places[index] + (begin - (first + index as u64) * grain_size);
            source.put(&*self.file, at, begin - origin..stop - origin)?;
            index = next;
        }
        let entries: Vec<u32> = places.iter().map(|place| (place / SECTOR) as u32).collect();
        self.name(first, &entries)
    }

    /// Writes a part of a grain, and the rest of it from below.
    fn write_filled(
        &self,
        grain: u64,
        part: Range<u64>,
        origin: u64,
        source: &Source<'_>,
        below: Below<'_>,
    ) -> Result<(), WriteError> {
        let lock = &self.filling[(grain % FILLING as u64) as usize];
        let _filling = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let within_source = part.start - origin..part.end - origin;
        let mut state = [Grain::Unallocated];
        self.extent.tables().lookup(grain, &mut state)?;
        let whole = self.grain_range(grain);
        if let Grain::At(place) = state[0] {
            // Another thread has stored the grain in the meantime.
            return source.put(&*self.file, place + (part.start - whole.start), within_source);
        }
        let mut bytes = vec![0; (whole.end - whole.start) as usize];
        if state[0] == Grain::Unallocated {
            below(&mut bytes, whole.start)?;
        }
        let target = (part.start - whole.start) as usize..(part.end - whole.start) as usize;
        source.read(&mut bytes[target], within_source)?;
        let places = self.assign(grain, 1)?;
        self.file.write_at(&bytes, places[0])?;
        self.name(grain, &[(places[0] / SECTOR) as u32])
    }

    /// Makes `range` read as zeros.
    pub fn write_zeros(&self, range: Range<u64>, below: Option<Below<'_>>) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let mut position = range.start;
        while position < range.end {
            let grain = position / grain_size;
            let (kind, count) = self.extent.tables().run(grain)?;
            let stop = (grain + count.max(1)).saturating_mul(grain_size).min(range.end);
            match (kind, below) {
                (ExtentKind::Zero, _) | (ExtentKind::Hole, None) => {}
                (ExtentKind::Hole, Some(below)) => self.hide(position..stop, below)?,
                (ExtentKind::Data, _) => self.clear(position..stop, below.is_some())?,
            }
            position = stop;
        }
        Ok(())
    }

    /// Puts zeros over a range that shows the parent.
    fn hide(&self, range: Range<u64>, below: Below<'_>) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let per_table = self.extent.tables().entries_per_table();
        let mut position = range.start;
        while position < range.end {
            let grain = position / grain_size;
            let whole = self.grain_range(grain);
            if position > whole.start || range.end < whole.end {
                let stop = whole.end.min(range.end);
                self.write_filled(grain, position..stop, position, &Source::Zeros, below)?;
                position = stop;
                continue;
            }
            let wholes = if range.end == self.extent.len() {
                range.end.div_ceil(grain_size)
            } else {
                range.end / grain_size
            };
            let count = (wholes - grain).min(per_table) as usize;
            if self.zeroed_grains {
                self.name(grain, &vec![ENTRY_ZEROED; count])?;
            } else {
                // New room reads as zeros already.
                let entries: Vec<u32> = self
                    .assign(grain, count)?
                    .iter()
                    .map(|place| (place / SECTOR) as u32)
                    .collect();
                self.name(grain, &entries)?;
            }
            position = ((grain + count as u64) * grain_size).min(range.end);
        }
        Ok(())
    }

    /// Makes a range of stored grains zero; whole grains give their room back where the parent cannot show through.
    fn clear(&self, range: Range<u64>, has_parent: bool) -> Result<(), WriteError> {
        let grain_size = self.extent.grain_size();
        let entry = match (has_parent, self.zeroed_grains) {
            (false, _) => Some(0),
            (true, true) => Some(ENTRY_ZEROED),
            (true, false) => None,
        };
        let mut grains = [Grain::Unallocated; BATCH];
        let mut position = range.start;
        while position < range.end {
            let first = position / grain_size;
            let count = (range.end.div_ceil(grain_size) - first).min(BATCH as u64) as usize;
            self.extent.tables().lookup(first, &mut grains[..count])?;
            let mut given_back = Vec::new();
            // The whole grains of the batch are neighbours: their entries change by one call.
            let mut wholes = None;
            for (number, state) in (first..).zip(&grains[..count]) {
                let whole = self.grain_range(number);
                let stop = whole.end.min(range.end);
                let Grain::At(place) = *state else {
                    return Err(WriteError::Limit(
                        "a grain table entry is damaged; repair the image first".into(),
                    ));
                };
                if entry.is_some() && position == whole.start && stop == whole.end {
                    wholes.get_or_insert(number);
                    given_back.push(place);
                } else {
                    let at = place + (position - whole.start);
                    self.file.write_zeros_at(at..at + (stop - position))?;
                }
                position = stop;
            }
            if let (Some(number), Some(entry)) = (wholes, entry) {
                self.extent.tables().store(number, &vec![entry; given_back.len()])?;
                given_back.into_iter().try_for_each(|place| self.give_back(place))?;
            }
        }
        Ok(())
    }

    /// Returns when everything written is on stable storage, and frees what was waiting for that.
    pub fn flush(&self) -> Result<(), WriteError> {
        let freed = std::mem::take(&mut self.room().freed);
        self.file.flush()?;
        let grain_size = self.extent.grain_size();
        for place in &freed {
            self.file.write_zeros_at(*place..place + grain_size)?;
        }
        self.room().free.extend(freed);
        Ok(())
    }

    /// Writes the tables that were held back and gives up room at the end that no grain took.
    pub fn write_back(&self) -> Result<(), WriteError> {
        self.extent.tables().write_back()
    }

    /// Assigns one more sector-aligned piece of `length` bytes at the end of the file, which reads as zeros.
    pub fn append(&self, length: u64) -> Result<u64, WriteError> {
        let mut room = self.room();
        self.append_locked(&mut room, length)
    }

    fn append_locked(&self, room: &mut Room, length: u64) -> Result<u64, WriteError> {
        let place = room.end;
        room.end = check_place(place, length.next_multiple_of(self.extent.grain_size()))?;
        self.extend_file(room)?;
        Ok(place)
    }

    /// The bytes of the extent that `grain` holds; the last grain may be cut short by the extent's end.
    fn grain_range(&self, grain: u64) -> Range<u64> {
        let start = grain * self.extent.grain_size();
        start..(start + self.extent.grain_size()).min(self.extent.len())
    }

    /// The places of `count` grains from `first` on, new ones where there are none.
    fn assign(&self, first: u64, count: usize) -> Result<Vec<u64>, WriteError> {
        let mut room = self.room();
        // Another thread may have stored one of them since the caller looked.
        let mut grains = vec![Grain::Unallocated; count];
        self.extent.tables().lookup(first, &mut grains)?;
        let mut places = Vec::with_capacity(count);
        for (grain, state) in (first..).zip(grains) {
            let place = match (state, room.assigned.get(&grain)) {
                (Grain::At(place), _) => place,
                (_, Some(place)) => *place,
                (_, None) => {
                    let place = self.take(&mut room)?;
                    room.assigned.insert(grain, place);
                    place
                }
            };
            places.push(place);
        }
        self.extend_file(&room)?;
        Ok(places)
    }

    /// Lets the tables name the places of the grains from `first` on.
    fn name(&self, first: u64, entries: &[u32]) -> Result<(), WriteError> {
        let mut room = self.room();
        let tables = self.extent.tables();
        let per_table = tables.entries_per_table();
        for table in first / per_table..=(first + entries.len() as u64 - 1) / per_table {
            if tables.directory().place(table)?.is_none() {
                self.add_table(&mut room, table)?;
            }
        }
        tables.store(first, entries)?;
        for (grain, entry) in (first..).zip(entries) {
            if let Some(place) = room.assigned.remove(&grain)
                && u64::from(*entry) * SECTOR != place
            {
                room.free.push(place);
            }
        }
        Ok(())
    }

    /// Adds a table that the directory does not have yet.
    fn add_table(&self, room: &mut Room, table: u64) -> Result<(), WriteError> {
        let tables = self.extent.tables();
        let length = tables.table_bytes().next_multiple_of(SECTOR);
        let copies = 1 + u64::from(tables.redundant().is_some());
        let place = self.append_locked(room, length * copies)?;
        if let Some(redundant) = tables.redundant() {
            redundant.set_place(&*self.file, table, place + length)?;
        }
        tables.directory().set_place(&*self.file, table, place)
    }

    fn take(&self, room: &mut Room) -> Result<u64, WriteError> {
        if let Some(place) = room.free.pop() {
            return Ok(place);
        }
        let place = room.end;
        room.end = check_place(place, self.extent.grain_size())?;
        Ok(place)
    }

    fn give_back(&self, place: u64) -> Result<(), WriteError> {
        if self.is_new {
            self.file.write_zeros_at(place..place + self.extent.grain_size())?;
            self.room().free.push(place);
        } else {
            self.room().freed.push(place);
        }
        Ok(())
    }

    /// Lets the file reach the end of what is assigned.
    fn extend_file(&self, room: &Room) -> Result<(), WriteError> {
        if self.file.len() < room.end {
            self.file.set_len(room.end)?;
        }
        Ok(())
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of `length` bytes at `place`, which an entry of 32 bits must be able to name.
fn check_place(place: u64, length: u64) -> Result<u64, WriteError> {
    if place / SECTOR > u64::from(u32::MAX) {
        return Err(WriteError::Limit(
            "a sparse extent's file cannot grow beyond 2 TiB".into(),
        ));
    }
    Ok(place + length)
}

/// How many of `grains` are written together with the first: neighbours in the file, or alike in not being stored.
fn alike(grains: &[Grain], grain_size: u64) -> usize {
    let neighbours = grains.windows(2).take_while(|pair| match (pair[0], pair[1]) {
        (Grain::At(last), Grain::At(next)) => last.checked_add(grain_size) == Some(next),
        (last, next) => last == next,
    });
    1 + neighbours.count()
}
