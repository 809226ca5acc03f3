//! Which parts of a file are taken, to find what is taken twice.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Units of one piece of the map.
const PIECE: u64 = 4096;

/// Grains that begin at places off the grid, remembered one by one, at most.
const ODD_MAX: usize = 1 << 20;

/// The structures of a file, apart from its grains.
#[derive(Debug, Default)]
pub(super) struct TakenRanges {
    ranges: BTreeMap<u64, u64>,
}

impl TakenRanges {
    /// Takes `range`; whether nothing of it was taken before.
    pub fn take(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return true;
        }
        let is_free = !self.meets(&range);
        // Neighbours become one, so that a table for each of a million tables' neighbours is a single range.
        let mut merged = range;
        while let Some((&start, &end)) = self.ranges.range(..=merged.end).next_back() {
            if end < merged.start {
                break;
            }
            self.ranges.remove(&start);
            merged = start.min(merged.start)..end.max(merged.end);
        }
        self.ranges.insert(merged.start, merged.end);
        is_free
    }

    /// Whether something of `range` is taken.
    pub fn meets(&self, range: &Range<u64>) -> bool {
        let before = self.ranges.range(..range.end).next_back();
        before.is_some_and(|(_, &end)| end > range.start)
    }

    /// Bytes taken.
    pub fn total(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }
}

/// The grains of a file: a bit for each, which is exact while they stand on one grid, as they do in nearly every file.
#[derive(Debug)]
pub(super) struct TakenGrains {
    size: u64,
    /// Where the grid begins within a grain's size.
    grid: Option<u64>,
    pieces: HashMap<u64, Box<[u64]>>,
    /// The grains off the grid, by the unit in which they begin.
    odd: HashMap<u64, u64>,
    count: u64,
}

impl TakenGrains {
    /// No grain yet, of `size` bytes each.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            grid: None,
            pieces: HashMap::new(),
            odd: HashMap::new(),
            count: 0,
        }
    }

    /// Takes the grain that begins at `offset`; whether no other overlaps it.
    pub fn take(&mut self, offset: u64) -> bool {
        let (unit, within) = (offset / self.size, offset % self.size);
        let grid = *self.grid.get_or_insert(within);
        let before = unit.checked_sub(1).and_then(|unit| self.begin_in(unit));
        let is_free = self.begin_in(unit).is_none()
            && before.is_none_or(|before| before <= within)
            && self.begin_in(unit + 1).is_none_or(|after| after >= within);
        let piece = self
            .pieces
            .entry(unit / PIECE)
            .or_insert_with(|| vec![0; (PIECE / 64) as usize].into());
        piece[(unit % PIECE / 64) as usize] |= 1 << (unit % 64);
        if within != grid && self.odd.len() < ODD_MAX {
            self.odd.insert(unit, within);
        }
        self.count += u64::from(is_free);
        is_free
    }

    /// Where within `unit` a grain begins.
    fn begin_in(&self, unit: u64) -> Option<u64> {
        let piece = self.pieces.get(&(unit / PIECE))?;
        let is_taken = piece[(unit % PIECE / 64) as usize] & (1 << (unit % 64)) != 0;
        is_taken.then(|| self.odd.get(&unit).copied().or(self.grid).unwrap_or(0))
    }

    /// Grains taken.
    pub fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_joined_and_overlaps_seen() {
        let mut taken = TakenRanges::default();
        assert!(taken.take(10..20));
        assert!(taken.take(30..40));
        assert!(taken.take(20..30));
        assert_eq!(taken.ranges.len(), 1);
        assert!(!taken.take(39..41));
        assert!(taken.meets(&(0..11)) && !taken.meets(&(0..10)) && !taken.meets(&(41..50)));
        assert_eq!(taken.total(), 31);
    }

    #[test]
    fn grains_overlap_on_and_off_the_grid() {
        let mut taken = TakenGrains::new(100);
        assert!(taken.take(1000) && taken.take(1100) && taken.take(1300));
        assert!(!taken.take(1100));
        assert!(!taken.take(1250), "reaches into the grain at 1300");
        let mut taken = TakenGrains::new(100);
        assert!(taken.take(1000) && taken.take(1150) && taken.take(1250));
        assert!(!taken.take(1300), "begins within the grain at 1250");
        assert_eq!(taken.count(), 3);
    }
}
