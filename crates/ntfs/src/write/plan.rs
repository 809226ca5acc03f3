//! From a tree to a layout, without touching data.

use super::core::{Core, Place, StreamPlace};
use super::error::{NameProblem, PlanError};
use super::layout::{Layout, Size};
use super::names::Directories;
use super::options::PlanOptions;
use super::parts;
use super::residency::{Choice, Residency};
use super::system_files::boot_size;
use super::tree::{Compression, ContentKind, FileId, StreamId, Tree};
use crate::structure::{FileReference, Geometry, attribute_definition, security_descriptor};
use cv_winname::UpcaseTable;
use std::collections::HashMap;

/// Volumes whose size is not given are a multiple of this.
const SIZE_UNIT: u64 = 1 << 20;
/// The largest volume.
const MAX_VOLUME: u64 = 256 << 40;
/// The longest label, in units.
const MAX_LABEL: usize = 32;
/// Most names of a file, 8.3 names counted.
const MAX_NAMES: usize = 0xFFFF;

/// A volume laid out: what lies where, before any data is read.
///
/// Where streams are to be compressed the plan counts with what they may take at worst; what follows them is placed when
/// they are written.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) core: Core,
    /// How everything lies if compression turns out at its worst; exact where nothing is compressed.
    pub(super) layout: Layout,
    /// Streams to be compressed, in the order of their files' records.
    pub(super) compressed: Vec<u32>,
    /// Streams made last.
    pub(super) late: Vec<u32>,
    /// The cluster where compressed streams begin.
    pub(super) data_end: u64,
    pub(super) volume_size: u64,
}

/// Lays out a volume that holds `tree`. The same tree and options give the same plan, whatever the order in which the
/// entries were added.
///
/// ```
/// use cv_disk::{MemoryDisk, Quiet};
/// use cv_ntfs::write::{Metadata, NoSource, PlanOptions, StreamContent, Tree, WriteOptions, plan, write};
///
/// let units = |name: &str| name.encode_utf16().collect::<Vec<_>>();
/// let mut tree = Tree::new();
/// let file = tree.add_file(Tree::ROOT, &units("hello.txt"), &Metadata::default())?;
/// tree.add_stream(file, &[], StreamContent::Bytes(b"hello"))?;
///
/// let plan = plan(tree, &PlanOptions::default())?;
/// let disk = MemoryDisk::new(plan.volume_size());
/// write(&plan, &NoSource, &disk, &WriteOptions::default(), &Quiet)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(mut tree: Tree, options: &PlanOptions) -> Result<Plan, PlanError> {
    check_options(options)?;
    let directories = Directories::of(&mut tree, options)?;
    let cluster_size = cluster_size(&tree, options);
    let mut core = Core::new(tree, directories, options, cluster_size);
    check_files(&core)?;

    let mut cursor = Cursor::new(options.data_alignment, cluster_size);
    core.front.boot = cursor.take(core.clusters_for(boot_size(&core)));
    core.front.mirror = cursor.take(core.clusters_for(core.mirror_size()));
    core.front.attribute_definitions = cursor.take(core.clusters_for(attribute_definition::FILE_SIZE as u64));
    core.front.upcase = cursor.take(core.clusters_for(UpcaseTable::SIZE as u64));
    core.front.security = cursor.take(core.clusters_for(core.security.content().len() as u64));
    let (compressed, late) = place_streams(&mut core, &mut cursor);
    check_late(&core, &late)?;
    core.gaps = cursor.gaps;
    let data_end = cursor.next;

    let mut worst = HashMap::new();
    let mut next = data_end;
    for stream in &compressed {
        let (outcome, clusters) = Layout::worst(&core, *stream, next);
        worst.insert(*stream, outcome);
        next += clusters;
    }
    let size = match options.volume_size {
        Some(size) => Size::Clusters(total_clusters(&core, size)),
        None => Size::Fitting(options.slack),
    };
    let mut layout = Layout::of(&core, worst, next, size)?;
    let volume_size = if let Some(size) = options.volume_size {
        size
    } else {
        let least = core.offset(layout.total_clusters) + u64::from(core.sector_size);
        let size = least.next_multiple_of(SIZE_UNIT.max(u64::from(cluster_size)));
        layout.resize(&core, total_clusters(&core, size))?;
        size
    };
    if let Some(pair) = layout.view_indexes.equal_object_ids(&core) {
        let [first, second] = pair.map(|file| core.tree.shown_path(FileId(file)));
        return Err(PlanError::File {
            path: second,
            reason: format!("its object id is that of {first}"),
        });
    }
    Ok(Plan {
        core,
        layout,
        compressed,
        late,
        data_end,
        volume_size,
    })
}

