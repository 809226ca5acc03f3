//! Differences of trees, and stacks of deltas, against the rules that they follow.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_hive::diff::{DiffOptions, What, apply, delta, diff, to_patch};
use cv_hive::{Deletions, Key, KeyPath, KeyState, Name, Value, ValueState, ValueType, merge, resolve};
use cv_overlay::registry::{KeyLayer, Keys};
use cv_overlay::{Attachment, LayerId, Names, Place, Role, Stack};
use proptest::prelude::*;
use std::convert::Infallible;

mod support;
#[path = "support/text_trees.rs"]
mod trees;

/// A tree as a member of the merge engine's stack.
#[derive(Clone, Copy)]
struct Member<'a>(&'a Key);

type Listed<T> = std::vec::IntoIter<Result<T, Infallible>>;

impl<'a> KeyLayer for Member<'a> {
    type Key = &'a Key;
    type Value = &'a Value;
    type Error = Infallible;
    type Subkeys<'h>
        = Listed<&'a Key>
    where
        Self: 'h;
    type Values<'h>
        = Listed<&'a Value>
    where
        Self: 'h;

    fn root(&self) -> Result<Option<&'a Key>, Infallible> {
        Ok(Some(self.0))
    }
    fn subkey(&self, key: &&'a Key, name: &[u16]) -> Result<Option<&'a Key>, Infallible> {
        Ok(key.subkey(Name::from(name)))
    }
    fn subkeys(&self, key: &&'a Key) -> Result<Listed<&'a Key>, Infallible> {
        Ok(key.subkeys.iter().map(Ok).collect::<Vec<_>>().into_iter())
    }
    fn key_name<'h>(&'h self, key: &'h &'a Key) -> &'h [u16] {
        key.name.units()
    }
    fn key_state(&self, key: &&'a Key) -> KeyState {
        key.state
    }
    fn inherits_class(&self, key: &&'a Key) -> bool {
        key.inherits_class
    }
    fn value(&self, key: &&'a Key, name: &[u16]) -> Result<Option<&'a Value>, Infallible> {
        Ok(key.value(Name::from(name)))
    }
    fn values(&self, key: &&'a Key) -> Result<Listed<&'a Value>, Infallible> {
        Ok(key.values.iter().map(Ok).collect::<Vec<_>>().into_iter())
    }
    fn value_name<'h>(&'h self, value: &'h &'a Value) -> &'h [u16] {
        value.name.units()
    }
    fn value_state(&self, value: &&'a Value) -> ValueState {
        value.state
    }
    fn same_value(&self, value: &&'a Value, _: &Self, other: &&'a Value) -> bool {
        (value.value_type, &value.data) == (other.value_type, &other.data)
    }
}

/// The keys and values that the merge engine shows, sorted.
fn shown(stack: &Stack<Keys<Member<'_>>>, key: &Place<&Key>, path: &str, lines: &mut Vec<String>) {
    for value in stack.values(key).unwrap() {
        let value = value.value;
        lines.push(format!(
            "{path}={:?} {:?} {:?}",
            folded(&value.name),
            value.value_type,
            value.data
        ));
    }
    for child in stack.list(key).unwrap() {
        let child = child.unwrap();
        let path = format!("{path}\\{:?}", folded(&Name::from(stack.name(&child.place))));
        lines.push(path.clone());
        shown(stack, &child.place, &path, lines);
    }
}

/// The same of a tree.
fn listed(key: &Key, path: &str, lines: &mut Vec<String>) {
    for value in &key.values {
        lines.push(format!(
            "{path}={:?} {:?} {:?}",
            folded(&value.name),
            value.value_type,
            value.data
        ));
    }
    for subkey in &key.subkeys {
        let path = format!("{path}\\{:?}", folded(&subkey.name));
        lines.push(path.clone());
        listed(subkey, &path, lines);
    }
}

fn folded(name: &Name) -> Vec<u16> {
    cv_winname::UpcaseTable::windows().fold(name.units())
}

/// Other classes, times, security, states, case and order than the tree has.
fn shaken(tree: Key) -> impl Strategy<Value = Key> {
    prop::collection::vec(any::<u8>(), 64).prop_map(move |noise| {
        let mut noise = noise.into_iter().cycle();
        let mut tree = tree.clone();
        shake(&mut tree, &mut noise);
        tree
    })
}

fn shake(key: &mut Key, noise: &mut dyn Iterator<Item = u8>) {
    match noise.next().unwrap() % 12 {
        0 => key.class = Some("class".into()),
        1 => key.security = Some(vec![1, 2, 3].into()),
        2 => key.last_written += 1,
        3 => key.is_link = !key.is_link,
        4 => key.state = KeyState::SupersedeLocal,
        5 => key.flags = cv_hive::KeyFlags::USER_FLAGS,
        6 => key.values.reverse(),
        7 => drop(key.values.pop()),
        8 => {
            if let Some(value) = key.values.first_mut() {
                value.data = vec![9].into();
            }
        }
        9 => {
            let name = key.name.to_string().to_ascii_uppercase();
            if key.name.matches(&name.encode_utf16().collect::<Vec<_>>()) && !key.name.is_empty() {
                key.name = name.as_str().into();
            }
        }
        10 => drop(key.subkeys.pop()),
        _ => {
            key.subkey_or_insert("new")
                .values
                .push(Value::new("v", ValueType::NONE, Vec::new()));
        }
    }
    key.values = trees::tidy(key.clone()).values;
    for subkey in &mut key.subkeys {
        shake(subkey, noise);
    }
    if let Some(new) = key.subkeys.iter_mut().find(|subkey| subkey.name == "new".into()) {
        *new = trees::tidy(new.clone());
    }
}

