//! The trees of hives that a registry file holds, whatever its form: what deltas are laid over, and what they are made of.

use super::deltas::Deltas;
use cv_hive::{Deletions, Key, Name, diff, merge};
use cv_winname::wtf8;
use layerfmt::content::HiveName;

/// What programs call the control set in use.
pub(super) const CURRENT: &str = "CurrentControlSet";

/// The hives of one or more registry files.
pub trait HiveTrees {
    /// The key that a hive's root stands for; `None` where it is not there.
    fn tree(&self, hive: HiveName) -> Option<&Key>;

    /// The same to be changed, added where it is not there; `None` where the files cannot hold the hive.
    fn tree_mut(&mut self, hive: HiveName) -> Option<&mut Key>;

    /// The name of the control set that delta hives mean by `CurrentControlSet`, where it is another.
    fn current_set(&self) -> Option<Name>;

    /// Takes from a delta what the files have no place for.
    fn reduce(&self, delta: &mut Key) {
        let _ = delta;
    }

    /// A delta of a hive in the terms of these files.
    fn localized(&self, hive: HiveName, delta: &Key) -> Key {
        let mut delta = delta.clone();
        self.reduce(&mut delta);
        if hive == HiveName::System
            && let Some(set) = self.current_set()
        {
            rename(&mut delta, &Name::from(CURRENT), set);
        }
        delta
    }

    /// Lays a delta of a hive over what is there.
    fn lay_over(&mut self, hive: HiveName, delta: &Key) {
        let delta = self.localized(hive, delta);
        if let Some(key) = self.tree_mut(hive) {
            merge(key, delta, Deletions::Remove);
        }
    }

    /// What makes `after` of these trees, as delta hives. Keys that are in no hive of a layer do not count.
    fn changes(&self, after: &Self) -> Deltas
    where
        Self: Sized,
    {
        let empty = Key::new("");
        let mut changes = Vec::new();
        for hive in HiveName::ALL {
            let (before, after) = (self.tree(hive), after.tree(hive));
            let Some(mut delta) = diff::delta(before.unwrap_or(&empty), after.unwrap_or(&empty)) else {
                continue;
            };
            if hive == HiveName::System
                && let Some(set) = self.current_set()
            {
                rename(&mut delta, &set, Name::from(CURRENT));
            }
            changes.push((hive, delta));
        }
        changes
    }

    /// The key of these names below that of a hive.
    fn key(&self, hive: HiveName, path: &str) -> Option<&Key> {
        self.tree(hive)?.descendant(&self.names(hive, path))
    }

    /// The key of these names below that of a hive, added where there is none; `None` where the files cannot hold the hive.
    fn key_mut(&mut self, hive: HiveName, path: &str) -> Option<&mut Key> {
        let names = self.names(hive, path);
        let root = self.tree_mut(hive)?;
        Some(names.into_iter().fold(root, |key, name| key.subkey_or_insert(name)))
    }

    /// The text of a value, up to its zero.
    fn text(&self, hive: HiveName, path: &str, value: &str) -> Option<String> {
        Some(text_of(&self.key(hive, path)?.value(value)?.data))
    }

    /// The names of a path below the key of a hive, with the control set under its own name.
    fn names(&self, hive: HiveName, path: &str) -> Vec<Name> {
        let mut names: Vec<Name> = path.split('\\').map(Name::from).collect();
        if hive == HiveName::System
            && let Some(first) = names.first_mut()
            && first.matches(Name::from(CURRENT).units())
            && let Some(set) = self.current_set()
        {
            *first = set;
        }
        names
    }
}

/// The text in a value's data, up to its zero.
pub(super) fn text_of(data: &[u8]) -> String {
    let units = wtf8::from_le_bytes(data);
    let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
    wtf8::display(&units[..end])
}

/// Gives a subkey another name; one that has it already is laid under it.
fn rename(key: &mut Key, from: &Name, to: Name) {
    let Ok(place) = key.position(from.units()) else { return };
    let mut subkey = key.subkeys.remove(place);
    subkey.name = to;
    match key.position(subkey.name.units()) {
        Ok(place) => merge(&mut key.subkeys[place], subkey, Deletions::Mark),
        Err(place) => key.subkeys.insert(place, subkey),
    }
}
