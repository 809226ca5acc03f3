//! Hives edited in place, against the same edits of a tree in memory.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_hive::edit::{EditError, Editor};
use cv_hive::{Hive, Key, KeyFlags, KeyPath, KeyState, Name, Value, ValueState, ValueType, Version, WriteOptions};
use proptest::prelude::*;
use support::trees;

const NOW: u64 = 0x01DB_0000_0000_0000;

/// One edit. Keys are chosen by numbers, so that they are often there.
#[derive(Debug, Clone)]
enum Edit {
    Add(prop::sample::Index, Vec<Name>),
    Delete(prop::sample::Index),
    Rename(prop::sample::Index, Name),
    Set(prop::sample::Index, Value),
    SetAgain(prop::sample::Index, prop::sample::Index, Value),
    DeleteValue(prop::sample::Index, prop::sample::Index),
    Class(prop::sample::Index, Option<Name>),
    Security(prop::sample::Index, u8),
    State(prop::sample::Index, KeyState, bool),
    Flags(prop::sample::Index, bool, u32),
}

fn edit() -> impl Strategy<Value = Edit> {
    let key = any::<prop::sample::Index>;
    let states = prop::sample::select(vec![KeyState::Merge, KeyState::Tombstone, KeyState::SupersedeTree]);
    prop_oneof![
        4 => (key(), prop::collection::vec(trees::name(1..20), 1..3)).prop_map(|(key, names)| Edit::Add(key, names)),
        2 => key().prop_map(Edit::Delete),
        2 => (key(), trees::name(1..60)).prop_map(|(key, name)| Edit::Rename(key, name)),
        4 => (key(), trees::value(true)).prop_map(|(key, value)| Edit::Set(key, value)),
        2 => (key(), key(), trees::value(true)).prop_map(|(key, at, value)| Edit::SetAgain(key, at, value)),
        2 => (key(), key()).prop_map(|(key, at)| Edit::DeleteValue(key, at)),
        1 => (key(), prop::option::of(trees::name(0..40))).prop_map(|(key, class)| Edit::Class(key, class)),
        2 => (key(), 0_u8..8).prop_map(|(key, number)| Edit::Security(key, number)),
        1 => (key(), states, any::<bool>()).prop_map(|(key, state, inherits)| Edit::State(key, state, inherits)),
        1 => (key(), any::<bool>(), any::<u32>()).prop_map(|(key, is_link, flags)| Edit::Flags(key, is_link, flags)),
    ]
}

/// The paths of all keys.
fn paths(key: &Key, above: &[Name], paths: &mut Vec<Vec<Name>>) {
    paths.push(above.to_vec());
    for subkey in &key.subkeys {
        let path: Vec<Name> = above.iter().chain([&subkey.name]).cloned().collect();
        self::paths(subkey, &path, paths);
    }
}

fn at<'k>(root: &'k mut Key, path: &[Name]) -> &'k mut Key {
    path.iter().fold(root, |key, name| {
        let position = key.position(name.units()).unwrap();
        &mut key.subkeys[position]
    })
}

fn set(key: &mut Key, value: &Value) {
    match key
        .values
        .iter_mut()
        .find(|other| other.name.matches(value.name.units()))
    {
        Some(old) => {
            let name = old.name.clone();
            *old = Value { name, ..value.clone() };
        }
        None => key.values.push(value.clone()),
    }
    key.last_written = NOW;
}

