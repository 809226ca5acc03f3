//! The indexes of `$Secure`, `$ObjId` and `$Reparse`.

use super::b_tree::{self, Entries, EntrySizes, Shape};
use super::core::{Core, Place};
use super::layout::Layout;
use super::parts;
use super::record::Part;
use super::residency::index_clusters;
use crate::structure::index::{encode_end_entry, encode_view_entry};
use crate::structure::security::{encode_hash_index_entry, encode_id_index_entry};
use crate::structure::system_file::{O, R, SDH, SII};
use crate::structure::view_index::{ObjectIdData, ReparseKey};
use crate::structure::{AttributeType, CollationRule, Structure};

/// Most bytes of entries that stay in a root.
const RESIDENT: usize = 240;

/// One of the indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    SecurityHash,
    SecurityId,
    ObjectId,
    Reparse,
}

impl View {
    pub const ALL: [Self; 4] = [Self::SecurityHash, Self::SecurityId, Self::ObjectId, Self::Reparse];

    fn name(self) -> &'static [u16] {
        match self {
            Self::SecurityHash => &SDH,
            Self::SecurityId => &SII,
            Self::ObjectId => &O,
            Self::Reparse => &R,
        }
    }

    fn rule(self) -> CollationRule {
        match self {
            Self::SecurityHash => CollationRule::NTOFS_SECURITY_HASH,
            Self::SecurityId => CollationRule::NTOFS_ULONG,
            Self::ObjectId | Self::Reparse => CollationRule::NTOFS_ULONGS,
        }
    }

    /// Bytes of an entry.
    fn entry_size(self) -> usize {
        match self {
            Self::SecurityHash => 48,
            Self::SecurityId => 40,
            Self::ObjectId => 88,
            Self::Reparse => 32,
        }
    }
}

/// Where an index's blocks are; none where its entries are in the root.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ViewPlace {
    pub blocks: u64,
    pub place: Place,
    pub bitmap: Option<Place>,
}

/// What the indexes hold, and where.
#[derive(Debug, Clone, Default)]
pub(super) struct ViewIndexes {
    /// Files with object ids, in the order of those.
    object_ids: Vec<u32>,
    reparse: Vec<ReparseKey>,
    places: [ViewPlace; 4],
}

impl ViewIndexes {
    /// Collects the entries and places the blocks.
    pub fn of(core: &Core, layout: &Layout, take: &mut impl FnMut(u64) -> Place) -> Self {
        let mut indexes = Self::default();
        for file in std::iter::once(0).chain(core.order.iter().copied()) {
            if object_id(core, file).is_some() {
                indexes.object_ids.push(file);
            }
            if let Some(tag) = parts::reparse_tag(core, layout, file) {
                indexes.reparse.push(ReparseKey {
                    reparse_tag: tag.0,
                    file_reference: core.reference(file),
                });
            }
        }
        indexes
            .object_ids
            .sort_by_key(|file| object_id(core, *file).map(|id| words(&id)));
        indexes
            .reparse
            .sort_unstable_by_key(|key| (key.reparse_tag, key.file_reference.0 as u32, key.file_reference.0 >> 32));
        for (number, view) in View::ALL.into_iter().enumerate() {
            let entries = ViewEntries::new(core, &indexes, view);
            if entries.count() * view.entry_size() <= RESIDENT {
                continue;
            }
            let blocks = Shape::of(&entries).blocks();
            let place = take(index_clusters(core, blocks));
            let bitmap = parts::index_bitmap_is_outside(blocks)
                .then(|| take(core.clusters_for(parts::index_bitmap_size(blocks))));
            indexes.places[number] = ViewPlace { blocks, place, bitmap };
        }
        indexes
    }

    pub fn place(&self, view: View) -> &ViewPlace {
        &self.places[view as usize]
    }

    /// Two files with the same object id.
    pub fn equal_object_ids(&self, core: &Core) -> Option<[u32; 2]> {
        self.object_ids
            .windows(2)
            .find(|pair| object_id(core, pair[0]) == object_id(core, pair[1]))
            .map(|pair| [pair[0], pair[1]])
    }

    /// Appends the attributes of `view`.
    pub fn attributes(&self, core: &Core, view: View, parts: &mut Vec<Part<'_>>) {
        let place = self.place(view);
        let mut node = Vec::new();
        if place.blocks == 0 {
            let entries = ViewEntries::new(core, self, view);
            (0..entries.count()).for_each(|position| entries.encode(position, None, &mut node));
            node.extend(encode_end_entry(None));
        } else {
            node.extend(encode_end_entry(Some((place.blocks - 1) * core.vcns_per_block())));
        }
        let root = parts::index_root(core, AttributeType(0), view.rule(), &node, place.blocks > 0);
        parts.push(Part::resident(AttributeType::INDEX_ROOT, root).named(view.name()));
        if place.blocks > 0 {
            parts::blocks_and_bitmap(core, view.name(), place.blocks, place.place, place.bitmap, parts);
        }
    }
}

fn object_id(core: &Core, file: u32) -> Option<[u8; 16]> {
    let id = core.tree.extras(file)?.object_id.as_deref()?;
    Some(id.object_id)
}

fn words(id: &[u8; 16]) -> [u32; 4] {
    let (words, _) = id.as_chunks::<4>();
    std::array::from_fn(|number| u32::from_le_bytes(words[number]))
}

/// The entries of one of the indexes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ViewEntries<'a> {
    core: &'a Core,
    indexes: &'a ViewIndexes,
    view: View,
}

impl<'a> ViewEntries<'a> {
    pub fn new(core: &'a Core, indexes: &'a ViewIndexes, view: View) -> Self {
        Self { core, indexes, view }
    }

    /// The bytes of block `number`.
    pub fn block(&self, shape: &Shape, number: u64) -> Vec<u8> {
        let mut block = vec![0; b_tree::BLOCK_SIZE as usize];
        shape.encode(self, number, self.core.vcns_per_block(), &mut block);
        block
    }
}

impl EntrySizes for ViewEntries<'_> {
    fn count(&self) -> usize {
        match self.view {
            View::SecurityHash | View::SecurityId => self.core.security.count(),
            View::ObjectId => self.indexes.object_ids.len(),
            View::Reparse => self.indexes.reparse.len(),
        }
    }

    fn size(&self, _position: usize) -> usize {
        self.view.entry_size()
    }
}

impl Entries for ViewEntries<'_> {
    fn encode(&self, position: usize, child: Option<u64>, bytes: &mut Vec<u8>) {
        bytes.extend(match self.view {
            View::SecurityHash => encode_hash_index_entry(self.core.security.by_hash(position), child),
            View::SecurityId => encode_id_index_entry(self.core.security.by_id(position), child),
            View::ObjectId => {
                let file = self.indexes.object_ids[position];
                let id = self
                    .core
                    .tree
                    .extras(file)
                    .and_then(|extras| extras.object_id.as_deref());
                let id = id.copied().unwrap_or_default();
                let data = ObjectIdData {
                    file_reference: self.core.reference(file),
                    birth_volume_id: id.birth_volume_id,
                    birth_object_id: id.birth_object_id,
                    domain_id: id.domain_id,
                };
                encode_view_entry(&id.object_id, &data.to_bytes(), child)
            }
            View::Reparse => encode_view_entry(&self.indexes.reparse[position].to_bytes(), &[], child),
        });
    }
}
