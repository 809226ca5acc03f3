//! The on-disk structures of NTFS 3.1, each declared once for the reader, the writer and the checker.
//!
//! Field names are those of Microsoft's headers in Rust's spelling (`ATTRIBUTE_RECORD_HEADER.ValidDataLength` is
//! [`NonResidentHeader::valid_data_length`]); where Microsoft has published none, those of the Linux-NTFS documentation.
//! Doc comments begin with the field's offset. All numbers are little-endian.
//!
//! Structures of fixed size implement [`Structure`]; those with parts of varying length have a view that borrows the
//! bytes ([`Attribute`], [`IndexEntry`], [`FileName`]) and an `encode` or `to_bytes` that makes them. Whatever the bytes
//! hold, parsing ends, allocates no more than a small multiple of their length, and does not panic. The offsets in the
//! [`Damage`] it reports count from the start of the bytes handed in; [`moved`] makes them offsets in the volume.
//!
//! | module | structures |
//! |---|---|
//! | [`boot_sector`], [`geometry`] | boot sector, and the sizes it says |
//! | [`fixup`] | the update sequence array that protects records and index blocks |
//! | [`file_record`], [`file_reference`] | `FILE` record header, references to records |
//! | [`attribute`], [`run_list`], [`attribute_list`], [`attribute_definition`] | attributes of a record, where their values lie |
//! | [`standard_information`], [`file_name`], [`file_attributes`], [`time`] | what describes a file |
//! | [`index`], [`collation`], [`view_index`] | B-trees of names and of everything else |
//! | [`security`], [`security_descriptor`] | `$Secure`, and what it stores |
//! | [`reparse`], [`extended_attribute`], [`object_id`] | what applications attach to a file |
//! | [`volume_information`], [`upcase_info`], [`log_file`], [`system_file`] | the volume's own files |

pub mod attribute;
pub mod attribute_definition;
pub mod attribute_list;
pub mod boot_sector;
pub mod collation;
pub mod extended_attribute;
pub mod file_attributes;
pub mod file_name;
pub mod file_record;
pub mod file_reference;
pub mod fixup;
pub mod geometry;
pub mod index;
pub mod log_file;
pub mod object_id;
pub mod reparse;
pub mod run_list;
pub mod security;
pub mod security_descriptor;
pub mod standard_information;
pub mod system_file;
pub mod time;
pub mod upcase_info;
pub mod view_index;
pub mod volume_information;

pub use attribute::{
    Attribute, AttributeFlags, AttributeHeader, AttributeType, Attributes, Form, NonResidentHeader, ResidentHeader,
};
pub use attribute_list::AttributeListEntry;
pub use boot_sector::BootSector;
pub use collation::CollationRule;
pub use file_attributes::FileAttributes;
pub use file_name::{FileName, Namespace};
pub use file_record::{FileRecordHeader, RecordFlags};
pub use file_reference::FileReference;
pub use geometry::Geometry;
pub use index::{IndexEntries, IndexEntry, IndexHeader};
pub use run_list::Run;
pub use standard_information::StandardInformation;
pub use time::NtfsTime;

use binrw::meta::{ReadEndian, WriteEndian};
use binrw::{BinRead, BinWrite};
use cv_disk::Damage;
use std::io::Cursor;

/// A structure of fixed size.
pub trait Structure:
    for<'a> BinRead<Args<'a> = ()> + for<'a> BinWrite<Args<'a> = ()> + ReadEndian + WriteEndian
{
    /// What it is called in messages.
    const NAME: &'static str;
    /// Its size in bytes.
    const SIZE: usize;

    /// The structure at `offset` of `bytes`; fails where it does not fit in.
    fn read_from(bytes: &[u8], offset: usize) -> Result<Self, Damage> {
        let part = part(bytes, offset, Self::SIZE, Self::NAME)?;
        Self::read(&mut Cursor::new(part))
            .map_err(|error| Damage::new(Self::NAME, offset as u64, "a valid structure", error.to_string()))
    }

    /// Its bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::with_capacity(Self::SIZE));
        // Writing to memory does not fail, and no structure here has a rule that a value could break.
        let written = self.write(&mut bytes);
        debug_assert!(written.is_ok());
        let mut bytes = bytes.into_inner();
        bytes.resize(Self::SIZE, 0);
        bytes
    }

    /// Puts its bytes at `offset` of `bytes`.
    ///
    /// # Panics
    /// Where they do not fit in.
    fn write_to(&self, bytes: &mut [u8], offset: usize) {
        bytes[offset..offset + Self::SIZE].copy_from_slice(&self.to_bytes());
    }
}

