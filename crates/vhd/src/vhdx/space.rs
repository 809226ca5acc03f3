//! Which parts of the file are free for blocks.

use super::structures::MIB;
use cv_disk::{Resize, WriteError};
use std::collections::BTreeMap;
use std::ops::Range;

/// The file's room in whole MiB.
///
/// What is handed out reads as zeros, whatever happens: either it is new at the file's end, or it was zeroed and that
/// made durable before. So a block that becomes visible while its data is still on the way shows what it showed before.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Zeroed and unreferenced, by start.
    free: BTreeMap<u64, u64>,
    /// Unreferenced as far as the log's reader is concerned only after the next checkpoint.
    waiting: Vec<Range<u64>>,
    /// The end of the last structure; may lie beyond the end of a file that another program cut short.
    end: u64,
}

/// Freed bytes that wait before a checkpoint is made for their sake.
const WAITING_MAX: u64 = 256 << 20;

impl Space {
    /// The room of a file whose structures end at `end` and leave `gaps` unused.
    pub fn new(end: u64, gaps: Vec<Range<u64>>) -> Self {
        Self {
            free: BTreeMap::new(),
            waiting: gaps,
            end,
        }
    }

    /// Takes `length` bytes, a multiple of 1 MiB; lengthens the file where there is no gap of that size.
    pub fn allocate(&mut self, file: &dyn Resize, length: u64) -> Result<u64, WriteError> {
        let gap = self
            .free
            .iter()
            .find(|(start, end)| *end - *start >= length)
            .map(|(start, end)| *start..*end);
        if let Some(gap) = gap {
            self.free.remove(&gap.start);
            if gap.end - gap.start > length {
                self.free.insert(gap.start + length, gap.end);
            }
            return Ok(gap.start);
        }
        let file_end = file.len().max(self.end).next_multiple_of(MIB);
        let start = match self.free.last_key_value() {
            Some((start, end)) if *end == file_end => *start,
            _ => file_end,
        };
        let end = start
            .checked_add(length)
            .ok_or_else(|| WriteError::Limit("the file would be longer than a file can be".into()))?;
        file.set_len(end)?;
        self.free.remove(&start);
        self.end = end;
        Ok(start)
    }

    /// Notes that `range` is no longer used; it is not handed out before [`recycle`](Self::recycle).
    pub fn release(&mut self, range: Range<u64>) {
        self.waiting.push(range);
    }

    /// Whether so much waits that a checkpoint should be made.
    pub fn wants_checkpoint(&self) -> bool {
        self.waiting.iter().map(|range| range.end - range.start).sum::<u64>() >= WAITING_MAX
    }

    /// Zeroes what was released and makes it available. Nothing on stable storage may refer to it any more, and what
    /// refers to it next must reach stable storage after the zeros.
    pub fn recycle(&mut self, file: &dyn Resize) -> Result<(), WriteError> {
        while let Some(range) = self.waiting.last() {
            let end = range.end.min(file.len());
            if range.start < end {
                file.write_zeros_at(range.start..end)?;
            }
            let range = range.clone();
            self.waiting.pop();
            self.insert(range);
        }
        Ok(())
    }

    fn insert(&mut self, mut range: Range<u64>) {
        if let Some((start, end)) = self.free.range(..range.start).next_back()
            && *end == range.start
        {
            range.start = *start;
        }
        if let Some(end) = self.free.remove(&range.end) {
            range.end = end;
        }
        self.free.insert(range.start, range.end);
    }

    /// Where the file may be cut off: behind the last structure, once nothing in the log refers to what was released.
    pub fn used_end(&self, file_end: u64) -> u64 {
        let mut unused: Vec<(u64, u64)> = self.free.iter().map(|(start, end)| (*end, *start)).collect();
        unused.extend(self.waiting.iter().map(|range| (range.end, range.start)));
        unused.sort_unstable();
        let mut used_end = file_end;
        while let Some((end, start)) = unused.pop() {
            if end < used_end {
                break;
            }
            used_end = used_end.min(start);
        }
        used_end
    }

    /// Forgets what lies at and behind `end`, where the file was cut off.
    pub fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
        self.free.split_off(&end);
        self.waiting.retain(|range| range.start < end);
    }
}

/// Which MiB of a file its structures take; finds those taken twice.
#[derive(Debug, Default)]
pub(super) struct UsedMap {
    words: Vec<u64>,
}

impl UsedMap {
    /// Bytes of a file that are kept track of: a full 64 TiB disk with all its bitmaps takes far less.
    pub const REACH: u64 = 256 << 40;

    /// Marks `range`, whose start is a multiple of 1 MiB and whose end is within [`REACH`](Self::REACH); says whether
    /// all of it was unused.
    pub fn mark(&mut self, range: &Range<u64>) -> bool {
        let units = range.start / MIB..range.end.div_ceil(MIB);
        let words = units.end.div_ceil(64) as usize;
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        let mut unused = true;
        let mut unit = units.start;
        while unit < units.end {
            let bit = unit % 64;
            let count = (64 - bit).min(units.end - unit);
            let mask = (u64::MAX >> (64 - count)) << bit;
            let word = &mut self.words[(unit / 64) as usize];
            unused &= *word & mask == 0;
            *word |= mask;
            unit += count;
        }
        unused
    }

    /// The unused ranges between `start` and `end`, in whole MiB.
    pub fn gaps(&self, start: u64, end: u64) -> Vec<Range<u64>> {
        let mut gaps: Vec<Range<u64>> = Vec::new();
        let is_used = |unit: u64| {
            self.words
                .get((unit / 64) as usize)
                .is_some_and(|word| word >> (unit % 64) & 1 == 1)
        };
        let end = end / MIB;
        let known = end.min(self.words.len() as u64 * 64);
        let mut add = |units: Range<u64>| match gaps.last_mut() {
            _ if units.is_empty() => {}
            Some(gap) if gap.end == units.start * MIB => gap.end = units.end * MIB,
            _ => gaps.push(units.start * MIB..units.end * MIB),
        };
        (start / MIB..known)
            .filter(|unit| !is_used(*unit))
            .for_each(|unit| add(unit..unit + 1));
        add(known..end);
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, ReadAt, WriteAt};

    #[test]
    fn gaps_are_used_again_after_recycling() {
        let file = MemoryDisk::new(4 * MIB);
        file.write_at(&[1; 4096], 2 * MIB).unwrap();
        let gap = 2 * MIB..3 * MIB;
        let mut space = Space::new(4 * MIB, Vec::from([gap]));
        assert_eq!(space.allocate(&file, MIB).unwrap(), 4 * MIB);
        space.recycle(&file).unwrap();
        assert_eq!(space.allocate(&file, MIB).unwrap(), 2 * MIB);
        assert_eq!(file.to_vec()[2 << 20], 0);
        space.release(4 * MIB..5 * MIB);
        space.recycle(&file).unwrap();
        assert_eq!(space.allocate(&file, 2 * MIB).unwrap(), 4 * MIB);
        assert_eq!(file.len(), 6 * MIB);
    }

    #[test]
    fn overlaps_and_gaps_are_found() {
        let mut map = UsedMap::default();
        assert!(map.mark(&(MIB..2 * MIB)));
        assert!(map.mark(&(60 * MIB..200 * MIB)));
        assert!(!map.mark(&(199 * MIB..201 * MIB)));
        let gap = 2 * MIB..60 * MIB;
        assert_eq!(map.gaps(MIB, 201 * MIB), std::slice::from_ref(&gap));
        assert_eq!(map.gaps(MIB, 1000 * MIB + 5), [gap, 201 * MIB..1000 * MIB]);
    }
}
