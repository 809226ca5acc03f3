//! Building an index's B-tree in bulk: leaves are filled one after the other, what stands between two of them moves up.

use crate::structure::Structure;
use crate::structure::fixup;
use crate::structure::index::{IndexBlockHeader, IndexHeader, NodeFlags, encode_end_entry};

/// Bytes of an index block, as Windows makes them.
pub(super) const BLOCK_SIZE: u32 = 4096;
/// Bytes that the entries of a block may take together.
const CAPACITY: usize = BLOCK_SIZE as usize - IndexBlockHeader::first_entry_offset(BLOCK_SIZE);
/// Bytes of the last entry of a leaf; that of an inner node has a child's number too, as all its entries.
const END_SIZE: usize = 16;
const CHILD_SIZE: usize = 8;

/// How large the entries of an index are, in its order.
pub(super) trait EntrySizes {
    /// How many there are.
    fn count(&self) -> usize;
    /// Bytes of entry `position` without a child.
    fn size(&self, position: usize) -> usize;
}

/// The entries of an index, in its order.
pub(super) trait Entries: EntrySizes {
    /// Appends the entry's bytes.
    fn encode(&self, position: usize, child: Option<u64>, bytes: &mut Vec<u8>);
}

/// Which entries stand in which block. Blocks are numbered from the first leaf on, level after level; the last one is the
/// top.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    levels: Vec<Level>,
}

#[derive(Debug, Clone)]
struct Level {
    /// The entries that come up from the level below; `None` for the leaves, which take all.
    entries: Option<Vec<u32>>,
    /// Of every node but the last, where in the level's entries the one stands that moves up from behind it.
    ends: Vec<u32>,
    count: u32,
}

impl Level {
    fn nodes(&self) -> usize {
        self.ends.len() + 1
    }

    fn entry(&self, position: usize) -> usize {
        match &self.entries {
            Some(entries) => entries[position] as usize,
            None => position,
        }
    }
}

impl Shape {
    /// The shape of a tree of `entries`, of which there is at least one.
    pub fn of(entries: &(impl EntrySizes + ?Sized)) -> Self {
        let mut levels = vec![Self::level(entries, None, entries.count())];
        while let Some(below) = levels.last().filter(|level| level.nodes() > 1) {
            let up: Vec<u32> = below.ends.iter().map(|end| below.entry(*end as usize) as u32).collect();
            let count = up.len();
            levels.push(Self::level(entries, Some(up), count));
        }
        Self { levels }
    }

