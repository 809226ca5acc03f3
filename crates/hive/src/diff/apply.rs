//! Changes made to a tree.

use super::{Change, What};
use crate::{Key, KeyPath, Name};
use cv_winname::UpcaseTable;
use std::collections::HashMap;

/// A tree that is not the one that changes are for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A key is missing.
    #[error("there is no key {0}")]
    NoSuchKey(KeyPath),
    /// A key is there that should be new.
    #[error("the key {0} is there already")]
    KeyExists(KeyPath),
    /// A value is missing.
    #[error("the key {key} has no value {name:?}")]
    NoSuchValue {
        /// The key.
        key: KeyPath,
        /// The value.
        name: Name,
    },
    /// A value is there that should be new.
    #[error("the key {key} has a value {name:?} already")]
    ValueExists {
        /// The key.
        key: KeyPath,
        /// The value.
        name: Name,
    },
}

/// Makes the changes, in order. Stops at the first that does not fit the tree; those before it are made by then.
pub fn apply(tree: &mut Key, changes: &[Change]) -> Result<(), Mismatch> {
    changes.iter().try_for_each(|change| make(tree, change))
}

fn make(tree: &mut Key, change: &Change) -> Result<(), Mismatch> {
    let path = &change.key;
    let missing = || Mismatch::NoSuchKey(path.clone());
    match (&change.what, path.names().split_last()) {
        (What::KeyAdded(key), Some((name, above))) => {
            let above = tree.descendant_mut(above).ok_or_else(missing)?;
            let Err(position) = above.position(name.units()) else {
                return Err(Mismatch::KeyExists(path.clone()));
            };
            above.subkeys.insert(position, key.clone());
            return Ok(());
        }
        (What::KeyRemoved, Some((name, above))) => {
            let above = tree.descendant_mut(above).ok_or_else(missing)?;
            let position = above.position(name.units()).map_err(|_| missing())?;
            above.subkeys.remove(position);
            return Ok(());
        }
        _ => {}
    }
    let key = tree.descendant_mut(path.names()).ok_or_else(missing)?;
    let place = |key: &Key, name: &Name| key.values.iter().position(|value| value.name.matches(name.units()));
    let no_value = |name: &Name| Mismatch::NoSuchValue {
        key: path.clone(),
        name: name.clone(),
    };
    match &change.what {
        // A root is neither added nor removed.
        What::KeyAdded(_) => return Err(Mismatch::KeyExists(path.clone())),
        What::KeyRemoved => return Err(missing()),
        What::Renamed(name) => key.name = name.clone(),
        What::Class(class) => key.class.clone_from(class),
        What::Security(security) => key.security.clone_from(security),
        What::LastWritten(time) => key.last_written = *time,
        What::Link(is_link) => key.is_link = *is_link,
        What::Flags(flags) => key.flags = *flags,
        What::State { state, inherits_class } => {
            key.state = *state;
            key.inherits_class = *inherits_class;
        }
        What::ValueAdded(value) => {
            if place(key, &value.name).is_some() {
                let name = value.name.clone();
                return Err(Mismatch::ValueExists {
                    key: path.clone(),
                    name,
                });
            }
            key.values.push(value.clone());
        }
        What::ValueRemoved(value) => {
            let place = place(key, &value.name).ok_or_else(|| no_value(&value.name))?;
            key.values.remove(place);
        }
        What::ValueChanged { from, to } => {
            let place = place(key, &from.name).ok_or_else(|| no_value(&from.name))?;
            key.values[place] = to.clone();
        }
        What::ValueOrder(names) => {
            let table = UpcaseTable::windows();
            let order: HashMap<_, _> = names
                .iter()
                .enumerate()
                .map(|(at, name)| (table.fold(name.units()), at))
                .collect();
            key.values.sort_by_key(|value| {
                order
                    .get(&table.fold(value.name.units()))
                    .copied()
                    .unwrap_or(usize::MAX)
            });
        }
    }
    Ok(())
}
