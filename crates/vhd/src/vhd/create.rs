//! Creating a disk.

use super::dynamic_header::{COOKIE as HEADER_COOKIE, DynamicHeader, HEADER_SIZE, LOCATOR_ENTRIES, ParentLocatorEntry};
use super::error::OpenError;
use super::footer::{COOKIE, DiskType, FOOTER_SIZE, FORMAT_VERSION, Footer, NO_STRUCTURE, is_sized_by_current_size};
use super::geometry::Geometry;
use super::layout::{SECTOR, UNALLOCATED};
use super::parent::ParentReference;
use super::read::Vhd;
use super::write::VhdWriter;
use cv_disk::{ReadAt, ReadError, Resize, WriteError};
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of the largest dynamic or differencing disk: what Windows allows, 2040 GiB.
const LARGEST_DYNAMIC: u64 = 2040 << 30;
/// Bytes of the largest disk that Azure takes, 4095 GiB.
const LARGEST_AZURE: u64 = 4095 << 30;
const MIB: u64 = 1 << 20;

/// The size of a new disk and how it is stored.
///
/// Nothing here comes from a clock or from chance: the same options and the same writes give the same bytes. A disk that
/// is to be a parent needs an [`identity`](Self::identity) of its own.
///
/// ```
/// use cv_disk::{MemoryDisk, ReadAt, WriteAt};
/// use cv_vhd::vhd::{Vhd, VhdBuilder};
/// use std::sync::Arc;
///
/// let file = Arc::new(MemoryDisk::new(0));
/// let disk = VhdBuilder::new(64 << 20).identity(uuid::Uuid::from_u128(1)).create(file.clone())?;
/// disk.write_at(b"boot", 0)?;
/// disk.finish()?;
///
/// let disk = Vhd::open(file)?;
/// assert_eq!(disk.len(), 64 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct VhdBuilder {
    size: u64,
    is_fixed: bool,
    for_azure: bool,
    is_packed: bool,
    block_size: u32,
    identity: Uuid,
    time_stamp: u32,
    creator_application: [u8; 4],
    creator_version: u32,
    creator_host_os: [u8; 4],
    features: u32,
    saved_state: u8,
    parent: Option<ParentReference>,
}

