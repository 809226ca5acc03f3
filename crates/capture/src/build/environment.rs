//! Lists of the environment, as `Path` is: of those that an install only added to, what it added.
//!
//! As a value of the layer's hive the whole list would take the place of what the desktop has and of what other layers add.

use crate::paths::Template;
use crate::snapshot::Snapshot;
use cv_hive::{Key, KeyState, Value, ValueState, ValueType};
use layerfmt::content::{ENVIRONMENTS, HiveName};
use layerfmt::manifest::EnvironmentAddition;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Variables that are lists even while there is nothing in them.
const LISTS: [&str; 3] = ["Path", "PATHEXT", "PSModulePath"];

/// A variable before the install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it held, as it would stand in a layer.
    pub text: String,
    /// Whether it is a user's, not the machine's.
    pub is_per_user: bool,
}

/// The variables of a machine.
pub fn variables(machine: &Snapshot, template: &Template) -> Vec<Variable> {
    let system = machine.registry.system.iter().map(|root| (HiveName::System, root));
    let users = machine.registry.users.iter().map(|user| (HiveName::User, &user.root));
    let mut found = Vec::new();
    for (hive, root) in system.chain(users) {
        let is_per_user = hive == HiveName::User;
        let (_, path) = ENVIRONMENTS[usize::from(is_per_user)];
        let Some(key) = path.split('\\').try_fold(root, |key, name| key.subkey(name)) else {
            continue;
        };
        for value in &key.values {
            let rewritten = is_per_user.then(|| template.user_value(value)).flatten();
            if let Some(text) = text(rewritten.as_ref().unwrap_or(value)) {
                found.push(Variable {
                    name: value.name.to_string(),
                    text,
                    is_per_user,
                });
            }
        }
    }
    found
}

/// Takes out of `hives` the lists that only grew, and gives what they grew by. `before` are the variables before the install.
pub fn take_additions(hives: &mut BTreeMap<HiveName, Key>, before: &[Variable]) -> Vec<EnvironmentAddition> {
    let mut taken = Vec::new();
    for (hive, path) in ENVIRONMENTS {
        let is_per_user = hive == HiveName::User;
        let Some(root) = hives.get_mut(&hive) else { continue };
        let names: Vec<&str> = path.split('\\').collect();
        let Some(key) = names.iter().try_fold(&mut *root, |key, name| subkey_mut(key, name)) else {
            continue;
        };
        key.values.retain(|value| {
            let name = value.name.to_string();
            let same = before
                .iter()
                .filter(|variable| variable.is_per_user == is_per_user && variable.name.eq_ignore_ascii_case(&name));
            let mut lists: Vec<&str> = same.map(|variable| variable.text.as_str()).collect();
            if LISTS.iter().any(|list| list.eq_ignore_ascii_case(&name)) {
                if lists.is_empty() {
                    lists.push("");
                }
            } else {
                // What was set to something for the first time need not be a list.
                lists.retain(|list| !list.is_empty());
            }
            let added = text(value).and_then(|after| lists.iter().find_map(|before| added(before, &after)));
            let Some((prepend, append)) = added else { return true };
            taken.push(EnvironmentAddition {
                name,
                prepend,
                append,
                is_per_user,
                ..EnvironmentAddition::default()
            });
            false
        });
        prune(root, &names);
    }
    taken
}

/// What stands in front of a list, and behind it, of one that has all of the other in its order.
fn added(before: &str, after: &str) -> Option<(Vec<String>, Vec<String>)> {
    let entries = |list| {
        str::split(list, ';')
            .filter(|entry| !entry.is_empty())
            .collect::<Vec<_>>()
    };
    let (before, after) = (entries(before), entries(after));
    if after.len() <= before.len() {
        return None;
    }
    let is_here = |at: &usize| {
        before
            .iter()
            .zip(&after[*at..])
            .all(|(one, other)| one.eq_ignore_ascii_case(other))
    };
    let at = (0..=after.len() - before.len()).find(is_here)?;
    let owned = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
    Some((owned(&after[..at]), owned(&after[at + before.len()..])))
}

