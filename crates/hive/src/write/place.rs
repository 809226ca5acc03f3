//! Places for cells, one after the other.

use super::error::WriteError;
use crate::structure::{HiveBin, cell};

/// Bytes that the hive bins data has at most: offsets have 31 bits.
const LIMIT: u32 = 1 << 31;
/// Bytes to which a bin grows at most, unless its first cell needs more. Each bin loses some room at its end.
const BIN_GOAL: u32 = 4 * HiveBin::UNIT;

/// Where the next cell goes, and how large the bins before it have become.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    next: u32,
    /// The end of the current bin.
    end: u32,
    /// Bytes of each bin.
    bins: Vec<u32>,
}

impl Places {
    /// The place of a cell that holds `length` bytes.
    #[inline]
    pub fn next(&mut self, length: usize) -> Result<u32, WriteError> {
        let size = cell::size_for(length);
        if size > self.end - self.next {
            self.make_room(size)?;
        }
        let offset = self.next;
        self.next += size;
        Ok(offset)
    }

    /// Lets the current bin grow so that `size` bytes fit in, or begins another.
    #[cold]
    fn make_room(&mut self, size: u32) -> Result<(), WriteError> {
        let missing = u64::from(size - (self.end - self.next)).next_multiple_of(u64::from(HiveBin::UNIT));
        if let Some(bin) = self.bins.last_mut()
            && u64::from(*bin) + missing <= u64::from(BIN_GOAL)
        {
            *bin += missing as u32;
            self.end += missing as u32;
        } else {
            let bin = (u64::from(size) + u64::from(HiveBin::HEADER)).next_multiple_of(u64::from(HiveBin::UNIT));
            if bin > u64::from(LIMIT) {
                return Err(WriteError::TooLarge);
            }
            self.bins.push(bin as u32);
            self.next = self.end + HiveBin::HEADER;
            self.end += bin as u32;
        }
        if self.end > LIMIT {
            return Err(WriteError::TooLarge);
        }
        Ok(())
    }

    /// Bytes of each bin, in their order.
    pub fn into_bins(self) -> Vec<u32> {
        self.bins
    }
}
