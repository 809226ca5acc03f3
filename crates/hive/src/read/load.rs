//! A whole hive as a tree in memory.

use super::hive::Hive;
use super::key::{KeyRef, security_at};
use super::name::shown;
use super::value::ValueRef;
use crate::structure::{Cells, KeyNode, KeyValue, NO_CELL, Structure, in_file};
use crate::tree::{Key, KeyFlags, Value};
use cv_disk::{Damage, Fault, Faults, Severity};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Hive<'_> {
    /// The whole hive as a tree; fails at the first fault that would cost something of it.
    pub fn to_tree(&self) -> Result<Key, Damage> {
        let mut first = None;
        let tree = load(self, &mut |damage| first = first.take().or(Some(damage)))?;
        first.map_or(Ok(tree), Err)
    }

    /// The hive as a tree without the parts that damage costs, and what that damage is. Fails where the root cannot be read.
    pub fn to_tree_with_faults(&self) -> Result<(Key, Faults), Damage> {
        let mut faults = Faults::new();
        let tree = load(self, &mut |damage| faults.push(Fault::new(Severity::Error, damage)))?;
        Ok((tree, faults))
    }
}

fn load(hive: &Hive<'_>, report: &mut dyn FnMut(Damage)) -> Result<Key, Damage> {
    hive.root()?;
    let mut loader = Loader {
        cells: hive.cells(),
        budget: hive.cells().len(),
        by_cell: HashMap::new(),
        by_content: HashSet::new(),
        report,
    };
    let mut path: Vec<Key> = Vec::new();
    for (depth, key) in hive.walk() {
        while path.len() > depth.max(1) {
            close(&mut path, loader.report);
        }
        match key {
            Ok(key) => match loader.key(&key, depth == 0) {
                Some(key) => path.push(key),
                None => break,
            },
            Err(damage) => (loader.report)(damage),
        }
    }
    while path.len() > 1 {
        close(&mut path, loader.report);
    }
    match path.pop() {
        Some(mut root) => {
            settle(&mut root, report);
            Ok(root)
        }
        None => Err(Damage::new("root cell", in_file(0), "a key", "none")),
    }
}

/// Hands the last key of the path to the one before it.
fn close(path: &mut Vec<Key>, report: &mut dyn FnMut(Damage)) {
    if let Some(mut key) = path.pop()
        && let Some(parent) = path.last_mut()
    {
        settle(&mut key, report);
        parent.subkeys.push(key);
    }
}

/// Brings subkeys in order, and drops all but the first of those with one name, as a lookup would.
fn settle(key: &mut Key, report: &mut dyn FnMut(Damage)) {
    let table = cv_winname::UpcaseTable::windows();
    let compare = |left: &Key, right: &Key| table.compare(left.name.units(), right.name.units());
    if key.subkeys.is_sorted_by(|left, right| compare(left, right).is_lt()) {
        return;
    }
    key.subkeys.sort_by(compare);
    let parent = &key.name;
    key.subkeys.dedup_by(|later, earlier| {
        let is_same = compare(later, earlier).is_eq();
        if is_same {
            let structure = format!("subkeys of `{}`", shown(parent));
            let found = format!("`{}` twice", shown(&later.name));
            report(Damage::new(structure, 0, "each name once", found));
        }
        is_same
    });
}

struct Loader<'h, 'r> {
    cells: Cells<'h>,
    /// Bytes that the parts still to come may have taken in the hive. Parts that stand for each other run out of it, so
    /// that a small hive does not make a large tree.
    budget: usize,
    by_cell: HashMap<u32, Option<Arc<[u8]>>>,
    by_content: HashSet<Arc<[u8]>>,
    report: &'r mut dyn FnMut(Damage),
}

impl Loader<'_, '_> {
    fn key(&mut self, key: &KeyRef<'_>, is_root: bool) -> Option<Key> {
        let size = KeyNode::SIZE + key.name().bytes().len() + usize::from(key.node().class_name_length);
        if !self.take(size) {
            (self.report)(key.damage("content", 0, "no more than the hive has room for", "more"));
            return None;
        }
        let class = key.class().unwrap_or_else(|damage| {
            (self.report)(damage);
            None
        });
        let mut flags = key.flags();
        if is_root {
            // Every root has it.
            flags.remove(KeyFlags::NO_DELETE);
        }
        Some(Key {
            name: key.name().to_name(),
            class: class.map(super::name::NameRef::to_name),
            last_written: key.last_written(),
            security: self.security(key.node().key_security_offset),
            is_link: key.is_link(),
            flags,
            state: key.state(),
            inherits_class: key.inherits_class(),
            values: self.values(key),
            subkeys: Vec::new(),
        })
    }

    fn security(&mut self, offset: u32) -> Option<Arc<[u8]>> {
        if offset == NO_CELL {
            return None;
        }
        if let Some(known) = self.by_cell.get(&offset) {
            return known.clone();
        }
        let security = match security_at(self.cells, offset) {
            Ok((_, descriptor)) if self.take(descriptor.len()) => {
                let shared = match self.by_content.get(descriptor) {
                    Some(shared) => shared.clone(),
                    None => Arc::from(descriptor),
                };
                self.by_content.insert(shared.clone());
                Some(shared)
            }
            Ok(_) => None,
            Err(damage) => {
                (self.report)(damage);
                None
            }
        };
        self.by_cell.insert(offset, security.clone());
        security
    }

    /// Takes from the budget; whether there was enough.
    fn take(&mut self, bytes: usize) -> bool {
        let rest = self.budget.checked_sub(bytes);
        self.budget = rest.unwrap_or(0);
        rest.is_some()
    }

    fn values(&mut self, key: &KeyRef<'_>) -> Vec<Value> {
        let list = key.values();
        if !self.take(4 * list.len()) {
            (self.report)(key.damage("values", 40, "no more than the hive has room for", "more"));
            return Vec::new();
        }
        let mut values = Vec::with_capacity(list.len());
        let mut hashes = Vec::with_capacity(list.len());
        for value in list {
            match value.and_then(|value| self.value(&value)) {
                Ok((value, hash)) => {
                    values.push(value);
                    hashes.push(hash);
                }
                Err(damage) => (self.report)(damage),
            }
        }
        hashes.sort_unstable();
        if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
            self.drop_repeated(key, &mut values);
        }
        values
    }

    fn value(&mut self, value: &ValueRef<'_>) -> Result<(Value, u32), Damage> {
        let inline = if value.record().is_inline() {
            0
        } else {
            value.data_size()
        };
        let size = KeyValue::SIZE + value.name().bytes().len() + inline;
        if !self.take(size) {
            return Err(value.damage("content", 0, "no more than the hive has room for", "more"));
        }
        let loaded = Value {
            name: value.name().to_name(),
            value_type: value.value_type(),
            data: value.data()?.into(),
            state: value.state(),
        };
        Ok((loaded, value.name().hash()))
    }

    /// Keeps the first value of each name, as a lookup would find it.
    fn drop_repeated(&mut self, key: &KeyRef<'_>, values: &mut Vec<Value>) {
        let table = cv_winname::UpcaseTable::windows();
        let mut names = HashSet::new();
        values.retain(|value| {
            let is_new = names.insert(table.fold(value.name.units()));
            if !is_new {
                let found = format!("`{}` twice", shown(&value.name));
                (self.report)(key.damage("values", 40, "each name once", found));
            }
            is_new
        });
    }
}
