//! Where everything lies that depends on how the data turned out: indexes, the MFT, the volume's bitmap.

use super::b_tree::Shape;
use super::core::{Core, FIRST_RECORD, Place};
use super::directory_index::DirectorySizes;
use super::error::PlanError;
use super::parts;
use super::record;
use super::residency::{Choice, Residency, index_clusters};
use super::tree::FileId;
use super::view_indexes::ViewIndexes;
use crate::compress::lznt1;
use std::collections::HashMap;

/// Most bytes of an attribute list that Windows reads.
const MAX_ATTRIBUTE_LIST: usize = 256 << 10;
/// The least and the most bytes of `$LogFile`, and of one on a tiny volume.
const LOG_SIZES: [u64; 3] = [256 << 10, 2 << 20, 64 << 20];
/// Records of the MFT come in groups of this many: a byte of its bitmap.
const RECORD_GROUP: u64 = 8;
/// Clusters of the largest volume that Windows mounts.
const MAX_CLUSTERS: u64 = u32::MAX as u64;

/// How a stream that was to be compressed turned out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Compressed {
    /// It would not have become smaller.
    Plain { lcn: u64 },
    /// By LZNT1: clusters of each unit, one unit behind the other.
    Lznt1 { lcn: u64, units: Box<[u8]> },
    /// By WOF, to so many bytes.
    Wof { lcn: u64, size: u64 },
}

/// An attribute other than a stream that lies outside of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outside {
    IndexBitmap,
    Security,
    Reparse,
    ExtendedAttributes,
    AttributeList,
}

/// A directory's index in blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct IndexPlace {
    pub directory: u32,
    pub blocks: u64,
    pub place: Place,
}

impl IndexPlace {
    /// The block where a search begins.
    pub fn top(&self) -> u64 {
        self.blocks - 1
    }
}

/// A record that is not a file's first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extension {
    pub file: u32,
    /// Which of the file's records: 1 is the second.
    pub segment: u32,
}

/// Where everything lies that depends on how the data turned out.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    compressed: HashMap<u32, Compressed>,
    late: HashMap<u32, u64>,
    /// In the order of the directories' records, and so of their clusters.
    pub indexes: Vec<IndexPlace>,
    index_of: HashMap<u32, u32>,
    outside: HashMap<(u32, Outside), Place>,
    pub view_indexes: ViewIndexes,
    pub extensions: Vec<Extension>,
    /// Where a file's records begin in `extensions`.
    first_extension: HashMap<u32, u32>,
    pub records: u64,
    pub mft: Place,
    pub mft_bitmap: Place,
    pub log: Place,
    pub bitmap: Place,
    /// The cluster behind the last one used.
    pub end: u64,
    pub total_clusters: u64,
}

/// Which size the volume is to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// So many clusters.
    Clusters(u64),
    /// As small as fits; `None` free beside it for what seems right, else so many bytes.
    Fitting(Option<u64>),
}

impl Layout {
    /// Places everything from cluster `next` on.
    pub fn of(core: &Core, compressed: HashMap<u32, Compressed>, mut next: u64, size: Size) -> Result<Self, PlanError> {
        let mut layout = Self {
            compressed,
            ..Self::default()
        };
        let mut take = |clusters: u64| {
            let place = Place { lcn: next, clusters };
            next += clusters;
            place
        };
        let mut overflowing = Vec::new();
        for file in std::iter::once(0).chain(core.order.iter().copied()) {
            let residency = Residency::of(core, file);
            if residency.may_overflow {
                overflowing.push(file);
            }
            residency.each_outside(core, file, |choice| {
                let extras = core.tree.extras(file);
                let (kind, length) = match choice {
                    Choice::Stream(_) => return,
                    Choice::Index => {
                        layout.place_index(core, file, &mut take);
                        return;
                    }
                    Choice::Security => (Outside::Security, core.root_security().len()),
                    Choice::Reparse => {
                        let reparse = extras.and_then(|extras| extras.reparse.as_ref());
                        (Outside::Reparse, reparse.map_or(0, |bytes| bytes.len()))
                    }
                    Choice::ExtendedAttributes => {
                        let list = extras.and_then(|extras| extras.extended_attributes.as_ref());
                        (Outside::ExtendedAttributes, list.map_or(0, |(bytes, _)| bytes.len()))
                    }
                };
                let place = take(core.clusters_for(length as u64));
                layout.outside.insert((file, kind), place);
            });
        }
        layout.view_indexes = ViewIndexes::of(core, &layout, &mut take);
        for file in overflowing {
            layout.spread(core, file, &mut take)?;
        }

        let record_size = u64::from(core.record_size);
        let group = RECORD_GROUP.max(u64::from(core.cluster_size) / record_size);
        let records = FIRST_RECORD + core.order.len() as u64 + layout.extensions.len() as u64;
        layout.records = records.next_multiple_of(group);
        layout.mft_bitmap = take(core.clusters_for(layout.records.div_ceil(64) * 8));
        layout.mft = take(core.clusters_for(layout.records * record_size));
        layout.place_by_size(core, next, size)?;
        Ok(layout)
    }

