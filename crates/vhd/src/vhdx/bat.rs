//! The block allocation table: where each block of the virtual disk lies ([MS-VHDX] section 2.5).

use super::structures::MIB;

/// What the BAT says of a payload block (section 2.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum BlockState {
    /// `PAYLOAD_BLOCK_NOT_PRESENT`: the parent is asked; without one it reads as zeros.
    NotPresent,
    /// `PAYLOAD_BLOCK_UNDEFINED`: reads as zeros here; the parent is not asked.
    Undefined,
    /// `PAYLOAD_BLOCK_ZERO`: zeros; the parent is not asked.
    Zero,
    /// `PAYLOAD_BLOCK_UNMAPPED`: reads as zeros here; the parent is not asked.
    Unmapped,
    /// `PAYLOAD_BLOCK_FULLY_PRESENT`: stored as a whole.
    FullyPresent,
    /// `PAYLOAD_BLOCK_PARTIALLY_PRESENT`: the sector bitmap says which sectors are stored and which the parent holds.
    PartiallyPresent,
}

impl BlockState {
    /// Whether the block's content lies in this file.
    pub fn is_stored(self) -> bool {
        matches!(self, Self::FullyPresent | Self::PartiallyPresent)
    }
}

/// A BAT entry (section 2.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatEntry(pub u64);

impl BatEntry {
    const STATE: u64 = 7;
    const RESERVED: u64 = (MIB - 1) & !Self::STATE;

    /// A payload block's entry; `file_offset` is a multiple of 1 MiB.
    pub fn payload(state: BlockState, file_offset: u64) -> Self {
        debug_assert!(file_offset.is_multiple_of(MIB));
        Self(
            file_offset
                | match state {
                    BlockState::NotPresent => 0,
                    BlockState::Undefined => 1,
                    BlockState::Zero => 2,
                    BlockState::Unmapped => 3,
                    BlockState::FullyPresent => 6,
                    BlockState::PartiallyPresent => 7,
                },
        )
    }

    /// The entry of a sector bitmap block that is stored at `file_offset`.
    pub fn sector_bitmap(file_offset: u64) -> Self {
        Self::payload(BlockState::FullyPresent, file_offset)
    }

    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// The state field as stored.
    pub fn state_bits(self) -> u64 {
        self.0 & Self::STATE
    }

    /// The state of a payload block; `None` for the reserved values 4 and 5.
    pub fn state(self) -> Option<BlockState> {
        Some(match self.state_bits() {
            0 => BlockState::NotPresent,
            1 => BlockState::Undefined,
            2 => BlockState::Zero,
            3 => BlockState::Unmapped,
            6 => BlockState::FullyPresent,
            7 => BlockState::PartiallyPresent,
            _ => return None,
        })
    }

    /// Where the block lies, in bytes.
    pub fn file_offset(self) -> u64 {
        self.0 & !(MIB - 1)
    }

    /// The bits that must be zero.
    pub fn reserved(self) -> u64 {
        self.0 & Self::RESERVED
    }
}

/// Sizes that decide how the virtual disk is divided into blocks and where their BAT entries stand (section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of the virtual disk.
    pub virtual_size: u64,
    /// Bytes of a payload block.
    pub block_size: u64,
    /// Bytes of a logical sector, one bit of a sector bitmap each.
    pub logical_sector_size: u64,
    /// Whether what is not present is asked of a parent.
    pub has_parent: bool,
}

impl Geometry {
    /// Bytes of a sector bitmap block.
    pub const BITMAP_BLOCK: u64 = MIB;

    /// Payload blocks to each sector bitmap block.
    pub fn chunk_ratio(&self) -> u64 {
        (1 << 23) * self.logical_sector_size / self.block_size
    }

    /// Number of payload blocks.
    pub fn block_count(&self) -> u64 {
        self.virtual_size.div_ceil(self.block_size)
    }

    /// Number of chunks, each with a sector bitmap block of its own.
    pub fn chunk_count(&self) -> u64 {
        self.block_count().div_ceil(self.chunk_ratio())
    }