impl Plan {
    /// Bytes of the volume, and so of the partition: the second boot sector is its last.
    pub fn volume_size(&self) -> u64 {
        self.volume_size
    }

    /// Bytes of the clusters in use; where streams are compressed, at most.
    pub fn used_size(&self) -> u64 {
        let free: u64 = self.core.gaps.iter().map(|gap| gap.clusters).sum();
        self.core.offset(self.layout.end - free)
    }

    /// The sizes as the boot sector will say them; where streams are compressed, `$MFT` may move.
    pub fn geometry(&self) -> Geometry {
        self.core.geometry(self.total_sectors(), self.layout.mft.lcn)
    }

    /// Bytes that the source is to give.
    pub fn source_size(&self) -> u64 {
        let streams = self.core.tree.streams.iter();
        let from_source = streams.filter(|stream| stream.kind == ContentKind::Source);
        from_source.map(|stream| self.core.tree.source_size(stream)).sum()
    }

    /// The tree, with the names that were changed and the 8.3 names that were made.
    pub fn tree(&self) -> &Tree {
        &self.core.tree
    }

    /// The record that `file` will have.
    pub fn reference(&self, file: FileId) -> FileReference {
        self.core.reference(file.0)
    }

    /// The volume's serial number.
    pub fn serial(&self) -> u64 {
        self.core.serial
    }

    /// Sectors of the volume without the copy of the boot sector.
    pub(super) fn total_sectors(&self) -> u64 {
        self.volume_size / u64::from(self.core.sector_size) - 1
    }
}

/// Whole clusters of a volume of `size` bytes, whose last sector is the copy of the boot sector.
fn total_clusters(core: &Core, size: u64) -> u64 {
    let sectors = (size / u64::from(core.sector_size)).saturating_sub(1);
    sectors / u64::from(core.cluster_size / core.sector_size)
}

fn check_options(options: &PlanOptions) -> Result<(), PlanError> {
    let refuse = |option, value: String, expected| {
        Err(PlanError::Option {
            option,
            value,
            expected,
        })
    };
    let sector = options.sector_size;
    if sector != 512 && sector != 4096 {
        return refuse("the sector size", sector.to_string(), "512 or 4096");
    }
    let is_cluster = |size: u32| size.is_power_of_two() && (sector..=Geometry::MAX_CLUSTER).contains(&size);
    if let Some(size) = options.cluster_size.filter(|size| !is_cluster(*size)) {
        let expected = "a power of two from the sector size to 2 MiB";
        return refuse("the cluster size", size.to_string(), expected);
    }
    let is_volume = |size: u64| size.is_multiple_of(u64::from(sector)) && size <= MAX_VOLUME;
    if let Some(size) = options.volume_size.filter(|size| !is_volume(*size)) {
        let expected = "a multiple of the sector size up to 256 TiB";
        return refuse("the volume's size", size.to_string(), expected);
    }
    let is_nul = |unit: &u16| *unit == 0;
    if options.label.len() > MAX_LABEL || options.label.iter().any(is_nul) {
        let value = format!("{:?}", cv_winname::wtf8::display(&options.label));
        return refuse("the label", value, "32 UTF-16 units at most, none of them NUL");
    }
    if !options.data_alignment.is_power_of_two() {
        return refuse("the alignment", options.data_alignment.to_string(), "a power of two");
    }
    let security = &options.default_security;
    let is_valid = security_descriptor::SecurityDescriptor::parse(security).is_ok();
    if !is_valid || security.len() > crate::structure::security::MAX_DESCRIPTOR as usize {
        let value = format!("{} bytes", security.len());
        return refuse("the default security descriptor", value, "one in self-relative form");
    }
    Ok(())
}

/// The cluster size wanted, or the smallest from 4 KiB on with which the volume has less than 2^32 clusters.
fn cluster_size(tree: &Tree, options: &PlanOptions) -> u32 {
    let content = || {
        tree.streams
            .iter()
            .map(|stream| tree.source_size(stream))
            .fold(0, u64::saturating_add)
    };
    options.cluster_size.unwrap_or_else(|| {
        // Half as much again leaves room for everything else.
        let size = options.volume_size.unwrap_or_else(|| content().saturating_mul(3) / 2);
        let mut cluster = 4096;
        while size / u64::from(cluster) > u64::from(u32::MAX) && cluster < Geometry::MAX_CLUSTER {
            cluster *= 2;
        }
        cluster
    })
}

