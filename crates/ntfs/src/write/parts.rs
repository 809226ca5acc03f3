//! The attributes of the tree's files.

use super::b_tree::{self, Entries, EntrySizes};
use super::core::{COMPRESSION_UNIT_SHIFT, Core, StreamPlace, system_reference};
use super::directory_index::{DirectoryEntries, DirectorySizes};
use super::layout::{Compressed, Layout, Outside};
use super::record::{Clusters, Part, Value};
use super::residency::RESIDENT_INDEX_BITMAP;
use super::tree::{ContentKind, Kind, Stream, StreamId};
use crate::structure::attribute::shown_as;
use crate::structure::file_name::FileNameHeader;
use crate::structure::index::{I30, IndexHeader, IndexRootHeader, NodeFlags, encode_end_entry};
use crate::structure::reparse::{ReparsePoint, ReparseTag, WofAlgorithm};
use crate::structure::standard_information::{StandardInformationBase, StandardInformationExtension};
use crate::structure::system_file::{ROOT, WOF_COMPRESSED_DATA};
use crate::structure::{
    AttributeFlags, AttributeType, CollationRule, FileAttributes, FileName, FileReference, Namespace, Run,
    StandardInformation, Structure, aligned,
};
use cv_winname::{UpcaseTable, is_short_name};
use std::borrow::Cow;

/// The attributes that a caller decides.
const OWN_ATTRIBUTES: FileAttributes = FileAttributes::DIRECTORY
    .union(FileAttributes::NORMAL)
    .union(FileAttributes::SPARSE_FILE)
    .union(FileAttributes::REPARSE_POINT)
    .union(FileAttributes::COMPRESSED)
    .union(FileAttributes::ENCRYPTED)
    .union(FileAttributes::DIRECTORY_INDEX)
    .union(FileAttributes::VIEW_INDEX)
    .complement();

/// What `$FILE_NAME` repeats of a file.
#[derive(Debug, Clone, Copy)]
struct Repeated {
    allocated: u64,
    size: u64,
    attributes: FileAttributes,
    reparse_tag_or_packed_ea_size: u32,
}

/// Whether the content of `stream` became a WOF stream.
fn is_wof(layout: &Layout, stream: u32) -> bool {
    matches!(layout.compressed(stream), Some(Compressed::Wof { .. }))
}

/// The reparse tag of `file`, also where its compression makes one.
pub(super) fn reparse_tag(core: &Core, layout: &Layout, file: u32) -> Option<ReparseTag> {
    let own = core.tree.extras(file).and_then(super::tree::Extras::reparse_tag);
    own.or_else(|| {
        let stream = core.tree.unnamed_stream(file).filter(|_| layout.has_compressed())?;
        is_wof(layout, stream).then_some(ReparseTag::WOF)
    })
}

/// The file attributes of `file` without those that only `$FILE_NAME` has.
fn attributes(core: &Core, layout: &Layout, file: u32, unnamed: Option<&Part<'_>>) -> FileAttributes {
    let record = core.file(file);
    let mut attributes = record.attributes & OWN_ATTRIBUTES;
    if let Some(part) = unnamed {
        attributes |= shown_as(part.flags);
    }
    if record.kind == Kind::Directory {
        attributes |= record.attributes & FileAttributes::COMPRESSED;
    }
    attributes.set(FileAttributes::REPARSE_POINT, reparse_tag(core, layout, file).is_some());
    if file == 0 {
        attributes |= FileAttributes::HIDDEN | FileAttributes::SYSTEM;
    }
    attributes
}

fn repeated(core: &Core, layout: &Layout, file: u32) -> Repeated {
    let unnamed = core
        .tree
        .unnamed_stream(file)
        .map(|stream| unnamed_part(core, layout, stream));
    let mut attributes = attributes(core, layout, file, unnamed.as_ref());
    attributes.set(FileAttributes::DIRECTORY_INDEX, core.is_directory(file));
    let (allocated, size) = match unnamed.map(|part| part.value) {
        None => (0, 0),
        Some(Value::Resident(bytes)) => (aligned(bytes.len()) as u64, bytes.len() as u64),
        Some(Value::Content(_, length)) => (aligned(length) as u64, length as u64),
        Some(Value::Clusters(clusters)) => (clusters.total_allocated.unwrap_or(clusters.allocated), clusters.size),
    };
    let packed_ea_size = || {
        let (_, information) = core.tree.extras(file)?.extended_attributes.as_ref()?;
        Some(u32::from(information.packed_ea_size))
    };
    Repeated {
        allocated,
        size,
        attributes,
        reparse_tag_or_packed_ea_size: match reparse_tag(core, layout, file) {
            Some(tag) => tag.0,
            None => packed_ea_size().unwrap_or(0),
        },
    }
}

