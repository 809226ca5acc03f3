//! All keys of a hive, however its lists are damaged.

use super::key::KeyRef;
use super::subkeys::Subkeys;
use crate::structure::{Cells, cell};
use crate::tree::MAX_DEPTH;
use cv_disk::Damage;

/// A set of cells, by their offsets.
#[derive(Debug, Clone)]
pub struct CellSet {
    words: Vec<u64>,
}

impl CellSet {
    /// An empty set, for the cells of hive bins data of `length` bytes; it takes a 64th of that.
    pub fn new(length: usize) -> Self {
        let words = length / (64 * cell::ALIGNMENT as usize) + 1;
        Self { words: vec![0; words] }
    }

    fn place(offset: u32) -> (usize, u64) {
        let number = (offset / cell::ALIGNMENT) as usize;
        (number / 64, 1 << (number % 64))
    }

    /// Adds a cell; whether it was not in the set, and could be added.
    pub fn insert(&mut self, offset: u32) -> bool {
        let (word, bit) = Self::place(offset);
        match self.words.get_mut(word) {
            Some(word) => {
                let is_new = *word & bit == 0;
                *word |= bit;
                is_new
            }
            None => false,
        }
    }

    /// The cells in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(number, word)| {
            let bits = (0..64_usize).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| (number * 64 + bit) as u32 * cell::ALIGNMENT)
        })
    }

    /// Whether a cell is in the set.
    pub fn contains(&self, offset: u32) -> bool {
        let (word, bit) = Self::place(offset);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// All keys of a hive, each before its subkeys, with its depth (the root's is 0).
///
/// Each key is given once: where a list names one that was given before, or one deeper than [`MAX_DEPTH`] allows, that is
/// damage.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    root: Option<Result<KeyRef<'a>, Damage>>,
    levels: Vec<Subkeys<'a>>,
    seen: CellSet,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(cells: Cells<'a>, root: Result<KeyRef<'a>, Damage>) -> Self {
        Self {
            root: Some(root),
            levels: Vec::new(),
            seen: CellSet::new(cells.len()),
        }
    }

    /// Passes over the subkeys of the key that was given last, and all below them.
    pub fn skip_subkeys(&mut self) {
        self.levels.pop();
    }

    /// Gives `key` and goes on with its subkeys.
    fn enter(&mut self, key: Result<KeyRef<'a>, Damage>) -> (usize, Result<KeyRef<'a>, Damage>) {
        let depth = self.levels.len();
        let key = key.and_then(|key| {
            if !self.seen.insert(key.offset()) {
                Err(key.damage("place in the tree", 0, "one place", "a second one"))
            } else if depth >= MAX_DEPTH {
                Err(key.damage("depth", 0, format!("below {MAX_DEPTH}"), depth))
            } else {
                Ok(key)
            }
        });
        if let Ok(key) = &key {
            self.levels.push(key.subkeys());
        }
        (depth, key)
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = (usize, Result<KeyRef<'a>, Damage>);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(root) = self.root.take() {
            return Some(self.enter(root));
        }
        loop {
            if let Some(key) = self.levels.last_mut()?.next() {
                return Some(self.enter(key));
            }
            self.levels.pop();
        }
    }
}
