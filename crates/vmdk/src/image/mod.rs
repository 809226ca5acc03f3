//! An image open for reading.

mod info;
mod parent;
pub(crate) mod storage;

pub use info::{ExtentInfo, SparseInfo, VmdkInfo};
pub use parent::{Identity, ParentReference};

use crate::descriptor::{Access, DESCRIPTOR_MAX, Descriptor, ExtentKindName, ExtentLine};
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::sparse::{SparseExtent, SparseKind};
use crate::structures::{CowdHeader, SECTOR, SeSparseConstHeader, SparseExtentHeader, from_bytes};
use cv_disk::{Damage, Differencing, Extent, ExtentKind, ReadAt, ReadError, Stored};
use std::ops::Range;
use std::sync::Arc;
use storage::{Storage, StoredExtent, open_extents};

/// Bytes looked at to recognise a file.
const PROBE: u64 = 4096;

/// The content id of an image that names none, as VMware gives it to new ones.
pub(crate) const CID_UNSAID: u32 = 0xffff_fffe;

/// Whether `file` is a VMDK: a descriptor, or a sparse extent of any kind. Reads at most 4 KiB.
pub fn probe(file: &dyn ReadAt) -> Result<bool, ReadError> {
    let mut head = vec![0; file.len().min(PROBE) as usize];
    file.read_at(&mut head, 0)?;
    Ok(from_bytes::<SparseExtentHeader>(&head).is_some()
        || from_bytes::<CowdHeader>(&head).is_some()
        || from_bytes::<SeSparseConstHeader>(&head).is_some()
        || Descriptor::probe(&head))
}

/// An image open for reading: a descriptor and its extents, of one file or many. Its parent, where it has one, is the
/// caller's to open and to [attach](Self::set_parent).
pub struct Vmdk {
    pub(crate) descriptor: Descriptor,
    /// Where in the file the descriptor is embedded, in bytes; `None` where it is the file.
    pub(crate) descriptor_place: Option<Range<u64>>,
    pub(crate) extents: Vec<StoredExtent>,
    pub(crate) size: u64,
    pub(crate) parent_reference: Option<ParentReference>,
    parent: Option<Arc<dyn ReadAt>>,
}

impl std::fmt::Debug for Vmdk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vmdk")
            .field("create_type", &self.create_type())
            .field("size", &self.size)
            .field("extents", &self.extents.len())
            .field("parent_reference", &self.parent_reference)
            .field("has_parent", &self.parent.is_some())
            .finish_non_exhaustive()
    }
}

impl Vmdk {
    /// Opens the image whose descriptor, or whose only extent, is `file`. Other extents come from `files`.
    pub fn open(file: Arc<dyn ReadAt>, files: &dyn ExtentFiles) -> Result<Self, OpenError> {
        match Self::begin(&file)? {
            Beginning::Descriptor(descriptor) => {
                refuse_devices(&descriptor)?;
                let extents = open_extents(descriptor.extents(), files)?;
                Ok(Self::assemble(descriptor, None, extents))
            }
            Beginning::Embedded(descriptor, place) => {
                let sparse = SparseExtent::open(file)?;
                let extent = embedded_extent(&descriptor, sparse);
                Ok(Self::assemble(descriptor, Some(place), vec![extent]))
            }
        }
    }

    /// Finds the descriptor of the image that begins with `file`.
    pub(crate) fn begin(file: &Arc<dyn ReadAt>) -> Result<Beginning, OpenError> {
        let mut head = vec![0; file.len().min(PROBE) as usize];
        file.read_at(&mut head, 0)?;
        if let Some(header) = from_bytes::<SparseExtentHeader>(&head) {
            let place = descriptor_place(&header, file.len())?;
            let mut text = vec![0; (place.end - place.start) as usize];
            file.read_at(&mut text, place.start)?;
            return Ok(Beginning::Embedded(Descriptor::parse(&text), place));
        }
        if from_bytes::<CowdHeader>(&head).is_some() || from_bytes::<SeSparseConstHeader>(&head).is_some() {
            return Err(OpenError::Unsupported(
                "the file is an extent of an image whose descriptor is another file; open that".into(),
            ));
        }
        if !Descriptor::probe(&head) {
            return Err(OpenError::NotVmdk);
        }
        if file.len() > DESCRIPTOR_MAX {
            return Err(Damage::new(
                "descriptor",
                0,
                format!("a text of at most {DESCRIPTOR_MAX} bytes"),
                format!("{} bytes", file.len()),
            )
            .into());
        }
        let mut text = vec![0; file.len() as usize];
        file.read_at(&mut text, 0)?;
        Ok(Beginning::Descriptor(Descriptor::parse(&text)))
    }

