//! Changed keys and values as a delta.

use super::items::{Change, Items};
use crate::changes::registry::{RegistryChange, RegistryDifference};
use crate::paths::Template;
use crate::rules::RuleSet;
use cv_hive::{Key, KeyPath, KeyState, Name, Value, ValueState};
use layerfmt::content::HiveName;

/// Which hive changes are of, and how it is taken over.
pub struct HiveSide<'a> {
    pub hive: HiveName,
    /// The root of the hive as it is after the install.
    pub after: Option<&'a Key>,
    pub rules: &'a RuleSet,
    pub template: &'a Template,
}

impl HiveSide<'_> {
    /// The names of a key in the layer. There are as many.
    fn map(&self, names: &[Name]) -> Vec<Name> {
        match self.hive {
            HiveName::Software => Template::software_key(names),
            _ => names.to_vec(),
        }
    }

    fn value(&self, value: &Value) -> Value {
        let is_users = self.hive == HiveName::User;
        let rewritten = is_users.then(|| self.template.user_value(value)).flatten();
        rewritten.unwrap_or_else(|| value.clone())
    }

    /// Adds the changes to the delta, and notes them among the items.
    pub fn gather(&self, changes: &[RegistryChange<'_>], delta: &mut Key, items: &mut Items) {
        let mut whole: Vec<Vec<Name>> = Vec::new();
        for change in changes {
            if is_twin(change) {
                continue;
            }
            let names = self.map(&change.key);
            self.add(change, &names, delta, items);
            let path = full_path(self.hive, &names);
            let above = path.names().len() - names.len();
            if let Some(length) = self.rules.whole(&path)
                && let Some(length) = length.checked_sub(above).filter(|length| *length > 0)
                && whole.last().is_none_or(|last| !is_prefix(last, &names))
            {
                whole.push(change.key[..length].to_vec());
            }
        }
        for source in whole {
            let names = self.map(&source);
            if let Some(key) = self.after.and_then(|root| root.descendant(&source)) {
                self.copy(key, &mut names.clone(), delta, items);
            }
        }
    }

    fn add(&self, change: &RegistryChange<'_>, names: &[Name], delta: &mut Key, items: &mut Items) {
        match change.difference {
            RegistryDifference::KeyAdded(key) => {
                describe(self.key(delta, names), key);
                items.add_key(self.hive, names, Change::Added);
            }
            RegistryDifference::KeyChanged(key) => {
                describe(self.key(delta, names), key);
                items.add_key(self.hive, names, Change::Modified);
            }
            RegistryDifference::KeyDeleted(_) => {
                let Some((_, above)) = names.split_last() else { return };
                // What another user still has is not deleted.
                let is_there = self.key(delta, above).descendant(&names[above.len()..]).is_some();
                if !is_there {
                    self.key(delta, names).state = KeyState::Tombstone;
                    items.add_key(self.hive, names, Change::Deleted);
                }
            }
            RegistryDifference::ValueAdded(value) | RegistryDifference::ValueChanged(value) => {
                let is_new = matches!(change.difference, RegistryDifference::ValueAdded(_));
                let kind = if is_new { Change::Added } else { Change::Modified };
                let new = self.value(value);
                items.add_value(self.hive, names, &new.name, kind);
                set(self.key(delta, names), new);
            }
            RegistryDifference::ValueDeleted(value) => {
                let mut gone = value.clone();
                gone.state = ValueState::Tombstone;
                gone.data = Box::default();
                items.add_value(self.hive, names, &gone.name, Change::Deleted);
                set(self.key(delta, names), gone);
            }
        }
    }

    /// The key of these names in the delta, added with those above it.
    fn key<'k>(&self, delta: &'k mut Key, names: &[Name]) -> &'k mut Key {
        let mut key = delta;
        for (depth, name) in names.iter().enumerate() {
            let is_new = key.position(name.units()).is_err();
            key = key.subkey_or_insert(name.clone());
            if is_new {
                // A key that only holds others must not take the class from the one below.
                let same = self.after.and_then(|root| root.descendant(&names[..=depth]));
                key.class = same.and_then(|same| same.class.clone());
            }
            if key.state == KeyState::Tombstone {
                key.state = KeyState::Merge;
            }
        }
        key
    }

    /// Adds a key with everything in it.
    fn copy(&self, source: &Key, names: &mut Vec<Name>, delta: &mut Key, items: &mut Items) {
        let key = self.key(delta, names);
        describe(key, source);
        for value in &source.values {
            let new = self.value(value);
            items.add_value(self.hive, names, &new.name, Change::Whole);
            set(key, new);
        }
        items.add_key(self.hive, names, Change::Whole);
        for subkey in &source.subkeys {
            names.push(subkey.name.clone());
            self.copy(subkey, names, delta, items);
            names.pop();
        }
    }
}

/// Whether it is a link by which Windows shows one key in two places: it is there already.
fn is_twin(change: &RegistryChange<'_>) -> bool {
    let (RegistryDifference::KeyAdded(key) | RegistryDifference::KeyChanged(key) | RegistryDifference::KeyDeleted(key)) =
        change.difference
    else {
        return false;
    };
    let has_view = change.key.iter().any(|name| {
        let view: Vec<u16> = "WOW6432Node".encode_utf16().collect();
        name.matches(&view)
    });
    key.is_link && has_view
}

fn is_prefix(prefix: &[Name], names: &[Name]) -> bool {
    prefix.len() <= names.len() && prefix.iter().zip(names).all(|(one, other)| one.matches(other.units()))
}

/// Gives a key of the delta what the machine's has besides values and subkeys.
fn describe(key: &mut Key, source: &Key) {
    key.class.clone_from(&source.class);
    key.security.clone_from(&source.security);
    key.last_written = source.last_written;
    key.is_link = source.is_link;
    key.flags = source.flags;
}

fn set(key: &mut Key, value: Value) {
    match key.values.iter_mut().find(|old| old.name.matches(value.name.units())) {
        Some(old) => *old = value,
        None => key.values.push(value),
    }
}

/// The path of a key of a hive.
pub fn full_path(hive: HiveName, names: &[Name]) -> KeyPath {
    let mut path: Vec<Name> = hive.root().split('\\').map(Name::from).collect();
    path.extend_from_slice(names);
    KeyPath::from(path)
}
