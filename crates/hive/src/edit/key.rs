//! Keys that are added, deleted, renamed and changed.

use super::Editor;
use super::error::EditError;
use crate::Name;
use crate::structure::{KeyNode, KeyNodeFlags, NO_CELL, Structure};
use crate::tree::{KeyFlags, MAX_DEPTH};
use crate::write::form::{MAX_CLASS, name_bytes};
use cv_overlay::registry::KeyState;

impl Editor {
    /// Adds the key of this path, and those on the way that are missing; whether the key was not there. A new key gets the
    /// security descriptor of the key above.
    pub fn add_key(&mut self, path: &[Name]) -> Result<bool, EditError> {
        if path.len() >= MAX_DEPTH {
            return Err(EditError::TooDeep { limit: MAX_DEPTH });
        }
        path.iter().try_for_each(check_name)?;
        let mut key = self.root;
        let mut is_new = false;
        for name in path {
            let found = self.key_at(key)?.find_subkey(name.units())?;
            key = if let Some(subkey) = found {
                subkey.offset()
            } else {
                is_new = true;
                self.add_subkey(key, name)?
            };
        }
        Ok(is_new)
    }

    fn add_subkey(&mut self, parent: u32, name: &Name) -> Result<u32, EditError> {
        self.store.ensure_room(0)?;
        let (name, is_compressed) = name_bytes(name.units());
        let security = self.key_at(parent)?.node().key_security_offset;
        let mut flags = KeyNodeFlags::empty();
        flags.set(KeyNodeFlags::COMP_NAME, is_compressed);
        let node = KeyNode {
            signature: KeyNode::SIGNATURE,
            flags,
            last_written: self.now,
            access_bits: 0,
            layered_key_bits: 0,
            spare: 0,
            parent,
            number_of_subkeys: 0,
            number_of_volatile_subkeys: 0,
            subkeys_list_offset: NO_CELL,
            volatile_subkeys_list_offset: NO_CELL,
            number_of_key_values: 0,
            key_values_list_offset: NO_CELL,
            key_security_offset: security,
            class_name_offset: NO_CELL,
            largest_subkey_name_length: 0,
            control_and_user_flags: 0,
            debug: 0,
            largest_subkey_class_name_length: 0,
            largest_value_name_length: 0,
            largest_value_data_size: 0,
            work_var: 0,
            key_name_length: name.len() as u16,
            class_name_length: 0,
        };
        let mut content = node.to_bytes();
        content.extend(name);
        let offset = self.store.allocate_with(&content)?;
        self.share_security(security)?;
        self.insert_subkey(parent, offset)?;
        Ok(offset)
    }

    /// Deletes the key of this path with everything below it; whether there was one.
    pub fn delete_key(&mut self, path: &[Name]) -> Result<bool, EditError> {
        let Some((_, above)) = path.split_last() else {
            return Err(EditError::Root);
        };
        let (Some(parent), Some(key)) = (self.find(above)?, self.find(path)?) else {
            return Ok(false);
        };
        self.store.ensure_room(0)?;
        let mut keys = vec![key];
        let mut position = 0;
        while position < keys.len() {
            for subkey in self.key_at(keys[position])?.subkeys() {
                keys.push(subkey?.offset());
            }
            position += 1;
        }
        self.remove_subkey(parent, key)?;
        for key in keys {
            self.free_values(key)?;
            self.free_list(key)?;
            let node = *self.key_at(key)?.node();
            if node.class_name_length > 0 {
                self.store.free(node.class_name_offset);
            }
            self.release_security(node.key_security_offset)?;
            self.store.free(key);
        }
        Ok(true)
    }

