//! Which attributes of a file stay in its file record and which get clusters of their own.
//!
//! The choice is made before anything is placed, from sizes that are exact in the record and upper bounds outside of it: a
//! run list's length depends on where its clusters lie. As in Windows the largest values go outside first, and no more of
//! them than must. A file whose record overflows even then gets an attribute list; what it keeps in its records is then
//! decided value by value.

use super::b_tree::{self, EntrySizes};
use super::core::Core;
use super::directory_index::DirectorySizes;
use super::tree::{Compression, ContentKind, Kind};
use crate::structure::attribute::{non_resident_size, resident_size};
use crate::structure::index::{I30, IndexHeader, IndexRootHeader};
use crate::structure::system_file::WOF_COMPRESSED_DATA;
use crate::structure::{FileName, FileRecordHeader, Structure};

/// Most bytes of the mapping pairs of one run.
const RUN: usize = 1 + 8 + 6;
/// Most bytes of an index's bitmap that stays in the record.
pub(super) const RESIDENT_INDEX_BITMAP: u64 = 64;
/// Bytes of the root of an index whose entries are all in blocks.
pub(super) const BARE_ROOT: usize = IndexRootHeader::SIZE + IndexHeader::SIZE + 24;
/// Bytes of the WOF reparse data, header included.
const WOF_REPARSE: usize = 24;

/// A value whose place is to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// A stream, by its number.
    Stream(u32),
    /// The entries of a directory.
    Index,
    /// The root's own security descriptor.
    Security,
    /// Reparse data.
    Reparse,
    /// Extended attributes.
    ExtendedAttributes,
}

/// Bytes that a value takes in the file record, by where it lies.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// `None` where it cannot be there.
    resident: Option<usize>,
    outside: usize,
}

impl Sizes {
    fn saving(&self) -> usize {
        self.resident
            .map_or(0, |resident| resident.saturating_sub(self.outside))
    }
}

/// The choice for one file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Residency {
    /// Whether the file may need an attribute list.
    pub may_overflow: bool,
    /// The last value that goes outside: how much that saves, and its number among the file's values.
    cutoff: (usize, usize),
    /// Most bytes that a value has in the records of a file that may overflow.
    limit: usize,
}

/// Bytes that the attributes of a file record may take together.
pub(super) fn capacity(record_size: u32) -> usize {
    record_size as usize - FileRecordHeader::first_attribute_offset(record_size) - 8
}

impl Residency {
    /// The choice for `file`.
    pub fn of(core: &Core, file: u32) -> Self {
        let capacity = capacity(core.record_size);
        let mut total = fixed_size(core, file);
        let mut savings = Vec::new();
        let mut least = 0;
        each(core, file, capacity, |number, _, sizes| {
            total += sizes.resident.unwrap_or(sizes.outside);
            if sizes.saving() > 0 {
                savings.push((sizes.saving(), number));
                least += sizes.saving();
            }
        });
        let keep_all = Self {
            may_overflow: false,
            cutoff: (usize::MAX, 0),
            limit: capacity / 2,
        };
        if total <= capacity {
            return keep_all;
        }
        if total - least > capacity {
            return Self {
                may_overflow: true,
                ..keep_all
            };
        }
        savings.sort_unstable_by(|left, right| right.0.cmp(&left.0).then(left.1.cmp(&right.1)));
        let mut cutoff = keep_all.cutoff;
        for saving in savings {
            if total <= capacity {
                break;
            }
            total -= saving.0;
            cutoff = saving;
        }
        Self { cutoff, ..keep_all }
    }

    fn puts_outside(&self, number: usize, sizes: &Sizes) -> bool {
        match sizes.resident {
            None => true,
            Some(resident) if self.may_overflow => resident > self.limit,
            Some(_) => {
                let saving = sizes.saving();
                saving > 0 && (saving > self.cutoff.0 || (saving == self.cutoff.0 && number <= self.cutoff.1))
            }
        }
    }

    /// Calls `outside` for every value of `file` that gets clusters of its own.
    pub fn each_outside(&self, core: &Core, file: u32, mut outside: impl FnMut(Choice)) {
        each(core, file, capacity(core.record_size), |number, choice, sizes| {
            if self.puts_outside(number, &sizes) {
                outside(choice);
            }
        });
    }
}

