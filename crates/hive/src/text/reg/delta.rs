//! Changes in order, made into one delta tree.

use crate::text::gather::{Gathering, ROOT};
use crate::{Key, KeyState, Name, Value};

/// Takes changes one after the other.
pub(super) struct DeltaBuilder {
    keys: Gathering,
    last_written: u64,
}

impl DeltaBuilder {
    /// Nothing yet. The keys that are changed will be said to be written at `last_written`.
    pub(super) fn new(last_written: u64) -> Self {
        let mut keys = Gathering::new();
        keys.at(ROOT).inherits_class = true;
        Self { keys, last_written }
    }

    /// The key of these names, which is there afterwards.
    fn key(&mut self, names: &[Name]) -> usize {
        let mut place = ROOT;
        self.revive(place);
        for name in names {
            place = self.keys.subkey_or_insert(place, name);
            self.revive(place);
        }
        place
    }

    /// A key that was deleted and is set again hides the one below it.
    fn revive(&mut self, place: usize) {
        let key = self.keys.at(place);
        key.state = KeyState::Merge.over(key.state);
        key.inherits_class = key.state == KeyState::Merge;
    }

    /// Sets the values of the key of these names.
    pub(super) fn set(&mut self, names: &[Name], values: Vec<Value>) {
        let place = self.key(names);
        self.keys.at(place).last_written = self.last_written;
        for value in values {
            self.keys.set_value(place, value);
        }
    }

    /// Deletes the key of these names. Where `below`, what the delta is made for, is known, what is not there needs no
    /// tombstone, and no keys above it.
    pub(super) fn delete(&mut self, names: &[Name], below: Option<&Key>) {
        let mut place = Some(ROOT);
        for name in names {
            if place.is_some_and(|place| self.keys.at(place).state == KeyState::Tombstone) {
                return;
            }
            place = place.and_then(|place| self.keys.subkey(place, name));
        }
        if place.is_none() && below.is_some_and(|root| root.descendant(names).is_none()) {
            return;
        }
        let deleted = if let Some((name, above)) = names.split_last() {
            let above = self.key(above);
            self.keys.replace_subkey(above, name)
        } else {
            self.keys = Gathering::new();
            ROOT
        };
        let key = self.keys.at(deleted);
        key.state = KeyState::Tombstone;
        key.last_written = self.last_written;
    }

    /// The delta.
    pub(super) fn finish(self) -> Key {
        self.keys.finish()
    }
}