    /// Gives the key of this path another name, or its name in another case.
    pub fn rename_key(&mut self, path: &[Name], name: &Name) -> Result<(), EditError> {
        let Some((_, above)) = path.split_last() else {
            return Err(EditError::Root);
        };
        check_name(name)?;
        let key = self.require(path)?;
        let parent = self.require(above)?;
        let other = self.key_at(parent)?.find_subkey(name.units())?;
        if other.is_some_and(|other| other.offset() != key) {
            let taken: Vec<Name> = above.iter().chain([name]).cloned().collect();
            return Err(EditError::Exists(taken.into()));
        }
        self.store.ensure_room(0)?;
        self.remove_subkey(parent, key)?;
        let (bytes, is_compressed) = name_bytes(name.units());
        let mut node = *self.key_at(key)?.node();
        node.flags.set(KeyNodeFlags::COMP_NAME, is_compressed);
        node.key_name_length = bytes.len() as u16;
        node.last_written = self.now;
        let mut content = node.to_bytes();
        content.extend(bytes);
        let moved = self.store.replace(key, &content)?;
        if moved != key {
            let subkeys = self.key_at(moved)?.subkeys();
            let subkeys = subkeys
                .map(|subkey| Ok(subkey?.offset()))
                .collect::<Result<Vec<_>, EditError>>()?;
            for subkey in subkeys {
                self.change_node(subkey, |node| node.parent = moved)?;
            }
        }
        self.insert_subkey(parent, moved)
    }

    /// Gives the key of this path a class, or takes it away.
    pub fn set_class(&mut self, path: &[Name], class: Option<&Name>) -> Result<(), EditError> {
        let units = class.map(Name::units).unwrap_or_default();
        if units.len() > MAX_CLASS {
            return Err(EditError::Name {
                what: "the class",
                units: units.len(),
                least: 0,
                limit: MAX_CLASS,
            });
        }
        let key = self.require(path)?;
        self.store.ensure_room(2 * units.len())?;
        let bytes: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let node = *self.key_at(key)?.node();
        let offset = match (node.class_name_length > 0, bytes.is_empty()) {
            (false, true) => NO_CELL,
            (false, false) => self.store.allocate_with(&bytes)?,
            (true, true) => {
                self.store.free(node.class_name_offset);
                NO_CELL
            }
            (true, false) => self.store.replace(node.class_name_offset, &bytes)?,
        };
        let length = bytes.len() as u16;
        self.touch(key, |node| {
            node.class_name_offset = offset;
            node.class_name_length = length;
        })?;
        if key == self.root {
            return Ok(());
        }
        self.change_node(node.parent, |parent| {
            let longest = parent.largest_subkey_class_name_length.max(u32::from(length));
            parent.largest_subkey_class_name_length = longest;
        })
    }

    /// Says what the key of this path does to the key below it; in hives of version 1.6.
    pub fn set_state(&mut self, path: &[Name], state: KeyState, inherits_class: bool) -> Result<(), EditError> {
        self.needs_layers()?;
        let key = self.require(path)?;
        self.touch(key, |node| {
            let bits = KeyNode::layered_key_bits_of(state, inherits_class);
            node.layered_key_bits = node.layered_key_bits & !(3 | KeyNode::INHERIT_CLASS) | bits;
        })
    }

    /// Says whether the key of this path is a symbolic link, and what else is noted of it.
    pub fn set_flags(&mut self, path: &[Name], is_link: bool, flags: KeyFlags) -> Result<(), EditError> {
        let key = self.require(path)?;
        let is_root = key == self.root;
        self.touch(key, |node| {
            let noted = KeyNodeFlags::from_bits_truncate(KeyFlags::all().bits() as u16);
            node.flags.remove(noted);
            node.flags |= KeyNodeFlags::from_bits_truncate(flags.bits() as u16) & noted;
            node.flags.set(KeyNodeFlags::SYM_LINK, is_link);
            if is_root {
                node.flags.insert(KeyNodeFlags::NO_DELETE);
            }
            node.control_and_user_flags = (flags.bits() >> 16) as u8;
        })
    }

    /// Says when the key of this path was last written, in 100 ns since 1601-01-01 UTC.
    pub fn set_last_written(&mut self, path: &[Name], time: u64) -> Result<(), EditError> {
        let key = self.require(path)?;
        self.change_node(key, |node| node.last_written = time)
    }
}

fn check_name(name: &Name) -> Result<(), EditError> {
    match name.units().len() {
        1..=KeyNode::MAX_NAME => Ok(()),
        units => Err(EditError::Name {
            what: "the key's name",
            units,
            least: 1,
            limit: KeyNode::MAX_NAME,
        }),
    }
}