    fn place_index(&mut self, core: &Core, directory: u32, take: &mut impl FnMut(u64) -> Place) {
        let blocks = Shape::of(&DirectorySizes::new(core, directory)).blocks();
        let place = take(index_clusters(core, blocks));
        self.index_of.insert(directory, self.indexes.len() as u32);
        self.indexes.push(IndexPlace {
            directory,
            blocks,
            place,
        });
        if parts::index_bitmap_is_outside(blocks) {
            let place = take(core.clusters_for(parts::index_bitmap_size(blocks)));
            self.outside.insert((directory, Outside::IndexBitmap), place);
        }
    }

    /// Finds how many records `file` needs.
    fn spread(&mut self, core: &Core, file: u32, take: &mut impl FnMut(u64) -> Place) -> Result<(), PlanError> {
        let (segments, list_size, is_resident) = {
            let parts = parts::of_file(core, self, file);
            let segments = record::distribute(&parts, core.record_size);
            let size = record::attribute_list_size(&parts, &segments);
            let is_resident = record::list_is_resident(&parts, &segments[0], size, core.record_size);
            (segments.len(), size, is_resident)
        };
        if segments == 1 {
            return Ok(());
        }
        if list_size > MAX_ATTRIBUTE_LIST {
            return Err(PlanError::File {
                path: core.tree.shown_path(FileId(file)),
                reason: format!("its attribute list would have {list_size} bytes, {MAX_ATTRIBUTE_LIST} are allowed"),
            });
        }
        if !is_resident {
            let place = take(core.clusters_for(list_size as u64));
            self.outside.insert((file, Outside::AttributeList), place);
        }
        self.first_extension.insert(file, self.extensions.len() as u32);
        self.extensions
            .extend((1..segments as u32).map(|segment| Extension { file, segment }));
        Ok(())
    }

    /// Places what depends on the volume's size.
    fn place_by_size(&mut self, core: &Core, next: u64, size: Size) -> Result<(), PlanError> {
        let cluster_size = u64::from(core.cluster_size);
        let place = |total: u64| {
            let log = Place {
                lcn: next,
                clusters: core.clusters_for(log_size(total.saturating_mul(cluster_size))),
            };
            let bitmap = Place {
                lcn: log.lcn + log.clusters,
                clusters: core.clusters_for(bitmap_size(total)),
            };
            (log, bitmap, bitmap.lcn + bitmap.clusters)
        };
        let total = match size {
            Size::Clusters(total) => total,
            Size::Fitting(slack) => {
                let mut total = next;
                loop {
                    let (_, _, end) = place(total);
                    let slack = slack.unwrap_or((end * cluster_size / 64).max(1 << 20));
                    let wanted = end + core.clusters_for(slack);
                    if wanted <= total {
                        break total;
                    }
                    total = wanted;
                }
            }
        };
        let (log, bitmap, end) = place(total);
        if end > total {
            let (_, _, needed) = place(end);
            return Err(PlanError::TooSmall {
                needed: core.offset(needed) + u64::from(core.sector_size),
                available: core.offset(total) + u64::from(core.sector_size),
            });
        }
        if total > MAX_CLUSTERS {
            return Err(PlanError::Option {
                option: "the cluster size",
                value: format!("{cluster_size} bytes for {total} clusters"),
                expected: "so large that the volume has less than 2^32 clusters",
            });
        }
        (self.log, self.bitmap, self.end, self.total_clusters) = (log, bitmap, end, total);
        Ok(())
    }

