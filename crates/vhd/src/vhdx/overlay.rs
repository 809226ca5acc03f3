//! The file as it will be when everything logged has reached its place.

use super::structures::LOG_SECTOR;
use cv_disk::{Extent, ExtentKind, ReadAt, ReadError, Stored};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The content of a 4 KiB sector.
pub(super) type Sector = [u8; LOG_SECTOR as usize];

/// What a range holds instead of what the file holds there.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Zeros; the only content that may be longer than a sector.
    Zeros,
    /// A log data sector that stands at `at` of the file, with the bytes that its descriptor keeps.
    Logged {
        at: u64,
        leading: [u8; 8],
        trailing: [u8; 4],
    },
    /// These bytes.
    Held(Arc<Sector>),
}

#[derive(Debug)]
struct Patch {
    end: u64,
    content: Content,
}

/// A file seen through the sectors that its log replaces; the file itself is not touched.
///
/// A reader fills it from the log, which it leaves where it is: only places are kept in memory. A writer keeps in it
/// what it has logged and not yet written home.
pub(super) struct Overlay {
    file: Arc<dyn ReadAt>,
    patches: RwLock<BTreeMap<u64, Patch>>,
    length: AtomicU64,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay")
            .field("length", &self.len())
            .field("patches", &self.read().len())
            .finish_non_exhaustive()
    }
}

impl Overlay {
    /// `file` as it is.
    pub fn new(file: Arc<dyn ReadAt>) -> Self {
        Self {
            file,
            patches: RwLock::default(),
            length: AtomicU64::new(0),
        }
    }

    /// Lets the file appear at least `length` bytes long; what it lacks reads as zeros.
    pub fn extend(&self, length: u64) {
        self.length.fetch_max(length, Ordering::AcqRel);
    }

    /// Replaces `range`, whose ends are multiples of 4 KiB.
    pub fn patch(&self, range: Range<u64>, content: Content) {
        debug_assert!(range.start.is_multiple_of(LOG_SECTOR) && range.end.is_multiple_of(LOG_SECTOR));
        if range.is_empty() {
            return;
        }
        let mut patches = self.write();
        if let Some((_, left)) = patches.range_mut(..range.start).next_back()
            && left.end > range.start
        {
            let end = std::mem::replace(&mut left.end, range.start);
            if end > range.end {
                patches.insert(
                    range.end,
                    Patch {
                        end,
                        content: Content::Zeros,
                    },
                );
            }
        }
        let covered: Vec<u64> = patches.range(range.clone()).map(|(start, _)| *start).collect();
        for start in covered {
            if let Some(patch) = patches.remove(&start)
                && patch.end > range.end
            {
                patches.insert(range.end, patch);
            }
        }
        patches.insert(
            range.start,
            Patch {
                end: range.end,
                content,
            },
        );
    }

    /// What the patches replace, in ascending order.
    pub fn patches(&self) -> Vec<(Range<u64>, Content)> {
        self.read()
            .iter()
            .map(|(start, patch)| (*start..patch.end, patch.content.clone()))
            .collect()
    }

    /// Number of patches.
    pub fn patch_count(&self) -> usize {
        self.read().len()
    }

    /// Drops every patch, after their content has been written to the file.
    pub fn clear(&self) {
        self.write().clear();
    }

    /// The sector at `offset`, a multiple of 4 KiB; beyond the end it is zero.
    pub fn sector(&self, offset: u64) -> Result<Sector, ReadError> {
        let mut sector = [0; LOG_SECTOR as usize];
        let length = self.len().saturating_sub(offset).min(LOG_SECTOR);
        self.read_at(&mut sector[..length as usize], offset)?;
        Ok(sector)
    }

