//! The rules of merging for keys and values, one by one.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::rc::Rc;

use cv_overlay::registry::{KeyState, KeyStep, Keys, RegistryConflict, ValueState};
use cv_overlay::{Agreement, Attachment, Hiding, LayerId, NamePath, Names, Role, Stack};
use support::hive::{HeldKey, HeldValue, Hive};

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// A hive with one key of this state; values without a number are tombstones.
fn hive(state: KeyState, values: &[(&str, Option<u32>)]) -> Hive {
    let root = HeldKey::new(&[], KeyState::Merge, 0, 0);
    let key = HeldKey::new(&units("Key"), state, 0, 0);
    for (name, number) in values {
        key.put_value(HeldValue {
            name: units(name),
            state: number.map_or(ValueState::Tombstone, |_| ValueState::Present),
            number: number.unwrap_or(0),
        });
    }
    root.put(key);
    Hive(root)
}

fn stack(members: Vec<(Role, Hive)>) -> Stack<Keys<Rc<Hive>>> {
    let attachments = members
        .into_iter()
        .enumerate()
        .map(|(id, (role, hive))| Attachment::new(LayerId(id as u64), role, Keys(Rc::new(hive))));
    Stack::new(Names::windows(), attachments.collect())
}

#[test]
fn values_merge_in_the_order_of_the_members_and_of_their_storage() {
    let stack = stack(vec![
        (
            Role::Base,
            hive(KeyState::Merge, &[("z", Some(1)), ("b", Some(1)), ("gone", Some(1))]),
        ),
        (
            Role::Layer,
            hive(KeyState::Merge, &[("y", Some(2)), ("B", Some(2)), ("GONE", None)]),
        ),
    ]);
    let key = stack.resolve(&NamePath::from("key")).unwrap().found().unwrap();
    let values: Vec<_> = stack
        .values(&key)
        .unwrap()
        .into_iter()
        .map(|merged| (String::from_utf16(&merged.value.name).unwrap(), merged.value.number))
        .collect();
    assert_eq!(values, [("y".to_owned(), 2), ("B".to_owned(), 2), ("z".to_owned(), 1)]);
}

#[test]
fn a_key_that_supersedes_hides_the_values_below() {
    let members = |state| {
        stack(vec![
            (Role::Base, hive(KeyState::Merge, &[("v", Some(1))])),
            (Role::Layer, hive(state, &[])),
        ])
    };
    for (state, why) in [
        (KeyState::SupersedeLocal, Hiding::SupersedeLocal),
        (KeyState::SupersedeTree, Hiding::SupersedeTree),
        (KeyState::Tombstone, Hiding::KeyTombstone),
    ] {
        let stack = members(state);
        let claims = stack.explain_value(&NamePath::from("key"), &units("v")).unwrap();
        assert_eq!(claims[0].standing.hidden().unwrap().why, why);
    }
}

#[test]
fn a_value_below_is_deleted_by_a_tombstone() {
    let stack = stack(vec![
        (Role::Base, hive(KeyState::Merge, &[("v", Some(1))])),
        (Role::Writable, hive(KeyState::Merge, &[("own", Some(2))])),
    ]);
    let path = NamePath::from("Key");
    let delete = |name| stack.plan_delete_value(&path, &units(name)).unwrap().steps;
    assert_eq!(
        delete("v"),
        [KeyStep::TombstoneValue {
            path: path.clone(),
            name: units("v")
        }]
    );
    assert_eq!(
        delete("own"),
        [KeyStep::RemoveValue {
            path: path.clone(),
            name: units("own")
        }]
    );
}

#[test]
fn conflicts_are_values_with_other_data_and_hidden_keys() {
    let stack = stack(vec![
        (
            Role::Base,
            hive(
                KeyState::Merge,
                &[("same", Some(1)), ("other", Some(1)), ("mine", Some(1)), ("gone", None)],
            ),
        ),
        (
            Role::Layer,
            hive(
                KeyState::Merge,
                &[("SAME", Some(1)), ("other", Some(2)), ("gone", None)],
            ),
        ),
    ]);
    let mut conflicts = stack.registry_conflicts().unwrap();
    let mut found = Vec::new();
    while let Some(conflict) = conflicts.next().unwrap() {
        match conflict {
            RegistryConflict::Value { name, agreement, .. } => {
                found.push((String::from_utf16(&name).unwrap(), agreement));
            }
            RegistryConflict::Key { path, .. } => panic!("{path} merges"),
        }
    }
    assert_eq!(
        found,
        [
            ("gone".to_owned(), Agreement::Same),
            ("other".to_owned(), Agreement::Different),
            ("SAME".to_owned(), Agreement::Same)
        ]
    );
}