    /// Gives the volume another size.
    pub fn resize(&mut self, core: &Core, total_clusters: u64) -> Result<(), PlanError> {
        let next = self.mft.lcn + self.mft.clusters;
        self.place_by_size(core, next, Size::Clusters(total_clusters))
    }

    pub fn has_compressed(&self) -> bool {
        !self.compressed.is_empty()
    }

    pub fn compressed(&self, stream: u32) -> Option<&Compressed> {
        self.compressed.get(&stream)
    }

    /// The size of a late stream, once it is made.
    pub fn late_size(&self, stream: u32) -> Option<u64> {
        self.late.get(&stream).copied()
    }

    pub fn set_late_size(&mut self, stream: u32, size: u64) {
        self.late.insert(stream, size);
    }

    pub fn index(&self, directory: u32) -> Option<&IndexPlace> {
        let number = self.index_of.get(&directory)?;
        self.indexes.get(*number as usize)
    }

    pub fn outside(&self, file: u32, kind: Outside) -> Option<Place> {
        if self.outside.is_empty() {
            return None;
        }
        self.outside.get(&(file, kind)).copied()
    }

    /// Everything outside of records, in the order of clusters.
    pub fn all_outside(&self) -> Vec<(u32, Outside, Place)> {
        let mut list: Vec<_> = self
            .outside
            .iter()
            .map(|((file, kind), place)| (*file, *kind, *place))
            .collect();
        list.sort_unstable_by_key(|(_, _, place)| place.lcn);
        list
    }

    /// Whether `file` has further records.
    pub fn has_extensions(&self, file: u32) -> bool {
        self.first_extension.contains_key(&file)
    }

    /// The record of segment `segment` of `file`.
    pub fn segment_record(&self, core: &Core, file: u32, segment: usize) -> u64 {
        match (segment, self.first_extension.get(&file)) {
            (1.., Some(first)) => FIRST_RECORD + core.order.len() as u64 + u64::from(*first) + segment as u64 - 1,
            _ => core.record(file),
        }
    }

    /// The further record of a file that has number `record`.
    pub fn extension_at(&self, core: &Core, record: u64) -> Option<Extension> {
        let number = record.checked_sub(FIRST_RECORD + core.order.len() as u64)?;
        self.extensions.get(usize::try_from(number).ok()?).copied()
    }

    /// Bytes of the log.
    pub fn log_size(&self, core: &Core) -> u64 {
        log_size(core.offset(self.total_clusters))
    }

    /// Bytes of the volume's bitmap.
    pub fn bitmap_size(&self) -> u64 {
        bitmap_size(self.total_clusters)
    }

    /// How a compressed stream may turn out at worst.
    pub fn worst(core: &Core, stream: u32, lcn: u64) -> (Compressed, u64) {
        let record = &core.tree.streams[stream as usize];
        if Core::is_lznt1(record) {
            let units = record.size.div_ceil(core.compression_unit());
            // Units that are compressed to a cluster less make the longest run list.
            let worst = Compressed::Lznt1 {
                lcn,
                units: vec![15; units as usize].into(),
            };
            // The last unit's chunks, each with a header, take less where the stream ends early.
            let last = record.size - (units - 1) * core.compression_unit();
            let chunks = last.div_ceil(lznt1::CHUNK as u64);
            let last = core.clusters_for(chunks * (lznt1::CHUNK as u64 + 2)).min(16);
            return (worst, (units - 1) * 16 + last);
        }
        let size = crate::compress::wof_encoder::largest_size(record.size);
        (Compressed::Wof { lcn, size }, core.clusters_for(size))
    }
}

/// Bytes of `$LogFile` on a volume of `size` bytes: as much as Windows takes of a volume of 14 GB, and in proportion.
fn log_size(size: u64) -> u64 {
    let [tiny, least, most] = LOG_SIZES;
    if size < 8 * least {
        tiny
    } else {
        (size / 700).clamp(least, most).next_multiple_of(4096)
    }
}

/// Bytes of the bitmap of `clusters`.
fn bitmap_size(clusters: u64) -> u64 {
    clusters.div_ceil(64) * 8
}