/// Without the states of delta hives.
fn settle(key: &mut Key) {
    key.state = KeyState::Merge;
    key.inherits_class = false;
    key.subkeys.iter_mut().for_each(settle);
}

proptest! {
    #[test]
    fn changes_make_one_tree_the_other(
        (before, after) in trees::tree(true).prop_flat_map(|tree| (Just(tree.clone()), shaken(tree))),
        other in trees::tree(true),
    ) {
        for after in [&after, &other] {
            let changes = diff(&before, after, &DiffOptions::strict());
            let mut tree = before.clone();
            apply(&mut tree, &changes).unwrap();
            prop_assert_eq!(&tree, after);
            prop_assert_eq!(diff(&tree, after, &DiffOptions::strict()), vec![]);
            // What counts less leaves less, and nothing of what counts.
            let mut tree = before.clone();
            apply(&mut tree, &diff(&before, after, &DiffOptions::default())).unwrap();
            prop_assert_eq!(diff(&tree, after, &DiffOptions::default()), vec![]);
        }
        prop_assert_eq!(diff(&before, &before, &DiffOptions::strict()), vec![]);
    }

    #[test]
    fn a_delta_makes_one_tree_the_other_and_joins_a_delta_below_it(
        (before, after) in trees::tree(false).prop_flat_map(|tree| (Just(tree.clone()), shaken(tree))),
        other in trees::tree(false),
        lower in trees::tree(true),
    ) {
        for mut after in [after, other] {
            settle(&mut after);
            let mut tree = before.clone();
            if let Some(delta) = delta(&before, &after) {
                merge(&mut tree, delta, Deletions::Remove);
            }
            prop_assert_eq!(diff(&tree, &after, &DiffOptions::default()), vec![]);

            // As a writable folder keeps it: over the delta that was there before.
            let shown = resolve(before.clone(), [lower.clone()]);
            let mut kept = lower.clone();
            if let Some(delta) = delta(&shown, &after) {
                merge(&mut kept, delta, Deletions::Mark);
            }
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            listed(&after, "", &mut expected);
            listed(&resolve(before.clone(), [kept]), "", &mut found);
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(delta(&before, &before), None);
    }

    #[test]
    fn a_patch_makes_the_keys_and_values_the_same(before in trees::tree(false), after in trees::tree(false)) {
        let top = KeyPath::parse(r"HKLM\SOFTWARE").unwrap();
        let patch = to_patch(&diff(&before, &after, &DiffOptions::default()), &top);
        let mut tree = before;
        patch.apply(&mut tree, &top, Deletions::Remove, 0).unwrap();
        prop_assert_eq!(diff(&tree, &after, &DiffOptions::default()), vec![]);
    }

    #[test]
    fn a_stack_is_resolved_by_the_rules_of_the_merge_engine(
        base in trees::tree(false),
        lower in trees::tree(true),
        upper in trees::tree(true),
    ) {
        let attach = |number, role, key| Attachment::new(LayerId(number), role, Keys(Member(key)));
        let stack = Stack::new(Names::windows(), vec![
            attach(0, Role::Base, &base),
            attach(1, Role::Layer, &lower),
            attach(2, Role::Layer, &upper),
        ]);
        let mut expected = Vec::new();
        shown(&stack, &stack.root().unwrap().unwrap(), "", &mut expected);
        expected.sort();

        let tree = resolve(base.clone(), [lower.clone(), upper.clone()]);
        let mut found = Vec::new();
        listed(&tree, "", &mut found);
        found.sort();
        prop_assert_eq!(&found, &expected);

        // Two deltas made one do what the two do.
        let mut both = lower.clone();
        merge(&mut both, upper.clone(), Deletions::Mark);
        let mut found = Vec::new();
        listed(&resolve(base.clone(), [both]), "", &mut found);
        found.sort();
        prop_assert_eq!(&found, &expected);
    }
}

#[test]
fn a_value_that_changes_its_type_is_one_change() {
    let mut before = Key::new("");
    before.values.push(Value::new("v", ValueType::SZ, b"1\0\0\0".to_vec()));
    let mut after = before.clone();
    after.values[0].value_type = ValueType::DWORD;
    after.last_written = 5;
    let changes = diff(&before, &after, &DiffOptions::default());
    assert!(matches!(&changes[..], [change] if matches!(change.what, What::ValueChanged { .. })));
    assert_eq!(diff(&before, &after, &DiffOptions::strict()).len(), 2);
    assert!(apply(&mut Key::new(""), &changes).is_err());
}

#[test]
fn a_delta_hive_of_windows_is_resolved_over_its_own_base() {
    let Some(bytes) = support::corpus("System_Delta") else {
        return;
    };
    let delta = cv_hive::Hive::open(&bytes).unwrap().to_tree().unwrap();
    let tree = resolve(Key::new("base"), [delta]);
    assert_plain(&tree);
    assert!(!tree.subkeys.is_empty());
}

fn assert_plain(key: &Key) {
    assert_eq!(key.state, KeyState::Merge);
    assert!(key.values.iter().all(|value| value.state == ValueState::Present));
    key.subkeys.iter().for_each(assert_plain);
}
