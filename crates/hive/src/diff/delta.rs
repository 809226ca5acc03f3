//! The delta hive that makes one tree the other.

use crate::{Key, KeyState, Value, ValueState, ValueType};
use cv_winname::UpcaseTable;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The delta that, [merged](crate::merge()) over `before`, gives `after`: what is new or other, and tombstones for what is
/// gone. `None` where nothing differs; when keys were written, the order of values and the case of names do not count.
///
/// Neither tree may have states of delta hives.
///
/// ```
/// use cv_hive::{Deletions, Key, Value, ValueType, diff, merge};
///
/// let mut before = Key::new("root");
/// before.subkey_or_insert("Gone");
/// let mut after = Key::new("root");
/// after.values.push(Value::new("Version", ValueType::DWORD, [7, 0, 0, 0]));
///
/// let delta = diff::delta(&before, &after).expect("they differ");
/// merge(&mut before, delta, Deletions::Remove);
/// assert_eq!(before, after);
/// ```
pub fn delta(before: &Key, after: &Key) -> Option<Key> {
    if before.is_link && !after.is_link || !after.flags.contains(before.flags) || is_unset(before, after) {
        // A delta cannot take these away from a key, only put another in its place.
        return Some(Key {
            state: KeyState::SupersedeTree,
            ..after.clone()
        });
    }
    let mut delta = Key::new(after.name.clone());
    delta.inherits_class = before.class == after.class;
    if !delta.inherits_class {
        delta.class.clone_from(&after.class);
    }
    if before.security != after.security {
        delta.security.clone_from(&after.security);
    }
    delta.is_link = after.is_link && !before.is_link;
    delta.flags = after.flags - before.flags;
    delta.values = values(&before.values, &after.values);
    delta.subkeys = subkeys(&before.subkeys, &after.subkeys);
    let is_same = delta.inherits_class
        && delta.security.is_none()
        && !delta.is_link
        && delta.flags.is_empty()
        && delta.values.is_empty();
    if is_same && delta.subkeys.is_empty() {
        return None;
    }
    if !is_same {
        delta.last_written = after.last_written;
    }
    Some(delta)
}

/// Whether the key has lost a security descriptor of its own.
fn is_unset(before: &Key, after: &Key) -> bool {
    before.security.is_some() && after.security.is_none()
}

fn values(before: &[Value], after: &[Value]) -> Vec<Value> {
    let table = UpcaseTable::windows();
    let fold = |value: &Value| table.fold(value.name.units());
    let mut was: HashMap<_, _> = before.iter().map(|value| (fold(value), value)).collect();
    let mut changed = Vec::new();
    for value in after {
        let old = was.remove(&fold(value));
        if old.is_none_or(|old| old.value_type != value.value_type || old.data != value.data) {
            changed.push(value.clone());
        }
    }
    let is_gone = |value: &&Value| was.contains_key(&fold(value));
    changed.extend(before.iter().filter(is_gone).map(|value| Value {
        state: ValueState::Tombstone,
        ..Value::new(value.name.clone(), ValueType::NONE, [])
    }));
    changed
}

fn subkeys(before: &[Key], after: &[Key]) -> Vec<Key> {
    let table = UpcaseTable::windows();
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut changed = Vec::new();
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return changed,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => table.compare(one.name.units(), other.name.units()),
        };
        let was = if order.is_le() { before.next() } else { None };
        let is = if order.is_ge() { after.next() } else { None };
        match (was, is) {
            (Some(was), Some(is)) => changed.extend(delta(was, is)),
            (Some(was), None) => changed.push(Key {
                state: KeyState::Tombstone,
                ..Key::new(was.name.clone())
            }),
            (None, Some(is)) => changed.push(is.clone()),
            (None, None) => {}
        }
    }
}