/// Bytes of the attributes that are always in the record.
fn fixed_size(core: &Core, file: u32) -> usize {
    let tree = &core.tree;
    let is_root = file == 0;
    let mut total = resident_size(0, if is_root { 48 } else { 72 });
    if is_root {
        total += resident_size(0, FileName::size(1));
    }
    for name in tree.names_of(file) {
        total += resident_size(0, FileName::size(tree.name_length(name)));
        if let Some(short) = tree.short_name(name) {
            total += resident_size(0, FileName::size(short.len()));
        }
    }
    if let Some(extras) = tree.extras(file) {
        if extras.object_id.is_some() {
            total += resident_size(0, 16);
        }
        if extras.extended_attributes.is_some() {
            total += resident_size(0, 8);
        }
    }
    if tree.files[file as usize].kind == Kind::File && tree.unnamed_stream(file).is_none() {
        total += resident_size(0, 0);
    }
    total
}

/// Calls `visit` with every value of `file` that may lie outside, its number, and its sizes.
fn each(core: &Core, file: u32, capacity: usize, mut visit: impl FnMut(usize, Choice, Sizes)) {
    let tree = &core.tree;
    let mut number = 0;
    let mut next = |choice, sizes| {
        visit(number, choice, sizes);
        number += 1;
    };
    for stream in tree.streams_of(file) {
        next(Choice::Stream(stream), stream_sizes(core, stream));
    }
    if tree.files[file as usize].kind == Kind::Directory {
        let entries = DirectorySizes::new(core, file);
        let mut used = IndexRootHeader::SIZE + IndexHeader::SIZE + 16;
        for position in 0..entries.count() {
            used += entries.size(position);
            if used > capacity {
                break;
            }
        }
        let blocks = resident_size(I30.len(), BARE_ROOT)
            + non_resident_size(I30.len(), false, RUN + 1)
            + resident_size(I30.len(), RESIDENT_INDEX_BITMAP as usize);
        next(
            Choice::Index,
            Sizes {
                resident: (used <= capacity).then(|| resident_size(I30.len(), used)),
                outside: blocks,
            },
        );
    }
    let plain = |length: usize| Sizes {
        resident: Some(resident_size(0, length)),
        outside: non_resident_size(0, false, RUN + 1),
    };
    if file == 0 {
        next(Choice::Security, plain(core.root_security().len()));
    }
    if let Some(extras) = tree.extras(file) {
        if let Some(reparse) = &extras.reparse {
            next(Choice::Reparse, plain(reparse.len()));
        }
        if let Some((bytes, _)) = &extras.extended_attributes {
            next(Choice::ExtendedAttributes, plain(bytes.len()));
        }
    }
}

fn stream_sizes(core: &Core, number: u32) -> Sizes {
    let stream = &core.tree.streams[number as usize];
    let name = core.tree.stream_name(super::StreamId(number)).len();
    let most = u64::from(core.record_size);
    let fits = stream.size <= most && (stream.kind != ContentKind::Late || stream.size == 0);
    let resident = fits.then(|| resident_size(name, stream.size as usize));
    let outside = match stream.compression {
        Compression::Lznt1 if Core::is_lznt1(stream) => {
            let units = stream.size.div_ceil(core.compression_unit());
            non_resident_size(
                name,
                true,
                2 * RUN * usize::try_from(units).unwrap_or(usize::MAX >> 8) + 1,
            )
        }
        Compression::WofXpress4k => {
            resident_size(0, WOF_REPARSE)
                + non_resident_size(0, true, RUN + 1)
                + non_resident_size(WOF_COMPRESSED_DATA.len(), false, RUN + 1)
        }
        Compression::None | Compression::Lznt1 => match core.sparse_runs(stream) {
            Some(runs) => non_resident_size(name, true, RUN * runs.len() + 1),
            None => non_resident_size(name, false, RUN + 1),
        },
    };
    Sizes { resident, outside }
}

/// Clusters of an index of `blocks`.
pub(super) fn index_clusters(core: &Core, blocks: u64) -> u64 {
    (blocks * u64::from(b_tree::BLOCK_SIZE)).div_ceil(u64::from(core.cluster_size))
}
