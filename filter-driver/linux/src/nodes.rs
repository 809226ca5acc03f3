//! The inodes that the kernel knows, their paths, and how their numbers are chosen.
//!
//! A number says which member has the file and which file of it: the member's slot in the upper 16 bits, the record or the
//! host's inode below. So it is the same whenever the kernel asks again, without a table. A directory has the number of its
//! lowest part, and what was copied up that of what it was copied from, which is noted with the copy; so nothing changes its
//! number by being written, or by a layer that is attached above it. Where that would give two files one number, the second
//! gets one of its own for as long as the kernel knows it.

use cv_overlay::NamePath;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};

/// The inode of the root.
pub const ROOT: u64 = 1;

/// The inode of the file that tells Wine that directories here ignore case.
pub const MARKER: u64 = 2;

/// Names on the way from the root at most.
const DEEPEST: usize = 65_535;

const FIRST_FREE: u64 = 16;
const SLOT_SHIFT: u32 = 48;

/// Which file of which member: the member's slot, and the record or inode there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The slot of the member.
    pub slot: u16,
    /// The record or inode.
    pub file: u64,
}

impl Identity {
    /// The number that a file has unless another has it; 0 where the two do not fit into one.
    pub fn natural(self) -> u64 {
        if self.slot == 0 || self.file >> SLOT_SHIFT != 0 {
            0
        } else {
            u64::from(self.slot) << SLOT_SHIFT | self.file
        }
    }
}

/// A directory and a name in it.
type Named = (u64, Box<[u16]>);

/// An inode that the kernel knows.
#[derive(Debug)]
struct Node {
    parent: u64,
    name: Box<[u16]>,
    lookups: u64,
    identity: Identity,
    has_path: bool,
}

/// All inodes that the kernel knows.
#[derive(Debug, Default)]
pub struct Nodes {
    by_number: HashMap<u64, Node, NumberHash>,
    /// Further names of files that have several.
    others: HashMap<u64, Vec<Named>, NumberHash>,
    /// Files whose number is not their natural one.
    substitutes: HashMap<Identity, u64>,
    next_free: u64,
    /// In the order in which the kernel came to know them, those that it may be asked to forget; some are forgotten.
    oldest: VecDeque<u64>,
}

impl Nodes {
    /// How many the kernel knows, without the root.
    pub fn count(&self) -> usize {
        self.by_number.len()
    }

    /// The number of what is under a name of a directory, which the kernel knows from now on. `natural` is the number it
    /// has by itself, `identity` what tells it from others.
    pub fn intern(&mut self, parent: u64, name: &[u16], natural: u64, identity: Identity, lookups: u64) -> u64 {
        let number = self.number(natural, identity);
        let oldest = &mut self.oldest;
        let node = self.by_number.entry(number).or_insert_with(|| {
            oldest.push_back(number);
            Node {
                parent,
                name: name.into(),
                lookups: 0,
                identity,
                has_path: true,
            }
        });
        node.lookups += lookups;
        if !node.has_path {
            (node.parent, node.name, node.has_path) = (parent, name.into(), true);
        } else if (node.parent, &*node.name) != (parent, name) {
            let others = self.others.entry(number).or_default();
            if !others.iter().any(|(p, n)| (*p, &**n) == (parent, name)) {
                others.push((parent, name.into()));
            }
        }
        number
    }

    /// The number that something has or would have, known or not.
    pub fn number(&mut self, natural: u64, identity: Identity) -> u64 {
        if let Some(number) = self.substitutes.get(&identity) {
            return *number;
        }
        let is_free = match self.by_number.get(&natural) {
            None => true,
            Some(node) => node.identity == identity && node.has_path,
        };
        if natural != 0 && is_free {
            return natural;
        }
        self.next_free = self.next_free.max(FIRST_FREE) + 1;
        let number = self.next_free;
        self.substitutes.insert(identity, number);
        number
    }

    /// The number by which the kernel may know something; nothing is remembered.
    pub fn known(&self, natural: u64, identity: Identity) -> u64 {
        self.substitutes.get(&identity).copied().unwrap_or(natural)
    }

    /// The kernel forgot an inode that often.
    pub fn forget(&mut self, number: u64, lookups: u64) {
        if let Some(node) = self.by_number.get_mut(&number) {
            node.lookups = node.lookups.saturating_sub(lookups);
            if node.lookups == 0 {
                let identity = node.identity;
                self.by_number.remove(&number);
                self.others.remove(&number);
                if self.oldest.len() > 2 * self.by_number.len() + 1000 {
                    let known = &self.by_number;
                    self.oldest.retain(|number| known.contains_key(number));
                }
                if self.substitutes.get(&identity) == Some(&number) {
                    self.substitutes.remove(&identity);
                }
            }
        }
    }

    /// What tells the file of an inode from others.
    pub fn identity(&self, number: u64) -> Option<Identity> {
        self.by_number.get(&number).map(|node| node.identity)
    }

    /// What an inode stands for is now another file: it was copied up.
    pub fn rebind(&mut self, number: u64, identity: Identity) {
        if let Some(node) = self.by_number.get_mut(&number) {
            self.substitutes.remove(&node.identity);
            node.identity = identity;
            if identity.natural() != number {
                self.substitutes.insert(identity, number);
            }
        }
    }

    /// The directory and the name of an inode; `None` for the root and for what has no name any more.
    pub fn place(&self, number: u64) -> Option<(u64, Box<[u16]>)> {
        let node = self.by_number.get(&number).filter(|node| node.has_path)?;
        Some((node.parent, node.name.clone()))
    }

