//! Cells: the pieces of hive bins that hold everything else.

use super::{NO_CELL, in_file};
use cv_disk::Damage;

/// Bytes of a cell's size field, with which it begins.
pub const SIZE_FIELD: u32 = 4;
/// Cells begin at multiples of this, and their sizes are multiples.
pub const ALIGNMENT: u32 = 8;

/// The size of the cell that holds `length` bytes, its size field included. Saturates.
pub fn size_for(length: usize) -> u32 {
    let size = length.saturating_add(SIZE_FIELD as usize);
    let size = size.checked_next_multiple_of(ALIGNMENT as usize);
    size.and_then(|size| u32::try_from(size).ok())
        .unwrap_or(!(ALIGNMENT - 1))
}

/// The hive bins data, seen as cells. Bins are not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    data: &'a [u8],
}

impl<'a> Cells<'a> {
    /// The cells of the hive bins data that is `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data }
    }

    /// The hive bins data.
    pub fn data(self) -> &'a [u8] {
        self.data
    }

    /// Bytes of the hive bins data.
    pub fn len(self) -> usize {
        self.data.len()
    }

    /// Whether there is no hive bin at all.
    pub fn is_empty(self) -> bool {
        self.data.is_empty()
    }

    /// What the size field at `offset` says: negative where the cell is in use. `None` beyond the end.
    pub fn size_field(self, offset: u32) -> Option<i32> {
        let field = self.data.get(offset as usize..)?.first_chunk()?;
        Some(i32::from_le_bytes(*field))
    }

    /// The content of the cell in use at `offset`, up to its end: what is meant of it may be shorter. `what` is what the
    /// cell should hold, for messages.
    #[inline]
    pub fn get(self, offset: u32, what: &str) -> Result<&'a [u8], Damage> {
        if let Some(size) = self.size_field(offset)
            && offset.is_multiple_of(ALIGNMENT)
            && size < 0
            && size.unsigned_abs().is_multiple_of(ALIGNMENT)
        {
            let start = offset as usize;
            let end = start.checked_add(size.unsigned_abs() as usize);
            if let Some(content) = end.and_then(|end| self.data.get(start + SIZE_FIELD as usize..end)) {
                return Ok(content);
            }
        }
        Err(self.damage(offset, what))
    }

    #[cold]
    fn damage(self, offset: u32, what: &str) -> Damage {
        let structure = format!("cell {offset:#x} ({what})");
        let place = in_file(offset);
        let length = self.data.len();
        if offset == NO_CELL {
            return Damage::new(structure, place, "a cell", "the offset that means none");
        }
        if !offset.is_multiple_of(ALIGNMENT) {
            return Damage::new(structure, place, "an offset divisible by 8", format!("{offset:#x}"));
        }
        let Some(size) = self.size_field(offset) else {
            let found = format!("{offset:#x}");
            return Damage::new(structure, place, format!("an offset below {length:#x}"), found);
        };
        if size >= 0 {
            return Damage::new(structure, place, "a cell in use", format!("a free one, size {size}"));
        }
        let size = size.unsigned_abs();
        if !size.is_multiple_of(ALIGNMENT) {
            return Damage::new(structure, place, "a size divisible by 8", size.to_string());
        }
        let room = length.saturating_sub(offset as usize);
        Damage::new(structure, place, format!("a size of at most {room}"), size.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_hold_the_size_field_and_are_aligned() {
        assert_eq!([0, 4, 5, 12, 13].map(size_for), [8, 8, 16, 16, 24]);
        assert_eq!(size_for(usize::MAX), 0xFFFF_FFF8);
    }

    #[test]
    fn only_whole_cells_in_use_are_given() {
        let mut data = vec![0; 48];
        data[0..4].copy_from_slice(&(-16_i32).to_le_bytes());
        data[16..20].copy_from_slice(&16_i32.to_le_bytes());
        data[32..36].copy_from_slice(&(-24_i32).to_le_bytes());
        let cells = Cells::new(&data);
        assert_eq!(cells.get(0, "test").map(<[u8]>::len), Ok(12));
        for offset in [4, 16, 32, 40, 48, 0x8000_0000, NO_CELL] {
            let damage = cells.get(offset, "test").unwrap_err();
            assert_eq!(damage.offset, u64::from(offset) + 4096);
        }
        data[0..4].copy_from_slice(&i32::MIN.to_le_bytes());
        assert!(Cells::new(&data).get(0, "test").is_err());
        data[0..4].copy_from_slice(&(-12_i32).to_le_bytes());
        assert!(Cells::new(&data).get(0, "test").is_err());
    }
}