    /// The bytes of a patch's content.
    pub fn content(&self, content: &Content) -> Result<Sector, ReadError> {
        Ok(match content {
            Content::Zeros => [0; LOG_SECTOR as usize],
            Content::Logged { at, leading, trailing } => {
                let mut sector = [0; LOG_SECTOR as usize];
                self.file.read_at(&mut sector, *at)?;
                sector[..8].copy_from_slice(leading);
                sector[LOG_SECTOR as usize - 4..].copy_from_slice(trailing);
                sector
            }
            Content::Held(sector) => **sector,
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Patch>> {
        self.patches.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Patch>> {
        self.patches.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the first patch that meets `offset` or lies behind it starts.
fn first_from(patches: &BTreeMap<u64, Patch>, offset: u64) -> u64 {
    match patches.range(..=offset).next_back() {
        Some((start, patch)) if patch.end > offset => *start,
        _ => offset,
    }
}

impl ReadAt for Overlay {
    fn len(&self) -> u64 {
        self.file.len().max(self.length.load(Ordering::Acquire))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        let patches = self.read();
        let stored = self.file.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        if stored > 0 {
            self.file.read_at(&mut buf[..stored], offset)?;
        }
        buf[stored..].fill(0);
        let end = offset + buf.len() as u64;
        for (start, patch) in patches.range(first_from(&patches, offset)..end) {
            let from = offset.max(*start);
            let to = end.min(patch.end);
            let target = &mut buf[(from - offset) as usize..(to - offset) as usize];
            if let Content::Zeros = patch.content {
                target.fill(0);
            } else {
                let sector = self.content(&patch.content)?;
                target.copy_from_slice(&sector[(from - start) as usize..(to - start) as usize]);
            }
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let size = self.len();
        ReadError::check_range(offset, 1, size)?;
        let patches = self.read();
        let hole = Extent {
            start: offset,
            length: size - offset,
            kind: ExtentKind::Hole,
        };
        match patches.range(first_from(&patches, offset)..).next() {
            Some((start, patch)) if *start <= offset => {
                let kind = match patch.content {
                    Content::Zeros => ExtentKind::Zero,
                    _ => ExtentKind::Data,
                };
                Ok(Extent { kind, ..hole }.clipped(patch.end))
            }
            next => {
                let below = if offset < self.file.len() {
                    self.file.extent_at(offset)?
                } else {
                    hole
                };
                Ok(match next {
                    Some((start, _)) => below.clipped(*start),
                    None => below,
                })
            }
        }
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let patches = self.read();
        let next = patches.range(first_from(&patches, offset)..).next();
        let end = next.map_or(u64::MAX, |(start, _)| *start);
        if end <= offset || offset >= self.file.len() {
            return Ok(None);
        }
        let stored = self.file.stored_at(offset)?;
        Ok(stored.map(|stored| stored.clipped(end - offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, WriteAt};

    fn overlay(size: u64) -> (Arc<MemoryDisk>, Overlay) {
        let disk = Arc::new(MemoryDisk::new(size));
        disk.write_at(&vec![0xAA; size as usize], 0).unwrap();
        (disk.clone(), Overlay::new(disk))
    }

    fn bytes(overlay: &Overlay) -> Vec<u8> {
        let mut bytes = vec![0; overlay.len() as usize];
        overlay.read_at(&mut bytes, 0).unwrap();
        bytes.into_iter().step_by(4096).collect()
    }

    #[test]
    fn later_patches_cut_earlier_ones() {
        let (_, overlay) = overlay(5 * 4096);
        overlay.patch(0..4 * 4096, Content::Zeros);
        overlay.patch(4096..8192, Content::Held(Arc::new([1; 4096])));
        assert_eq!(bytes(&overlay), [0, 1, 0, 0, 0xAA]);
        overlay.patch(4096..3 * 4096, Content::Zeros);
        overlay.patch(3 * 4096..4 * 4096, Content::Held(Arc::new([2; 4096])));
        assert_eq!(bytes(&overlay), [0, 0, 0, 2, 0xAA]);
        overlay.patch(2 * 4096..1 << 50, Content::Zeros);
        assert_eq!(bytes(&overlay), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn it_reaches_beyond_the_file() {
        let (_, overlay) = overlay(4096);
        overlay.extend(3 * 4096);
        overlay.patch(8192..12288, Content::Held(Arc::new([3; 4096])));
        assert_eq!(bytes(&overlay), [0xAA, 0, 3]);
        assert_eq!(overlay.extent_at(4096).unwrap().kind, ExtentKind::Hole);
        assert_eq!(overlay.extent_at(4096).unwrap().end(), 8192);
        assert_eq!(overlay.extent_at(8193).unwrap().kind, ExtentKind::Data);
        let mut byte = [1];
        overlay.read_at(&mut byte, 5000).unwrap();
        assert_eq!(byte, [0]);
    }

    #[test]
    fn a_logged_sector_gets_its_ends_back() {
        let (disk, overlay) = overlay(8192);
        disk.write_at(&[9; 4096], 4096).unwrap();
        overlay.patch(
            0..4096,
            Content::Logged {
                at: 4096,
                leading: [1; 8],
                trailing: [2; 4],
            },
        );
        let sector = overlay.sector(0).unwrap();
        assert_eq!(sector[..9], [1, 1, 1, 1, 1, 1, 1, 1, 9]);
        assert_eq!(sector[4091..], [9, 2, 2, 2, 2]);
    }
}
