//! Random trees.

#![allow(dead_code, reason = "each test uses a part")]

use cv_hive::{Key, KeyState, Name, Value, ValueState, ValueType};
use cv_winname::UpcaseTable;
use proptest::prelude::*;

/// Units of names: letters that fold, letters that sort between the cases, what text forms escape, surrogates and the rest.
fn unit() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => prop::sample::select("abXY_\"]=@;- %/09".encode_utf16().collect::<Vec<_>>()),
        1 => any::<u16>(),
        1 => 0xD800_u16..0xE000,
        1 => 1_u16..0x100,
    ]
}

/// A name without what text forms cannot hold in names.
pub fn name(least: usize) -> impl Strategy<Value = Name> {
    prop::collection::vec(unit(), least..8).prop_map(|units| {
        let units: Vec<u16> = units
            .into_iter()
            .map(|unit| {
                if matches!(unit, 0 | 10 | 13 | 0x5C) {
                    u16::from(b'x')
                } else {
                    unit
                }
            })
            .collect();
        Name::from(units)
    })
}

fn data() -> impl Strategy<Value = (ValueType, Vec<u8>)> {
    let text = prop::collection::vec(prop_oneof![8 => unit(), 1 => Just(0_u16), 1 => 7_u16..14], 0..12);
    let text =
        (prop::sample::select(vec![1_u32, 2, 6, 7]), text, any::<bool>()).prop_map(|(kind, mut units, ended)| {
            if ended {
                units.push(0);
            }
            (ValueType(kind), units.into_iter().flat_map(u16::to_le_bytes).collect())
        });
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let kind = prop_oneof![0_u32..12, any::<u32>()].prop_map(ValueType);
    prop_oneof![
        text,
        (kind, bytes),
        any::<[u8; 4]>().prop_map(|word| (ValueType::DWORD, word.to_vec()))
    ]
}

fn value(tombstones: bool) -> impl Strategy<Value = Value> {
    (name(0), data(), prop::bool::weighted(0.2)).prop_map(move |(name, (value_type, data), is_tombstone)| {
        let mut value = Value::new(name, value_type, data);
        if tombstones && is_tombstone {
            value.state = ValueState::Tombstone;
            value.value_type = ValueType::NONE;
            value.data = Box::default();
        }
        value
    })
}

/// A tree as it should be: subkeys in order, no name twice.
pub fn tidy(mut key: Key) -> Key {
    let table = UpcaseTable::windows();
    let mut seen = std::collections::HashSet::new();
    key.values.retain(|value| seen.insert(table.fold(value.name.units())));
    key.subkeys
        .sort_by(|one, other| table.compare(one.name.units(), other.name.units()));
    key.subkeys.dedup_by(|one, other| one.name.matches(other.name.units()));
    key
}

/// A tree; with `tombstones` one of a delta hive, but without the states that hide values alone.
pub fn tree(tombstones: bool) -> impl Strategy<Value = Key> {
    let key = move || {
        (name(1), prop::collection::vec(value(tombstones), 0..5), 0..10_u8).prop_map(move |(name, values, state)| {
            let mut key = Key::new(name);
            key.values = values;
            match state {
                0 if tombstones => {
                    key.state = KeyState::Tombstone;
                    key.values.clear();
                }
                1 if tombstones => key.state = KeyState::SupersedeTree,
                _ => key.inherits_class = tombstones,
            }
            tidy(key)
        })
    };
    let tree = key().prop_recursive(4, 40, 5, move |below| {
        (key(), prop::collection::vec(below, 0..5)).prop_map(|(mut key, subkeys)| {
            if key.state != KeyState::Tombstone {
                key.subkeys = subkeys;
            }
            tidy(key)
        })
    });
    tree.prop_map(move |mut root| {
        root.name = Name::default();
        root.state = KeyState::Merge;
        root.inherits_class = tombstones;
        root
    })
}