    pub(crate) fn assemble(
        descriptor: Descriptor,
        descriptor_place: Option<Range<u64>>,
        extents: Vec<StoredExtent>,
    ) -> Self {
        let parent_reference = descriptor.parent_cid().map(|cid| ParentReference {
            cid,
            file_name_hint: descriptor.get("parentFileNameHint").filter(|hint| !hint.is_empty()),
        });
        Self {
            size: extents.last().map_or(0, StoredExtent::end),
            descriptor,
            descriptor_place,
            extents,
            parent_reference,
            parent: None,
        }
    }

    /// The parent that a differencing image names.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.parent_reference.as_ref()
    }

    /// What a child of this image remembers of it.
    pub fn identity(&self) -> Identity {
        Identity {
            cid: self.descriptor.cid().unwrap_or(CID_UNSAID),
            long_content_id: self.descriptor.get("ddb.longContentID"),
        }
    }

    /// Attaches the parent's whole view; the caller has compared the identities. A parent that is smaller reads as zeros
    /// beyond its end.
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.parent = Some(parent);
    }

    /// The same, by value.
    #[must_use]
    pub fn with_parent(mut self, parent: Arc<dyn ReadAt>) -> Self {
        self.set_parent(parent);
        self
    }

    /// The parent attached, if any.
    pub(crate) fn parent(&self) -> Option<&Arc<dyn ReadAt>> {
        self.parent.as_ref()
    }

    /// The descriptor.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// `createType`, the subformat.
    pub fn create_type(&self) -> Option<String> {
        self.descriptor.get("createType")
    }

    /// Fills `buf` with what the parent holds.
    pub(crate) fn read_below(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        if self.parent_reference.is_none() {
            buf.fill(0);
            return Ok(());
        }
        let parent = self.parent.as_ref().ok_or_else(|| self.missing_parent(offset))?;
        let within = parent.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        let (stored, beyond) = buf.split_at_mut(within);
        beyond.fill(0);
        if stored.is_empty() {
            return Ok(());
        }
        parent.read_at(stored, offset)
    }

    fn missing_parent(&self, offset: u64) -> ReadError {
        let reference = self.parent_reference.as_ref();
        let name = reference.and_then(|reference| reference.file_name_hint.as_deref());
        let cid = reference.map_or(0, |reference| reference.cid);
        Damage::new(
            "differencing image",
            offset,
            format!("its parent {:?} with CID {cid:08x}", name.unwrap_or("(not named)")),
            "no parent",
        )
        .into()
    }

    /// Each extent that `range` meets, with the part of the range that is its.
    pub(crate) fn parts(&self, range: Range<u64>) -> impl Iterator<Item = (usize, Range<u64>)> + '_ {
        let first = self.extents.partition_point(|extent| extent.end() <= range.start);
        self.extents[first..]
            .iter()
            .enumerate()
            .take_while({
                let end = range.end;
                move |(_, extent)| extent.start < end
            })
            .map(move |(index, extent)| {
                let part = extent.start.max(range.start)..extent.end().min(range.end);
                (first + index, part)
            })
    }
}

/// What an image begins with.
pub(crate) enum Beginning {
    /// A file that is the descriptor.
    Descriptor(Descriptor),
    /// A sparse extent in which the descriptor stands at that place.
    Embedded(Descriptor, Range<u64>),
}

