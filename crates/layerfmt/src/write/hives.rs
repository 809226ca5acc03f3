//! Hives on their way into a layer.

use super::WriteError;
use crate::content::HiveName;
use cv_hive::{Key, Name, ValueType, WriteOptions};
use std::borrow::Cow;

/// The key by which programs find the current control set.
const CURRENT: &str = "CurrentControlSet";

/// The name of roots that have none, as Windows gives it.
const ROOT: &str = "ROOT";

/// A hive as it stands in the layer, and how much there is in it.
#[derive(Debug)]
pub(crate) struct WrittenHive {
    pub name: HiveName,
    pub bytes: Vec<u8>,
    pub keys: u64,
    pub values: u64,
}

/// The hive of this tree as a layer has it.
pub(super) fn write(name: HiveName, root: &Key) -> Result<WrittenHive, WriteError> {
    let root = match name {
        HiveName::System => Cow::Owned(neutral(root.clone())),
        _ => Cow::Borrowed(root),
    };
    encode(name, root).map_err(|source| WriteError::Hive { name, source })
}

/// The hive of this tree: version 1.6 where it has states of layered keys, else 1.5.
pub(crate) fn encode(name: HiveName, mut root: Cow<'_, Key>) -> Result<WrittenHive, cv_hive::WriteError> {
    if root.name.is_empty() {
        root.to_mut().name = Name::from(ROOT);
    }
    let (mut keys, mut values, mut last_written) = (0, 0, 0);
    let mut pending = vec![&*root];
    while let Some(key) = pending.pop() {
        keys += 1;
        values += key.values.len() as u64;
        last_written = last_written.max(key.last_written);
        pending.extend(&key.subkeys);
    }
    let options = WriteOptions {
        last_written,
        file_name: Name::from(name.file_name()),
        ..WriteOptions::default()
    };
    let bytes = cv_hive::write_to_vec(&root, &options)?;
    Ok(WrittenHive {
        name,
        bytes,
        keys: keys - 1,
        values,
    })
}

/// `HKLM\SYSTEM` without the numbers that its control sets have on one machine: the current one becomes
/// `CurrentControlSet`, and `Select`, which says which that is, goes.
fn neutral(mut root: Key) -> Key {
    let sets: Vec<usize> = (0..root.subkeys.len())
        .filter(|place| is_numbered(&root.subkeys[*place].name))
        .collect();
    let current = root.subkey("Select").and_then(current_number);
    let wanted = current.map(|number| Name::from(format!("ControlSet{number:03}").as_str()));
    let chosen = match (&wanted, sets.as_slice()) {
        (Some(name), _) => root.position(name.units()).ok(),
        // Which one it is says nothing; the only one, or the one that a fresh machine has.
        (None, [only]) => Some(*only),
        (None, _) => root.position(Name::from("ControlSet001").units()).ok(),
    };
    if let Some(place) = chosen {
        let mut set = root.subkeys.remove(place);
        set.name = Name::from(CURRENT);
        match root.position(set.name.units()) {
            // On a machine it is a link to the set.
            Ok(place) if root.subkeys[place].is_link => root.subkeys[place] = set,
            Ok(place) => {
                let above = std::mem::replace(&mut root.subkeys[place], set);
                cv_hive::merge(&mut root.subkeys[place], above, cv_hive::Deletions::Mark);
            }
            Err(place) => root.subkeys.insert(place, set),
        }
    }
    if let Ok(place) = root.position(Name::from("Select").units()) {
        root.subkeys.remove(place);
    }
    root
}

fn is_numbered(name: &Name) -> bool {
    let name = name.to_string().to_ascii_lowercase();
    let digits = name.strip_prefix("controlset").unwrap_or_default();
    digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn current_number(select: &Key) -> Option<u32> {
    let value = select.value("Current")?;
    let bytes = value.data.first_chunk::<4>()?;
    (value.value_type == ValueType::DWORD).then(|| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_hive::Value;

    fn with_set(name: &str, service: &str) -> Key {
        let mut root = Key::new("");
        root.subkey_or_insert(name)
            .subkey_or_insert("Services")
            .subkey_or_insert(service);
        root
    }

    fn services(root: &Key) -> Vec<String> {
        let services = root.subkey(CURRENT).and_then(|set| set.subkey("Services"));
        let keys = services.map_or(&[][..], |key| &key.subkeys);
        keys.iter().map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn the_current_control_set_loses_its_number() {
        let root = neutral(with_set("controlset002", "one"));
        assert_eq!(services(&root), ["one"]);

        let mut root = with_set("ControlSet001", "old");
        root.subkey_or_insert("ControlSet003")
            .subkey_or_insert("Services")
            .subkey_or_insert("new");
        root.subkey_or_insert(CURRENT)
            .subkey_or_insert("Services")
            .subkey_or_insert("added");
        let select = root.subkey_or_insert("Select");
        select
            .values
            .push(Value::new("Current", ValueType::DWORD, [3, 0, 0, 0]));
        let root = neutral(root);
        assert_eq!(services(&root), ["added", "new"]);
        assert!(root.subkey("Select").is_none() && root.subkey("ControlSet001").is_some());

        let root = neutral(with_set(CURRENT, "neutral"));
        assert_eq!(services(&root), ["neutral"]);
    }
}