/// `length` bytes at `offset`; fails, naming `structure`, where `bytes` ends before.
#[inline]
pub fn part<'a>(bytes: &'a [u8], offset: usize, length: usize, structure: &str) -> Result<&'a [u8], Damage> {
    match offset.checked_add(length).and_then(|end| bytes.get(offset..end)) {
        Some(part) => Ok(part),
        None => Err(cut_off(bytes.len(), offset, length, structure)),
    }
}

#[cold]
fn cut_off(size: usize, offset: usize, length: usize, structure: &str) -> Damage {
    Damage::new(
        structure,
        offset as u64,
        format!("{length} bytes"),
        format!("{} bytes up to the end", size.saturating_sub(offset)),
    )
}

/// The same damage with an offset that counts from `by` bytes further back.
#[must_use]
pub fn moved(damage: Damage, by: u64) -> Damage {
    Damage {
        offset: damage.offset.saturating_add(by),
        ..damage
    }
}

/// The same damage, said to lie within `outer`.
#[must_use]
pub fn within(damage: Damage, outer: impl std::fmt::Display) -> Damage {
    Damage {
        structure: format!("{outer}: {}", damage.structure),
        ..damage
    }
}

/// `length` rounded up to the eight bytes on which everything in a record is aligned.
pub const fn aligned(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// Appends zeros up to the next multiple of eight bytes.
pub(crate) fn align(bytes: &mut Vec<u8>) {
    bytes.resize(aligned(bytes.len()), 0);
}

/// The little-endian bytes of 16-bit units.
pub(crate) fn unit_bytes(units: &[u16]) -> impl Iterator<Item = u8> + '_ {
    units.iter().flat_map(|unit| unit.to_le_bytes())
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
        let structure = T::read_from(&bytes, 0).unwrap();
        assert_eq!(structure.to_bytes(), bytes, "{}", T::NAME);
        assert!(T::read_from(&bytes[1..], 0).is_err(), "{}", T::NAME);
        assert!(T::read_from(&bytes, usize::MAX).is_err(), "{}", T::NAME);
    }

    #[test]
    fn structures_are_as_long_as_they_say() {
        is_as_long_as_it_says::<BootSector>();
        is_as_long_as_it_says::<fixup::MultiSectorHeader>();
        is_as_long_as_it_says::<FileRecordHeader>();
        is_as_long_as_it_says::<AttributeHeader>();
        is_as_long_as_it_says::<ResidentHeader>();
        is_as_long_as_it_says::<NonResidentHeader>();
        is_as_long_as_it_says::<attribute_list::AttributeListEntryHeader>();
        is_as_long_as_it_says::<attribute_definition::AttributeDefinition>();
        is_as_long_as_it_says::<standard_information::StandardInformationBase>();
        is_as_long_as_it_says::<standard_information::StandardInformationExtension>();
        is_as_long_as_it_says::<file_name::FileNameHeader>();
        is_as_long_as_it_says::<index::IndexRootHeader>();
        is_as_long_as_it_says::<IndexHeader>();
        is_as_long_as_it_says::<index::IndexBlockHeader>();
        is_as_long_as_it_says::<index::IndexEntryHeader>();
        is_as_long_as_it_says::<view_index::SecurityIdKey>();
        is_as_long_as_it_says::<view_index::SecurityHashKey>();
        is_as_long_as_it_says::<view_index::ObjectIdData>();
        is_as_long_as_it_says::<view_index::ReparseKey>();
        is_as_long_as_it_says::<view_index::OwnerIdKey>();
        is_as_long_as_it_says::<view_index::QuotaData>();
        is_as_long_as_it_says::<security::SecurityDescriptorEntryHeader>();
        is_as_long_as_it_says::<security_descriptor::SecurityDescriptorHeader>();
        is_as_long_as_it_says::<security_descriptor::AclHeader>();
        is_as_long_as_it_says::<security_descriptor::AceHeader>();
        is_as_long_as_it_says::<reparse::ReparseHeader>();
        is_as_long_as_it_says::<reparse::LinkNames>();
        is_as_long_as_it_says::<reparse::WofInfo>();
        is_as_long_as_it_says::<extended_attribute::EaInformation>();
        is_as_long_as_it_says::<extended_attribute::EaHeader>();
        is_as_long_as_it_says::<object_id::ObjectId>();
        is_as_long_as_it_says::<volume_information::VolumeInformation>();
        is_as_long_as_it_says::<upcase_info::UpcaseInfo>();
        is_as_long_as_it_says::<log_file::RestartPageHeader>();
        is_as_long_as_it_says::<log_file::RestartArea>();
    }
}
