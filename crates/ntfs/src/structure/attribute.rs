//! Attributes of a file record (`ATTRIBUTE_RECORD_HEADER`).

use super::file_attributes::FileAttributes;
use super::{Structure, align, aligned, fixed_size, moved, part, unit_bytes};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;
use std::fmt;

/// What an attribute is (`ATTRIBUTE_TYPE_CODE`).
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeType(pub u32);

macro_rules! attribute_types {
    ($($(#[$doc:meta])* $constant:ident = $value:literal, $name:literal;)*) => {
        impl AttributeType {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The name that `$AttrDef` gives it, where it is known.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

attribute_types! {
    /// Times, file attributes, owner and security of a file.
    STANDARD_INFORMATION = 0x10, "$STANDARD_INFORMATION";
    /// Where the attributes of a file with several records are.
    ATTRIBUTE_LIST = 0x20, "$ATTRIBUTE_LIST";
    /// A name and its directory.
    FILE_NAME = 0x30, "$FILE_NAME";
    /// An object id.
    OBJECT_ID = 0x40, "$OBJECT_ID";
    /// A security descriptor of the file's own.
    SECURITY_DESCRIPTOR = 0x50, "$SECURITY_DESCRIPTOR";
    /// The volume's label.
    VOLUME_NAME = 0x60, "$VOLUME_NAME";
    /// The volume's version and state.
    VOLUME_INFORMATION = 0x70, "$VOLUME_INFORMATION";
    /// Content: the unnamed stream and the named ones.
    DATA = 0x80, "$DATA";
    /// Root of an index.
    INDEX_ROOT = 0x90, "$INDEX_ROOT";
    /// Blocks of an index.
    INDEX_ALLOCATION = 0xA0, "$INDEX_ALLOCATION";
    /// Which blocks of an index, or records of the MFT, are in use.
    BITMAP = 0xB0, "$BITMAP";
    /// Reparse data.
    REPARSE_POINT = 0xC0, "$REPARSE_POINT";
    /// Sizes of the extended attributes.
    EA_INFORMATION = 0xD0, "$EA_INFORMATION";
    /// Extended attributes.
    EA = 0xE0, "$EA";
    /// Data of transactions (`$TXF_DATA`) and encryption (`$EFS`).
    LOGGED_UTILITY_STREAM = 0x100, "$LOGGED_UTILITY_STREAM";
}

impl AttributeType {
    /// What follows a record's last attribute instead of a type.
    pub const END: Self = Self(0xFFFF_FFFF);
    /// The last type of NTFS 3.1.
    pub const LAST: Self = Self::LOGGED_UTILITY_STREAM;
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute type {:#x}", self.0),
        }
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

bitflags! {
    /// How an attribute's value is stored.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct AttributeFlags: u16 {
        /// Compressed by LZNT1, in units.
        const COMPRESSED = 0x0001;
        /// The bits in which other compressions would show.
        const COMPRESSION_MASK = 0x00FF;
        /// Encrypted by EFS.
        const ENCRYPTED = 0x4000;
        /// With clusters that are not stored.
        const SPARSE = 0x8000;
    }
}

/// The part of `ATTRIBUTE_RECORD_HEADER` that all attributes have.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeHeader {
    /// 0x00: what it is.
    pub type_code: AttributeType,
    /// 0x04: bytes of the attribute, a multiple of 8.
    pub record_length: u32,
    /// 0x08: 0 resident, 1 non-resident.
    pub form_code: u8,
    /// 0x09: units of the name.
    pub name_length: u8,
    /// 0x0A: where the name stands.
    pub name_offset: u16,
    /// 0x0C: how the value is stored.
    #[br(map = AttributeFlags::from_bits_retain)]
    #[bw(map = AttributeFlags::bits)]
    pub flags: AttributeFlags,
    /// 0x0E: a number that no other attribute of the record has.
    pub instance: u16,
}

fixed_size!(AttributeHeader, "attribute header", 0x10);

/// What follows in a resident attribute.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentHeader {
    /// 0x10: bytes of the value.
    pub value_length: u32,
    /// 0x14: where the value stands, a multiple of 8.
    pub value_offset: u16,
    /// 0x16: [`ResidentHeader::INDEXED`] where the value is a key of an index (`$FILE_NAME`).
    pub resident_flags: u8,
    /// 0x17: 0.
    pub reserved: u8,
}

fixed_size!(ResidentHeader, "resident attribute header", 8);

impl ResidentHeader {
    /// The value is in an index.
    pub const INDEXED: u8 = 1;
}

/// What follows in a non-resident attribute.
///
/// The sizes are valid in the attribute that begins at VCN 0; in further extents they are 0.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonResidentHeader {
    /// 0x10: first cluster of the value that this attribute maps.
    pub lowest_vcn: u64,
    /// 0x18: last cluster, `u64::MAX` (−1) where there is none.
    pub highest_vcn: u64,
    /// 0x20: where the mapping pairs stand.
    pub mapping_pairs_offset: u16,
    /// 0x22: binary logarithm of the clusters per compression unit; 0 where neither compressed nor, as a rule, sparse.
    pub compression_unit: u8,
    /// 0x23: 0.
    pub reserved: [u8; 5],
    /// 0x28: bytes of the clusters up to the last, stored or not.
    pub allocated_length: u64,
    /// 0x30: bytes of the value.
    pub file_size: u64,
    /// 0x38: bytes up to which the value was written; beyond it reads as zeros.
    pub valid_data_length: u64,
}

fixed_size!(NonResidentHeader, "non-resident attribute header", 0x30);

/// Where `TotalAllocated` stands: bytes of the clusters that are stored, only in compressed and sparse attributes.
const TOTAL_ALLOCATED_OFFSET: usize = 0x40;

/// An attribute within the bytes of its record.
#[derive(Debug, Clone, Copy)]
pub struct Attribute<'a> {
    /// Where it stands in the record.
    pub offset: usize,
    /// The part that all attributes have.
    pub header: AttributeHeader,
    /// The rest.
    pub form: Form<'a>,
    name: &'a [u8],
}

/// Where an attribute's value is.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// In the record.
    Resident {
        /// Its header.
        header: ResidentHeader,
        /// The value.
        value: &'a [u8],
    },
    /// In clusters.
    NonResident {
        /// Its header.
        header: NonResidentHeader,
        /// 0x40: bytes of the clusters that are stored; only in compressed and sparse attributes that begin at VCN 0.
        total_allocated: Option<u64>,
        /// Its run list, for [`run_list::decode`](super::run_list::decode), with what follows up to the attribute's end.
        mapping_pairs: &'a [u8],
    },
}

