//! What of a volume is settled before its data is read.

use super::names::Directories;
use super::options::PlanOptions;
use super::security_file::SecurityFile;
use super::tree::{Compression, ContentKind, File, Kind, NONE, Stream, Tree};
use crate::structure::system_file::ROOT;
use crate::structure::{FileReference, Geometry, NtfsTime};

/// The first record of the tree's files; those from 27 on stay free for what Windows adds at the first mount.
pub(super) const FIRST_RECORD: u64 = 64;
/// The largest stream that is stored by LZNT1: the run list of a larger one may not fit into an attribute list.
const MAX_LZNT1: u64 = 8 << 30;
/// Bytes of the pieces in which NTFS leaves out zeros, where clusters are not larger.
const SPARSE_UNIT: u64 = 64 << 10;
/// Binary logarithm of the clusters per compression unit.
pub(super) const COMPRESSION_UNIT_SHIFT: u8 = 4;

/// Clusters that follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub lcn: u64,
    pub clusters: u64,
}

/// Where a stream's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamPlace {
    /// In its file record.
    Resident,
    /// In clusters from this one on, as many as it has.
    Clusters(u64),
    /// To be found when it is compressed.
    Compressed,
}

/// [`StreamPlace`] in eight bytes: cluster 0 holds the boot sector.
const RESIDENT: u64 = 0;
const COMPRESSED: u64 = u64::MAX;

/// A part of a sparse stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SparseRun {
    pub vcn: u64,
    pub clusters: u64,
    pub is_data: bool,
}

/// Where the content of the volume's own files is that does not depend on the rest.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Front {
    pub boot: Place,
    pub mirror: Place,
    pub attribute_definitions: Place,
    pub upcase: Place,
    pub security: Place,
}

/// What of a volume is settled before its data is read.
#[derive(Debug, Clone)]
pub(super) struct Core {
    pub tree: Tree,
    pub directories: Directories,
    pub sector_size: u32,
    pub cluster_size: u32,
    pub record_size: u32,
    /// The tree's files but the root, by record.
    pub order: Vec<u32>,
    /// Where each file stands in `order`.
    positions: Vec<u32>,
    pub security: SecurityFile,
    /// Numbers in `$Secure` of the tree's security descriptors, the default one last.
    security_numbers: Vec<u32>,
    root_security: Vec<u8>,
    places: Vec<u64>,
    pub front: Front,
    /// Free clusters between what is placed.
    pub gaps: Vec<Place>,
    pub label: Vec<u16>,
    pub serial: u64,
    pub time: NtfsTime,
    pub hidden_sectors: u32,
    /// Whether 8.3 names are made.
    pub short_names: bool,
}

impl Core {
    /// Numbers the files and security descriptors of `tree`; nothing is placed yet.
    pub fn new(tree: Tree, directories: Directories, options: &PlanOptions, cluster_size: u32) -> Self {
        let (order, positions) = number_files(&tree, &directories);
        let mut security = SecurityFile::new();
        let mut security_numbers = vec![0; tree.security_count() + 1];
        for file in &order {
            let number = tree.files[*file as usize].security;
            let index = (number as usize).min(tree.security_count());
            if security_numbers[index] == 0 {
                let descriptor = tree.security(number).unwrap_or(&options.default_security);
                security_numbers[index] = security.number_of(descriptor);
            }
        }
        security.finish();
        let root = &tree.files[0];
        let root_security = tree
            .security(root.security)
            .unwrap_or(&options.default_security)
            .to_vec();
        let time = options.time.unwrap_or(root.times.creation);
        let serial = options
            .serial
            .unwrap_or_else(|| serial_of(&tree, &order, &options.label));
        Self {
            places: vec![RESIDENT; tree.streams.len()],
            tree,
            directories,
            sector_size: options.sector_size,
            cluster_size,
            record_size: options.sector_size.max(1024),
            order,
            positions,
            security,
            security_numbers,
            root_security,
            front: Front::default(),
            gaps: Vec::new(),
            label: options.label.clone(),
            serial,
            time,
            hidden_sectors: options.hidden_sectors,
            short_names: options.short_names,
        }
    }