fn file_name(
    core: &Core,
    file: u32,
    parent: FileReference,
    repeated: &Repeated,
    namespace: Namespace,
    name: &[u16],
) -> FileName {
    let times = core.file(file).times;
    FileName {
        header: FileNameHeader {
            parent_directory: parent,
            creation_time: times.creation,
            last_modification_time: times.modification,
            last_change_time: times.change,
            last_access_time: times.access,
            allocated_length: repeated.allocated,
            file_size: repeated.size,
            file_attributes: repeated.attributes,
            reparse_tag_or_packed_ea_size: repeated.reparse_tag_or_packed_ea_size,
            file_name_length: name.len() as u8,
            flags: namespace.0,
        },
        name: name.to_vec(),
    }
}

/// `$FILE_NAME` of a name of the tree.
pub(super) fn long_file_name(core: &Core, layout: &Layout, name: u32) -> FileName {
    let file = core.tree.names[name as usize].file;
    long_name(core, name, &repeated(core, layout, file))
}

fn long_name(core: &Core, name: u32, repeated: &Repeated) -> FileName {
    let record = &core.tree.names[name as usize];
    let units = core.tree.name_units(name);
    let namespace = if core.tree.short_name(name).is_some() {
        Namespace::WIN32
    } else if core.short_names && core.tree.first_name(super::FileId(record.file)) == Some(name) && is_short_name(units)
    {
        Namespace::WIN32_AND_DOS
    } else {
        Namespace::POSIX
    };
    file_name(
        core,
        record.file,
        core.reference(record.parent),
        repeated,
        namespace,
        units,
    )
}

/// `$FILE_NAME` of the 8.3 name beside a name of the tree.
pub(super) fn short_file_name(core: &Core, layout: &Layout, name: u32) -> FileName {
    let file = core.tree.names[name as usize].file;
    short_name(core, name, &repeated(core, layout, file))
}

fn short_name(core: &Core, name: u32, repeated: &Repeated) -> FileName {
    let record = &core.tree.names[name as usize];
    let units = core.tree.short_name(name).unwrap_or_default();
    file_name(
        core,
        record.file,
        core.reference(record.parent),
        repeated,
        Namespace::DOS,
        units,
    )
}

/// `$FILE_NAME` of the root: `.` in itself.
pub(super) fn root_file_name(core: &Core, layout: &Layout) -> FileName {
    let parent = system_reference(ROOT.record);
    let dot = [u16::from(b'.')];
    file_name(
        core,
        0,
        parent,
        &repeated(core, layout, 0),
        Namespace::WIN32_AND_DOS,
        &dot,
    )
}

/// Number of `$FILE_NAME` attributes of `file`.
pub(super) fn name_count(core: &Core, file: u32) -> usize {
    let names = core.tree.names_of(file);
    let count: usize = names
        .map(|name| 1 + usize::from(core.tree.short_name(name).is_some()))
        .sum();
    count + usize::from(file == 0)
}

