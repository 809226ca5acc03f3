//! Security descriptors: shared by keys, counted, in a ring.

use super::Editor;
use super::error::EditError;
use crate::Name;
use crate::read::Hive;
use crate::read::key::{parse_security, security_at};
use crate::structure::{KeySecurity, Structure, security_descriptor};
use std::collections::HashMap;

/// Where each descriptor is.
#[derive(Debug, Default)]
pub(super) struct Securities {
    items: HashMap<Box<[u8]>, u32>,
}

impl Securities {
    /// Those of a sound hive.
    pub fn of(hive: &Hive<'_>) -> Result<Self, EditError> {
        let first = hive.root()?.node().key_security_offset;
        let mut items = HashMap::new();
        let mut offset = first;
        loop {
            let (item, descriptor) = security_at(hive.cells(), offset)?;
            items.entry(descriptor.into()).or_insert(offset);
            offset = item.flink;
            if offset == first {
                return Ok(Self { items });
            }
        }
    }
}

impl Editor {
    /// Gives the key of this path another security descriptor, self-relative. Its subkeys keep theirs.
    pub fn set_security(&mut self, path: &[Name], descriptor: &[u8]) -> Result<(), EditError> {
        security_descriptor::check(descriptor).map_err(|found| EditError::Security { found })?;
        let key = self.require(path)?;
        self.store.ensure_room(descriptor.len())?;
        let old = self.key_at(key)?.node().key_security_offset;
        let new = self.use_security(descriptor, old)?;
        self.touch(key, |node| node.key_security_offset = new)?;
        self.release_security(old)
    }

    /// Counts one more key that uses the item at `offset`.
    pub(super) fn share_security(&mut self, offset: u32) -> Result<(), EditError> {
        self.change_item(offset, |item| item.reference_count += 1)
    }

    /// The item of this descriptor, counted once more; made where there is none, behind the item at `neighbour`.
    pub(super) fn use_security(&mut self, descriptor: &[u8], neighbour: u32) -> Result<u32, EditError> {
        if let Some(offset) = self.securities.items.get(descriptor).copied() {
            self.share_security(offset)?;
            return Ok(offset);
        }
        let next = security_at(self.store.cells(), neighbour)?.0.flink;
        let item = KeySecurity {
            signature: KeySecurity::SIGNATURE,
            reserved: 0,
            flink: next,
            blink: neighbour,
            reference_count: 1,
            security_descriptor_size: descriptor.len() as u32,
        };
        let mut content = item.to_bytes();
        content.extend_from_slice(descriptor);
        let offset = self.store.allocate_with(&content)?;
        self.change_item(neighbour, |item| item.flink = offset)?;
        self.change_item(next, |item| item.blink = offset)?;
        self.securities.items.insert(descriptor.into(), offset);
        Ok(offset)
    }

    /// Counts one key less; the item goes when none is left.
    pub(super) fn release_security(&mut self, offset: u32) -> Result<(), EditError> {
        let (item, descriptor) = security_at(self.store.cells(), offset)?;
        if item.reference_count > 1 {
            return self.change_item(offset, |item| item.reference_count -= 1);
        }
        if self.securities.items.get(descriptor) == Some(&offset) {
            let descriptor: Box<[u8]> = descriptor.into();
            self.securities.items.remove(&descriptor);
        }
        self.change_item(item.blink, |previous| previous.flink = item.flink)?;
        self.change_item(item.flink, |next| next.blink = item.blink)?;
        self.store.free(offset);
        Ok(())
    }

    fn change_item(&mut self, offset: u32, change: impl FnOnce(&mut KeySecurity)) -> Result<(), EditError> {
        let cell = self.store.cells().get(offset, KeySecurity::NAME)?;
        let (mut item, _) = parse_security(cell, offset)?;
        change(&mut item);
        self.store.put(offset, 0, &item.to_bytes());
        Ok(())
    }
}
