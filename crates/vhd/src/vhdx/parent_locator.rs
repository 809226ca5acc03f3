//! Where and what a differencing file's parent is ([MS-VHDX] section 2.6.2.6).

use super::error::OpenError;
use super::structures::{Guid, LOCATOR_TYPE_VHDX, ParentLocatorEntry, ParentLocatorHeader, decode, encode};
use cv_disk::Damage;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a differencing file says of its parent: its identity, and paths at which it may lie.
///
/// The paths are kept as stored, with `\` between their parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParentReference {
    /// `parent_linkage`: the parent's [`data_write_guid`](super::VhdxIdentity::data_write_guid).
    pub parent_linkage: Uuid,
    /// `parent_linkage2`: another identity that the parent may have, stored while it changes.
    pub parent_linkage2: Option<Uuid>,
    /// `relative_path`: relative to the child's folder, such as `..\base.vhdx`.
    pub relative_path: Option<String>,
    /// `volume_path`: on a volume named by its GUID, such as `\\?\Volume{26A2…}\base.vhdx`.
    pub volume_path: Option<String>,
    /// `absolute_win32_path`: such as `\\?\C:\disks\base.vhdx`.
    pub absolute_win32_path: Option<String>,
    /// Keys that the specification does not name, with their values.
    pub others: Vec<(String, String)>,
}

/// What a path to a parent is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParentPathKind {
    /// The child's folder.
    Relative,
    /// A volume named by its GUID.
    Volume,
    /// A drive or a share.
    AbsoluteWin32,
}

const LINKAGE: &str = "parent_linkage";
const LINKAGE2: &str = "parent_linkage2";
const RELATIVE: &str = "relative_path";
const VOLUME: &str = "volume_path";
const ABSOLUTE: &str = "absolute_win32_path";

impl ParentReference {
    /// Whether a parent with this identity is the one meant.
    pub fn matches(&self, identity: &super::VhdxIdentity) -> bool {
        identity.data_write_guid == self.parent_linkage || Some(identity.data_write_guid) == self.parent_linkage2
    }

    /// The paths to try, in the order that the specification sets.
    pub fn candidates(&self) -> impl Iterator<Item = (ParentPathKind, &str)> {
        [
            (ParentPathKind::Relative, &self.relative_path),
            (ParentPathKind::Volume, &self.volume_path),
            (ParentPathKind::AbsoluteWin32, &self.absolute_win32_path),
        ]
        .into_iter()
        .filter_map(|(kind, path)| path.as_deref().map(|path| (kind, path)))
    }

    /// Reads the item `bytes`, which stands at `offset` of the file.
    pub(super) fn parse(bytes: &[u8], offset: u64) -> Result<Self, OpenError> {
        let header: ParentLocatorHeader = decode(bytes, "parent locator header", offset)?;
        if header.locator_type.0 != LOCATOR_TYPE_VHDX {
            return Err(OpenError::UnknownLocator {
                guid: header.locator_type.0,
                offset,
            });
        }
        let mut pairs = BTreeMap::new();
        for index in 0..usize::from(header.key_value_count) {
            let start = ParentLocatorHeader::SIZE + index * ParentLocatorEntry::SIZE;
            let at = offset + start as u64;
            let entry: ParentLocatorEntry = decode(bytes.get(start..).unwrap_or_default(), "parent locator entry", at)?;
            let key = text(bytes, entry.key_offset, entry.key_length, "parent locator key", at)?;
            let value = text(
                bytes,
                entry.value_offset,
                entry.value_length,
                "parent locator value",
                at,
            )?;
            if pairs.insert(key.clone(), (value, at)).is_some() {
                return Err(Damage::new("parent locator key", at, "keys that differ", format!("{key:?} again")).into());
            }
        }
        let mut guid = |key: &str| {
            pairs
                .remove(key)
                .map(|(value, at)| {
                    Uuid::try_parse(&value)
                        .map_err(|_| Damage::new(format!("parent locator {key}"), at, "a GUID", format!("{value:?}")))
                })
                .transpose()
        };
        let Some(parent_linkage) = guid(LINKAGE)? else {
            return Err(Damage::new(
                "parent locator",
                offset,
                format!("the key {LINKAGE:?}"),
                format!("{} keys without it", header.key_value_count),
            )
            .into());
        };
        let parent_linkage2 = guid(LINKAGE2)?;
        let mut path = |key: &str| pairs.remove(key).map(|(value, _)| value);
        Ok(Self {
            parent_linkage,
            parent_linkage2,
            relative_path: path(RELATIVE),
            volume_path: path(VOLUME),
            absolute_win32_path: path(ABSOLUTE),
            others: pairs.into_iter().map(|(key, (value, _))| (key, value)).collect(),
        })
    }

