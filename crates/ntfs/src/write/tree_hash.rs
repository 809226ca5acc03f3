//! BLAKE3 of a stream with the hashes of its groups, so that a part of it can be verified without the rest.
//!
//! BLAKE3 is a tree: the chaining value of a group of [`GROUP`] bytes follows from its bytes and its place alone, and the
//! hash of the whole, the one that `b3sum` shows, follows from those of the groups.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

/// Bytes of a group.
pub const GROUP: u64 = 64 << 10;

/// The chaining value of a group.
pub type ChainingValue = [u8; 32];

/// The BLAKE3 hash of a stream of more than one group, and what it follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHash {
    /// The hash of the whole.
    pub root: [u8; 32],
    /// The chaining values of its groups; the last group may be shorter than the others.
    pub groups: Vec<ChainingValue>,
}

/// The chaining values of the groups of `bytes`, which begin at `offset` of the stream, a multiple of [`GROUP`].
pub fn chaining_values(bytes: &[u8], offset: u64) -> impl Iterator<Item = ChainingValue> + '_ {
    let offsets = (offset..).step_by(GROUP as usize);
    bytes.chunks(GROUP as usize).zip(offsets).map(|(group, offset)| {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset).update(group);
        hasher.finalize_non_root()
    })
}

/// The hash of a stream of `size` bytes whose groups have these chaining values; `None` unless there are as many as it
/// has groups, and more than one.
pub fn root_of(groups: &[ChainingValue], size: u64) -> Option<[u8; 32]> {
    if size <= GROUP || groups.len() as u64 != size.div_ceil(GROUP) {
        return None;
    }
    let (left, right) = halves(groups, size);
    Some(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes())
}

fn halves(groups: &[ChainingValue], size: u64) -> (ChainingValue, ChainingValue) {
    // A power of two, which cuts at the end of a group.
    let left = left_subtree_len(size);
    let (left_groups, right_groups) = groups.split_at((left / GROUP) as usize);
    (merged(left_groups, left), merged(right_groups, size - left))
}

/// As deep as the tree, 48 levels at most.
fn merged(groups: &[ChainingValue], size: u64) -> ChainingValue {
    if let [group] = groups {
        return *group;
    }
    let (left, right) = halves(groups, size);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

/// Takes a stream's bytes in order.
#[derive(Debug, Default)]
pub struct TreeHasher {
    groups: Vec<ChainingValue>,
    /// What there is of the next group.
    partial: Vec<u8>,
    size: u64,
}

impl TreeHasher {
    /// Adds bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let group = GROUP as usize;
        if !self.partial.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(group - self.partial.len()));
            self.partial.extend_from_slice(now);
            bytes = later;
            if self.partial.len() < group {
                return;
            }
            self.flush();
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % group);
        self.append(whole.len() as u64, chaining_values(whole, self.size));
        self.partial.extend_from_slice(rest);
    }

    /// Adds zeros.
    pub fn update_zeros(&mut self, mut count: u64) {
        static ZEROS: [u8; GROUP as usize] = [0; GROUP as usize];
        while count > 0 {
            let step = count.min(GROUP);
            self.update(&ZEROS[..step as usize]);
            count -= step;
        }
    }

    /// Whether the bytes so far are whole groups, so that [`append`](Self::append) may follow.
    pub fn is_at_group(&self) -> bool {
        self.partial.is_empty()
    }

    /// Adds `length` bytes by the chaining values of their groups. Only where all before are whole groups.
    pub fn append(&mut self, length: u64, groups: impl Iterator<Item = ChainingValue>) {
        debug_assert!(self.is_at_group());
        self.groups.extend(groups);
        self.size += length;
    }

    fn flush(&mut self) {
        self.groups.extend(chaining_values(&self.partial, self.size));
        self.size += self.partial.len() as u64;
        self.partial.clear();
    }

    /// The hash; `None` of what is no more than one group.
    pub fn finish(mut self) -> Option<TreeHash> {
        if !self.partial.is_empty() {
            self.flush();
        }
        root_of(&self.groups, self.size).map(|root| TreeHash {
            root,
            groups: self.groups,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_root_is_the_ordinary_hash() {
        for size in [65_537, 131_072, 131_073, 200_000, 1 << 20, (1 << 20) + 1, 5_000_000] {
            let bytes: Vec<u8> = (0..size).map(|place: u32| (place * 7 + place / 251) as u8).collect();
            let mut hasher = TreeHasher::default();
            hasher.update(&bytes);
            let hash = hasher.finish().unwrap();
            assert_eq!(hash.root, *blake3::hash(&bytes).as_bytes(), "{size} bytes");
            let groups: Vec<_> = chaining_values(&bytes, 0).collect();
            assert_eq!(root_of(&groups, u64::from(size)), Some(hash.root));
            assert_eq!(root_of(&groups[1..], u64::from(size)), None);
        }
        assert_eq!(TreeHasher::default().finish(), None);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(pieces in prop::collection::vec((0_usize..150_000, any::<bool>()), 1..8)) {
            let mut hasher = TreeHasher::default();
            let mut all = Vec::new();
            for (length, is_zero) in pieces {
                let start = all.len();
                if is_zero {
                    all.resize(start + length, 0);
                    hasher.update_zeros(length as u64);
                } else {
                    all.extend((0..length).map(|place| (place % 253) as u8));
                    hasher.update(&all[start..]);
                }
            }
            let expected = (all.len() as u64 > GROUP).then(|| *blake3::hash(&all).as_bytes());
            prop_assert_eq!(hasher.finish().map(|hash| hash.root), expected);
        }
    }
}
