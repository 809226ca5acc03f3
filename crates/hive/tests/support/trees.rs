//! Trees of keys for tests.

use cv_hive::structure::security_descriptor::default_for_root;
use cv_hive::{Key, KeyFlags, KeyState, Name, Value, ValueState, ValueType};
use proptest::prelude::*;
use std::sync::Arc;

/// What is read back of a tree that was written: with the security descriptors that keys inherit.
pub fn as_written(tree: &Key) -> Key {
    let mut tree = tree.clone();
    tree.flags.remove(KeyFlags::NO_DELETE);
    inherit(&mut tree, &default_for_root().into());
    tree
}

fn inherit(key: &mut Key, above: &Arc<[u8]>) {
    let security = key.security.get_or_insert_with(|| above.clone()).clone();
    key.class = key.class.take().filter(|class| !class.is_empty());
    for subkey in &mut key.subkeys {
        inherit(subkey, &security);
    }
}

/// A valid security descriptor of which there are 256.
pub fn security(number: u8) -> Arc<[u8]> {
    let mut descriptor = default_for_root();
    // The last number of the owner, a group of the machine.
    let owner = u32::from_le_bytes([descriptor[4], descriptor[5], descriptor[6], descriptor[7]]) as usize;
    descriptor[owner + 12] = number;
    descriptor.into()
}

fn units() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => 0x20_u16..0x7F,
        1 => 0_u16..0x100,
        1 => any::<u16>(),
        1 => prop::sample::select(vec![0xD83D_u16, 0xDE00, 0xDC00, 0x0131, 0x00DF, 0x00FF, 0x0178]),
    ]
}

/// A name of `length` units.
pub fn name(length: std::ops::Range<usize>) -> impl Strategy<Value = Name> {
    prop::collection::vec(units(), length).prop_map(Name::from)
}

/// Data of any kind of cell.
pub fn data() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        8 => 0_usize..40,
        2 => 40_usize..5000,
        1 => 16340_usize..16350,
        1 => 32680_usize..60000,
    ];
    (length, any::<u64>()).prop_map(|(length, seed)| super::random(seed, length))
}

/// A value; with the states of delta hives where `layered`.
pub fn value(layered: bool) -> impl Strategy<Value = Value> {
    let value_type = prop_oneof![4 => 0_u32..12, 1 => any::<u32>()];
    (name(0..30), value_type, data(), any::<bool>()).prop_map(move |(name, value_type, data, is_tombstone)| {
        let mut value = Value::new(name, ValueType(value_type), data);
        if layered && is_tombstone {
            value.state = ValueState::Tombstone;
            value.value_type = ValueType::NONE;
            value.data = Box::default();
        }
        value
    })
}

fn key(layered: bool) -> impl Strategy<Value = Key> {
    let states = prop::sample::select(vec![
        KeyState::Merge,
        KeyState::Tombstone,
        KeyState::SupersedeLocal,
        KeyState::SupersedeTree,
    ]);
    let what = (any::<u64>(), any::<bool>(), any::<u32>(), states, any::<bool>());
    (
        name(1..40),
        prop::option::weighted(0.2, name(0..30)),
        prop::option::weighted(0.3, 0_u8..5),
        prop::collection::vec(value(layered), 0..6),
        what,
    )
        .prop_map(move |(name, class, number, values, what)| {
            let (last_written, is_link, flags, state, inherits_class) = what;
            Key {
                class,
                last_written,
                security: number.map(security),
                is_link,
                flags: KeyFlags::from_bits_truncate(flags),
                state: if layered { state } else { KeyState::Merge },
                inherits_class: layered && inherits_class,
                values,
                ..Key::new(name)
            }
        })
}

/// Brings the tree in order, and drops what has the name of something else.
pub fn settle(key: &mut Key) {
    let table = cv_winname::UpcaseTable::windows();
    key.subkeys
        .sort_by(|left, right| table.compare(left.name.units(), right.name.units()));
    key.subkeys
        .dedup_by(|left, right| table.equal(left.name.units(), right.name.units()));
    let mut names = std::collections::HashSet::new();
    key.values.retain(|value| names.insert(table.fold(value.name.units())));
    key.subkeys.iter_mut().for_each(settle);
}

/// Trees of some dozens of keys.
pub fn tree(layered: bool) -> impl Strategy<Value = Key> {
    key(layered)
        .prop_recursive(5, 60, 8, move |inner| {
            (key(layered), prop::collection::vec(inner, 0..8)).prop_map(|(mut key, subkeys)| {
                key.subkeys = subkeys;
                key
            })
        })
        .prop_map(|mut tree| {
            settle(&mut tree);
            tree
        })
}