impl VhdBuilder {
    /// A dynamic disk of `size` bytes in blocks of 2 MiB.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            is_fixed: false,
            for_azure: false,
            is_packed: false,
            block_size: 2 << 20,
            identity: Uuid::nil(),
            time_stamp: 0,
            creator_application: *b"win ",
            creator_version: 0x000A_0000,
            creator_host_os: *b"Wi2k",
            features: 2,
            saved_state: 0,
            parent: None,
        }
    }

    /// A disk that differs from `disk` in its content and its layout alone: every identity is kept.
    ///
    /// A creator whose readers go by the geometry gives way to "win ".
    pub fn like(disk: &Vhd) -> Self {
        let footer = &disk.layout().footer;
        let creator = Some(footer.creator_application).filter(|creator| is_sized_by_current_size(*creator));
        let new = Self::new(disk.len());
        Self {
            is_fixed: disk.disk_type() == DiskType::Fixed,
            block_size: disk
                .layout()
                .blocks
                .as_ref()
                .map_or(new.block_size, |blocks| blocks.header.block_size),
            identity: footer.identity(),
            time_stamp: footer.time_stamp,
            creator_application: creator.unwrap_or(new.creator_application),
            creator_version: footer.creator_version,
            creator_host_os: footer.creator_host_os,
            features: footer.features | 2,
            saved_state: footer.saved_state,
            parent: disk.parent_reference().cloned(),
            ..new
        }
    }

    /// Stores the whole disk in place instead of blocks. On the host it is sparse all the same.
    #[must_use]
    pub fn fixed(self) -> Self {
        Self { is_fixed: true, ..self }
    }

    /// A fixed disk as Azure takes it: a whole number of MiB, so the size is rounded up; 4095 GiB at most.
    #[must_use]
    pub fn azure(self) -> Self {
        let size = self.size.div_ceil(MIB).saturating_mul(MIB);
        Self {
            size,
            is_fixed: true,
            for_azure: true,
            ..self
        }
    }

    /// Bytes of a block: a power of two, at least 512. Windows makes 512 KiB and 2 MiB.
    #[must_use]
    pub fn block_size(self, block_size: u32) -> Self {
        Self { block_size, ..self }
    }

    /// Puts each block right behind the one before, as QEMU and Windows up to version 7 do. That saves 3.5 KiB a block of
    /// 2 MiB and costs hosts with sectors or pages of 4 KiB dearly, since no content lies on their boundaries.
    #[must_use]
    pub fn packed(self) -> Self {
        Self {
            is_packed: true,
            ..self
        }
    }

    /// The disk's unique id; nil unless given.
    #[must_use]
    pub fn identity(self, identity: Uuid) -> Self {
        Self { identity, ..self }
    }

    /// Creation, in seconds since 2000-01-01T00:00:00Z; zero unless given.
    #[must_use]
    pub fn time_stamp(self, time_stamp: u32) -> Self {
        Self { time_stamp, ..self }
    }

    /// The creator's code and its version, major in the upper half; `win ` 10.0 unless given.
    ///
    /// Readers guess from the code how to find the size, so only codes that make all of them go by the current size are
    /// taken: `win `, `d2v `, `qem2`, `tap`, `CTXS` and `wa`.
    #[must_use]
    pub fn creator(self, application: [u8; 4], version: u32) -> Self {
        Self {
            creator_application: application,
            creator_version: version,
            ..self
        }
    }

    /// Makes a differencing disk on `parent`. Attach the parent itself to the writer with [`VhdWriter::set_parent`].
    #[must_use]
    pub fn parent(self, parent: ParentReference) -> Self {
        Self {
            parent: Some(parent),
            ..self
        }
    }

    /// Makes it a disk of its own, the opposite of [`parent`](Self::parent).
    #[must_use]
    pub fn without_parent(self) -> Self {
        Self { parent: None, ..self }
    }

    /// Bytes of the disk, as they will be.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Begins the disk in `file`, which must be empty.
    ///
    /// Until [`VhdWriter::finish`] the file is not complete: that a kill leaves nothing half done is for the caller to
    /// arrange, with a [`DurableFile`](cv_disk::DurableFile).
    pub fn create(&self, file: Arc<dyn Resize>) -> Result<VhdWriter, WriteError> {
        self.check(&*file)?;
        let (end, footer_is_due) = if self.is_fixed {
            file.set_len(self.size + FOOTER_SIZE)?;
            file.write_at(&self.footer().to_bytes(), self.size)?;
            (self.size, false)
        } else {
            (self.write_metadata(&*file)?, true)
        };
        let vhd = Vhd::open(file.clone()).map_err(into_write_error)?;
        let writer = VhdWriter::new(file, vhd, end, false, footer_is_due);
        if self.is_packed {
            writer.room().content_alignment = SECTOR;
        }
        Ok(writer)
    }

    fn check(&self, file: &dyn Resize) -> Result<(), WriteError> {
        let limit = |text: String| Err(WriteError::Limit(text));
        if !file.is_empty() {
            return limit(format!("the file must be empty, and has {} bytes", file.len()));
        }
        if !self.size.is_multiple_of(SECTOR) {
            return limit(format!("the size must be a multiple of 512 bytes, not {}", self.size));
        }
        if self.size > u64::MAX >> 1 {
            return limit(format!("a disk of {} bytes is too large", self.size));
        }
        if self.is_fixed && self.parent.is_some() {
            return limit("a fixed disk has no parent".to_owned());
        }
        if self.for_azure && self.size > LARGEST_AZURE {
            return limit(format!("Azure takes disks of up to 4095 GiB, not {} bytes", self.size));
        }
        check_dynamic_size(self.is_fixed, self.size)?;
        if !self.block_size.is_power_of_two() || u64::from(self.block_size) < SECTOR {
            return limit(format!(
                "the block size must be a power of two, at least 512 bytes, not {}",
                self.block_size
            ));
        }
        if !is_sized_by_current_size(self.creator_application) {
            return limit(format!(
                "readers take the size of disks made by \"{}\" from their geometry",
                self.creator_application.escape_ascii()
            ));
        }
        Ok(())
    }

    fn footer(&self) -> Footer {
        let disk_type = match (self.is_fixed, &self.parent) {
            (true, _) => DiskType::Fixed,
            (false, None) => DiskType::Dynamic,
            (false, Some(_)) => DiskType::Differencing,
        };
        Footer {
            cookie: *COOKIE,
            features: self.features,
            file_format_version: FORMAT_VERSION,
            data_offset: if self.is_fixed { NO_STRUCTURE } else { FOOTER_SIZE },
            time_stamp: self.time_stamp,
            creator_application: self.creator_application,
            creator_version: self.creator_version,
            creator_host_os: self.creator_host_os,
            original_size: self.size,
            current_size: self.size,
            disk_geometry: Geometry::of_size(self.size),
            disk_type: disk_type.field(),
            checksum: 0,
            unique_id: self.identity.into_bytes(),
            saved_state: self.saved_state,
            reserved: [0; 427],
        }
    }

    /// Writes all but the footer at the end, and returns where the first block goes.
    ///
    /// The order is: copy of the footer, dynamic disk header, parent locators, BAT.
    fn write_metadata(&self, file: &dyn Resize) -> Result<u64, WriteError> {
        let parent = self.parent.as_ref();
        let locators_offset = FOOTER_SIZE + HEADER_SIZE;
        let (entries, locators) = match parent {
            Some(parent) => lay_out_locators(parent, locators_offset)?,
            None => Default::default(),
        };
        let table_offset = locators_offset + locators.len() as u64;
        let count = self.size.div_ceil(self.block_size.into());
        let header = DynamicHeader {
            cookie: *HEADER_COOKIE,
            data_offset: NO_STRUCTURE,
            table_offset,
            header_version: FORMAT_VERSION,
            max_table_entries: u32::try_from(count)
                .map_err(|_| WriteError::Limit(format!("{count} blocks are too many for a BAT")))?,
            block_size: self.block_size,
            checksum: 0,
            parent_unique_id: parent.map_or([0; 16], |parent| parent.identity.into_bytes()),
            parent_time_stamp: parent.map_or(0, |parent| parent.time_stamp),
            reserved1: 0,
            parent_unicode_name: parent.map_or([0; 512], ParentReference::header_name),
            parent_locator_entries: entries,
            reserved2: [0; 256],
        };
        let end = table_offset + (count * 4).next_multiple_of(SECTOR);
        file.set_len(end)?;
        let mut start = Vec::from(self.footer().to_bytes());
        start.extend(header.to_bytes());
        start.extend(locators);
        file.write_at(&start, 0)?;
        write_unallocated(file, table_offset..end)?;
        Ok(end)
    }
}

