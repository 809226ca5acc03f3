//! Changed keys and values.

use cv_hive::{Key, Name, Value};
use cv_winname::UpcaseTable;
use std::cmp::Ordering;
use std::collections::HashMap;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryDifference<'a> {
    /// The key is there in the later registry alone. What is in it follows.
    KeyAdded(&'a Key),
    /// The key is there in the earlier registry alone, with everything below it.
    KeyDeleted(&'a Key),
    /// The key's class, security or flags are others.
    KeyChanged(&'a Key),
    /// The value is there in the later registry alone.
    ValueAdded(&'a Value),
    /// The value's type or data is another.
    ValueChanged(&'a Value),
    /// The value is there in the earlier registry alone.
    ValueDeleted(&'a Value),
}

/// A change, and the names of the key that it is of from the root on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryChange<'a> {
    /// The names.
    pub key: Vec<Name>,
    /// What changed.
    pub difference: RegistryDifference<'a>,
}

/// What differs between two trees, each key before what is below it, keys in the order of their names. The times of keys do not
/// count, nor does the order of values.
pub fn compare<'a>(before: Option<&'a Key>, after: Option<&'a Key>) -> Vec<RegistryChange<'a>> {
    let mut comparison = Comparison {
        path: Vec::new(),
        changes: Vec::new(),
    };
    match (before, after) {
        (Some(before), Some(after)) => comparison.both(before, after),
        (None, Some(after)) => comparison.content(after),
        (Some(before), None) => {
            for key in &before.subkeys {
                comparison.below(&key.name, |comparison| {
                    comparison.note(RegistryDifference::KeyDeleted(key));
                });
            }
        }
        (None, None) => {}
    }
    comparison.changes
}

struct Comparison<'a> {
    path: Vec<Name>,
    changes: Vec<RegistryChange<'a>>,
}

impl<'a> Comparison<'a> {
    fn note(&mut self, difference: RegistryDifference<'a>) {
        self.changes.push(RegistryChange {
            key: self.path.clone(),
            difference,
        });
    }

    fn below(&mut self, name: &Name, work: impl FnOnce(&mut Self)) {
        self.path.push(name.clone());
        work(self);
        self.path.pop();
    }

    /// All of a key that is new; hives are no deeper than [`cv_hive::MAX_DEPTH`].
    fn added(&mut self, key: &'a Key) {
        self.note(RegistryDifference::KeyAdded(key));
        self.content(key);
    }

    fn content(&mut self, key: &'a Key) {
        for value in &key.values {
            self.note(RegistryDifference::ValueAdded(value));
        }
        for subkey in &key.subkeys {
            self.below(&subkey.name, |comparison| comparison.added(subkey));
        }
    }

    fn both(&mut self, before: &'a Key, after: &'a Key) {
        // What has none, as keys of text, says nothing of security.
        let is_same_security =
            before.security == after.security || before.security.is_none() || after.security.is_none();
        let is_same = before.class == after.class
            && is_same_security
            && before.flags == after.flags
            && before.is_link == after.is_link;
        if !is_same {
            self.note(RegistryDifference::KeyChanged(after));
        }
        if before.values != after.values {
            self.values(&before.values, &after.values);
        }
        let table = UpcaseTable::windows();
        let (mut left, mut right) = (before.subkeys.iter().peekable(), after.subkeys.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(one), Some(other)) => table.compare(one.name.units(), other.name.units()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            match order {
                Ordering::Less => {
                    if let Some(key) = left.next() {
                        self.below(&key.name, |comparison| {
                            comparison.note(RegistryDifference::KeyDeleted(key));
                        });
                    }
                }
                Ordering::Greater => {
                    if let Some(key) = right.next() {
                        self.below(&key.name, |comparison| comparison.added(key));
                    }
                }
                Ordering::Equal => {
                    if let (Some(one), Some(other)) = (left.next(), right.next()) {
                        self.below(&other.name, |comparison| comparison.both(one, other));
                    }
                }
            }
        }
    }

    fn values(&mut self, before: &'a [Value], after: &'a [Value]) {
        let table = UpcaseTable::windows();
        let fold = |value: &Value| table.fold(value.name.units());
        let mut known: HashMap<Vec<u16>, &Value> = before.iter().map(|value| (fold(value), value)).collect();
        for value in after {
            match known.remove(&fold(value)) {
                Some(old) if old.value_type == value.value_type && old.data == value.data => {}
                Some(_) => self.note(RegistryDifference::ValueChanged(value)),
                None => self.note(RegistryDifference::ValueAdded(value)),
            }
        }
        for value in before {
            if known.contains_key(&fold(value)) {
                self.note(RegistryDifference::ValueDeleted(value));
            }
        }
    }
}