fn text(value: &Value) -> Option<String> {
    let is_text =
        value.state == ValueState::Present && matches!(value.value_type, ValueType::SZ | ValueType::EXPAND_SZ);
    let units = value
        .data
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    is_text.then(|| String::from_utf16(&units).ok()).flatten()
}

fn subkey_mut<'k>(key: &'k mut Key, name: &str) -> Option<&'k mut Key> {
    let units: Vec<u16> = name.encode_utf16().collect();
    key.subkeys.iter_mut().find(|subkey| subkey.name.matches(&units))
}

/// Removes the keys on this way that led to what was taken alone.
fn prune(key: &mut Key, names: &[&str]) {
    let Some((name, below)) = names.split_first() else {
        return;
    };
    let Some(subkey) = subkey_mut(key, name) else { return };
    prune(subkey, below);
    if subkey.values.is_empty() && subkey.subkeys.is_empty() && subkey.state == KeyState::Merge {
        let units: Vec<u16> = name.encode_utf16().collect();
        key.subkeys.retain(|subkey| !subkey.name.matches(&units));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, text: &str) -> Value {
        let data: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Value::new(name, ValueType::EXPAND_SZ, data)
    }

    fn variable(name: &str, text: &str, is_per_user: bool) -> Variable {
        Variable {
            name: name.to_owned(),
            text: text.to_owned(),
            is_per_user,
        }
    }

    #[test]
    fn entries_in_front_and_behind_are_told() {
        let told = |prepend: &[&str], append: &[&str]| {
            let owned = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
            Some((owned(prepend), owned(append)))
        };
        assert_eq!(added("a;B;", "A;b;c"), told(&[], &["c"]));
        assert_eq!(added("a;b", "x;y;a;b;"), told(&["x", "y"], &[]));
        assert_eq!(added("a", "x;a;y"), told(&["x"], &["y"]));
        assert_eq!(added("", "x;y"), told(&[], &["x", "y"]));
        assert_eq!(added("a;b", "a;x;b"), None);
        assert_eq!(added("a;b", "a;b"), None);
        assert_eq!(added("a;b", "b"), None);
        assert_eq!(added("1", "2"), None);
    }

    #[test]
    fn lists_that_only_grew_leave_the_hive() {
        let mut system = Key::new("");
        let mut key = &mut system;
        for name in ENVIRONMENTS[0].1.split('\\') {
            key = key.subkey_or_insert(name);
        }
        key.values = vec![value("PATH", r"C:\Windows;C:\App"), value("APP_HOME", r"C:\App")];
        let mut user = Key::new("");
        let environment = user.subkey_or_insert("Environment");
        environment.values = vec![
            value("Path", r"%USERPROFILE%\bin"),
            value("FLAGS", "2"),
            value("EMPTY", "set"),
        ];
        let mut hives = BTreeMap::from([(HiveName::System, system), (HiveName::User, user)]);
        let before = [
            variable("Path", r"C:\Windows", false),
            variable("flags", "1", true),
            variable("EMPTY", "", true),
        ];
        let taken = take_additions(&mut hives, &before);
        let told: Vec<_> = taken
            .iter()
            .map(|addition| (&*addition.name, addition.is_per_user, &addition.append[..]))
            .collect();
        let (app, bin) = ([r"C:\App".to_owned()], [r"%USERPROFILE%\bin".to_owned()]);
        assert_eq!(told, [("PATH", false, &app[..]), ("Path", true, &bin[..])]);
        let left = |(hive, path): (HiveName, &str)| {
            let key = path.split('\\').try_fold(&hives[&hive], |key, name| key.subkey(name));
            key.map(|key| {
                key.values
                    .iter()
                    .map(|value| value.name.to_string())
                    .collect::<Vec<_>>()
            })
        };
        assert_eq!(left(ENVIRONMENTS[0]), Some(vec!["APP_HOME".to_owned()]));
        assert_eq!(
            left(ENVIRONMENTS[1]),
            Some(vec!["FLAGS".to_owned(), "EMPTY".to_owned()])
        );

        hives.get_mut(&HiveName::User).unwrap().subkeys[0].values = vec![value("Path", "x")];
        assert_eq!(take_additions(&mut hives, &before).len(), 1);
        assert!(hives[&HiveName::User].subkeys.is_empty());
    }
}