    /// The record of `file`.
    pub fn record(&self, file: u32) -> u64 {
        match file {
            0 => ROOT.record,
            _ => FIRST_RECORD + u64::from(self.positions[file as usize]),
        }
    }

    /// The file whose record that is.
    pub fn file_at(&self, record: u64) -> Option<u32> {
        if record == ROOT.record {
            return Some(0);
        }
        self.order
            .get(usize::try_from(record.checked_sub(FIRST_RECORD)?).ok()?)
            .copied()
    }

    /// The reference to the record of `file`.
    pub fn reference(&self, file: u32) -> FileReference {
        match file {
            0 => system_reference(ROOT.record),
            _ => FileReference::new(self.record(file), 1),
        }
    }

    pub fn file(&self, file: u32) -> &File {
        &self.tree.files[file as usize]
    }

    pub fn is_directory(&self, file: u32) -> bool {
        self.file(file).kind == Kind::Directory
    }

    /// The number in `$Secure` of the file's security descriptor.
    pub fn security_number(&self, file: u32) -> u32 {
        let number = self.file(file).security as usize;
        self.security_numbers[number.min(self.security_numbers.len() - 1)]
    }

    pub fn root_security(&self) -> &[u8] {
        &self.root_security
    }

    pub fn place(&self, stream: u32) -> StreamPlace {
        match self.places[stream as usize] {
            RESIDENT => StreamPlace::Resident,
            COMPRESSED => StreamPlace::Compressed,
            lcn => StreamPlace::Clusters(lcn),
        }
    }

    pub fn set_place(&mut self, stream: u32, place: StreamPlace) {
        self.places[stream as usize] = match place {
            StreamPlace::Resident => RESIDENT,
            StreamPlace::Compressed => COMPRESSED,
            StreamPlace::Clusters(lcn) => lcn,
        };
    }

    /// Clusters that hold `bytes`.
    pub fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.cluster_size))
    }

    /// Where a cluster begins in the volume, in bytes.
    pub fn offset(&self, lcn: u64) -> u64 {
        lcn * u64::from(self.cluster_size)
    }

    /// Bytes of a compression unit.
    pub fn compression_unit(&self) -> u64 {
        u64::from(self.cluster_size) << COMPRESSION_UNIT_SHIFT
    }

    /// Whether the stream, where it does not fit into its record, is stored by LZNT1.
    pub fn is_lznt1(stream: &Stream) -> bool {
        stream.compression == Compression::Lznt1 && stream.size <= MAX_LZNT1
    }

    /// Whether the stream, where it does not fit into its record, is compressed one way or the other.
    pub fn is_compressed(stream: &Stream) -> bool {
        Self::is_lznt1(stream) || stream.compression == Compression::WofXpress4k
    }

    /// Clusters in which a sparse stream's zeros are left out, and their binary logarithm as the attribute says it.
    fn sparse_unit(&self) -> (u64, u8) {
        let clusters = (SPARSE_UNIT / u64::from(self.cluster_size)).clamp(1, 16);
        (clusters, if clusters == 16 { COMPRESSION_UNIT_SHIFT } else { 0 })
    }

    /// The compression unit of sparse streams.
    pub fn sparse_unit_shift(&self) -> u8 {
        self.sparse_unit().1
    }

    /// The parts of a sparse stream in ascending order; `None` where it is not sparse, or nothing of it can be left out.
    pub fn sparse_runs(&self, stream: &Stream) -> Option<Vec<SparseRun>> {
        let ranges = self.tree.sparse_ranges(stream)?;
        let unit = self.sparse_unit().0;
        let unit_bytes = unit * u64::from(self.cluster_size);
        let end = stream.size.div_ceil(unit_bytes) * unit;
        let mut runs: Vec<SparseRun> = Vec::new();
        let mut push = |vcn: u64, until: u64, is_data: bool| {
            if until <= vcn {
                return;
            }
            match runs.last_mut() {
                Some(last) if last.is_data == is_data => last.clusters = until - last.vcn,
                _ => runs.push(SparseRun {
                    vcn,
                    clusters: until - vcn,
                    is_data,
                }),
            }
        };
        let mut position = 0;
        for range in ranges {
            let start = range.start / unit_bytes * unit;
            push(position, start, false);
            let until = range.end.div_ceil(unit_bytes) * unit;
            push(position.max(start), until, true);
            position = position.max(until);
        }
        push(position, end, false);
        runs.iter().any(|run| !run.is_data).then_some(runs)
    }

    /// Clusters that a stream outside of its record takes, those left out not counted; a compressed one by itself.
    pub fn stored_clusters(&self, stream: &Stream) -> u64 {
        match self.sparse_runs(stream) {
            Some(runs) => runs.iter().filter(|run| run.is_data).map(|run| run.clusters).sum(),
            None => self.clusters_for(stream.size),
        }
    }

    /// The sizes as the boot sector says them.
    pub fn geometry(&self, total_sectors: u64, mft_lcn: u64) -> Geometry {
        Geometry {
            sector_size: self.sector_size,
            cluster_size: self.cluster_size,
            record_size: self.record_size,
            index_block_size: super::b_tree::BLOCK_SIZE,
            total_sectors,
            total_clusters: total_sectors / u64::from(self.cluster_size / self.sector_size),
            mft_lcn,
            mirror_lcn: self.front.mirror.lcn,
        }
    }

    /// Steps of the virtual cluster number from one index block to the next.
    pub fn vcns_per_block(&self) -> u64 {
        let block = super::b_tree::BLOCK_SIZE;
        u64::from(block / self.geometry(0, 0).index_vcn_unit(block))
    }

    /// Bytes of `$MFTMirr`: four records, or a cluster.
    pub fn mirror_size(&self) -> u64 {
        (4 * u64::from(self.record_size)).max(u64::from(self.cluster_size))
    }
}