/// Fails where a dynamic or differencing disk cannot be so large.
pub(super) fn check_dynamic_size(is_fixed: bool, size: u64) -> Result<(), WriteError> {
    if is_fixed || size <= LARGEST_DYNAMIC {
        return Ok(());
    }
    Err(WriteError::Limit(format!(
        "a dynamic or differencing VHD holds up to 2040 GiB, not {size} bytes; VHDX holds 64 TiB"
    )))
}

/// Fills a part of the file with BAT entries of blocks that are not allocated.
pub(super) fn write_unallocated(file: &dyn Resize, range: std::ops::Range<u64>) -> Result<(), WriteError> {
    const _: () = assert!(UNALLOCATED == u32::MAX);
    let entries = vec![0xFF; (range.end - range.start).min(1 << 20) as usize];
    let mut offset = range.start;
    while offset < range.end {
        let length = (range.end - offset).min(entries.len() as u64);
        file.write_at(&entries[..length as usize], offset)?;
        offset += length;
    }
    Ok(())
}

/// The locator entries for the paths of `parent`, and the bytes they point to when those stand at `offset`.
///
/// The room of each is noted in bytes, as Windows does it against the letter of the specification.
pub(super) fn lay_out_locators(
    parent: &ParentReference,
    offset: u64,
) -> Result<([ParentLocatorEntry; LOCATOR_ENTRIES], Vec<u8>), WriteError> {
    let mut entries = [ParentLocatorEntry::default(); LOCATOR_ENTRIES];
    let mut data = Vec::new();
    for (entry, locator) in entries.iter_mut().zip(parent.locators()?) {
        let start = data.len();
        data.extend(&locator.data);
        data.resize(data.len().next_multiple_of(SECTOR as usize), 0);
        *entry = ParentLocatorEntry {
            platform_code: locator.platform_code,
            platform_data_space: (data.len() - start) as u32,
            platform_data_length: locator.data.len() as u32,
            reserved: 0,
            platform_data_offset: offset + start as u64,
        };
    }
    Ok((entries, data))
}

/// What reading back the own metadata can fail with, while writing.
pub(super) fn into_write_error(error: OpenError) -> WriteError {
    match error {
        OpenError::Read(error) => error.into(),
        OpenError::Write(error) => error,
        OpenError::Damaged(damage) => damage.into(),
        OpenError::NotVhd { size } => ReadError::from(cv_disk::Damage::new(
            "footer",
            0,
            "a footer",
            format!("none in {size:#x} bytes"),
        ))
        .into(),
    }
}