impl<'a> Attribute<'a> {
    /// The attribute that is the whole of `bytes` and stands at `offset` of its record.
    fn parse(bytes: &'a [u8], offset: usize, header: AttributeHeader) -> Result<Self, Damage> {
        let name = if header.name_length == 0 {
            &[]
        } else {
            let length = usize::from(header.name_length) * 2;
            part(bytes, usize::from(header.name_offset), length, "attribute name")?
        };
        let form = match header.form_code {
            0 => {
                let resident = ResidentHeader::read_from(bytes, AttributeHeader::SIZE)?;
                let value = part(
                    bytes,
                    usize::from(resident.value_offset),
                    resident.value_length as usize,
                    "resident attribute value",
                )?;
                Form::Resident {
                    header: resident,
                    value,
                }
            }
            1 => {
                let header_end = TOTAL_ALLOCATED_OFFSET;
                let non_resident = NonResidentHeader::read_from(bytes, AttributeHeader::SIZE)?;
                let pairs = usize::from(non_resident.mapping_pairs_offset);
                let has_total = header
                    .flags
                    .intersects(AttributeFlags::COMPRESSED | AttributeFlags::SPARSE)
                    && non_resident.lowest_vcn == 0
                    && pairs >= header_end + 8;
                let total_allocated = match part(bytes, header_end, 8, "total allocated") {
                    Ok(total) if has_total => total.try_into().ok().map(u64::from_le_bytes),
                    _ => None,
                };
                if pairs < header_end || pairs > bytes.len() {
                    return Err(Damage::new(
                        "attribute header, mapping pairs offset",
                        0x20,
                        format!("an offset from 0x40 to {:#x}", bytes.len()),
                        format!("{pairs:#x}"),
                    ));
                }
                Form::NonResident {
                    header: non_resident,
                    total_allocated,
                    mapping_pairs: &bytes[pairs..],
                }
            }
            other => {
                return Err(Damage::new(
                    "attribute header, form code",
                    8,
                    "0 or 1",
                    other.to_string(),
                ));
            }
        };
        Ok(Self {
            offset,
            header,
            form,
            name,
        })
    }

    /// What it is.
    pub fn type_code(&self) -> AttributeType {
        self.header.type_code
    }

