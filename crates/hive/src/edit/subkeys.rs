//! Lists of subkeys that grow and shrink.

use super::Editor;
use super::error::EditError;
use crate::read::KeyRef;
use crate::read::subkeys::{Leaf, List, leaf_at, list_at};
use crate::structure::{KeyNode, LeafKind, ListHeader, NO_CELL, Structure, u32_at};
use std::cmp::Ordering;

/// A leaf taken out of its cell.
struct Elements {
    kind: LeafKind,
    /// Offsets of keys, and their hashes or hints.
    keys: Vec<(u32, u32)>,
}

impl Elements {
    fn of(leaf: Leaf<'_>) -> Self {
        let keys = (0..leaf.len()).map(|number| (leaf.offset(number), leaf.tag(number)));
        Self {
            kind: leaf.kind(),
            keys: keys.collect(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let elements = self.keys.iter().flat_map(|(offset, tag)| {
            let bytes = [offset.to_le_bytes(), tag.to_le_bytes()].concat();
            bytes.into_iter().take(self.kind.element_size())
        });
        list_bytes(self.kind.signature(), self.keys.len(), elements)
    }
}

fn root_bytes(leaves: &[u32]) -> Vec<u8> {
    let elements = leaves.iter().flat_map(|leaf| leaf.to_le_bytes());
    list_bytes(ListHeader::INDEX_ROOT, leaves.len(), elements)
}

fn list_bytes(signature: [u8; 2], count: usize, elements: impl Iterator<Item = u8>) -> Vec<u8> {
    let header = ListHeader {
        signature,
        number_of_elements: count as u16,
    };
    let mut bytes = header.to_bytes();
    bytes.extend(elements);
    bytes
}

/// A key's list as it is in the hive: leaves, and the index root over them where there is one.
struct Shape {
    root: Option<u32>,
    leaves: Vec<u32>,
}

impl Editor {
    /// Enters the key at `subkey` into the list of the key at `parent`.
    pub(super) fn insert_subkey(&mut self, parent: u32, subkey: u32) -> Result<(), EditError> {
        let name: Vec<u16> = self.key_at(subkey)?.name().units().collect();
        let class_length = u32::from(self.key_at(subkey)?.node().class_name_length);
        let shape = self.shape(parent)?;
        let list = if shape.leaves.is_empty() {
            let kind = LeafKind::for_version(self.minor_version, false);
            let leaf = Elements {
                kind,
                keys: vec![(subkey, kind.tag(name.iter().copied()))],
            };
            self.store.allocate_with(&leaf.to_bytes())?
        } else {
            self.insert_into(shape, subkey, &name)?
        };
        self.touch(parent, |node| {
            node.subkeys_list_offset = list;
            node.number_of_subkeys += 1;
            let length = 2 * name.len() as u16;
            node.largest_subkey_name_length = node.largest_subkey_name_length.max(length);
            node.largest_subkey_class_name_length = node.largest_subkey_class_name_length.max(class_length);
        })
    }

    fn insert_into(&mut self, mut shape: Shape, subkey: u32, name: &[u16]) -> Result<u32, EditError> {
        // The last leaf whose first name is not behind.
        let position = self.count_before(shape.leaves.len(), name, |editor, number| {
            Ok(editor.leaf(shape.leaves[number])?.offset(0))
        })?;
        let position = position.saturating_sub(1);
        let leaf = shape.leaves[position];
        let mut elements = Elements::of(self.leaf(leaf)?);
        let place = self.count_before(elements.keys.len(), name, |_, number| Ok(elements.keys[number].0))?;
        elements
            .keys
            .insert(place, (subkey, elements.kind.tag(name.iter().copied())));
        if elements.keys.len() <= LeafKind::MAX_ELEMENTS {
            shape.leaves[position] = self.store.replace(leaf, &elements.to_bytes())?;
        } else {
            if shape.root.is_none() {
                // Hives of version 1.3 have leaves of another kind below an index root.
                self.change_kind(&mut elements, LeafKind::for_version(self.minor_version, true))?;
            }
            let second = Elements {
                kind: elements.kind,
                keys: elements.keys.split_off(elements.keys.len() / 2),
            };
            let second = self.store.allocate_with(&second.to_bytes())?;
            shape.leaves[position] = self.store.replace(leaf, &elements.to_bytes())?;
            shape.leaves.insert(position + 1, second);
        }
        self.put_shape(&shape)
    }

    fn change_kind(&self, elements: &mut Elements, kind: LeafKind) -> Result<(), EditError> {
        elements.kind = kind;
        for (offset, tag) in &mut elements.keys {
            *tag = kind.tag(self.key_at(*offset)?.name().units());
        }
        Ok(())
    }

    /// Takes the key at `subkey` out of the list of the key at `parent`.
    pub(super) fn remove_subkey(&mut self, parent: u32, subkey: u32) -> Result<(), EditError> {
        let mut shape = self.shape(parent)?;
        for position in 0..shape.leaves.len() {
            let leaf = shape.leaves[position];
            let mut elements = Elements::of(self.leaf(leaf)?);
            let Some(place) = elements.keys.iter().position(|(offset, _)| *offset == subkey) else {
                continue;
            };
            elements.keys.remove(place);
            if elements.keys.is_empty() {
                self.store.free(leaf);
                shape.leaves.remove(position);
            } else {
                shape.leaves[position] = self.store.replace(leaf, &elements.to_bytes())?;
            }
            break;
        }
        let list = self.put_shape(&shape)?;
        self.touch(parent, |node| {
            node.subkeys_list_offset = list;
            node.number_of_subkeys = node.number_of_subkeys.saturating_sub(1);
        })
    }

    /// Frees the list of a key.
    pub(super) fn free_list(&mut self, key: u32) -> Result<(), EditError> {
        let shape = self.shape(key)?;
        for cell in shape.leaves.into_iter().chain(shape.root) {
            self.store.free(cell);
        }
        Ok(())
    }

    fn shape(&self, key: u32) -> Result<Shape, EditError> {
        let node: KeyNode = *self.key_at(key)?.node();
        let offset = node.subkeys_list_offset;
        let none = Shape {
            root: None,
            leaves: Vec::new(),
        };
        if node.number_of_subkeys == 0 {
            return Ok(none);
        }
        Ok(match list_at(self.store.cells(), offset)?.0 {
            List::Leaf(_) => Shape {
                leaves: vec![offset],
                ..none
            },
            List::Root(leaves) => Shape {
                root: Some(offset),
                leaves: leaves.chunks_exact(4).map(|element| u32_at(element, 0)).collect(),
            },
        })
    }

    /// Writes the index root that the leaves need, and gives where the list begins.
    fn put_shape(&mut self, shape: &Shape) -> Result<u32, EditError> {
        match (shape.root, &*shape.leaves) {
            (Some(root), []) => {
                self.store.free(root);
                Ok(NO_CELL)
            }
            (Some(root), leaves) => self.store.replace(root, &root_bytes(leaves)),
            (None, []) => Ok(NO_CELL),
            (None, [leaf]) => Ok(*leaf),
            (None, leaves) => self.store.allocate_with(&root_bytes(leaves)),
        }
    }

    fn leaf(&self, offset: u32) -> Result<Leaf<'_>, EditError> {
        Ok(leaf_at(self.store.cells(), offset)?.0)
    }

    /// How many of `count` keys in order are before `name`, where `offset` gives the place of each.
    fn count_before(
        &self,
        count: usize,
        name: &[u16],
        offset: impl Fn(&Self, usize) -> Result<u32, EditError>,
    ) -> Result<usize, EditError> {
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            let key: KeyRef<'_> = self.key_at(offset(self, middle)?)?;
            match key.name().compare(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal | Ordering::Greater => high = middle,
            }
        }
        Ok(low)
    }
}