    /// Number of BAT entries.
    pub fn entry_count(&self) -> u64 {
        if self.has_parent {
            self.chunk_count() * (self.chunk_ratio() + 1)
        } else {
            let blocks = self.block_count();
            blocks + blocks.saturating_sub(1) / self.chunk_ratio()
        }
    }

    /// The BAT index of a payload block.
    pub fn payload_index(&self, block: u64) -> u64 {
        block + block / self.chunk_ratio()
    }

    /// The BAT index of a chunk's sector bitmap block.
    pub fn bitmap_index(&self, chunk: u64) -> u64 {
        chunk * (self.chunk_ratio() + 1) + self.chunk_ratio()
    }

    /// Whether a BAT index is that of a sector bitmap block.
    pub fn is_bitmap_index(&self, index: u64) -> bool {
        index % (self.chunk_ratio() + 1) == self.chunk_ratio()
    }

    /// The payload block of a BAT index that is not a sector bitmap block's.
    pub fn block_at(&self, index: u64) -> u64 {
        index - index / (self.chunk_ratio() + 1)
    }

    /// The chunk that a payload block belongs to.
    pub fn chunk_of(&self, block: u64) -> u64 {
        block / self.chunk_ratio()
    }

    /// Bytes of the virtual disk that lie in payload block `block`: less than a block at the disk's end.
    pub fn length_of(&self, block: u64) -> u64 {
        self.virtual_size
            .saturating_sub(block * self.block_size)
            .min(self.block_size)
    }

    /// Bytes of a sector bitmap block that belong to one payload block.
    pub fn bitmap_bytes(&self) -> u64 {
        self.block_size / self.logical_sector_size / 8
    }

    /// Where in its sector bitmap block the bits of payload block `block` begin, in bytes.
    pub fn bitmap_start(&self, block: u64) -> u64 {
        block % self.chunk_ratio() * self.bitmap_bytes()
    }

    /// Bytes of a BAT region that holds every entry: whole MiB.
    pub fn bat_length(&self) -> u64 {
        (self.entry_count() * 8).next_multiple_of(MIB).max(MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(virtual_size: u64, block_size: u64, logical_sector_size: u64, has_parent: bool) -> Geometry {
        Geometry {
            virtual_size,
            block_size,
            logical_sector_size,
            has_parent,
        }
    }

    #[test]
    fn a_chunk_is_four_gibibytes_of_small_sectors() {
        let geometry = geometry(10 << 30, 32 << 20, 512, false);
        assert_eq!(geometry.chunk_ratio(), 128);
        assert_eq!(geometry.block_count(), 320);
        assert_eq!(geometry.entry_count(), 320 + 2);
        assert_eq!(geometry.payload_index(127), 127);
        assert_eq!(geometry.payload_index(128), 129);
        assert_eq!(geometry.block_at(129), 128);
        assert_eq!(geometry.bitmap_index(0), 128);
        assert_eq!(geometry.bitmap_bytes() * geometry.chunk_ratio(), MIB);
    }

    #[test]
    fn a_differencing_table_ends_with_a_bitmap_entry() {
        let geometry = geometry(1, 1 << 20, 4096, true);
        assert_eq!(geometry.chunk_ratio(), 32768);
        assert_eq!(geometry.entry_count(), 32769);
        assert_eq!(geometry.bitmap_index(0), 32768);
    }

    #[test]
    fn an_empty_disk_has_no_entry() {
        assert_eq!(geometry(0, 1 << 20, 512, false).entry_count(), 0);
        assert_eq!(geometry(0, 1 << 20, 512, true).entry_count(), 0);
    }

    #[test]
    fn entries_keep_state_and_place() {
        let entry = BatEntry::payload(BlockState::PartiallyPresent, 7 * MIB);
        assert_eq!(entry.0, 0x70_0007);
        assert_eq!(entry.state(), Some(BlockState::PartiallyPresent));
        assert_eq!(entry.file_offset(), 7 * MIB);
        assert_eq!(BatEntry(0x70_0F06).reserved(), 0xF00);
        assert_eq!(BatEntry(4).state(), None);
    }
}