/// All attributes of `file`, but for an attribute list, in the order of a record.
pub(super) fn of_file<'a>(core: &'a Core, layout: &'a Layout, file: u32) -> Vec<Part<'a>> {
    let tree = &core.tree;
    let extras = tree.extras(file);
    let mut parts = Vec::with_capacity(4);
    let mut streams = Vec::with_capacity(1);
    for stream in tree.streams_of(file) {
        streams_of(core, layout, stream, &mut streams);
    }
    if streams.len() > 1 {
        let upcase = UpcaseTable::windows();
        streams.sort_by(|left, right| upcase.collate(&left.name, &right.name));
    }
    let repeated = repeated(core, layout, file);
    parts.push(standard_information(core, file, &repeated));
    let name_part = |name: &FileName| Part::resident(AttributeType::FILE_NAME, name.to_bytes());
    if file == 0 {
        parts.push(name_part(&root_file_name(core, layout)));
    }
    for name in tree.names_of(file) {
        if tree.short_name(name).is_some() {
            parts.push(name_part(&short_name(core, name, &repeated)));
        }
        parts.push(name_part(&long_name(core, name, &repeated)));
    }
    if let Some(object_id) = extras.and_then(|extras| extras.object_id.as_deref()) {
        // The rest of it stands in the index alone, as Windows has it.
        parts.push(Part::resident(AttributeType::OBJECT_ID, &object_id.object_id[..]));
    }
    let value = |kind: Outside, type_code: AttributeType, bytes: &'a [u8]| match layout.outside(file, kind) {
        Some(place) => {
            let clusters = Clusters::contiguous(place.lcn, place.clusters, bytes.len() as u64, core.cluster_size);
            Part::clusters(type_code, clusters)
        }
        None => Part::resident(type_code, bytes),
    };
    if file == 0 {
        parts.push(value(
            Outside::Security,
            AttributeType::SECURITY_DESCRIPTOR,
            core.root_security(),
        ));
    }
    if core.file(file).kind == Kind::File && streams.first().is_none_or(|first| !first.name.is_empty()) {
        parts.push(Part::resident(AttributeType::DATA, &[][..]));
    }
    parts.extend(streams);
    if core.is_directory(file) {
        directory_index(core, layout, file, &mut parts);
    }
    if let Some(bytes) = extras.and_then(|extras| extras.reparse.as_deref()) {
        parts.push(value(Outside::Reparse, AttributeType::REPARSE_POINT, bytes));
    } else if reparse_tag(core, layout, file).is_some() {
        let point = ReparsePoint::WofFile(WofAlgorithm::Xpress4k).to_bytes();
        parts.push(Part::resident(AttributeType::REPARSE_POINT, point.unwrap_or_default()));
    }
    if let Some((bytes, information)) = extras.and_then(|extras| extras.extended_attributes.as_ref()) {
        parts.push(Part::resident(AttributeType::EA_INFORMATION, information.to_bytes()));
        parts.push(value(Outside::ExtendedAttributes, AttributeType::EA, bytes));
    }
    parts
}

fn standard_information(core: &Core, file: u32, repeated: &Repeated) -> Part<'static> {
    let times = core.file(file).times;
    let mut file_attributes = repeated.attributes;
    file_attributes.remove(FileAttributes::DIRECTORY_INDEX);
    let information = StandardInformation {
        base: StandardInformationBase {
            creation_time: times.creation,
            last_modification_time: times.modification,
            last_change_time: times.change,
            last_access_time: times.access,
            file_attributes,
            ..StandardInformationBase::default()
        },
        extension: (file != 0).then(|| StandardInformationExtension {
            security_id: core.security_number(file),
            ..StandardInformationExtension::default()
        }),
    };
    Part::resident(AttributeType::STANDARD_INFORMATION, information.to_bytes())
}

/// The unnamed stream's attribute; of a WOF stream the one that only says the size.
fn unnamed_part<'a>(core: &'a Core, layout: &Layout, number: u32) -> Part<'a> {
    let mut parts = Vec::with_capacity(1);
    streams_of(core, layout, number, &mut parts);
    parts.swap_remove(0)
}

