//! Two trees compared.

use super::{Change, DiffOptions, What};
use crate::{Key, KeyPath, Name, Value};
use cv_winname::UpcaseTable;
use std::cmp::Ordering;
use std::collections::HashMap;

/// What of `after` differs from `before`, in the order of the keys' names, each key before its subkeys. The names of the two
/// roots themselves do not count.
pub fn diff(before: &Key, after: &Key, options: &DiffOptions) -> Vec<Change> {
    let mut comparison = Comparison {
        options,
        path: Vec::new(),
        changes: Vec::new(),
    };
    comparison.keys(before, after);
    comparison.changes
}

struct Comparison<'a> {
    options: &'a DiffOptions,
    path: Vec<Name>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn note(&mut self, what: What) {
        self.changes.push(Change {
            key: self.path.clone().into(),
            what,
        });
    }

    fn keys(&mut self, before: &Key, after: &Key) {
        if self.options.case && !self.path.is_empty() && before.name != after.name {
            self.note(What::Renamed(after.name.clone()));
        }
        if before.class != after.class {
            self.note(What::Class(after.class.clone()));
        }
        if before.security != after.security {
            self.note(What::Security(after.security.clone()));
        }
        if self.options.times && before.last_written != after.last_written {
            self.note(What::LastWritten(after.last_written));
        }
        if before.is_link != after.is_link {
            self.note(What::Link(after.is_link));
        }
        if before.flags != after.flags {
            self.note(What::Flags(after.flags));
        }
        if (before.state, before.inherits_class) != (after.state, after.inherits_class) {
            self.note(What::State {
                state: after.state,
                inherits_class: after.inherits_class,
            });
        }
        if before.values != after.values {
            self.values(&before.values, &after.values);
        }
        self.subkeys(&before.subkeys, &after.subkeys);
    }

    fn values(&mut self, before: &[Value], after: &[Value]) {
        let table = UpcaseTable::windows();
        let fold = |value: &Value| table.fold(value.name.units());
        let now: HashMap<_, _> = after.iter().map(|value| (fold(value), value)).collect();
        // The names as they are in order once the changes are made.
        let mut order = Vec::new();
        let mut known = std::collections::HashSet::new();
        for from in before {
            let folded = fold(from);
            let Some(to) = now.get(&folded) else {
                self.note(What::ValueRemoved(from.clone()));
                continue;
            };
            let is_same = from.value_type == to.value_type && from.data == to.data && from.state == to.state;
            if !is_same || (self.options.case && from.name != to.name) {
                self.note(What::ValueChanged {
                    from: from.clone(),
                    to: (*to).clone(),
                });
            }
            order.push(&to.name);
            known.insert(folded);
        }
        for value in after.iter().filter(|value| !known.contains(&fold(value))) {
            self.note(What::ValueAdded(value.clone()));
            order.push(&value.name);
        }
        if self.options.value_order && !order.into_iter().eq(after.iter().map(|value| &value.name)) {
            self.note(What::ValueOrder(after.iter().map(|value| value.name.clone()).collect()));
        }
    }

    fn subkeys(&mut self, before: &[Key], after: &[Key]) {
        let table = UpcaseTable::windows();
        let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => table.compare(one.name.units(), other.name.units()),
            };
            let was = if order.is_le() { before.next() } else { None };
            let is = if order.is_ge() { after.next() } else { None };
            let Some(name) = was.or(is).map(|key| key.name.clone()) else {
                return;
            };
            self.path.push(name);
            match (was, is) {
                (Some(was), Some(is)) => self.keys(was, is),
                (Some(_), None) => self.note(What::KeyRemoved),
                (None, Some(is)) => self.note(What::KeyAdded(is.clone())),
                (None, None) => {}
            }
            self.path.pop();
        }
    }
}

impl Change {
    /// The whole path of the key, where the root stands at `top`.
    pub fn full_path(&self, top: &KeyPath) -> KeyPath {
        KeyPath::from([top.names(), self.key.names()].concat())
    }
}
