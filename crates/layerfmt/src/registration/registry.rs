//! The hives of a layer as one registry.

use crate::bytes::utf16_bytes;
use crate::content::HiveName;
use cv_hive::reg::{ApplyError, KeyChange, Patch};
use cv_hive::{Deletions, Key, KeyPath, KeyState, Name, PathError, Value, ValueType, merge};
use std::collections::BTreeMap;

/// Why something could not be written into the hives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistrationError {
    /// A layer has no hive for the key.
    #[error(
        "{0}: layers hold what is below HKLM\\SOFTWARE, HKLM\\SYSTEM, HKLM\\SAM, HKLM\\SECURITY, HKCU, HKCR and HKCC alone"
    )]
    NoHive(String),
    /// The text is no path of a key.
    #[error("{path:?} is no key")]
    Path {
        /// The text.
        path: String,
        /// Why.
        source: PathError,
    },
    /// A patch does not fit.
    #[error(transparent)]
    Patch(#[from] ApplyError),
}

/// The hives of a layer as one registry, to be written to.
#[derive(Debug)]
pub struct Registry<'a> {
    hives: &'a mut BTreeMap<HiveName, Key>,
    written: u64,
}

/// The hive that a key is in, and its path there: `HKEY_CLASSES_ROOT` and `HKEY_CURRENT_CONFIG` are views of others, numbered
/// control sets are the current one.
pub fn place(path: &KeyPath) -> Option<(HiveName, Vec<Name>)> {
    let names = path.names();
    let (root, below) = names.split_first()?;
    let prefixed = |prefix: &[&str], rest: &[Name]| -> Vec<Name> {
        prefix
            .iter()
            .map(|name| Name::from(*name))
            .chain(rest.iter().cloned())
            .collect()
    };
    match root.to_string().as_str() {
        "HKEY_CURRENT_USER" => Some((HiveName::User, below.to_vec())),
        "HKEY_CLASSES_ROOT" => Some((HiveName::Software, prefixed(&["Classes"], below))),
        "HKEY_CURRENT_CONFIG" => {
            let current = ["CurrentControlSet", "Hardware Profiles", "Current"];
            Some((HiveName::System, prefixed(&current, below)))
        }
        "HKEY_LOCAL_MACHINE" => {
            let (hive, below) = below.split_first()?;
            let hive = HiveName::of_file(&hive.to_string()).filter(|hive| *hive != HiveName::User)?;
            match below.split_first() {
                Some((set, rest)) if hive == HiveName::System && is_control_set(&set.to_string()) => {
                    Some((hive, prefixed(&["CurrentControlSet"], rest)))
                }
                _ => Some((hive, below.to_vec())),
            }
        }
        _ => None,
    }
}

fn is_control_set(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CONTROLSET")
        .is_some_and(|number| number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A key of a delta hive that adds to what is below it.
fn merging(name: Name) -> Key {
    let mut key = Key::new(name);
    key.inherits_class = true;
    key
}

impl<'a> Registry<'a> {
    /// The registry of these hives, written to at the time `written`, in 100 ns since 1601.
    pub fn new(hives: &'a mut BTreeMap<HiveName, Key>, written: u64) -> Self {
        Self { hives, written }
    }

    /// The key of this path, such as `HKLM\SOFTWARE\App`, which is there afterwards.
    pub fn key(&mut self, path: &str) -> Result<&mut Key, RegistrationError> {
        let parsed = KeyPath::parse(path).map_err(|source| RegistrationError::Path {
            path: path.to_owned(),
            source,
        })?;
        let (hive, names) = place(&parsed).ok_or_else(|| RegistrationError::NoHive(parsed.to_string()))?;
        let written = self.written;
        let mut key = self.hives.entry(hive).or_insert_with(|| merging(Name::default()));
        key.last_written = key.last_written.max(written);
        for name in names {
            let position = match key.position(name.units()) {
                Ok(position) => position,
                Err(position) => {
                    key.subkeys.insert(position, merging(name));
                    position
                }
            };
            key = &mut key.subkeys[position];
            // A key that was deleted and is set again hides the one below it.
            key.state = KeyState::Merge.over(key.state);
            key.inherits_class = key.state == KeyState::Merge;
            key.last_written = key.last_written.max(written);
        }
        Ok(key)
    }

    /// Sets a value.
    pub fn set(
        &mut self,
        path: &str,
        name: &str,
        value_type: ValueType,
        data: Vec<u8>,
    ) -> Result<(), RegistrationError> {
        self.set_value(path, Value::new(name, value_type, data))
    }

    /// Sets a value, or deletes it where its state says so.
    pub fn set_value(&mut self, path: &str, value: Value) -> Result<(), RegistrationError> {
        let values = &mut self.key(path)?.values;
        match values.iter_mut().find(|there| there.name.matches(value.name.units())) {
            Some(there) => *there = value,
            None => values.push(value),
        }
        Ok(())
    }

    /// Sets a text, of type `REG_EXPAND_SZ` where it has `%variables%`, else `REG_SZ`.
    pub fn text(&mut self, path: &str, name: &str, text: &str) -> Result<(), RegistrationError> {
        let has_variables = text.match_indices('%').nth(1).is_some();
        let value_type = if has_variables {
            ValueType::EXPAND_SZ
        } else {
            ValueType::SZ
        };
        self.set(path, name, value_type, utf16_bytes(text))
    }

    /// Sets a text that is not empty.
    pub(super) fn optional_text(&mut self, path: &str, name: &str, text: &str) -> Result<(), RegistrationError> {
        if text.is_empty() {
            Ok(())
        } else {
            self.text(path, name, text)
        }
    }

    /// Sets texts, of type `REG_MULTI_SZ`.
    pub fn texts(&mut self, path: &str, name: &str, texts: &[String]) -> Result<(), RegistrationError> {
        let data = texts.iter().flat_map(|text| utf16_bytes(text)).chain([0, 0]).collect();
        self.set(path, name, ValueType::MULTI_SZ, data)
    }

    /// Sets a number of 32 bits.
    pub fn number(&mut self, path: &str, name: &str, number: u32) -> Result<(), RegistrationError> {
        self.set(path, name, ValueType::DWORD, number.to_le_bytes().to_vec())
    }

    /// Applies the changes of a `.reg` file; what it deletes is deleted below the layer too.
    pub fn apply(&mut self, patch: Patch) -> Result<(), RegistrationError> {
        let mut by_hive: BTreeMap<HiveName, Patch> = BTreeMap::new();
        for change in patch.changes {
            let Some((hive, names)) = place(&change.path) else {
                return Err(RegistrationError::NoHive(change.path.to_string()));
            };
            by_hive.entry(hive).or_default().changes.push(KeyChange {
                path: KeyPath::from(names),
                action: change.action,
            });
        }
        for (hive, patch) in by_hive {
            let delta = patch.into_delta(&KeyPath::default(), self.written)?;
            self.merge(hive, delta);
        }
        Ok(())
    }

    /// Lays a delta over a hive.
    pub fn merge(&mut self, hive: HiveName, delta: Key) {
        let root = self.hives.entry(hive).or_insert_with(|| merging(Name::default()));
        merge(root, delta, Deletions::Mark);
    }

    /// Lays a tree over a key: of what is there, what the tree does not have stays.
    pub fn merge_at(&mut self, path: &str, mut tree: Key) -> Result<(), RegistrationError> {
        let key = self.key(path)?;
        tree.name = key.name.clone();
        merge(key, tree, Deletions::Mark);
        Ok(())
    }
}