/// Appends the attributes that hold a stream: one, or two where WOF compressed it.
fn streams_of<'a>(core: &'a Core, layout: &Layout, number: u32, parts: &mut Vec<Part<'a>>) {
    let stream = &core.tree.streams[number as usize];
    let id = StreamId(number);
    let name = core.tree.stream_name(id);
    let place = match (core.place(number), stream.kind) {
        (_, ContentKind::Late) => {
            let size = layout.late_size(number).unwrap_or(stream.size);
            match (core.place(number), size) {
                (_, 0) => None,
                (StreamPlace::Clusters(lcn), _) => Some(plain(core, lcn, size)),
                _ => None,
            }
        }
        (StreamPlace::Resident, _) => None,
        (StreamPlace::Clusters(lcn), _) => Some(stored(core, stream, lcn)),
        (StreamPlace::Compressed, _) => match layout.compressed(number) {
            Some(Compressed::Plain { lcn }) => Some(plain(core, *lcn, stream.size)),
            Some(Compressed::Lznt1 { lcn, units }) => Some(lznt1(core, stream, *lcn, units)),
            Some(Compressed::Wof { lcn, size }) => {
                let (value, flags) = hole(core, stream.size);
                parts.push(Part::clusters(AttributeType::DATA, value).flagged(flags));
                let (value, flags) = plain(core, *lcn, *size);
                parts.push(
                    Part::clusters(AttributeType::DATA, value)
                        .named(&WOF_COMPRESSED_DATA[..])
                        .flagged(flags),
                );
                return;
            }
            None => Some(plain(core, 0, stream.size)),
        },
    };
    parts.push(match place {
        Some((value, flags)) => Part::clusters(AttributeType::DATA, value).named(name).flagged(flags),
        None => Part {
            type_code: AttributeType::DATA,
            name: Cow::Borrowed(name),
            flags: AttributeFlags::empty(),
            value: match stream.kind {
                ContentKind::Bytes => Value::Resident(Cow::Borrowed(core.tree.bytes_of(stream))),
                ContentKind::Source if stream.size > 0 => Value::Content(id, stream.size as usize),
                _ => Value::Resident(Cow::Borrowed(&[])),
            },
        },
    });
}

fn plain(core: &Core, lcn: u64, size: u64) -> (Clusters, AttributeFlags) {
    let clusters = Clusters::contiguous(lcn, core.clusters_for(size), size, core.cluster_size);
    (clusters, AttributeFlags::empty())
}

/// A stream of `size` bytes of which nothing is stored.
fn hole(core: &Core, size: u64) -> (Clusters, AttributeFlags) {
    let unit = 1_u64 << core.sparse_unit_shift();
    let clusters = core.clusters_for(size).next_multiple_of(unit);
    let clusters = Clusters {
        runs: vec![Run {
            vcn: 0,
            lcn: None,
            clusters,
        }],
        compression_unit: core.sparse_unit_shift(),
        allocated: core.offset(clusters),
        size,
        total_allocated: Some(0),
    };
    (clusters, AttributeFlags::SPARSE)
}

fn stored(core: &Core, stream: &Stream, lcn: u64) -> (Clusters, AttributeFlags) {
    let Some(sparse) = core.sparse_runs(stream) else {
        return plain(core, lcn, stream.size);
    };
    let mut next = lcn;
    let mut total = 0;
    let runs: Vec<Run> = sparse
        .iter()
        .map(|run| {
            let lcn = run.is_data.then_some(next);
            if run.is_data {
                next += run.clusters;
                total += run.clusters;
            }
            Run {
                vcn: run.vcn,
                lcn,
                clusters: run.clusters,
            }
        })
        .collect();
    let clusters = Clusters {
        allocated: core.offset(runs.last().map_or(0, Run::end)),
        runs,
        compression_unit: core.sparse_unit_shift(),
        size: stream.size,
        total_allocated: Some(core.offset(total)),
    };
    (clusters, AttributeFlags::SPARSE)
}

/// A stream compressed by LZNT1 whose units take so many clusters each, one after the other from `lcn` on.
fn lznt1(core: &Core, stream: &Stream, lcn: u64, units: &[u8]) -> (Clusters, AttributeFlags) {
    const UNIT: u64 = 1 << COMPRESSION_UNIT_SHIFT;
    let mut runs: Vec<Run> = Vec::new();
    let mut next = lcn;
    let mut push = |vcn: u64, lcn: Option<u64>, clusters: u64| {
        if clusters == 0 {
            return;
        }
        match runs.last_mut() {
            // Holes join, and so do clusters that follow each other on the volume.
            Some(last) if last.lcn.map(|start| start + last.clusters) == lcn && last.end() == vcn => {
                last.clusters += clusters;
            }
            _ => runs.push(Run { vcn, lcn, clusters }),
        }
    };
    for (number, stored) in units.iter().enumerate() {
        let vcn = number as u64 * UNIT;
        let stored = u64::from(*stored);
        push(vcn, Some(next), stored);
        push(vcn + stored, None, UNIT - stored);
        next += stored;
    }
    let clusters = Clusters {
        runs,
        compression_unit: COMPRESSION_UNIT_SHIFT,
        allocated: units.len() as u64 * core.compression_unit(),
        size: stream.size,
        total_allocated: Some(core.offset(next - lcn)),
    };
    (clusters, AttributeFlags::COMPRESSED)
}