    /// The item's bytes; fails with the name of a key whose value is too long or empty.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let braced = |guid: Uuid| guid.braced().to_string();
        let mut pairs = vec![(LINKAGE.to_owned(), braced(self.parent_linkage))];
        pairs.extend(self.parent_linkage2.map(|guid| (LINKAGE2.to_owned(), braced(guid))));
        for (key, path) in [
            (RELATIVE, &self.relative_path),
            (VOLUME, &self.volume_path),
            (ABSOLUTE, &self.absolute_win32_path),
        ] {
            pairs.extend(path.iter().map(|path| (key.to_owned(), path.clone())));
        }
        pairs.extend(self.others.iter().cloned());

        let mut strings = Vec::new();
        let mut entries = Vec::new();
        let base = ParentLocatorHeader::SIZE + pairs.len() * ParentLocatorEntry::SIZE;
        for (key, value) in &pairs {
            let mut place = |text: &str| {
                let start = base + strings.len();
                strings.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
                let length = base + strings.len() - start;
                match u16::try_from(length) {
                    Ok(length) if length > 0 => Ok((start as u32, length)),
                    _ => Err(key.clone()),
                }
            };
            let (key_offset, key_length) = place(key)?;
            let (value_offset, value_length) = place(value)?;
            entries.extend(encode(&ParentLocatorEntry {
                key_offset,
                value_offset,
                key_length,
                value_length,
            }));
        }
        let mut bytes = encode(&ParentLocatorHeader {
            locator_type: Guid(LOCATOR_TYPE_VHDX),
            reserved: 0,
            key_value_count: pairs.len() as u16,
        });
        bytes.extend(entries);
        bytes.extend(strings);
        Ok(bytes)
    }
}

fn text(bytes: &[u8], offset: u32, length: u16, structure: &str, at: u64) -> Result<String, Damage> {
    let start = offset as usize;
    let range = start..start + usize::from(length);
    match bytes.get(range) {
        Some(text) if offset > 0 && length > 0 && length.is_multiple_of(2) => {
            let units: Vec<u16> = text
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .collect();
            Ok(String::from_utf16_lossy(&units))
        }
        _ => Err(Damage::new(
            structure,
            at,
            format!("UTF-16 within the item of {} bytes", bytes.len()),
            format!("{length} bytes at {offset:#x}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reference() -> ParentReference {
        ParentReference {
            parent_linkage: Uuid::from_u128(0x83ed_0ec3_24c8_49a6_a959_5e4b_f128_8bfb),
            parent_linkage2: Some(Uuid::from_u128(7)),
            relative_path: Some("..\\bäse.vhdx".into()),
            volume_path: Some("\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\base.vhdx".into()),
            absolute_win32_path: Some("\\\\?\\d:\\base.vhdx".into()),
            others: vec![("x".into(), "y".into())],
        }
    }

    #[test]
    fn a_reference_comes_back() {
        let bytes = reference().to_bytes().unwrap();
        assert_eq!(ParentReference::parse(&bytes, 0).unwrap(), reference());
        let paths: Vec<_> = ParentReference::parse(&bytes, 0)
            .unwrap()
            .candidates()
            .map(|(kind, _)| kind)
            .collect();
        assert_eq!(
            paths,
            [
                ParentPathKind::Relative,
                ParentPathKind::Volume,
                ParentPathKind::AbsoluteWin32
            ]
        );
    }

    #[test]
    fn a_value_that_is_too_long_is_named() {
        let reference = ParentReference {
            volume_path: Some("x".repeat(40_000)),
            ..reference()
        };
        assert_eq!(reference.to_bytes().unwrap_err(), VOLUME);
    }

    proptest! {
        #[test]
        fn damaged_items_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), real in any::<bool>(), at in 0_usize..400, value: u8) {
            if real {
                bytes = reference().to_bytes().unwrap();
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = ParentReference::parse(&bytes, 0);
        }
    }
}
