//! New images.

use super::descriptor_file::DescriptorFile;
use super::sparse::SparseWriter;
use super::stream::{STREAM_FLAGS, StreamWriter};
use super::subformat::{AdapterType, Subformat};
use super::{ExtentWriter, VmdkWriter};
use crate::descriptor::{Access, Descriptor, ExtentKindName, ExtentLine, Template, geometry};
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::image::storage::{Storage, StoredExtent};
use crate::image::{CID_UNSAID, ParentReference, Vmdk, is_writable_sparse};
use crate::sparse::{SparseExtent, SparseKind};
use crate::structures::{
    COMPRESSION_DEFLATE, FLAG_NEWLINE_TEST, FLAG_REDUNDANT_TABLE, FLAG_ZEROED_GRAINS, GD_AT_END, SECTOR,
    SparseExtentHeader, to_sector,
};
use cv_disk::{ReadAt, Resize, WriteError};
use std::sync::{Arc, Mutex};

/// Sectors kept for an embedded descriptor, so that other tools find room for their lines.
const DESCRIPTOR_SECTORS: u64 = 20;
/// Entries of a grain table.
const GTES_PER_GT: u32 = 512;
/// Sectors of an extent at most where a disk is split for file systems with small files, as VMware splits it: 2047 MiB.
pub(super) const SPLIT_SECTORS: u64 = 4_192_256;
/// Bytes of a grain unless told.
const GRAIN_SIZE: u64 = 65_536;
/// libdeflate's level unless told.
const COMPRESSION_LEVEL: i32 = 6;

/// What a new image is to be.
///
/// Nothing is drawn from a clock or from chance: the same options and the same writes give the same bytes.
#[derive(Debug, Clone)]
pub struct VmdkBuilder {
    size: u64,
    subformat: Subformat,
    name: String,
    cid: u32,
    parent: Option<ParentReference>,
    grain_size: u64,
    zeroed_grains: Option<bool>,
    adapter_type: AdapterType,
    hardware_version: u32,
    compression_level: i32,
    entries: Vec<(String, String)>,
    like: Option<Descriptor>,
}

impl VmdkBuilder {
    /// A `monolithicSparse` image of a disk of `virtual_size` bytes, a multiple of 512.
    pub fn new(virtual_size: u64) -> Self {
        Self {
            size: virtual_size,
            subformat: Subformat::default(),
            name: "disk".into(),
            cid: CID_UNSAID,
            parent: None,
            grain_size: GRAIN_SIZE,
            zeroed_grains: None,
            adapter_type: AdapterType::default(),
            hardware_version: 8,
            compression_level: COMPRESSION_LEVEL,
            entries: Vec::new(),
            like: None,
        }
    }

    /// An image like `image`: its subformat, size, ids, parent, grain size and every entry of its descriptor. A
    /// subformat that cannot be created becomes `monolithicSparse`.
    pub fn like(image: &Vmdk) -> Self {
        let create_type = image.create_type().unwrap_or_default();
        let mut builder = Self::new(image.len());
        builder.subformat = Subformat::from_create_type(&create_type).unwrap_or_default();
        builder.cid = image.identity().cid;
        builder.parent = image.parent_reference().cloned();
        builder.like = Some(image.descriptor().clone());
        for extent in &image.extents {
            if let Storage::Sparse(sparse) = &extent.storage
                && let SparseKind::Hosted(header) = sparse.kind()
            {
                builder.grain_size = header.grain_bytes().clamp(4096, 1 << 20);
                if is_writable_sparse(sparse) {
                    builder.zeroed_grains = Some(header.has(FLAG_ZEROED_GRAINS));
                }
            }
        }
        builder
    }

    /// The kind of image. A differencing image is `monolithicSparse` or `twoGbMaxExtentSparse`.
    #[must_use]
    pub fn subformat(mut self, subformat: Subformat) -> Self {
        self.subformat = subformat;
        self
    }