    fn level(entries: &(impl EntrySizes + ?Sized), own: Option<Vec<u32>>, count: usize) -> Level {
        let child = if own.is_some() { CHILD_SIZE } else { 0 };
        let capacity = CAPACITY - END_SIZE - child;
        let size = |position: usize| entries.size(own.as_ref().map_or(position, |own| own[position] as usize)) + child;
        let mut ends = Vec::new();
        let mut used = 0;
        let mut position = 0;
        while position < count {
            let size = size(position);
            if used + size <= capacity {
                used += size;
            } else {
                ends.push(position as u32);
                used = 0;
            }
            position += 1;
        }
        // No node is left empty behind the last that moved up: that one stays in the node, the one before moves up.
        if let Some(last) = ends.last_mut().filter(|last| **last as usize + 1 == count) {
            *last -= 1;
        }
        Level {
            entries: own,
            ends,
            count: count as u32,
        }
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u64 {
        self.levels.iter().map(|level| level.nodes() as u64).sum()
    }

    /// Fills `block`, of [`BLOCK_SIZE`] zeros, with block `number`; `unit` is how far the virtual cluster
    /// number goes from one block to the next.
    pub fn encode(&self, entries: &(impl Entries + ?Sized), number: u64, unit: u64, block: &mut [u8]) {
        let mut first_below = 0;
        let mut first = 0;
        let mut index = 0;
        while number - first >= self.levels[index].nodes() as u64 {
            first_below = first;
            first += self.levels[index].nodes() as u64;
            index += 1;
        }
        let level = &self.levels[index];
        let node = (number - first) as usize;
        let start = if node == 0 {
            0
        } else {
            level.ends[node - 1] as usize + 1
        };
        let end = level.ends.get(node).copied().unwrap_or(level.count) as usize;
        let child = |position: usize| (index > 0).then(|| (first_below + position as u64) * unit);

        let mut bytes = Vec::with_capacity(CAPACITY);
        for position in start..end {
            entries.encode(level.entry(position), child(position), &mut bytes);
        }
        bytes.extend(encode_end_entry(child(end)));

        let start = IndexBlockHeader::first_entry_offset(BLOCK_SIZE);
        let node = IndexHeader {
            first_index_entry: (start - IndexHeader::OFFSET_IN_BLOCK) as u32,
            first_free_byte: (start - IndexHeader::OFFSET_IN_BLOCK + bytes.len()) as u32,
            bytes_available: BLOCK_SIZE - IndexHeader::OFFSET_IN_BLOCK as u32,
            flags: if index > 0 {
                NodeFlags::INDEX_NODE
            } else {
                NodeFlags::empty()
            },
            reserved: [0; 3],
        };
        IndexBlockHeader::new(number * unit, BLOCK_SIZE).write_to(block, 0);
        node.write_to(block, IndexHeader::OFFSET_IN_BLOCK);
        block[start..start + bytes.len()].copy_from_slice(&bytes);
        fixup::protect(block, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::index::{IndexEntry, encode_view_entry};
    use proptest::prelude::*;

    struct Numbers(Vec<usize>);

    impl EntrySizes for Numbers {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn size(&self, position: usize) -> usize {
            encode_view_entry(&(position as u64).to_le_bytes(), &vec![0; self.0[position]], None).len()
        }
    }

    impl Entries for Numbers {
        fn encode(&self, position: usize, child: Option<u64>, bytes: &mut Vec<u8>) {
            bytes.extend(encode_view_entry(
                &(position as u64).to_le_bytes(),
                &vec![0; self.0[position]],
                child,
            ));
        }
    }

    /// Collects the keys of block `number` and below in order.
    fn walk(shape: &Shape, numbers: &Numbers, vcn: u64, unit: u64, depth: usize, keys: &mut Vec<u64>) -> usize {
        let mut block = vec![0; BLOCK_SIZE as usize];
        shape.encode(numbers, vcn / unit, unit, &mut block);
        fixup::apply(&mut block, *b"INDX").unwrap();
        let header = IndexHeader::read_from(&block, IndexHeader::OFFSET_IN_BLOCK).unwrap();
        assert_eq!(IndexBlockHeader::read_from(&block, 0).unwrap().this_block, vcn);
        let entries: Vec<IndexEntry<'_>> = header
            .entries(&block, IndexHeader::OFFSET_IN_BLOCK)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(entries.len() > 1, "an empty node");
        let mut deepest = depth;
        for entry in entries {
            if let Some(child) = entry.child() {
                deepest = walk(shape, numbers, child, unit, depth + 1, keys);
            }
            if !entry.is_end() {
                keys.push(u64::from_le_bytes(entry.key().try_into().unwrap()));
            }
        }
        deepest
    }

    proptest! {
        #[test]
        fn a_walk_meets_all_entries_in_order(
            sizes in prop::collection::vec(0_usize..550, 1..2000), unit in prop::sample::select(vec![1_u64, 8])
        ) {
            let numbers = Numbers(sizes);
            let shape = Shape::of(&numbers);
            let mut keys = Vec::new();
            walk(&shape, &numbers, (shape.blocks() - 1) * unit, unit, 0, &mut keys);
            prop_assert_eq!(keys, (0..numbers.0.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_large_tree_is_flat() {
        let numbers = Numbers(vec![80; 1_000_000]);
        let shape = Shape::of(&numbers);
        let mut keys = Vec::new();
        assert_eq!(walk(&shape, &numbers, shape.blocks() - 1, 1, 0, &mut keys), 3);
        assert_eq!(keys.len(), 1_000_000);
    }
}
