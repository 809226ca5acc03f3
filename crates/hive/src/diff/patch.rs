//! Changes as a `.reg` file makes them.

use super::{Change, What};
use crate::reg::{KeyAction, KeyChange, Patch};
use crate::{Key, KeyPath, KeyState, Name, Value, ValueState};

/// The changes of keys and values as a patch of the tree whose root stands at `top`. What a `.reg` file has no place for
/// (classes, security, times, links, flags, states, case and order) is left out.
pub fn to_patch(changes: &[Change], top: &KeyPath) -> Patch {
    let mut patch = Patch::default();
    for change in changes {
        let path = change.full_path(top);
        match &change.what {
            What::KeyAdded(key) => add(&mut patch, path.names(), key),
            What::KeyRemoved => delete(&mut patch, path),
            What::ValueAdded(value) | What::ValueChanged { to: value, .. } => set(&mut patch, path, value.clone()),
            What::ValueRemoved(value) => {
                let value = Value {
                    state: ValueState::Tombstone,
                    ..Value::new(value.name.clone(), crate::ValueType::NONE, Vec::new())
                };
                set(&mut patch, path, value);
            }
            _ => {}
        }
    }
    patch
}

fn delete(patch: &mut Patch, path: KeyPath) {
    let action = KeyAction::Delete;
    patch.changes.push(KeyChange { path, action });
}

fn set(patch: &mut Patch, path: KeyPath, value: Value) {
    match patch.changes.last_mut() {
        Some(KeyChange {
            path: last,
            action: KeyAction::Set(values),
        }) if *last == path => values.push(value),
        _ => {
            let action = KeyAction::Set(vec![value]);
            patch.changes.push(KeyChange { path, action });
        }
    }
}

fn add(patch: &mut Patch, path: &[Name], key: &Key) {
    if matches!(key.state, KeyState::Tombstone | KeyState::SupersedeTree) {
        delete(patch, path.to_vec().into());
    }
    if key.state == KeyState::Tombstone {
        return;
    }
    patch.changes.push(KeyChange {
        path: path.to_vec().into(),
        action: KeyAction::Set(key.values.clone()),
    });
    for subkey in &key.subkeys {
        add(patch, &[path, std::slice::from_ref(&subkey.name)].concat(), subkey);
    }
}
