//! `$AttrDef`: the table of attribute types (`ATTRIBUTE_DEFINITION_COLUMNS`).

use super::attribute::AttributeType;
use super::collation::CollationRule;
use super::{Structure, fixed_size, unit_bytes};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;

bitflags! {
    /// What the table allows for a type.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct DefinitionFlags: u32 {
        /// Its values are keys of an index.
        const INDEXABLE = 0x0002;
        /// A file may have several with the same value.
        const DUPLICATES_ALLOWED = 0x0004;
        /// Its value is never empty.
        const MAY_NOT_BE_NULL = 0x0008;
        /// It has no name.
        const MUST_BE_INDEXED = 0x0010;
        /// Its name is unique in the file.
        const MUST_BE_NAMED = 0x0020;
        /// It is always resident.
        const MUST_BE_RESIDENT = 0x0040;
        /// Its changes are logged even where it is non-resident.
        const LOG_NONRESIDENT = 0x0080;
    }
}

/// `ATTRIBUTE_DEFINITION_COLUMNS`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeDefinition {
    /// 0x00: the type's name, filled up with zeros.
    pub attribute_name: [u16; 64],
    /// 0x80: the type.
    pub attribute_type_code: AttributeType,
    /// 0x84: how it is shown, 0.
    pub display_rule: u32,
    /// 0x88: how its values are ordered.
    pub collation_rule: CollationRule,
    /// 0x8C: what is allowed for it.
    #[br(map = DefinitionFlags::from_bits_retain)]
    #[bw(map = DefinitionFlags::bits)]
    pub flags: DefinitionFlags,
    /// 0x90: least bytes of a value.
    pub minimum_length: u64,
    /// 0x98: most bytes of a value, `u64::MAX` for no limit.
    pub maximum_length: u64,
}

fixed_size!(AttributeDefinition, "attribute definition", 160);

/// Bytes of `$AttrDef` as every Windows since XP writes it: 15 definitions and one of zeros.
pub const FILE_SIZE: usize = 16 * AttributeDefinition::SIZE;

/// The definitions of NTFS 3.1.
pub fn definitions() -> Vec<AttributeDefinition> {
    const ANY: u64 = u64::MAX;
    let indexed_resident = DefinitionFlags::INDEXABLE | DefinitionFlags::MUST_BE_RESIDENT;
    let resident = DefinitionFlags::MUST_BE_RESIDENT;
    let logged = DefinitionFlags::LOG_NONRESIDENT;
    let none = DefinitionFlags::empty();
    [
        (AttributeType::STANDARD_INFORMATION, resident, 0x30, 0x48),
        (AttributeType::ATTRIBUTE_LIST, logged, 0, ANY),
        (AttributeType::FILE_NAME, indexed_resident, 0x44, 0x242),
        (AttributeType::OBJECT_ID, resident, 0, 0x100),
        (AttributeType::SECURITY_DESCRIPTOR, logged, 0, ANY),
        (AttributeType::VOLUME_NAME, resident, 2, 0x100),
        (AttributeType::VOLUME_INFORMATION, resident, 0xC, 0xC),
        (AttributeType::DATA, none, 0, ANY),
        (AttributeType::INDEX_ROOT, resident, 0, ANY),
        (AttributeType::INDEX_ALLOCATION, logged, 0, ANY),
        (AttributeType::BITMAP, logged, 0, ANY),
        (AttributeType::REPARSE_POINT, logged, 0, 0x4000),
        (AttributeType::EA_INFORMATION, resident, 8, 8),
        (AttributeType::EA, none, 0, 0x1_0000),
        (AttributeType::LOGGED_UTILITY_STREAM, logged, 0, 0x1_0000),
    ]
    .into_iter()
    .map(|(attribute_type_code, flags, minimum_length, maximum_length)| {
        let mut attribute_name = [0; 64];
        let name = attribute_type_code.name().unwrap_or_default();
        for (unit, letter) in attribute_name.iter_mut().zip(name.encode_utf16()) {
            *unit = letter;
        }
        AttributeDefinition {
            attribute_name,
            attribute_type_code,
            display_rule: 0,
            collation_rule: CollationRule::BINARY,
            flags,
            minimum_length,
            maximum_length,
        }
    })
    .collect()
}

/// The content of `$AttrDef`.
pub fn file_content() -> Vec<u8> {
    let mut bytes: Vec<u8> = definitions().iter().flat_map(Structure::to_bytes).collect();
    bytes.resize(FILE_SIZE, 0);
    bytes
}

/// The definitions in the content of a volume's `$AttrDef`, up to the one of zeros.
pub fn parse(bytes: &[u8]) -> Result<Vec<AttributeDefinition>, Damage> {
    let mut definitions = Vec::new();
    for offset in (0..bytes.len()).step_by(AttributeDefinition::SIZE) {
        let definition = AttributeDefinition::read_from(bytes, offset)?;
        if definition.attribute_type_code.0 == 0 {
            break;
        }
        definitions.push(definition);
    }
    Ok(definitions)
}

impl AttributeDefinition {
    /// The type's name as the table has it.
    pub fn name(&self) -> Vec<u8> {
        let end = self.attribute_name.iter().position(|unit| *unit == 0).unwrap_or(64);
        unit_bytes(&self.attribute_name[..end]).step_by(2).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha1::{Digest, Sha1};

    #[test]
    fn the_file_is_that_of_windows() {
        let bytes = file_content();
        assert_eq!(
            format!("{:x}", Sha1::digest(&bytes)),
            "b49d7f48300701235231f6b6fc3d92a5630f9e70"
        );
        assert_eq!(parse(&bytes).unwrap(), definitions());
    }
}