    /// The name of the image's file without its extension, from which the extents' names are made; `disk` unless told.
    #[must_use]
    pub fn name(mut self, stem: &str) -> Self {
        self.name = stem.into();
        self
    }

    /// The content id, to be drawn at random; `fffffffe` unless told.
    #[must_use]
    pub fn content_id(mut self, cid: u32) -> Self {
        self.cid = cid;
        self
    }

    /// Makes it a differencing image.
    #[must_use]
    pub fn parent(mut self, parent: ParentReference) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Makes it an image of its own, the opposite of [`parent`](Self::parent).
    #[must_use]
    pub fn without_parent(mut self) -> Self {
        self.parent = None;
        self
    }

    /// Bytes of a grain: a power of two from 4 KiB to 1 MiB, 64 KiB unless told.
    #[must_use]
    pub fn grain_size(mut self, bytes: u64) -> Self {
        self.grain_size = bytes;
        self
    }

    /// Whether zeros may be recorded as such (header version 2), in sparse subformats. Unless told, differencing images
    /// do, so that zeros can hide the parent without being stored.
    #[must_use]
    pub fn zeroed_grains(mut self, zeroed: bool) -> Self {
        self.zeroed_grains = Some(zeroed);
        self
    }

    /// The controller for the disk; `lsilogic` unless told, which is what ESX wants.
    #[must_use]
    pub fn adapter_type(mut self, adapter_type: AdapterType) -> Self {
        self.adapter_type = adapter_type;
        self
    }

    /// The virtual hardware's version, 8 (ESX 5) unless told.
    #[must_use]
    pub fn hardware_version(mut self, version: u32) -> Self {
        self.hardware_version = version;
        self
    }

    /// libdeflate's level for `streamOptimized`, 1 (fast) to 12 (small), 6 unless told.
    #[must_use]
    pub fn compression_level(mut self, level: i32) -> Self {
        self.compression_level = level.clamp(1, 12);
        self
    }

    /// `ddb.uuid`.
    #[must_use]
    pub fn uuid(self, uuid: [u8; 16]) -> Self {
        let hex: Vec<String> = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let value = format!("{}-{}", hex[..8].join(" "), hex[8..].join(" "));
        self.entry("ddb.uuid", &value)
    }

    /// Another entry of the descriptor.
    #[must_use]
    pub fn entry(mut self, key: &str, value: &str) -> Self {
        self.entries.push((key.into(), value.into()));
        self
    }

    /// Begins the image in `file`, which is empty; its extents, where they are files of their own, are created by
    /// `files`. The image is complete once [`VmdkWriter::finish`] has returned.
    pub fn create(self, file: Arc<dyn Resize>, files: &dyn ExtentFiles) -> Result<VmdkWriter, WriteError> {
        self.validate()?;
        if !file.is_empty() {
            return Err(WriteError::Limit("the file for a new image is not empty".into()));
        }
        let extents = self.extent_lines();
        let descriptor = self.descriptor(extents.clone());
        if self.subformat.is_single_file() {
            self.create_embedded(file, &extents[0], descriptor)
        } else {
            self.create_files(file, extents, descriptor, files)
        }
    }