    /// Its name, empty where it has none.
    pub fn name(&self) -> Vec<u16> {
        cv_winname::wtf8::from_le_bytes(self.name)
    }

    /// Whether it is named so; `$UpCase` does not count here.
    pub fn is_named(&self, name: &[u16]) -> bool {
        self.name.len() == 2 * name.len() && unit_bytes(name).eq(self.name.iter().copied())
    }

    /// Whether it has a name.
    pub fn has_name(&self) -> bool {
        !self.name.is_empty()
    }

    /// The value, where it is in the record.
    pub fn resident_value(&self) -> Option<&'a [u8]> {
        match self.form {
            Form::Resident { value, .. } => Some(value),
            Form::NonResident { .. } => None,
        }
    }

    /// The first cluster of the value that it maps; 0 where it is resident.
    pub fn lowest_vcn(&self) -> u64 {
        match self.form {
            Form::Resident { .. } => 0,
            Form::NonResident { header, .. } => header.lowest_vcn,
        }
    }
}

/// The attributes of a record in the order they stand there.
///
/// An attribute whose inside is damaged yields an error and the next one follows; where its length is damaged too, the error
/// is the last item.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    record: &'a [u8],
    position: usize,
    ended: bool,
}

impl<'a> Attributes<'a> {
    /// Those of `record`, cut to the bytes in use, from `first` on.
    pub fn new(record: &'a [u8], first: usize) -> Self {
        Self {
            record,
            position: first,
            ended: false,
        }
    }

    fn step(&mut self) -> Result<Option<Attribute<'a>>, Damage> {
        let offset = self.position;
        self.ended = true;
        let type_code = part(self.record, offset, 4, "attribute type or end marker")?;
        if *type_code == AttributeType::END.0.to_le_bytes() {
            return Ok(None);
        }
        let header = AttributeHeader::read_from(self.record, offset)?;
        let length = header.record_length as usize;
        let least = AttributeHeader::SIZE + ResidentHeader::SIZE;
        if length < least || !length.is_multiple_of(8) || length > self.record.len() - offset {
            return Err(Damage::new(
                format!("{} header, record length", header.type_code),
                offset as u64 + 4,
                format!("a multiple of 8 from {least} to {}", self.record.len() - offset),
                length.to_string(),
            ));
        }
        self.ended = false;
        self.position = offset + length;
        Attribute::parse(&self.record[offset..offset + length], offset, header)
            .map(Some)
            .map_err(|damage| super::within(moved(damage, offset as u64), header.type_code))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended { None } else { self.step().transpose() }
    }
}

/// The bytes of a resident attribute.
pub fn encode_resident(
    type_code: AttributeType,
    name: &[u16],
    flags: AttributeFlags,
    instance: u16,
    resident_flags: u8,
    value: &[u8],
) -> Vec<u8> {
    let name_offset = AttributeHeader::SIZE + ResidentHeader::SIZE;
    let value_offset = aligned(name_offset + 2 * name.len());
    let header = AttributeHeader {
        type_code,
        record_length: resident_size(name.len(), value.len()) as u32,
        form_code: 0,
        name_length: name.len() as u8,
        name_offset: name_offset as u16,
        flags,
        instance,
    };
    let resident = ResidentHeader {
        value_length: value.len() as u32,
        value_offset: value_offset as u16,
        resident_flags,
        reserved: 0,
    };
    let mut bytes = header.to_bytes();
    bytes.extend(resident.to_bytes());
    bytes.extend(unit_bytes(name));
    align(&mut bytes);
    bytes.extend_from_slice(value);
    align(&mut bytes);
    bytes
}

/// Bytes of a resident attribute with a name of `name_units` and a value of `value_length` bytes.
pub const fn resident_size(name_units: usize, value_length: usize) -> usize {
    aligned(aligned(AttributeHeader::SIZE + ResidentHeader::SIZE + 2 * name_units) + value_length)
}

