//! One tree laid over another.

use std::collections::HashMap;

use cv_overlay::registry::KeyFold;
use cv_winname::UpcaseTable;

use crate::{Key, KeyFlags, KeyState, Value, ValueState};

/// What becomes of what a delta deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletions {
    /// It is gone: for a tree with nothing below it.
    Remove,
    /// It is gone, and a tombstone or a superseding state says so to what lies below: for a delta.
    Mark,
}

/// Lays `delta` over `key`: its values and subkeys are added or take the place of those there, its tombstones delete, as the
/// states of layered keys demand. Class (unless inherited), security and time of a key are taken from the delta where it has
/// them. Where the delta is a tombstone itself, the key is emptied.
pub fn merge(key: &mut Key, delta: Key, deletions: Deletions) {
    let mut fold = KeyFold::new();
    fold.take(delta.state);
    let below = fold.take(key.state);
    let state = delta.state.over(key.state);
    if !below.values {
        key.values.clear();
    }
    if !below.subkeys {
        key.subkeys.clear();
        key.class = None;
        key.inherits_class = false;
        // What is hidden lends nothing to the key in its place.
        key.security = None;
        key.is_link = false;
        key.flags = KeyFlags::empty();
    }
    key.state = match deletions {
        Deletions::Mark => state,
        Deletions::Remove => KeyState::Merge.over(key.state),
    };
    if delta.state == KeyState::Tombstone {
        return;
    }
    if !delta.inherits_class {
        key.class = delta.class;
        key.inherits_class = false;
    }
    if delta.security.is_some() {
        key.security = delta.security;
    }
    if delta.last_written != 0 {
        key.last_written = delta.last_written;
    }
    key.flags |= delta.flags;
    key.is_link |= delta.is_link;
    merge_values(&mut key.values, delta.values, deletions);
    merge_subkeys(&mut key.subkeys, delta.subkeys, deletions);
}

/// A stack of hives made one tree: `base`, and over it the deltas, the lowest first. Nothing of the deltas' states is left.
pub fn resolve(base: Key, deltas: impl IntoIterator<Item = Key>) -> Key {
    let mut tree = base;
    for delta in deltas {
        merge(&mut tree, delta, Deletions::Remove);
    }
    tree
}

fn merge_values(values: &mut Vec<Value>, delta: Vec<Value>, deletions: Deletions) {
    if delta.is_empty() {
        return;
    }
    let table = UpcaseTable::windows();
    let mut places: HashMap<Vec<u16>, usize> = values
        .iter()
        .enumerate()
        .map(|(place, value)| (table.fold(value.name.units()), place))
        .collect();
    for value in delta {
        let folded = table.fold(value.name.units());
        if let Some(place) = places.get(&folded) {
            values[*place] = value;
        } else {
            places.insert(folded, values.len());
            values.push(value);
        }
    }
    if deletions == Deletions::Remove {
        values.retain(|value| value.state == ValueState::Present);
    }
}

fn merge_subkeys(subkeys: &mut Vec<Key>, delta: Vec<Key>, deletions: Deletions) {
    if delta.is_empty() {
        return;
    }
    let table = UpcaseTable::windows();
    let mut merged = Vec::with_capacity(subkeys.len() + delta.len());
    let mut below = std::mem::take(subkeys).into_iter().peekable();
    for over in delta {
        let is_before = |key: &Key| table.compare(key.name.units(), over.name.units()).is_lt();
        while let Some(key) = below.next_if(is_before) {
            merged.push(key);
        }
        let same = below.next_if(|key| key.name.matches(over.name.units()));
        if over.state == KeyState::Tombstone && deletions == Deletions::Remove {
            continue;
        }
        let mut key = same.unwrap_or_else(|| Key::new(over.name.clone()));
        merge(&mut key, over, deletions);
        merged.push(key);
    }
    merged.extend(below);
    *subkeys = merged;
}