    fn create_embedded(
        &self,
        file: Arc<dyn Resize>,
        line: &ExtentLine,
        descriptor: Descriptor,
    ) -> Result<VmdkWriter, WriteError> {
        let text = descriptor.to_bytes();
        let descriptor_sectors = (text.len() as u64).div_ceil(SECTOR).max(DESCRIPTOR_SECTORS);
        let place = SECTOR..SECTOR * (1 + descriptor_sectors);
        let is_stream = self.subformat == Subformat::StreamOptimized;
        let header = if is_stream {
            self.stream_header(descriptor_sectors)
        } else {
            self.sparse_header(line.sectors, descriptor_sectors)?
        };
        let storage;
        let writer;
        if is_stream {
            file.set_len(header.overhead * SECTOR)?;
            file.write_at(&to_sector(&header), 0)?;
            file.write_at(&text, place.start)?;
            storage = Storage::Zero;
            writer = ExtentWriter::Stream(Box::new(StreamWriter::new(
                file.clone(),
                &header,
                self.compression_level,
            )));
        } else {
            lay_out(&*file, &header)?;
            file.write_at(&text, place.start)?;
            (storage, writer) = open_new(&file, true)?;
        }
        let extent = StoredExtent {
            line: line.clone(),
            start: 0,
            length: self.size,
            storage,
            has_own_file: false,
        };
        Ok(VmdkWriter {
            descriptor: DescriptorFile::new(file, Some(place.clone()), descriptor.clone()),
            disk: Vmdk::assemble(descriptor, Some(place), vec![extent]),
            extents: vec![writer],
            before_first_change: Mutex::new(None),
        })
    }

    fn create_files(
        &self,
        file: Arc<dyn Resize>,
        lines: Vec<ExtentLine>,
        descriptor: Descriptor,
        files: &dyn ExtentFiles,
    ) -> Result<VmdkWriter, WriteError> {
        let mut extents = Vec::with_capacity(lines.len());
        let mut writers = Vec::with_capacity(lines.len());
        let mut start = 0;
        for line in lines {
            let (extent, writer) = self.create_extent(line, start, files, true)?;
            start = extent.end();
            extents.push(extent);
            writers.push(writer);
        }
        let text = descriptor.to_bytes();
        file.set_len(text.len() as u64)?;
        file.write_at(&text, 0)?;
        Ok(VmdkWriter {
            descriptor: DescriptorFile::new(file, None, descriptor.clone()),
            disk: Vmdk::assemble(descriptor, None, extents),
            extents: writers,
            before_first_change: Mutex::new(None),
        })
    }

    /// Creates the file of the extent that `line` names and that begins at byte `start` of the disk. Where the image
    /// `is_new`, its tables are held back until it is complete.
    pub(super) fn create_extent(
        &self,
        line: ExtentLine,
        start: u64,
        files: &dyn ExtentFiles,
        is_new: bool,
    ) -> Result<(StoredExtent, ExtentWriter), WriteError> {
        let name = line.name.clone().unwrap_or_default();
        let length = line.sectors * SECTOR;
        let create = || {
            let file = files.create(&name).map_err(|source| WriteError::Io {
                offset: 0,
                length,
                source,
            })?;
            if self.subformat.is_flat() {
                file.set_len(length)?;
                let storage = Storage::Flat {
                    file: file.clone(),
                    start: 0,
                };
                Ok((storage, ExtentWriter::Flat { file, start: 0 }))
            } else {
                lay_out(&*file, &self.sparse_header(line.sectors, 0)?)?;
                open_new(&file, is_new)
            }
        };
        let (storage, writer) = create().map_err(|error: WriteError| error.in_file(name.as_str()))?;
        let extent = StoredExtent {
            line,
            start,
            length,
            storage,
            has_own_file: true,
        };
        Ok((extent, writer))
    }

    fn validate(&self) -> Result<(), WriteError> {
        let refuse = |why: String| Err(WriteError::Limit(why));
        if self.size == 0 || !self.size.is_multiple_of(SECTOR) {
            return refuse(format!(
                "a VMDK's size is a multiple of 512 bytes, and {} is not",
                self.size
            ));
        }
        // 62 TiB is VMware's limit; one extent of grains reaches 2 TiB, which is checked with its header.
        if self.size > 62 << 40 {
            return refuse(format!("a VMDK holds at most 62 TiB, not {} bytes", self.size));
        }
        if !self.grain_size.is_power_of_two() || !(4096..=1 << 20).contains(&self.grain_size) {
            return refuse(format!(
                "a grain is a power of two from 4 KiB to 1 MiB, not {} bytes",
                self.grain_size
            ));
        }
        let is_plain_sparse = matches!(
            self.subformat,
            Subformat::MonolithicSparse | Subformat::TwoGbMaxExtentSparse
        );
        if self.parent.is_some() && !is_plain_sparse {
            return refuse(format!(
                "a differencing VMDK is monolithicSparse or twoGbMaxExtentSparse, not {}",
                self.subformat.create_type()
            ));
        }
        let is_text = |text: &str| !text.contains(|letter: char| letter.is_control() || letter == '"');
        let hint = self.parent.as_ref().and_then(|parent| parent.file_name_hint.as_deref());
        let entries = self.entries.iter().flat_map(|(key, value)| [&**key, &**value]);
        if let Some(bad) = entries.chain([&*self.name]).chain(hint).find(|text| !is_text(text)) {
            return refuse(format!("a descriptor cannot hold the text {bad:?}"));
        }
        Ok(())
    }