/// The reference to one of the volume's own files.
pub(super) fn system_reference(record: u64) -> FileReference {
    FileReference::new(record, system_sequence(record))
}

/// The sequence number of a record of the volume's own.
pub(super) fn system_sequence(record: u64) -> u16 {
    match record {
        1..24 => record as u16,
        _ => 1,
    }
}

/// The files in the order of their records: a directory's files in the order of its index, then what is in its
/// directories, one after the other. Does not depend on the order in which the tree was made.
fn number_files(tree: &Tree, directories: &Directories) -> (Vec<u32>, Vec<u32>) {
    let mut order = Vec::with_capacity(tree.files.len().saturating_sub(1));
    let mut positions = vec![NONE; tree.files.len()];
    positions[0] = 0;
    let mut pending = vec![0];
    while let Some(directory) = pending.pop() {
        let first = pending.len();
        for key in directories.keys(directory) {
            let super::names::Key::Long(name) = key else { continue };
            let file = tree.names[name as usize].file;
            if positions[file as usize] != NONE {
                continue;
            }
            positions[file as usize] = order.len() as u32;
            order.push(file);
            if tree.files[file as usize].kind == Kind::Directory {
                pending.push(file);
            }
        }
        pending[first..].reverse();
    }
    (order, positions)
}

/// A number that is the same for the same tree and label and, as good as always, another for another.
fn serial_of(tree: &Tree, order: &[u32], label: &[u16]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    let mut hash = 0xCBF2_9CE4_8422_2325;
    let mut add = |word: u64| {
        // FNV-1a by words, with a rotation that lets high bits reach the low ones.
        hash = (hash ^ word).wrapping_mul(PRIME).rotate_left(23);
    };
    for unit in label {
        add(u64::from(*unit));
    }
    for file in order {
        let record = &tree.files[*file as usize];
        add(record.times.creation.0);
        add(record.times.modification.0);
        add(u64::from(record.attributes.bits()));
        for name in tree.names_of(*file) {
            tree.name_units(name).iter().for_each(|unit| add(u64::from(*unit)));
        }
        for stream in tree.streams_of(*file) {
            let stream = &tree.streams[stream as usize];
            add(stream.size);
            if stream.kind == ContentKind::Bytes {
                tree.bytes_of(stream).iter().for_each(|byte| add(u64::from(*byte)));
            }
        }
    }
    hash
}