/// Makes the same edit in the tree and in the hive.
#[expect(clippy::too_many_lines, reason = "one arm for each edit")]
fn apply(edit: &Edit, tree: &mut Key, editor: &mut Editor) {
    let mut all = Vec::new();
    paths(tree, &[], &mut all);
    match edit {
        Edit::Add(key, names) => {
            let path: Vec<Name> = key.get(&all).iter().chain(names).cloned().collect();
            let is_new = editor.add_key(&path).unwrap();
            let mut key = &mut *tree;
            let mut added = false;
            for name in &path {
                if key.position(name.units()).is_err() {
                    key.last_written = NOW;
                    let security = key.security.clone();
                    let subkey = key.subkey_or_insert(name.clone());
                    subkey.security = security;
                    subkey.last_written = NOW;
                    added = true;
                }
                key = key.subkey_or_insert(name.clone());
            }
            assert_eq!(is_new, added);
        }
        Edit::Delete(key) => {
            let path = key.get(&all);
            let Some((name, above)) = path.split_last() else {
                assert!(matches!(editor.delete_key(path), Err(EditError::Root)));
                return;
            };
            assert!(editor.delete_key(path).unwrap());
            let parent = at(tree, above);
            let position = parent.position(name.units()).unwrap();
            parent.subkeys.remove(position);
            parent.last_written = NOW;
        }
        Edit::Rename(key, name) => {
            let path = key.get(&all);
            let Some((old, above)) = path.split_last() else {
                assert!(matches!(editor.rename_key(path, name), Err(EditError::Root)));
                return;
            };
            let parent = at(tree, above);
            if parent.position(name.units()).is_ok() && !old.matches(name.units()) {
                assert!(matches!(editor.rename_key(path, name), Err(EditError::Exists(_))));
                return;
            }
            editor.rename_key(path, name).unwrap();
            let position = parent.position(old.units()).unwrap();
            let mut key = parent.subkeys.remove(position);
            key.name = name.clone();
            key.last_written = NOW;
            let position = parent.position(name.units()).unwrap_err();
            parent.subkeys.insert(position, key);
            parent.last_written = NOW;
        }
        Edit::Set(key, value) => {
            let path = key.get(&all);
            editor.set_value(path, value).unwrap();
            set(at(tree, path), value);
        }
        Edit::SetAgain(key, number, value) => {
            let path = key.get(&all);
            let key = at(tree, path);
            if key.values.is_empty() {
                return;
            }
            let name = number.get(&key.values).name.clone();
            let value = Value { name, ..value.clone() };
            editor.set_value(path, &value).unwrap();
            set(key, &value);
        }
        Edit::DeleteValue(key, number) => {
            let path = key.get(&all);
            let key = at(tree, path);
            assert!(
                !editor
                    .delete_value(path, &Name::from("no such value at all, of any name"))
                    .unwrap()
            );
            if key.values.is_empty() {
                return;
            }
            let position = number.index(key.values.len());
            let value = key.values.remove(position);
            assert!(editor.delete_value(path, &value.name).unwrap());
            key.last_written = NOW;
        }
        Edit::Class(key, class) => {
            let path = key.get(&all);
            editor.set_class(path, class.as_ref()).unwrap();
            let key = at(tree, path);
            key.class = class.clone().filter(|class| !class.is_empty());
            key.last_written = NOW;
        }
        Edit::Security(key, number) => {
            let path = key.get(&all);
            let security = trees::security(*number);
            editor.set_security(path, &security).unwrap();
            let key = at(tree, path);
            key.security = Some(security);
            key.last_written = NOW;
        }
        Edit::State(key, state, inherits_class) => {
            let path = key.get(&all);
            editor.set_state(path, *state, *inherits_class).unwrap();
            let key = at(tree, path);
            (key.state, key.inherits_class) = (*state, *inherits_class);
            key.last_written = NOW;
        }
        Edit::Flags(key, is_link, flags) => {
            let path = key.get(&all);
            let flags = KeyFlags::from_bits_truncate(*flags);
            editor.set_flags(path, *is_link, flags).unwrap();
            let key = at(tree, path);
            (key.is_link, key.flags) = (*is_link, flags);
            key.last_written = NOW;
            tree.flags.remove(KeyFlags::NO_DELETE);
        }
    }
}

