//! A key of a hive.

use super::name::{NameRef, shown};
use super::subkeys::{self, Subkeys};
use super::value::ValueRef;
use crate::Name;
use crate::structure::{Cells, KeyNode, KeyNodeFlags, KeySecurity, NO_CELL, Structure, in_file, u32_at};
use crate::tree::KeyFlags;
use cv_disk::Damage;
use cv_overlay::registry::KeyState;
use std::fmt::Display;

/// A key, read where it stands.
#[derive(Debug, Clone, Copy)]
pub struct KeyRef<'a> {
    cells: Cells<'a>,
    minor_version: u32,
    offset: u32,
    node: KeyNode,
    name: NameRef<'a>,
}

impl<'a> KeyRef<'a> {
    pub(crate) fn at(cells: Cells<'a>, minor_version: u32, offset: u32) -> Result<Self, Damage> {
        let cell = cells.get(offset, KeyNode::NAME)?;
        let node = KeyNode::parse(cell, in_file(offset) + 4)?;
        let damage = |field: &str, at: u64, expected: String, found: String| {
            let structure = format!("cell {offset:#x}: key node, {field}");
            Err(Damage::new(structure, in_file(offset) + 4 + at, expected, found))
        };
        if node.signature != KeyNode::SIGNATURE {
            return damage("signature", 0, "\"nk\"".into(), format!("{:02x?}", node.signature));
        }
        let length = usize::from(node.key_name_length);
        let Some(name) = cell.get(KeyNode::SIZE..KeyNode::SIZE + length) else {
            let room = cell.len() - KeyNode::SIZE;
            return damage("key name length", 72, format!("at most {room}"), length.to_string());
        };
        let name = NameRef::new(name, node.flags.contains(KeyNodeFlags::COMP_NAME));
        Ok(Self {
            cells,
            minor_version,
            offset,
            node,
            name,
        })
    }