/// The extent whose descriptor is within it. The name and the size in the descriptor's line mean nothing: the file may
/// have been renamed, and the header counts.
pub(crate) fn embedded_extent(descriptor: &Descriptor, sparse: SparseExtent) -> StoredExtent {
    let line = descriptor.extents().into_iter().next();
    let line = line.unwrap_or(ExtentLine {
        access: Access::ReadWrite,
        sectors: sparse.len() / SECTOR,
        kind: ExtentKindName::Sparse,
        name: None,
        offset: None,
    });
    StoredExtent {
        line,
        start: 0,
        length: sparse.len(),
        storage: Storage::Sparse(Arc::new(sparse)),
        has_own_file: false,
    }
}

/// Where in the file `header` says that the descriptor stands.
fn descriptor_place(header: &SparseExtentHeader, file_length: u64) -> Result<Range<u64>, OpenError> {
    if header.descriptor_offset == 0 {
        return Err(OpenError::Unsupported(
            "the file is an extent of an image whose descriptor is another file; open that".into(),
        ));
    }
    let start = header.descriptor_offset.checked_mul(SECTOR);
    let length = header.descriptor_size.checked_mul(SECTOR);
    let place = start.zip(length).and_then(|(start, length)| {
        let fits = (1..=DESCRIPTOR_MAX).contains(&length) && ReadError::check_range(start, length, file_length).is_ok();
        fits.then(|| start..start + length)
    });
    place.ok_or_else(|| {
        Damage::new(
            "sparse extent header, descriptorOffset",
            0x1C,
            format!("a descriptor of at most {DESCRIPTOR_MAX} bytes within the file of {file_length:#x} bytes"),
            format!(
                "{} sectors from sector {} on",
                header.descriptor_size, header.descriptor_offset
            ),
        )
        .into()
    })
}

/// Refuses images that stand for a device.
fn refuse_devices(descriptor: &Descriptor) -> Result<(), OpenError> {
    const DEVICES: [&str; 7] = [
        "fullDevice",
        "partitionedDevice",
        "vmfsRaw",
        "vmfsRDM",
        "vmfsRDMP",
        "vmfsRawDeviceMap",
        "vmfsPassthroughRawDeviceMap",
    ];
    let create_type = descriptor.get("createType").unwrap_or_default();
    if DEVICES.iter().any(|device| create_type.eq_ignore_ascii_case(device)) {
        return Err(OpenError::Unsupported(format!(
            "an image of type {create_type} stands for a device of the machine that made it, and cannot be opened"
        )));
    }
    Ok(())
}

impl ReadAt for Vmdk {
    fn len(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.size)?;
        for (index, part) in self.parts(offset..offset + buf.len() as u64) {
            let piece = &mut buf[(part.start - offset) as usize..(part.end - offset) as usize];
            self.extents[index].read(piece, part.start, &|below, at| self.read_below(below, at))?;
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let own = self.own_extent_at(offset)?;
        if own.kind != ExtentKind::Hole || self.parent_reference.is_none() {
            return Ok(own);
        }
        let parent = self.parent.as_ref().ok_or_else(|| self.missing_parent(offset))?;
        if offset >= parent.len() {
            return Ok(own);
        }
        Ok(parent.extent_at(offset)?.clipped(own.end()))
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.size)?;
        match self.parts(offset..self.size).next() {
            Some((index, part)) => self.extents[index].stored_at(part.start),
            None => Ok(None),
        }
    }
}

impl Differencing for Vmdk {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.size)?;
        let index = self.extents.partition_point(|extent| extent.end() <= offset);
        let extent = &self.extents[index];
        let (kind, end) = extent
            .run_at(offset)
            .map_err(|error| extent.named(error, |error, file| error.in_file(file)))?;
        Ok(Extent {
            start: offset,
            length: end.max(offset + 1) - offset,
            kind,
        })
    }
}

/// Whether the extent is a hosted sparse one that is not compressed, the only sparse kind that can be written in place.
pub(crate) fn is_writable_sparse(sparse: &SparseExtent) -> bool {
    matches!(sparse.kind(), SparseKind::Hosted(_)) && !sparse.is_compressed()
}
