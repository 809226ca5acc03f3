//! The bitmap before each block, which says which of its sectors the file holds.

use super::layout::SECTOR;
use cv_disk::ReadError;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sector bitmap of one block. The first sector is the most significant bit of the first byte; 1 says that the
/// block holds the sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SectorBitmap {
    /// Every sector is held.
    Full,
    /// No sector is held.
    Empty,
    /// Some are.
    Mixed(Arc<[u8]>),
}

impl SectorBitmap {
    /// The bitmap of a block of `sectors` sectors; bits beyond them mean nothing.
    pub fn from_bytes(bytes: &[u8], sectors: u64) -> Self {
        let whole = (sectors / 8) as usize;
        let rest = sectors % 8;
        let mask = if rest == 0 { 0 } else { !(0xFF_u8 >> rest) };
        let last = if rest == 0 { 0 } else { bytes[whole] & mask };
        let all = |value: u8| bytes[..whole].iter().all(|byte| *byte == value);
        if all(0xFF) && last == mask {
            Self::Full
        } else if all(0) && last == 0 {
            Self::Empty
        } else {
            Self::Mixed(bytes.into())
        }
    }

    /// The bitmap's bytes, `length` long, for a block of `sectors` sectors.
    pub fn to_bytes(&self, length: u64, sectors: u64) -> Vec<u8> {
        let mut bytes = vec![0; length as usize];
        match self {
            Self::Full => set(&mut bytes, 0..sectors),
            Self::Empty => {}
            Self::Mixed(held) => bytes.copy_from_slice(held),
        }
        bytes
    }

    /// Whether sector `from` is held, and where the run of sectors of that kind ends, at `sectors` at the latest.
    pub fn run(&self, from: u64, sectors: u64) -> (bool, u64) {
        let bytes = match self {
            Self::Full => return (true, sectors),
            Self::Empty => return (false, sectors),
            Self::Mixed(bytes) => bytes,
        };
        let is_set = |sector: u64| bytes[(sector / 8) as usize] & (0x80 >> (sector % 8)) != 0;
        let held = is_set(from);
        let uniform = if held { 0xFF } else { 0 };
        let mut end = from + 1;
        while end < sectors {
            if end.is_multiple_of(8) && bytes[(end / 8) as usize] == uniform {
                end += 8;
            } else if is_set(end) == held {
                end += 1;
            } else {
                break;
            }
        }
        (held, end.min(sectors))
    }

    /// Whether every sector of `range` is held.
    pub fn holds(&self, range: Range<u64>) -> bool {
        let (held, end) = self.run(range.start, range.end);
        held && end == range.end
    }
}

/// Sets the bits of `sectors`.
pub(super) fn set(bytes: &mut [u8], sectors: Range<u64>) {
    for sector in sectors {
        bytes[(sector / 8) as usize] |= 0x80 >> (sector % 8);
    }
}

/// The sectors that bytes `range` of a block touch.
pub(super) fn sectors_of(range: &Range<u64>) -> Range<u64> {
    range.start / SECTOR..range.end.div_ceil(SECTOR)
}

/// Bitmaps read lately, by block.
#[derive(Debug, Default)]
pub(super) struct BitmapCache {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bitmaps: HashMap<u64, SectorBitmap>,
    mixed_bytes: usize,
}

/// Blocks remembered at most.
const BLOCKS: usize = 1 << 15;
/// Bytes of mixed bitmaps remembered at most.
const MIXED_BYTES: usize = 4 << 20;

impl Kept {
    fn insert(&mut self, block: u64, bitmap: SectorBitmap) {
        if self.bitmaps.len() >= BLOCKS || self.mixed_bytes >= MIXED_BYTES {
            *self = Self::default();
        }
        if let SectorBitmap::Mixed(bytes) = &bitmap {
            self.mixed_bytes += bytes.len();
        }
        if let Some(SectorBitmap::Mixed(bytes)) = self.bitmaps.insert(block, bitmap) {
            self.mixed_bytes -= bytes.len();
        }
    }
}

impl BitmapCache {
    /// The bitmap of `block`, read with `read` where it is not remembered.
    ///
    /// The lock is held meanwhile: else a bitmap read before a change could be remembered after it.
    pub fn get(
        &self,
        block: u64,
        read: impl FnOnce() -> Result<SectorBitmap, ReadError>,
    ) -> Result<SectorBitmap, ReadError> {
        let mut kept = self.lock();
        if let Some(bitmap) = kept.bitmaps.get(&block) {
            return Ok(bitmap.clone());
        }
        let bitmap = read()?;
        kept.insert(block, bitmap.clone());
        Ok(bitmap)
    }

    /// Remembers that the bitmap of `block` in the file is now `bitmap`.
    pub fn written(&self, block: u64, bitmap: SectorBitmap) {
        self.lock().insert(block, bitmap);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_found_across_bytes() {
        let mut bytes = vec![0; 512];
        set(&mut bytes, 5..40);
        let bitmap = SectorBitmap::from_bytes(&bytes, 64);
        assert_eq!(bitmap.run(0, 64), (false, 5));
        assert_eq!(bitmap.run(5, 64), (true, 40));
        assert_eq!(bitmap.run(20, 38), (true, 38));
        assert_eq!(bitmap.run(40, 64), (false, 64));
        assert!(bitmap.holds(5..40));
        assert!(!bitmap.holds(4..40));
    }

    #[test]
    fn padding_bits_mean_nothing() {
        let mut bytes = vec![0; 512];
        set(&mut bytes, 0..4);
        assert_eq!(SectorBitmap::from_bytes(&bytes, 4), SectorBitmap::Full);
        bytes[0] = 0x0F;
        assert_eq!(SectorBitmap::from_bytes(&bytes, 4), SectorBitmap::Empty);
        assert_eq!(SectorBitmap::Full.to_bytes(512, 4)[0], 0xF0);
    }
}
