//! Large on-disk tables in bounded memory.

use crate::access::ReadAt;
use crate::error::ReadError;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes read at once.
const PAGE: u64 = 64 << 10;
/// Pages kept, 4 MiB in all.
const PAGES_KEPT: usize = 64;

/// An array of entries of `N` bytes at a place of a file (a BAT, a grain table), read when asked and kept a page at a
/// time, so that opening an image costs nothing for a table of any size, and no header field decides how much memory is
/// taken.
pub struct PagedTable<const N: usize> {
    disk: Arc<dyn ReadAt>,
    start: u64,
    count: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    pages: HashMap<u64, (u64, Box<[u8]>)>,
    clock: u64,
}

impl<const N: usize> fmt::Debug for PagedTable<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PagedTable")
            .field("start", &self.start)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<const N: usize> PagedTable<N> {
    /// The table of `count` entries that begins at byte `start` of `disk`; fails where it reaches beyond the end.
    pub fn new(disk: Arc<dyn ReadAt>, start: u64, count: u64) -> Result<Self, ReadError> {
        const { assert!(N > 0 && PAGE.is_multiple_of(N as u64)) };
        let length = count.saturating_mul(N as u64);
        ReadError::check_range(start, length, disk.len())?;
        Ok(Self {
            disk,
            start,
            count,
            kept: Mutex::default(),
        })
    }

    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where entry `index` stands in the file, in bytes.
    pub fn offset_of(&self, index: u64) -> u64 {
        self.start + index * N as u64
    }

    /// The bytes of entry `index`.
    pub fn get(&self, index: u64) -> Result<[u8; N], ReadError> {
        self.check(index)?;
        let (page, within) = Self::place(index);
        let mut kept = self.lock();
        kept.clock += 1;
        let clock = kept.clock;
        if let Some((used, bytes)) = kept.pages.get_mut(&page) {
            *used = clock;
            return Ok(Self::entry(bytes, within));
        }
        let length = PAGE.min(self.count * N as u64 - page * PAGE);
        let mut bytes = vec![0; length as usize].into_boxed_slice();
        self.disk.read_at(&mut bytes, self.start + page * PAGE)?;
        let entry = Self::entry(&bytes, within);
        if kept.pages.len() >= PAGES_KEPT {
            let oldest = kept
                .pages
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(page, _)| *page);
            oldest.and_then(|page| kept.pages.remove(&page));
        }
        kept.pages.insert(page, (clock, bytes));
        Ok(entry)
    }

    /// Notes that entry `index` was written to the file, so that a later [`get`](Self::get) sees it.
    pub fn written(&self, index: u64, entry: [u8; N]) -> Result<(), ReadError> {
        self.check(index)?;
        let (page, within) = Self::place(index);
        if let Some((_, bytes)) = self.lock().pages.get_mut(&page) {
            bytes[within..within + N].copy_from_slice(&entry);
        }
        Ok(())
    }

    /// Forgets what was read, after the file was changed by other means.
    pub fn forget(&self) {
        self.lock().pages.clear();
    }

    fn check(&self, index: u64) -> Result<(), ReadError> {
        ReadError::check_range(index.saturating_mul(N as u64), N as u64, self.count * N as u64)
    }

    fn place(index: u64) -> (u64, usize) {
        let position = index * N as u64;
        (position / PAGE, (position % PAGE) as usize)
    }

    fn entry(page: &[u8], within: usize) -> [u8; N] {
        std::array::from_fn(|i| page[within + i])
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryDisk, WriteAt};

    #[test]
    fn entries_are_found_over_more_pages_than_are_kept() {
        let count = (PAGE / 4) * (PAGES_KEPT as u64 + 3) + 7;
        let disk = Arc::new(MemoryDisk::new(512 + count * 4));
        for index in [0, 1, PAGE / 4, count - 1] {
            disk.write_at(&(index as u32 + 1).to_le_bytes(), 512 + index * 4)
                .unwrap();
        }
        let table = PagedTable::<4>::new(disk, 512, count).unwrap();
        for round in 0..2 {
            for index in (0..count).step_by(PAGE as usize / 4) {
                table.get(index).unwrap();
            }
            for index in [0, 1, PAGE / 4, count - 1] {
                assert_eq!(
                    u32::from_le_bytes(table.get(index).unwrap()),
                    index as u32 + 1,
                    "round {round}"
                );
            }
        }
        assert!(table.lock().pages.len() <= PAGES_KEPT);
        assert!(table.get(count).is_err());
    }

    #[test]
    fn a_written_entry_is_seen() {
        let disk = Arc::new(MemoryDisk::new(64));
        let table = PagedTable::<8>::new(disk.clone(), 0, 8).unwrap();
        assert_eq!(table.get(3).unwrap(), [0; 8]);
        disk.write_at(&[7; 8], table.offset_of(3)).unwrap();
        table.written(3, [7; 8]).unwrap();
        assert_eq!(table.get(3).unwrap(), [7; 8]);
    }

    #[test]
    fn a_table_beyond_the_end_is_refused() {
        let disk: Arc<dyn ReadAt> = Arc::new(MemoryDisk::new(64));
        assert!(PagedTable::<8>::new(disk.clone(), 1, 8).is_err());
        assert!(PagedTable::<8>::new(disk, 0, u64::MAX).is_err());
    }
}