fn directory_index<'a>(core: &'a Core, layout: &'a Layout, directory: u32, parts: &mut Vec<Part<'a>>) {
    let mut flags = AttributeFlags::empty();
    flags.set(
        AttributeFlags::COMPRESSED,
        core.file(directory).attributes.contains(FileAttributes::COMPRESSED),
    );
    let Some(index) = layout.index(directory) else {
        let mut entries = Vec::new();
        let keys = DirectoryEntries::new(core, layout, directory);
        for position in 0..DirectorySizes::new(core, directory).count() {
            keys.encode(position, None, &mut entries);
        }
        entries.extend(encode_end_entry(None));
        let root = index_root(
            core,
            AttributeType::FILE_NAME,
            CollationRule::FILE_NAME,
            &entries,
            false,
        );
        parts.push(
            Part::resident(AttributeType::INDEX_ROOT, root)
                .named(&I30[..])
                .flagged(flags),
        );
        return;
    };
    let top = encode_end_entry(Some(index.top() * core.vcns_per_block()));
    let root = index_root(core, AttributeType::FILE_NAME, CollationRule::FILE_NAME, &top, true);
    parts.push(
        Part::resident(AttributeType::INDEX_ROOT, root)
            .named(&I30[..])
            .flagged(flags),
    );
    blocks_and_bitmap(
        core,
        &I30,
        index.blocks,
        index.place,
        layout.outside(directory, Outside::IndexBitmap),
        parts,
    );
}

/// Appends `$INDEX_ALLOCATION` and the `$BITMAP` of an index of `blocks` at `place`.
pub(super) fn blocks_and_bitmap<'a>(
    core: &Core,
    name: &'a [u16],
    blocks: u64,
    place: super::core::Place,
    bitmap_place: Option<super::core::Place>,
    parts: &mut Vec<Part<'a>>,
) {
    let size = blocks * u64::from(b_tree::BLOCK_SIZE);
    let clusters = Clusters::contiguous(place.lcn, place.clusters, size, core.cluster_size);
    parts.push(Part::clusters(AttributeType::INDEX_ALLOCATION, clusters).named(name));
    parts.push(match bitmap_place {
        Some(place) => {
            let size = index_bitmap_size(blocks);
            let clusters = Clusters::contiguous(place.lcn, place.clusters, size, core.cluster_size);
            Part::clusters(AttributeType::BITMAP, clusters).named(name)
        }
        None => Part::resident(AttributeType::BITMAP, index_bitmap(blocks)).named(name),
    });
}

/// Bytes of the bitmap of an index of `blocks`.
pub(super) fn index_bitmap_size(blocks: u64) -> u64 {
    blocks.div_ceil(64) * 8
}

/// Whether that bitmap gets clusters of its own.
pub(super) fn index_bitmap_is_outside(blocks: u64) -> bool {
    index_bitmap_size(blocks) > RESIDENT_INDEX_BITMAP
}

/// The bitmap of an index of `blocks`, all of them in use.
pub(super) fn index_bitmap(blocks: u64) -> Vec<u8> {
    let mut bitmap = vec![0; index_bitmap_size(blocks) as usize];
    for block in 0..blocks {
        bitmap[(block / 8) as usize] |= 1 << (block % 8);
    }
    bitmap
}

/// The value of `$INDEX_ROOT` with the node `entries`.
pub(super) fn index_root(
    core: &Core,
    indexed: AttributeType,
    rule: CollationRule,
    entries: &[u8],
    has_children: bool,
) -> Vec<u8> {
    let mut bytes = IndexRootHeader {
        indexed_attribute: indexed,
        collation_rule: rule,
        bytes_per_index_buffer: b_tree::BLOCK_SIZE,
        blocks_per_index_buffer: core.vcns_per_block() as u8,
        reserved: [0; 3],
    }
    .to_bytes();
    let size = (IndexHeader::SIZE + entries.len()) as u32;
    let header = IndexHeader {
        first_index_entry: IndexHeader::SIZE as u32,
        first_free_byte: size,
        bytes_available: size,
        flags: if has_children {
            NodeFlags::INDEX_NODE
        } else {
            NodeFlags::empty()
        },
        reserved: [0; 3],
    };
    bytes.extend(header.to_bytes());
    bytes.extend_from_slice(entries);
    bytes
}