/// The bytes of a non-resident attribute.
///
/// `total_allocated` is given for a compressed or sparse attribute that begins at VCN 0, and only there. What
/// `header` says of `mapping_pairs_offset` is replaced.
pub fn encode_non_resident(
    type_code: AttributeType,
    name: &[u16],
    flags: AttributeFlags,
    instance: u16,
    header: &NonResidentHeader,
    total_allocated: Option<u64>,
    mapping_pairs: &[u8],
) -> Vec<u8> {
    let name_offset = TOTAL_ALLOCATED_OFFSET + if total_allocated.is_some() { 8 } else { 0 };
    let common = AttributeHeader {
        type_code,
        record_length: non_resident_size(name.len(), total_allocated.is_some(), mapping_pairs.len()) as u32,
        form_code: 1,
        name_length: name.len() as u8,
        name_offset: name_offset as u16,
        flags,
        instance,
    };
    let non_resident = NonResidentHeader {
        mapping_pairs_offset: aligned(name_offset + 2 * name.len()) as u16,
        ..*header
    };
    let mut bytes = common.to_bytes();
    bytes.extend(non_resident.to_bytes());
    bytes.extend(total_allocated.iter().flat_map(|total| total.to_le_bytes()));
    bytes.extend(unit_bytes(name));
    align(&mut bytes);
    bytes.extend_from_slice(mapping_pairs);
    align(&mut bytes);
    bytes
}

/// Bytes of a non-resident attribute with a name of `name_units` and `pairs_length` bytes of mapping pairs.
pub const fn non_resident_size(name_units: usize, has_total_allocated: bool, pairs_length: usize) -> usize {
    let name_offset = TOTAL_ALLOCATED_OFFSET + if has_total_allocated { 8 } else { 0 };
    aligned(aligned(name_offset + 2 * name_units) + pairs_length)
}

/// The file attributes that an attribute's flags stand for.
pub fn shown_as(flags: AttributeFlags) -> FileAttributes {
    let mut shown = FileAttributes::empty();
    shown.set(FileAttributes::COMPRESSED, flags.contains(AttributeFlags::COMPRESSED));
    shown.set(FileAttributes::SPARSE_FILE, flags.contains(AttributeFlags::SPARSE));
    shown.set(FileAttributes::ENCRYPTED, flags.contains(AttributeFlags::ENCRYPTED));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::run_list;
    use proptest::prelude::*;

    fn record(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = attributes.concat();
        bytes.extend([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
        bytes
    }

    proptest! {
        #[test]
        fn attributes_come_back(
            name in prop::collection::vec(any::<u16>(), 0..20),
            value in prop::collection::vec(any::<u8>(), 0..100),
            total in prop::option::of(any::<u64>()),
        ) {
            let flags = if total.is_some() { AttributeFlags::SPARSE } else { AttributeFlags::empty() };
            let header = NonResidentHeader {
                lowest_vcn: 0,
                highest_vcn: 8,
                mapping_pairs_offset: 0,
                compression_unit: 0,
                reserved: [0; 5],
                allocated_length: 9 * 4096,
                file_size: 9 * 4096 - 1,
                valid_data_length: 7,
            };
            let runs = [run_list::Run { vcn: 0, lcn: Some(5), clusters: 9 }];
            let pairs = run_list::encode(&runs);
            let bytes = record(&[
                encode_resident(AttributeType::DATA, &name, AttributeFlags::empty(), 3, 1, &value),
                encode_non_resident(AttributeType::DATA, &name, flags, 4, &header, total, &pairs),
            ]);
            let read: Vec<_> = Attributes::new(&bytes, 0).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(read[0].name(), name.clone());
            prop_assert_eq!(read[0].resident_value(), Some(&value[..]));
            prop_assert!(read[1].is_named(&name));
            let Form::NonResident { header: back, total_allocated, mapping_pairs } = read[1].form else {
                panic!("resident");
            };
            prop_assert_eq!(total_allocated, total);
            prop_assert_eq!(back.file_size, header.file_size);
            prop_assert_eq!(run_list::decode(mapping_pairs, 0).unwrap(), runs);
            prop_assert_eq!(
                bytes.len() - 8,
                resident_size(name.len(), value.len()) + non_resident_size(name.len(), total.is_some(), pairs.len())
            );
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..400), first in 0_usize..500) {
            let _ = Attributes::new(&bytes, first).count();
        }
    }

    #[test]
    fn a_damaged_attribute_costs_only_itself() {
        let mut bad = encode_resident(AttributeType::FILE_NAME, &[], AttributeFlags::empty(), 0, 0, &[1; 20]);
        bad[0x14] = 200;
        let good = encode_resident(AttributeType::DATA, &[], AttributeFlags::empty(), 1, 0, b"x");
        let bytes = record(&[bad, good]);
        let read: Vec<_> = Attributes::new(&bytes, 0).collect();
        assert!(read[0].is_err());
        assert_eq!(read[1].as_ref().unwrap().resident_value(), Some(&b"x"[..]));
        assert_eq!(read.len(), 2);
    }
}
