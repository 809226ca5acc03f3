//! `$ATTRIBUTE_LIST`: where the attributes of a file with several records are (`ATTRIBUTE_LIST_ENTRY`).

use super::attribute::AttributeType;
use super::file_reference::FileReference;
use super::{Structure, align, aligned, fixed_size, moved, part, unit_bytes};
use binrw::binrw;
use cv_disk::Damage;

/// The fixed part of `ATTRIBUTE_LIST_ENTRY`; the name follows, and padding to eight bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeListEntryHeader {
    /// 0x00: what the attribute is.
    pub attribute_type_code: AttributeType,
    /// 0x04: bytes of the entry, a multiple of 8.
    pub record_length: u16,
    /// 0x06: units of the name.
    pub attribute_name_length: u8,
    /// 0x07: where the name stands in the entry, 0x1A.
    pub attribute_name_offset: u8,
    /// 0x08: first cluster of the value that the attribute maps.
    pub lowest_vcn: u64,
    /// 0x10: the record it stands in.
    pub segment_reference: FileReference,
    /// 0x18: its instance in that record.
    pub instance: u16,
}

fixed_size!(AttributeListEntryHeader, "attribute list entry", 0x1A);

/// An entry with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeListEntry {
    /// What the attribute is.
    pub type_code: AttributeType,
    /// Its name, empty where it has none.
    pub name: Vec<u16>,
    /// First cluster of the value that it maps.
    pub lowest_vcn: u64,
    /// The record it stands in.
    pub segment_reference: FileReference,
    /// Its instance in that record.
    pub instance: u16,
}

impl AttributeListEntry {
    /// Bytes of an entry with a name of `name_units`.
    pub const fn size(name_units: usize) -> usize {
        aligned(AttributeListEntryHeader::SIZE + 2 * name_units)
    }

    /// Its bytes, padded.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = AttributeListEntryHeader {
            attribute_type_code: self.type_code,
            record_length: Self::size(self.name.len()) as u16,
            attribute_name_length: self.name.len() as u8,
            attribute_name_offset: AttributeListEntryHeader::SIZE as u8,
            lowest_vcn: self.lowest_vcn,
            segment_reference: self.segment_reference,
            instance: self.instance,
        };
        let mut bytes = header.to_bytes();
        bytes.extend(unit_bytes(&self.name));
        align(&mut bytes);
        bytes
    }
}

/// The entries of the attribute list whose value is `bytes`. An entry that is damaged ends them.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<AttributeListEntry, Damage>> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        if position >= bytes.len() {
            return None;
        }
        let entry = entry(bytes, position);
        position = match &entry {
            Ok((_, end)) => *end,
            Err(_) => bytes.len(),
        };
        Some(entry.map(|(entry, _)| entry))
    })
}

fn entry(bytes: &[u8], position: usize) -> Result<(AttributeListEntry, usize), Damage> {
    let header = AttributeListEntryHeader::read_from(bytes, position)?;
    let length = usize::from(header.record_length);
    if length < AttributeListEntryHeader::SIZE || !length.is_multiple_of(8) || length > bytes.len() - position {
        return Err(Damage::new(
            "attribute list entry, record length",
            position as u64 + 4,
            format!("a multiple of 8 from 32 to {}", bytes.len() - position),
            length.to_string(),
        ));
    }
    let name = part(
        &bytes[position..position + length],
        usize::from(header.attribute_name_offset),
        usize::from(header.attribute_name_length) * 2,
        "attribute list entry, name",
    )
    .map_err(|damage| moved(damage, position as u64))?;
    let entry = AttributeListEntry {
        type_code: header.attribute_type_code,
        name: cv_winname::wtf8::from_le_bytes(name),
        lowest_vcn: header.lowest_vcn,
        segment_reference: header.segment_reference,
        instance: header.instance,
    };
    Ok((entry, position + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn entries_come_back(names in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..30), 0..6)) {
            let list: Vec<_> = names.into_iter().enumerate().map(|(number, name)| AttributeListEntry {
                type_code: AttributeType::DATA,
                name,
                lowest_vcn: number as u64 * 7,
                segment_reference: FileReference::new(number as u64, 3),
                instance: number as u16,
            }).collect();
            let bytes: Vec<u8> = list.iter().flat_map(AttributeListEntry::to_bytes).collect();
            prop_assert_eq!(entries(&bytes).collect::<Result<Vec<_>, _>>().unwrap(), list);
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = entries(&bytes).count();
        }
    }
}
