//! Extended attributes: `$EA` and `$EA_INFORMATION` (`FILE_FULL_EA_INFORMATION`, \[MS-FSCC\] 2.4.15).

use super::{Structure, fixed_size, part};
use binrw::binrw;
use cv_disk::Damage;

/// `EA_INFORMATION`, the value of `$EA_INFORMATION`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EaInformation {
    /// 0x00: bytes of the attributes in packed form: 5 and name and value each. `$FILE_NAME` repeats it.
    pub packed_ea_size: u16,
    /// 0x02: how many have [`ExtendedAttribute::NEED_EA`].
    pub need_ea_count: u16,
    /// 0x04: bytes of `$EA`.
    pub unpacked_ea_size: u32,
}

fixed_size!(EaInformation, "$EA_INFORMATION", 8);

/// `FILE_FULL_EA_INFORMATION` without name and value.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EaHeader {
    /// 0x00: bytes to the next one, a multiple of 4.
    pub next_entry_offset: u32,
    /// 0x04: [`ExtendedAttribute::NEED_EA`] or 0.
    pub flags: u8,
    /// 0x05: bytes of the name, which follows and ends with NUL.
    pub ea_name_length: u8,
    /// 0x06: bytes of the value, which comes then.
    pub ea_value_length: u16,
}

fixed_size!(EaHeader, "$EA entry", 8);

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// [`NEED_EA`](Self::NEED_EA) or 0.
    pub flags: u8,
    /// Its name in ASCII, in upper case as a rule.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl ExtendedAttribute {
    /// A program that does not know extended attributes may not open the file.
    pub const NEED_EA: u8 = 0x80;

    /// The attributes in `$EA`'s value. One that is damaged is the last item.
    pub fn parse_all(bytes: &[u8]) -> impl Iterator<Item = Result<Self, Damage>> + '_ {
        let mut position = 0;
        std::iter::from_fn(move || {
            if position >= bytes.len() {
                return None;
            }
            let item = Self::parse(bytes, position);
            position = match &item {
                Ok((_, next)) => *next,
                Err(_) => bytes.len(),
            };
            Some(item.map(|(attribute, _)| attribute))
        })
    }

    fn parse(bytes: &[u8], position: usize) -> Result<(Self, usize), Damage> {
        let header = EaHeader::read_from(bytes, position)?;
        let name_length = usize::from(header.ea_name_length);
        let name_start = position + EaHeader::SIZE;
        let name = part(bytes, name_start, name_length, "$EA entry, name")?;
        let value_start = name_start + name_length + 1;
        let value = part(
            bytes,
            value_start,
            usize::from(header.ea_value_length),
            "$EA entry, value",
        )?;
        let least = value_start + value.len() - position;
        let next = match header.next_entry_offset as usize {
            // The last one may say so.
            0 => bytes.len(),
            step if step >= least => position.saturating_add(step),
            step => {
                return Err(Damage::new(
                    "$EA entry, next entry offset",
                    position as u64,
                    format!("0 or at least {least}"),
                    step.to_string(),
                ));
            }
        };
        let attribute = Self {
            flags: header.flags,
            name: name.to_vec(),
            value: value.to_vec(),
        };
        Ok((attribute, next))
    }

    /// The values of `$EA` and `$EA_INFORMATION` for `list`; `None` where a name is longer than 254 bytes, a value than
    /// 65535, or all than the 64 KiB that NTFS allows.
    pub fn encode_all(list: &[Self]) -> Option<(Vec<u8>, EaInformation)> {
        let mut bytes = Vec::new();
        let mut packed = 0;
        for attribute in list {
            let start = bytes.len();
            let length = EaHeader::SIZE + attribute.name.len() + 1 + attribute.value.len();
            let header = EaHeader {
                next_entry_offset: u32::try_from(length.next_multiple_of(4)).ok()?,
                flags: attribute.flags,
                ea_name_length: u8::try_from(attribute.name.len()).ok().filter(|length| *length < 255)?,
                ea_value_length: u16::try_from(attribute.value.len()).ok()?,
            };
            bytes.extend(header.to_bytes());
            bytes.extend_from_slice(&attribute.name);
            bytes.push(0);
            bytes.extend_from_slice(&attribute.value);
            bytes.resize(start + length.next_multiple_of(4), 0);
            packed += 5 + attribute.name.len() + attribute.value.len();
        }
        let information = EaInformation {
            packed_ea_size: u16::try_from(packed).ok()?,
            need_ea_count: list.iter().filter(|one| one.flags & Self::NEED_EA != 0).count() as u16,
            unpacked_ea_size: u32::try_from(bytes.len()).ok().filter(|size| *size <= 0x1_0000)?,
        };
        Some((bytes, information))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn attributes_come_back(list in prop::collection::vec(
            (prop::collection::vec(1_u8.., 1..40), prop::collection::vec(any::<u8>(), 0..200), any::<bool>()), 0..6)) {
            let list: Vec<_> = list.into_iter().map(|(name, value, need)| ExtendedAttribute {
                flags: if need { ExtendedAttribute::NEED_EA } else { 0 }, name, value,
            }).collect();
            let (bytes, information) = ExtendedAttribute::encode_all(&list).unwrap();
            prop_assert_eq!(information.unpacked_ea_size as usize, bytes.len());
            let back: Vec<_> = ExtendedAttribute::parse_all(&bytes).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(back, list);
        }

        #[test]
        fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = ExtendedAttribute::parse_all(&bytes).count();
            if bytes.len() > 4 {
                bytes[1..4].fill(0);
                let _ = ExtendedAttribute::parse_all(&bytes).count();
            }
        }
    }
}
