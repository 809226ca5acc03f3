//! Keys and values in any order, gathered into a tree.

use std::collections::HashMap;

use cv_winname::UpcaseTable;

use crate::{Key, Name, Value};

/// A tree that grows. Each addition takes about the same time, whatever was gathered before and in whatever order the names
/// come, so that no text takes longer than its size.
#[derive(Debug)]
pub(super) struct Gathering {
    keys: Vec<Gathered>,
    /// Where a subkey stands in `keys`, by the place of the key above it and its folded name.
    places: HashMap<(usize, Vec<u16>), usize>,
    /// Where a value stands in its key, likewise.
    values: HashMap<(usize, Vec<u16>), usize>,
}

/// A key whose subkeys are still elsewhere.
#[derive(Debug)]
struct Gathered {
    above: usize,
    key: Key,
    /// Whether another key has taken its place.
    is_replaced: bool,
}

/// Where the root stands.
pub(super) const ROOT: usize = 0;

impl Gathering {
    /// A root with nothing in it.
    pub fn new() -> Self {
        let mut gathering = Self {
            keys: Vec::new(),
            places: HashMap::new(),
            values: HashMap::new(),
        };
        gathering.push(ROOT, Name::default());
        gathering
    }

    fn push(&mut self, above: usize, name: Name) -> usize {
        self.keys.push(Gathered {
            above,
            key: Key::new(name),
            is_replaced: false,
        });
        self.keys.len() - 1
    }

    /// The key at a place, without its subkeys.
    pub fn at(&mut self, place: usize) -> &mut Key {
        &mut self.keys[place].key
    }

    /// The place of the subkey of this name, where there is one.
    pub fn subkey(&self, above: usize, name: &Name) -> Option<usize> {
        self.places.get(&folded(above, name)).copied()
    }

    /// The place of the subkey of this name, which is there afterwards.
    pub fn subkey_or_insert(&mut self, above: usize, name: &Name) -> usize {
        let folded = folded(above, name);
        if let Some(place) = self.places.get(&folded) {
            return *place;
        }
        let place = self.push(above, name.clone());
        self.places.insert(folded, place);
        place
    }

    /// The place of the key of these names, which is there afterwards.
    pub fn key(&mut self, names: &[Name]) -> usize {
        names
            .iter()
            .fold(ROOT, |place, name| self.subkey_or_insert(place, name))
    }

    /// Gives the subkey of this name a new key in its place, with nothing in it.
    pub fn replace_subkey(&mut self, above: usize, name: &Name) -> usize {
        let new = self.push(above, name.clone());
        if let Some(old) = self.places.insert(folded(above, name), new) {
            self.keys[old].is_replaced = true;
        }
        new
    }

    /// Gives a key a value, in place of the one that has this name.
    pub fn set_value(&mut self, place: usize, value: Value) {
        let values = &mut self.keys[place].key.values;
        let folded = folded(place, &value.name);
        if let Some(position) = self.values.get(&folded) {
            values[*position] = value;
        } else {
            self.values.insert(folded, values.len());
            values.push(value);
        }
    }

    /// The tree.
    pub fn finish(self) -> Key {
        let table = UpcaseTable::windows();
        let sort = |key: &mut Key| {
            key.subkeys
                .sort_unstable_by(|one, other| table.compare(one.name.units(), other.name.units()));
        };
        let (aboves, mut keys): (Vec<usize>, Vec<Option<Key>>) = self
            .keys
            .into_iter()
            .map(|gathered| (gathered.above, (!gathered.is_replaced).then_some(gathered.key)))
            .unzip();
        // A key stands behind the one above it, so that from the end on each has all its subkeys when its turn comes.
        for place in (1..keys.len()).rev() {
            if let Some(mut key) = keys[place].take() {
                sort(&mut key);
                if let Some(above) = &mut keys[aboves[place]] {
                    above.subkeys.push(key);
                }
            }
        }
        let mut root = keys.swap_remove(ROOT).unwrap_or_else(|| Key::new(""));
        sort(&mut root);
        root
    }
}

fn folded(place: usize, name: &Name) -> (usize, Vec<u16>) {
    (place, UpcaseTable::windows().fold(name.units()))
}