    /// The extents' lines for the whole disk.
    fn extent_lines(&self) -> Vec<ExtentLine> {
        let sectors = self.size / SECTOR;
        let most = if self.subformat.is_split() {
            SPLIT_SECTORS
        } else {
            sectors
        };
        let count = sectors.div_ceil(most);
        (0..count)
            .map(|index| {
                let number = index as usize + 1;
                let name = self.subformat.extent_name(&self.name, number);
                self.extent_line(name, (sectors - index * most).min(most))
            })
            .collect()
    }

    fn extent_line(&self, name: String, sectors: u64) -> ExtentLine {
        ExtentLine {
            // ESX marks what it exports as read only.
            access: if self.subformat == Subformat::StreamOptimized {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
            sectors,
            kind: self.subformat.extent_kind(),
            name: Some(name),
            offset: (self.subformat.extent_kind() == ExtentKindName::Flat).then_some(0),
        }
    }

    fn descriptor(&self, extents: Vec<ExtentLine>) -> Descriptor {
        let sectors = self.size / SECTOR;
        let parent = self.parent.as_ref();
        let mut descriptor = if let Some(like) = &self.like {
            let mut descriptor = like.clone();
            descriptor.set_extents(&extents);
            descriptor.set("CID", &format!("{:08x}", self.cid));
            descriptor.set("createType", self.subformat.create_type());
            let cid = parent.map_or(crate::NO_PARENT_CID, |parent| parent.cid);
            descriptor.set("parentCID", &format!("{cid:08x}"));
            match parent.and_then(|parent| parent.file_name_hint.as_ref()) {
                Some(hint) => descriptor.set("parentFileNameHint", hint),
                None => descriptor.remove("parentFileNameHint"),
            }
            // The new image has no changed block tracking.
            descriptor.remove("changeTrackPath");
            let adapter = descriptor.get("ddb.adapterType").unwrap_or_default();
            let (cylinders, ..) = geometry(sectors, &adapter);
            if descriptor.get("ddb.geometry.cylinders").is_none() {
                descriptor.set("ddb.geometry.cylinders", &cylinders.to_string());
            }
            descriptor
        } else {
            Template {
                create_type: self.subformat.create_type(),
                cid: self.cid,
                parent: parent.map(|parent| (parent.cid, parent.file_name_hint.as_deref())),
                extents,
                adapter_type: self.adapter_type.name(),
                hardware_version: self.hardware_version,
                sectors,
            }
            .build()
        };
        for (key, value) in &self.entries {
            descriptor.set(key, value);
        }
        descriptor
    }

    /// The header of a stream: its directory is at the end.
    fn stream_header(&self, descriptor_sectors: u64) -> SparseExtentHeader {
        let grain_sectors = self.grain_size / SECTOR;
        SparseExtentHeader {
            version: 3,
            flags: STREAM_FLAGS,
            capacity: self.size / SECTOR,
            grain_size: grain_sectors,
            descriptor_offset: 1,
            descriptor_size: descriptor_sectors,
            num_gtes_per_gt: GTES_PER_GT,
            rgd_offset: 0,
            gd_offset: GD_AT_END,
            overhead: (1 + descriptor_sectors).next_multiple_of(grain_sectors.max(128)),
            unclean_shutdown: 0,
            newline_test: SparseExtentHeader::NEWLINE_TEST,
            compress_algorithm: COMPRESSION_DEFLATE,
        }
    }

    /// The header of a sparse extent, laid out as VMware does: descriptor, redundant directory and tables, main directory
    /// and tables, grains.
    fn sparse_header(&self, sectors: u64, descriptor_sectors: u64) -> Result<SparseExtentHeader, WriteError> {
        let zeroed = self.zeroed_grains.unwrap_or(self.parent.is_some());
        let mut header = SparseExtentHeader {
            version: if zeroed { 2 } else { 1 },
            flags: FLAG_NEWLINE_TEST | FLAG_REDUNDANT_TABLE | if zeroed { FLAG_ZEROED_GRAINS } else { 0 },
            capacity: sectors,
            grain_size: self.grain_size / SECTOR,
            descriptor_offset: u64::from(descriptor_sectors > 0),
            descriptor_size: descriptor_sectors,
            num_gtes_per_gt: GTES_PER_GT,
            rgd_offset: 1 + descriptor_sectors,
            gd_offset: 0,
            overhead: 0,
            unclean_shutdown: 0,
            newline_test: SparseExtentHeader::NEWLINE_TEST,
            compress_algorithm: 0,
        };
        let copy = directory_sectors(&header) + header.table_count() * table_sectors(&header);
        header.gd_offset = header.rgd_offset + copy;
        header.overhead = (header.gd_offset + copy).next_multiple_of(header.grain_size);
        if header.overhead + sectors > u64::from(u32::MAX) {
            return Err(WriteError::Limit(format!(
                "a sparse extent reaches 2 TiB with its tables, and {} bytes are more; a flat or a split subformat holds \
                 them",
                sectors * SECTOR
            )));
        }
        Ok(header)
    }
}

/// Sectors of a grain directory.
pub(super) fn directory_sectors(header: &SparseExtentHeader) -> u64 {
    (header.table_count() * 4).div_ceil(SECTOR)
}

/// Sectors of a grain table.
pub(super) fn table_sectors(header: &SparseExtentHeader) -> u64 {
    (u64::from(header.num_gtes_per_gt) * 4).div_ceil(SECTOR)
}

/// Writes the header and both directories of a new sparse extent, whose tables are all there and all zero.
fn lay_out(file: &dyn Resize, header: &SparseExtentHeader) -> Result<(), WriteError> {
    file.set_len(header.overhead * SECTOR)?;
    file.write_at(&to_sector(header), 0)?;
    for directory in [header.rgd_offset, header.gd_offset] {
        let first = directory + directory_sectors(header);
        let bytes: Vec<u8> = (0..header.table_count())
            .flat_map(|table| ((first + table * table_sectors(header)) as u32).to_le_bytes())
            .collect();
        file.write_at(&bytes, directory * SECTOR)?;
    }
    Ok(())
}

/// Opens a sparse extent that was just laid out; where the image `is_new`, its tables are held back until it is complete.
fn open_new(file: &Arc<dyn Resize>, is_new: bool) -> Result<(Storage, ExtentWriter), WriteError> {
    let sparse = SparseExtent::open(file.clone()).map_err(|error| match error {
        OpenError::Damaged(damage) => WriteError::from(damage),
        OpenError::Read(error) => WriteError::from(error),
        other => WriteError::Limit(other.to_string()),
    })?;
    let sparse = Arc::new(sparse);
    let SparseKind::Hosted(header) = sparse.kind() else {
        return Err(WriteError::Limit("a new extent is of another kind".into()));
    };
    let writer = SparseWriter::new(sparse.clone(), header, file.clone(), is_new)?;
    Ok((Storage::Sparse(sparse), ExtentWriter::Sparse(writer)))
}