fn check_files(core: &Core) -> Result<(), PlanError> {
    let upcase = UpcaseTable::windows();
    let mut problems = Vec::new();
    for file in std::iter::once(0).chain(core.order.iter().copied()) {
        let fault = |reason: String| PlanError::File {
            path: core.tree.shown_path(FileId(file)),
            reason,
        };
        let names = parts::name_count(core, file);
        if names > MAX_NAMES {
            return Err(fault(format!("it has {names} names, {MAX_NAMES} are allowed")));
        }
        let mut streams: Vec<&[u16]> = core
            .tree
            .streams_of(file)
            .map(|stream| core.tree.stream_name(StreamId(stream)))
            .collect();
        streams.sort_by(|left, right| upcase.collate(left, right));
        for pair in streams.windows(2) {
            if upcase.equal(pair[0], pair[1]) {
                problems.push(NameProblem {
                    path: core.tree.shown_path(FileId(file)),
                    reason: format!("it has two streams named {:?}", cv_winname::wtf8::display(pair[0])),
                });
            }
        }
        for stream in core.tree.streams_of(file) {
            let record = &core.tree.streams[stream as usize];
            if record.compression == Compression::Lznt1 && core.cluster_size > 4096 {
                return Err(PlanError::Option {
                    option: "the cluster size",
                    value: core.cluster_size.to_string(),
                    expected: "4 KiB at most where LZNT1 is wanted",
                });
            }
            if record.compression == Compression::WofXpress4k {
                if core.tree.extras(file).is_some_and(|extras| extras.reparse.is_some()) {
                    return Err(fault("it has reparse data, so WOF cannot compress it".into()));
                }
                let wof = crate::structure::system_file::WOF_COMPRESSED_DATA;
                if streams.iter().any(|name| upcase.equal(name, &wof)) {
                    return Err(fault("it has a stream WofCompressedData already".into()));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(PlanError::Names(problems))
    }
}

/// A late stream's record is made before its size is known, so nothing else in the file may depend on it.
fn check_late(core: &Core, late: &[u32]) -> Result<(), PlanError> {
    for stream in late {
        let file = core.tree.streams[*stream as usize].file;
        if Residency::of(core, file).may_overflow {
            return Err(PlanError::File {
                path: core.tree.shown_path(FileId(file)),
                reason: "a file with a late stream must fit into one file record".into(),
            });
        }
    }
    Ok(())
}

/// Places the streams that need clusters, in the order of their files' records; gives those that are compressed, and
/// those that are late.
fn place_streams(core: &mut Core, cursor: &mut Cursor) -> (Vec<u32>, Vec<u32>) {
    let mut compressed = Vec::new();
    let mut late = Vec::new();
    let mut outside = Vec::new();
    for position in 0..=core.order.len() {
        let file = position.checked_sub(1).map_or(0, |position| core.order[position]);
        if core.tree.streams_of(file).next().is_none() {
            continue;
        }
        late.extend(
            core.tree
                .streams_of(file)
                .filter(|stream| core.tree.streams[*stream as usize].kind == ContentKind::Late),
        );
        outside.clear();
        Residency::of(core, file).each_outside(core, file, |choice| {
            if let Choice::Stream(stream) = choice {
                outside.push(stream);
            }
        });
        for stream in &outside {
            let record = &core.tree.streams[*stream as usize];
            if record.kind == ContentKind::Late {
                continue;
            }
            if Core::is_compressed(record) {
                compressed.push(*stream);
                core.set_place(*stream, StreamPlace::Compressed);
                continue;
            }
            let place = cursor.take_aligned(core.stored_clusters(record));
            core.set_place(*stream, StreamPlace::Clusters(place.lcn));
        }
    }
    for stream in &late {
        let place = cursor.take_aligned(core.clusters_for(core.tree.streams[*stream as usize].size));
        core.set_place(*stream, StreamPlace::Clusters(place.lcn));
    }
    (compressed, late)
}

/// Hands out clusters in ascending order.
struct Cursor {
    next: u64,
    /// Clusters that larger streams are aligned to.
    alignment: u64,
    gaps: Vec<Place>,
}

impl Cursor {
    fn new(alignment: u64, cluster_size: u32) -> Self {
        Self {
            next: 0,
            alignment: (alignment / u64::from(cluster_size)).max(1),
            gaps: Vec::new(),
        }
    }

    fn take(&mut self, clusters: u64) -> Place {
        let place = Place {
            lcn: self.next,
            clusters,
        };
        self.next += clusters;
        place
    }

    fn take_aligned(&mut self, clusters: u64) -> Place {
        let start = self.next.next_multiple_of(self.alignment);
        if clusters >= self.alignment && start > self.next {
            self.gaps.push(Place {
                lcn: self.next,
                clusters: start - self.next,
            });
            self.next = start;
        }
        self.take(clusters)
    }
}
