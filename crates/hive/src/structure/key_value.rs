//! Key value (`vk`): a value of a key.

use super::fixed_size;
use binrw::binrw;
use bitflags::bitflags;

bitflags! {
    /// What a value is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct KeyValueFlags: u16 {
        /// Each byte of the name is a unit below 256; otherwise the name is UTF-16.
        const COMP_NAME = 0x0001;
        /// In hives of version 1.6: the value below is deleted.
        const TOMBSTONE = 0x0002;
    }
}

/// The key value without its name, which follows.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyValue {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: [u8; 2],
    /// 2: bytes of the name; none in the default value.
    pub name_length: u16,
    /// 4: bytes of the data, and [`INLINE`](Self::INLINE).
    pub data_size: u32,
    /// 8: where the data is, or the data itself.
    pub data_offset: u32,
    /// 12: what the data means.
    pub data_type: u32,
    /// 16: what the value is.
    #[br(map = KeyValueFlags::from_bits_retain)]
    #[bw(map = KeyValueFlags::bits)]
    pub flags: KeyValueFlags,
    /// 18: without meaning.
    pub spare: u16,
}

fixed_size!(KeyValue, "key value", 20);

impl KeyValue {
    /// What a key value begins with.
    pub const SIGNATURE: [u8; 2] = *b"vk";
    /// [`data_size`](Self::data_size): the data stands in [`data_offset`](Self::data_offset).
    pub const INLINE: u32 = 0x8000_0000;
    /// Bytes of the longest data that stands in [`data_offset`](Self::data_offset).
    pub const MAX_INLINE: usize = 4;
    /// Units of the longest name.
    pub const MAX_NAME: usize = 16383;

    /// Bytes of the data.
    pub fn length(&self) -> u32 {
        self.data_size & !Self::INLINE
    }

    /// Whether the data stands in [`data_offset`](Self::data_offset).
    pub fn is_inline(&self) -> bool {
        self.data_size & Self::INLINE != 0
    }
}