    /// Where its key node is, from the start of the hive bins data.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// The cells of the hive that it is in.
    pub fn cells(&self) -> Cells<'a> {
        self.cells
    }

    /// The key node.
    pub fn node(&self) -> &KeyNode {
        &self.node
    }

    /// Its name.
    pub fn name(&self) -> NameRef<'a> {
        self.name
    }

    /// When it was last written, in 100 ns since 1601-01-01 UTC.
    pub fn last_written(&self) -> u64 {
        self.node.last_written
    }

    /// Whether it is a symbolic link, to what its value `SymbolicLinkValue` says.
    pub fn is_link(&self) -> bool {
        self.node.flags.contains(KeyNodeFlags::SYM_LINK)
    }

    /// What else is noted of it.
    pub fn flags(&self) -> KeyFlags {
        let flags = u32::from(self.node.flags.bits());
        KeyFlags::from_bits_truncate(flags | u32::from(self.node.control_and_user_flags) << 16)
    }

    /// What it does to the key below, in a delta hive (version 1.6).
    pub fn state(&self) -> KeyState {
        match self.minor_version {
            6.. => self.node.state(),
            _ => KeyState::Merge,
        }
    }

    /// Whether its class is that of the key below, in a delta hive (version 1.6).
    pub fn inherits_class(&self) -> bool {
        self.minor_version >= 6 && self.node.inherits_class()
    }

    /// Its class, where it has one.
    pub fn class(&self) -> Result<Option<NameRef<'a>>, Damage> {
        let length = usize::from(self.node.class_name_length);
        if length == 0 {
            return Ok(None);
        }
        let offset = self.node.class_name_offset;
        let cell = self.cells.get(offset, "class name")?;
        match cell.get(..length) {
            Some(class) => Ok(Some(NameRef::new(class, false))),
            None => Err(self.damage("class name length", 74, format!("at most {}", cell.len()), length)),
        }
    }

    /// Its security descriptor, self-relative; `None` where it has none.
    pub fn security(&self) -> Result<Option<&'a [u8]>, Damage> {
        if self.node.key_security_offset == NO_CELL {
            return Ok(None);
        }
        security_at(self.cells, self.node.key_security_offset).map(|(_, descriptor)| Some(descriptor))
    }

    /// Its subkeys, in the order of the list: by name, unless the hive is damaged.
    pub fn subkeys(&self) -> Subkeys<'a> {
        if self.node.number_of_subkeys == 0 {
            return Subkeys::none(self.cells);
        }
        Subkeys::new(self.cells, self.minor_version, self.node.subkeys_list_offset)
    }

    /// The subkey of this name.
    ///
    /// Fails where damage leaves open whether there is one.
    pub fn subkey(&self, name: impl Into<Name>) -> Result<Option<Self>, Damage> {
        self.find_subkey(name.into().units())
    }

    /// As [`subkey`](Self::subkey), with the name's units.
    pub fn find_subkey(&self, name: &[u16]) -> Result<Option<Self>, Damage> {
        subkeys::find(self.subkeys(), name)
    }

    /// Its values, in the order of the list.
    pub fn values(&self) -> Values<'a> {
        let mut values = Values {
            cells: self.cells,
            minor_version: self.minor_version,
            list: &[],
            damage: None,
        };
        let count = self.node.number_of_key_values as usize;
        if count == 0 || self.node.flags.contains(KeyNodeFlags::PREDEF_HANDLE) {
            return values;
        }
        match self.cells.get(self.node.key_values_list_offset, "list of values") {
            Ok(cell) => {
                let room = cell.len() / 4;
                if count > room {
                    let damage = self.damage("number of key values", 36, format!("at most {room}"), count);
                    values.damage = Some(damage);
                }
                values.list = &cell[..4 * count.min(room)];
            }
            Err(damage) => values.damage = Some(damage),
        }
        values
    }

    /// The value of this name; the first one, where there are several.
    ///
    /// Fails where damage leaves open whether there is one.
    pub fn value(&self, name: impl Into<Name>) -> Result<Option<ValueRef<'a>>, Damage> {
        let name = name.into();
        let mut damage = None;
        for value in self.values() {
            match value {
                Ok(value) if value.name().matches(name.units()) => return Ok(Some(value)),
                Ok(_) => {}
                Err(error) => damage = damage.or(Some(error)),
            }
        }
        damage.map_or(Ok(None), Err)
    }

    /// Damage of the field that is `at` bytes into the key node.
    #[cold]
    pub(crate) fn damage(&self, field: &str, at: u64, expected: impl Into<String>, found: impl Display) -> Damage {
        let structure = format!("cell {:#x}: key node `{}`, {field}", self.offset, shown(self.name));
        Damage::new(structure, in_file(self.offset) + 4 + at, expected, found.to_string())
    }
}

/// The key security item at `offset` and its descriptor.
pub(crate) fn security_at(cells: Cells<'_>, offset: u32) -> Result<(KeySecurity, &[u8]), Damage> {
    parse_security(cells.get(offset, KeySecurity::NAME)?, offset)
}

/// The key security item and its descriptor in `cell`, which is at `offset`.
pub(crate) fn parse_security(cell: &[u8], offset: u32) -> Result<(KeySecurity, &[u8]), Damage> {
    let place = in_file(offset) + 4;
    let item = KeySecurity::parse(cell, place)?;
    if item.signature != KeySecurity::SIGNATURE {
        let structure = format!("cell {offset:#x}: key security, signature");
        let found = format!("{:02x?}", item.signature);
        return Err(Damage::new(structure, place, "\"sk\"", found));
    }
    let content = &cell[KeySecurity::SIZE..];
    let descriptor = content.get(..item.security_descriptor_size as usize);
    let descriptor = descriptor.ok_or_else(|| {
        let structure = format!("cell {offset:#x}: key security, security descriptor size");
        let expected = format!("at most {}", content.len());
        Damage::new(
            structure,
            place + 16,
            expected,
            item.security_descriptor_size.to_string(),
        )
    })?;
    Ok((item, descriptor))
}

/// The values of a key.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    cells: Cells<'a>,
    minor_version: u32,
    list: &'a [u8],
    damage: Option<Damage>,
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<ValueRef<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.list.is_empty() {
            return self.damage.take().map(Err);
        }
        let offset = u32_at(self.list, 0);
        self.list = &self.list[4..];
        Some(ValueRef::at(self.cells, self.minor_version, offset))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.list.len() / 4 + usize::from(self.damage.is_some());
        (count, Some(count))
    }
}

impl ExactSizeIterator for Values<'_> {}