    /// The path of an inode.
    pub fn path(&self, number: u64) -> Option<NamePath> {
        let mut names: Vec<&[u16]> = Vec::new();
        let mut at = number;
        while at != ROOT {
            let node = self.by_number.get(&at).filter(|node| node.has_path)?;
            names.push(&node.name);
            at = node.parent;
            if names.len() > DEEPEST {
                return None;
            }
        }
        Some(names.into_iter().rev().collect())
    }

    /// All paths of an inode that has several.
    pub fn paths(&self, number: u64) -> Vec<NamePath> {
        let Some(others) = self.others.get(&number) else {
            return Vec::new();
        };
        let others = others
            .iter()
            .filter_map(|(parent, name)| Some(self.path(*parent)?.joined(name)));
        others.chain(self.path(number)).collect()
    }

    /// A name of an inode is gone.
    pub fn unlinked(&mut self, number: u64, parent: u64, name: &[u16]) {
        if let Some(node) = self.by_number.get_mut(&number) {
            let mut others = self.others.remove(&number).unwrap_or_default();
            others.retain(|(p, n)| (*p, &**n) != (parent, name));
            if (node.parent, &*node.name) == (parent, name) {
                match others.pop() {
                    Some((parent, name)) => (node.parent, node.name) = (parent, name),
                    None => node.has_path = false,
                }
            }
            if !others.is_empty() {
                self.others.insert(number, others);
            }
        }
    }

    /// An inode has another name now.
    pub fn renamed(&mut self, number: u64, old: (u64, &[u16]), new: (u64, &[u16])) {
        self.unlinked(number, old.0, old.1);
        if let Some(node) = self.by_number.get_mut(&number) {
            if node.has_path {
                let others = self.others.entry(number).or_default();
                others.push((node.parent, std::mem::take(&mut node.name)));
            }
            (node.parent, node.name, node.has_path) = (new.0, new.1.into(), true);
        }
    }

    /// Up to `count` of the inodes that the kernel has known for longest, each once, with directory and name.
    pub fn take_oldest(&mut self, count: usize) -> Vec<(u64, u64, Box<[u16]>)> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some(number) = self.oldest.pop_front()
        {
            if let Some((parent, name)) = self.place(number) {
                taken.push((number, parent, name));
            }
        }
        taken
    }

    /// The inodes below a directory.
    pub fn below(&self, directory: u64) -> Vec<u64> {
        let mut known = HashMap::from([(directory, true), (ROOT, directory == ROOT)]);
        let mut found = Vec::new();
        for (number, mut at, _) in self.all() {
            let mut way = Vec::new();
            let is_below = loop {
                if let Some(known) = known.get(&at) {
                    break *known;
                }
                way.push(at);
                match self.by_number.get(&at).filter(|node| node.has_path) {
                    Some(node) if way.len() < DEEPEST => at = node.parent,
                    _ => break false,
                }
            };
            known.extend(way.into_iter().map(|directory| (directory, is_below)));
            if is_below {
                found.push(number);
            }
        }
        found
    }

    /// All inodes with their directories and names; one with several names comes several times, its first name last.
    pub fn all(&self) -> impl Iterator<Item = (u64, u64, &[u16])> {
        self.by_number
            .iter()
            .filter(|(_, node)| node.has_path)
            .flat_map(|(number, node)| {
                let others = self.others.get(number).into_iter().flatten();
                let others = others.map(|(parent, name)| (*parent, &**name));
                let first = std::iter::once((node.parent, &*node.name));
                others.chain(first).map(|(parent, name)| (*number, parent, name))
            })
    }
}

/// Spreads numbers over a table, for each process in another way.
#[derive(Debug, Clone)]
struct NumberHash(u64);

impl Default for NumberHash {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for NumberHash {
    type Hasher = NumberHasher;

    fn build_hasher(&self) -> NumberHasher {
        NumberHasher(self.0)
    }
}

struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
        let product = u128::from(self.0 ^ number) * ODD;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn numbers_stay_and_never_name_two_files() {
        let mut nodes = Nodes::default();
        let lower = Identity { slot: 1, file: 40 };
        let number = nodes.intern(ROOT, &units("a"), lower.natural(), lower, 1);
        assert_eq!(number, 0x0001_0000_0000_0028);
        // A hard link of it.
        assert_eq!(nodes.intern(ROOT, &units("b"), lower.natural(), lower, 1), number);
        nodes.unlinked(number, ROOT, &units("a"));
        assert_eq!(nodes.path(number), Some(NamePath::from("b")));
        // Copied up under the one name: the number goes along, and what stays behind gets another.
        let upper = Identity { slot: 2, file: 7 };
        nodes.rebind(number, upper);
        assert_eq!(nodes.intern(ROOT, &units("b"), lower.natural(), upper, 1), number);
        let other = nodes.intern(ROOT, &units("c"), lower.natural(), lower, 1);
        assert_ne!(other, number);
        assert_eq!(nodes.intern(ROOT, &units("c"), lower.natural(), lower, 1), other);
        // Gone, and the host's inode is used for a new file while the kernel knows the old one.
        nodes.unlinked(number, ROOT, &units("b"));
        assert_eq!(nodes.path(number), None);
        nodes.forget(number, 3);
        nodes.forget(other, 2);
        assert_eq!(nodes.count(), 0);
        assert!(nodes.substitutes.is_empty());
    }
}