fn written(tree: &Key, version: Version) -> Vec<u8> {
    let options = WriteOptions {
        version: Some(version),
        ..WriteOptions::default()
    };
    cv_hive::write_to_vec(tree, &options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edits_do_what_they_do_in_memory(
        tree in trees::tree(true),
        edits in prop::collection::vec(edit(), 1..60),
    ) {
        let mut tree = trees::as_written(&tree);
        let mut editor = Editor::open(written(&tree, Version::V1_6), NOW).unwrap();
        for edit in &edits {
            let before = editor.bytes().to_vec();
            apply(edit, &mut tree, &mut editor);
            let ranges = editor.commit();
            support::assert_sound(editor.bytes());
            prop_assert_eq!(&editor.hive().unwrap().to_tree().unwrap(), &tree);
            // The ranges say all that changed.
            let mut patched = before;
            patched.resize(editor.bytes().len(), 0);
            for range in ranges {
                let range = range.start as usize..range.end as usize;
                patched[range.clone()].copy_from_slice(&editor.bytes()[range]);
            }
            prop_assert!(patched == editor.bytes());
        }
    }
}

fn name(text: &str) -> Name {
    Name::from(text)
}

#[test]
fn lists_split_and_vanish() {
    for version in [Version::V1_3, Version::V1_5] {
        let mut editor = Editor::open(written(&Key::new("root"), version), NOW).unwrap();
        // From the middle to both sides, so that every place is inserted into.
        let names = (0..3000).map(|number| name(&format!("Key {:05}", number * 1699 % 3000)));
        let names: Vec<Name> = names.collect();
        for (number, name) in names.iter().enumerate() {
            assert!(editor.add_key(std::slice::from_ref(name)).unwrap());
            if number % 500 == 7 {
                editor.commit();
                support::assert_sound(editor.bytes());
            }
        }
        assert!(!editor.add_key(&names[..1]).unwrap());
        editor.commit();
        support::assert_sound(editor.bytes());
        let grown = editor.bytes().len();
        assert_eq!(editor.hive().unwrap().root().unwrap().subkeys().count(), 3000);
        for name in &names {
            assert!(editor.delete_key(std::slice::from_ref(name)).unwrap());
            assert!(!editor.delete_key(std::slice::from_ref(name)).unwrap());
        }
        editor.commit();
        support::assert_sound(editor.bytes());
        assert_eq!(editor.hive().unwrap().to_tree().unwrap().subkeys, []);
        // All room is used again.
        for name in &names {
            editor.add_key(std::slice::from_ref(name)).unwrap();
        }
        editor.commit();
        support::assert_sound(editor.bytes());
        assert!(editor.bytes().len() <= grown + 4096, "{} {grown}", editor.bytes().len());
    }
}

#[test]
fn hives_of_windows_are_edited() {
    for hive_name in support::SOUND {
        let Some(bytes) = support::corpus(hive_name) else {
            return;
        };
        let bytes = match Editor::open(bytes.clone(), NOW) {
            Ok(_) => bytes,
            Err(EditError::Unsound(_)) => cv_hive::check::repair(&bytes).unwrap().bytes,
            Err(error) => panic!("{hive_name}: {error}"),
        };
        let before = support::faults(&bytes);
        let mut tree = Hive::open(&bytes).unwrap().to_tree().unwrap();
        let mut editor = Editor::open(bytes, NOW).unwrap();
        assert_eq!(editor.commit(), []);
        let mut all = Vec::new();
        paths(&tree, &[], &mut all);
        let chosen: Vec<Vec<Name>> = all.iter().step_by(all.len().div_ceil(40)).cloned().collect();
        for (number, path) in chosen.iter().enumerate() {
            let value = Value::new(
                "New value",
                ValueType::BINARY,
                support::random(number as u64, number * 900),
            );
            editor.set_value(path, &value).unwrap();
            set(at(&mut tree, path), &value);
            let below: Vec<Name> = path
                .iter()
                .cloned()
                .chain([name("New key"), name("below \u{65E5}")])
                .collect();
            editor.add_key(&below).unwrap();
            editor.set_security(&below, &trees::security(number as u8)).unwrap();
            let key = at(&mut tree, path);
            let security = key.security.clone();
            let new = key.subkey_or_insert("New key");
            (new.security, new.last_written) = (security, NOW);
            let below = new.subkey_or_insert("below \u{65E5}");
            (below.security, below.last_written) = (Some(trees::security(number as u8)), NOW);
        }
        for path in chosen.iter().rev().step_by(5).filter(|path| !path.is_empty()) {
            if editor.delete_key(path).unwrap() {
                let (last, above) = path.split_last().unwrap();
                let parent = at(&mut tree, above);
                parent.last_written = NOW;
                let position = parent.position(last.units()).unwrap();
                parent.subkeys.remove(position);
            }
        }
        editor.commit();
        let after = editor.hive().unwrap().to_tree().unwrap();
        assert!(after == tree, "{hive_name}");
        // Notes that were there may stay.
        assert!(support::faults(editor.bytes()).len() <= before.len(), "{hive_name}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let mut root = Key::new("root");
    root.subkey_or_insert("Key")
        .values
        .push(Value::new("v", ValueType::SZ, [0, 0]));
    let bytes = written(&root, Version::V1_3);
    let mut editor = Editor::open(bytes.clone(), NOW).unwrap();
    let key = [name("Key")];
    let tombstone = Value {
        state: ValueState::Tombstone,
        ..Value::new("t", ValueType::NONE, [])
    };
    let long = name(&"x".repeat(256));
    let results = [
        editor.set_value(&key, &Value::new("v", ValueType::BINARY, vec![0; 1 << 20])),
        editor.set_value(&key, &Value::new(&*"x".repeat(16384), ValueType::BINARY, [])),
        editor.set_value(&key, &tombstone),
        editor.set_value(&[name("none")], &Value::new("v", ValueType::BINARY, [])),
        editor.set_state(&key, KeyState::Tombstone, false),
        editor.set_security(&key, &[1, 2, 3]),
        editor.set_class(&key, Some(&name(&"x".repeat(40_000)))),
        editor.rename_key(&key, &name("")),
        editor.rename_key(&key, &long),
        editor.add_key(&[name("new"), long]).map(drop),
        editor.add_key(&vec![name("deep"); 512]).map(drop),
        editor.delete_key(&[]).map(drop),
    ];
    for (number, result) in results.into_iter().enumerate() {
        assert!(result.is_err(), "{number}");
    }
    assert_eq!(editor.commit(), []);
    assert_eq!(editor.bytes(), bytes);

    let mut damaged = bytes;
    damaged[508] ^= 1;
    assert!(matches!(Editor::open(damaged, NOW), Err(EditError::Unsound(_))));
}

#[test]
fn a_saved_hive_replaces_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let bytes = written(&Key::new("root"), Version::V1_5);
    std::fs::write(&path, &bytes).unwrap();
    let mut editor = Editor::open(bytes.clone(), NOW).unwrap();
    editor.add_key(KeyPath::parse(r"A\B\C").unwrap().names()).unwrap();
    // Given up, the file stays as it was.
    drop(cv_disk::DurableFile::create(&path).unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    editor.save(cv_disk::DurableFile::create(&path).unwrap()).unwrap();
    let saved = std::fs::read(&path).unwrap();
    support::assert_sound(&saved);
    let hive = Hive::open(&saved).unwrap();
    assert!(hive.key(r"a\b\c").unwrap().is_some());
    assert_eq!(hive.base_block().last_written, NOW);
    assert_eq!(hive.base_block().primary_sequence_number, 2);
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}
