//! The on-disk structures of hives, each declared once for the reader, the writer, the editor and the checker.
//!
//! Field names are those of M. Suhanov's "Windows registry file format specification" in Rust's spelling; doc comments
//! begin with the field's offset. All numbers are little-endian. Offsets of cells count from the start of the hive bins
//! data, which follows the base block: the byte in the file is [`BASE_BLOCK_SIZE`] further on.
//!
//! | module | structures |
//! |---|---|
//! | [`base_block`] | base block (`regf`), its checksum |
//! | [`hive_bin`], [`cell`] | hive bins (`hbin`) and the cells in them |
//! | [`key_node`] | key node (`nk`) and the bits of layered keys |
//! | [`subkeys_list`] | index leaf (`li`), fast leaf (`lf`), hash leaf (`lh`), index root (`ri`), the name hash |
//! | [`key_value`], [`big_data`] | key value (`vk`), big data (`db`) |
//! | [`key_security`], [`security_descriptor`] | key security (`sk`) and what it holds |
//! | [`transaction_log`], [`marvin32`] | transaction logs, old and new, and the hash of their entries |

pub mod base_block;
pub mod big_data;
pub mod cell;
pub mod hive_bin;
pub mod key_node;
pub mod key_security;
pub mod key_value;
pub mod marvin32;
pub mod security_descriptor;
pub mod subkeys_list;
pub mod transaction_log;

pub use base_block::{BASE_BLOCK_SIZE, BaseBlock};
pub use big_data::BigData;
pub use cell::Cells;
pub use hive_bin::HiveBin;
pub use key_node::{KeyNode, KeyNodeFlags};
pub use key_security::KeySecurity;
pub use key_value::{KeyValue, KeyValueFlags};
pub use subkeys_list::{LeafKind, ListHeader};
pub use transaction_log::{DirtyPageReference, LogEntry};

use binrw::meta::{ReadEndian, WriteEndian};
use binrw::{BinRead, BinWrite};
use cv_disk::Damage;
use std::io::Cursor;

/// In place of an offset: there is no such cell.
pub const NO_CELL: u32 = u32::MAX;

/// Where the byte at `offset` of the hive bins data stands in the file.
pub fn in_file(offset: u32) -> u64 {
    u64::from(offset) + BASE_BLOCK_SIZE as u64
}

/// A structure of fixed size.
pub trait Structure:
    for<'a> BinRead<Args<'a> = ()> + for<'a> BinWrite<Args<'a> = ()> + ReadEndian + WriteEndian
{
    /// What it is called in messages.
    const NAME: &'static str;
    /// Its size in bytes.
    const SIZE: usize;

    /// The structure with which `bytes` begin; fails where they are fewer than it has. `place` is where they stand in the
    /// file.
    fn parse(bytes: &[u8], place: u64) -> Result<Self, Damage> {
        let too_short = || {
            let expected = format!("{} bytes", Self::SIZE);
            Damage::new(Self::NAME, place, expected, format!("{} bytes", bytes.len()))
        };
        let part = bytes.get(..Self::SIZE).ok_or_else(too_short)?;
        Self::read(&mut Cursor::new(part))
            .map_err(|error| Damage::new(Self::NAME, place, "a valid structure", error.to_string()))
    }

    /// Puts its bytes at the start of `bytes`.
    ///
    /// # Panics
    /// Where they do not fit in.
    fn put(&self, bytes: &mut [u8]) {
        // Writing to memory does not fail, and no structure here has a rule that a value could break.
        let written = self.write(&mut Cursor::new(&mut bytes[..Self::SIZE]));
        debug_assert!(written.is_ok());
    }

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; Self::SIZE];
        self.put(&mut bytes);
        bytes
    }
}

/// The 32-bit number at `at`, or 0 where `bytes` ends before.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
    number.copied().map_or(0, u32::from_le_bytes)
}

/// Declares how a structure of fixed size is called and how long it is.
macro_rules! fixed_size {
    ($structure:ty, $name:literal, $size:expr) => {
        impl crate::structure::Structure for $structure {
            const NAME: &'static str = $name;
            const SIZE: usize = $size;
        }
    };
}
pub(crate) use fixed_size;

#[cfg(test)]
mod tests {
    use super::*;

    fn is_as_long_as_it_says<T: Structure>() {
        let bytes: Vec<u8> = (0..T::SIZE).map(|number| number as u8 ^ 0x5A).collect();
        let structure = T::parse(&bytes, 0).unwrap();
        assert_eq!(structure.to_bytes(), bytes, "{}", T::NAME);
        assert!(T::parse(&bytes[1..], 0).is_err(), "{}", T::NAME);
    }

    #[test]
    fn structures_are_as_long_as_they_say() {
        is_as_long_as_it_says::<BaseBlock>();
        is_as_long_as_it_says::<HiveBin>();
        is_as_long_as_it_says::<KeyNode>();
        is_as_long_as_it_says::<KeyValue>();
        is_as_long_as_it_says::<KeySecurity>();
        is_as_long_as_it_says::<BigData>();
        is_as_long_as_it_says::<ListHeader>();
        is_as_long_as_it_says::<LogEntry>();
        is_as_long_as_it_says::<DirtyPageReference>();
    }
}
