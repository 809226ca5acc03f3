//! Writing images: new ones, and old ones in place.

mod builder;
mod descriptor_file;

mod resize;
mod source;
mod sparse;
mod stream;
mod subformat;

pub use builder::VmdkBuilder;
pub(crate) use descriptor_file::DescriptorFile;
pub use subformat::{AdapterType, Subformat};

use crate::descriptor::{Access, Descriptor};
use crate::error::OpenError;
use crate::extent_files::ExtentFiles;
use crate::image::storage::{Storage, StoredExtent, open_extents_with};
use crate::image::{Beginning, Identity, ParentReference, Vmdk, VmdkInfo, embedded_extent, is_writable_sparse};
use crate::sparse::{SparseExtent, SparseKind};
use crate::structures::SparseExtentHeader;
use cv_disk::{Differencing, Extent, ReadAt, ReadError, Resize, WriteAt, WriteError};

use source::Source;
use sparse::SparseWriter;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use stream::StreamWriter;

/// An image open for writing: one that is being built by a [`VmdkBuilder`], or an existing one changed in place.
///
/// In place, a kill after any single write leaves an image that opens and holds every completed write. The first change
/// gives the image the new content id and marks its sparse extents as open; [`close`](Self::close) takes the mark away.
pub struct VmdkWriter {
    disk: Vmdk,
    descriptor: DescriptorFile,
    extents: Vec<ExtentWriter>,
    /// What is still to be done before the first change; `None` once it was.
    before_first_change: Mutex<Option<FirstChange>>,
}

/// What the first change does besides.
struct FirstChange {
    new_cid: u32,
}

/// How an extent is written.
enum ExtentWriter {
    /// From byte `start` of the file on.
    Flat { file: Arc<dyn Resize>, start: u64 },
    /// In grains.
    Sparse(SparseWriter),
    /// In compressed grains, one behind the other.
    Stream(Box<StreamWriter>),
    /// Not at all; the text says why.
    Refused(&'static str),
}

impl std::fmt::Debug for VmdkWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VmdkWriter")
            .field("disk", &self.disk)
            .finish_non_exhaustive()
    }
}

impl VmdkWriter {
    /// Opens the image whose descriptor, or whose only extent, is `file`, to change it in place. Other extents come from
    /// `files`. With the first change the image gets the content id `new_cid`, which the caller draws at random.
    ///
    /// Streams (`streamOptimized`), `vmfsSparse` and `seSparse` images are refused, and so are those whose changed block
    /// tracking file would no longer be true.
    pub fn open(file: Arc<dyn Resize>, files: &dyn ExtentFiles, new_cid: u32) -> Result<Self, OpenError> {
        let readable: Arc<dyn ReadAt> = file.clone();
        let mut opened: Vec<Option<Arc<dyn Resize>>> = Vec::new();
        let disk = match Vmdk::begin(&readable)? {
            Beginning::Descriptor(descriptor) => {
                let extents = open_extents_with(descriptor.extents(), &mut |line| {
                    let name = line.name.as_deref().unwrap_or_default();
                    let outcome = if line.access == Access::ReadWrite {
                        files.open_writable(name).map(|file| {
                            opened.push(Some(file.clone()));
                            file as Arc<dyn ReadAt>
                        })
                    } else {
                        files.open(name).inspect(|_| opened.push(None))
                    };
                    outcome.map_err(|source| OpenError::Extent {
                        name: name.into(),
                        source,
                    })
                })?;
                Vmdk::assemble(descriptor, None, extents)
            }
            Beginning::Embedded(descriptor, place) => {
                let extent = embedded_extent(&descriptor, SparseExtent::open(readable)?);
                opened.push(Some(file.clone()));
                Vmdk::assemble(descriptor, Some(place), vec![extent])
            }
        };
        if disk
            .descriptor()
            .get("changeTrackPath")
            .is_some_and(|path| !path.is_empty())
        {
            return Err(OpenError::Unsupported(
                "the image has changed block tracking (changeTrackPath), which a change would make untrue".into(),
            ));
        }
        let mut opened = opened.into_iter();
        let mut extents = Vec::with_capacity(disk.extents.len());
        for extent in &disk.extents {
            let file = match extent.storage {
                Storage::Zero => None,
                _ => opened.next().flatten(),
            };
            let writer = writer_in_place(extent, file);
            extents.push(writer.map_err(|error| extent.named(error, OpenError::in_extent))?);
        }
        Ok(Self {
            descriptor: DescriptorFile::new(file, disk.descriptor_place.clone(), disk.descriptor.clone()),
            disk,
            extents,
            before_first_change: Mutex::new(Some(FirstChange { new_cid })),
        })
    }

    /// Attaches the parent's whole view; the caller has compared the identities.
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.disk.set_parent(parent);
    }

    /// The parent that a differencing image names.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.disk.parent_reference()
    }

    /// What a child of this image remembers of it, as it is now.
    pub fn identity(&self) -> Identity {
        let descriptor = self.descriptor.current();
        Identity {
            cid: descriptor.cid().unwrap_or(crate::image::CID_UNSAID),
            long_content_id: descriptor.get("ddb.longContentID"),
        }
    }

    /// Everything the image says of itself, as it was opened.
    pub fn info(&self) -> VmdkInfo {
        self.disk.info()
    }

    /// Makes a differencing image name another parent, or the same one at another path. What the image holds stays as it
    /// is; that it means the same over the new parent is the caller's care.
    pub fn relink(&mut self, parent: &ParentReference) -> Result<(), WriteError> {
        self.rewrite_descriptor(|descriptor| {
            descriptor.set("parentCID", &format!("{:08x}", parent.cid));
            match &parent.file_name_hint {
                Some(hint) => descriptor.set("parentFileNameHint", hint),
                None => descriptor.remove("parentFileNameHint"),
            }
        })?;
        self.disk.parent_reference = Some(parent.clone());
        Ok(())
    }

    /// Completes the image: everything is on stable storage, and the extents are marked as closed.
    pub fn close(self) -> Result<(), WriteError> {
        for extent in &self.extents {
            match extent {
                ExtentWriter::Sparse(sparse) => sparse.write_back()?,
                ExtentWriter::Stream(stream) => stream.finish()?,
                ExtentWriter::Flat { .. } | ExtentWriter::Refused(_) => {}
            }
        }
        self.flush()?;
        if self.has_changed() {
            self.mark_open(false)?;
            self.flush()?;
        }
        Ok(())
    }

    /// Completes a new image; the same as [`close`](Self::close).
    pub fn finish(self) -> Result<(), WriteError> {
        self.close()
    }

    fn rewrite_descriptor(&mut self, change: impl FnOnce(&mut Descriptor)) -> Result<(), WriteError> {
        let descriptor = self.descriptor.change(change)?;
        self.disk.descriptor = descriptor;
        Ok(())
    }

    fn has_changed(&self) -> bool {
        let pending = self.before_first_change.lock().unwrap_or_else(PoisonError::into_inner);
        pending.is_none()
    }

    /// Before the first change: marks the extents as open, and gives the image its new content id.
    fn begin_change(&self) -> Result<(), WriteError> {
        let mut pending = self.before_first_change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = &*pending {
            let new_cid = first.new_cid;
            self.mark_open(true)?;
            self.descriptor.change(|descriptor| descriptor.set_cid(new_cid))?;
            *pending = None;
        }
        Ok(())
    }

    /// Sets or clears `uncleanShutdown` of every sparse extent.
    fn mark_open(&self, open: bool) -> Result<(), WriteError> {
        for extent in &self.extents {
            if let ExtentWriter::Sparse(sparse) = extent {
                sparse
                    .file()
                    .write_at(&[u8::from(open)], SparseExtentHeader::UNCLEAN_SHUTDOWN_OFFSET)?;
            }
        }
        Ok(())
    }

    /// Calls `write` for each extent that `range` meets, with the part that is its, in the disk's offsets.
    fn on_extents(
        &self,
        range: Range<u64>,
        mut write: impl FnMut(&ExtentWriter, &StoredExtent, Range<u64>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        for (index, part) in self.disk.parts(range) {
            let extent = &self.disk.extents[index];
            write(&self.extents[index], extent, part)
                .map_err(|error| extent.named(error, |error, file| error.in_file(file)))?;
        }
        Ok(())
    }

    fn write_source(&self, source: &Source<'_>, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end - range.start, self.len())?;
        self.begin_change()?;
        self.on_extents(range.clone(), |writer, extent, part| {
            let within = part.start - extent.start..part.end - extent.start;
            let source = source.from(part.start - range.start, part.end - part.start);
            match writer {
                ExtentWriter::Flat { file, start } => {
                    source.put(&**file, start + within.start, 0..part.end - part.start)
                }
                ExtentWriter::Sparse(sparse) => {
                    let below = |buf: &mut [u8], offset: u64| self.disk.read_below(buf, extent.start + offset);
                    sparse.write(within, &source, self.has_parent().then_some(&below))
                }
                ExtentWriter::Stream(stream) => stream.write(within.start, &source, within.end - within.start),
                ExtentWriter::Refused(why) => Err(WriteError::Limit((*why).into())),
            }
        })
    }

    fn has_parent(&self) -> bool {
        self.disk.parent_reference().is_some()
    }
}

/// The writer for an extent of an existing image.
fn writer_in_place(extent: &StoredExtent, file: Option<Arc<dyn Resize>>) -> Result<ExtentWriter, OpenError> {
    let refuse = |why: &str| Err(OpenError::Unsupported(why.into()));
    match (&extent.storage, file) {
        (Storage::Zero, _) => Ok(ExtentWriter::Refused("a ZERO extent cannot be written")),
        (_, None) => Ok(ExtentWriter::Refused("the extent is read only (RDONLY or NOACCESS)")),
        (Storage::Flat { start, .. }, Some(file)) => Ok(ExtentWriter::Flat { file, start: *start }),
        (Storage::Sparse(sparse), Some(file)) => {
            match sparse.kind() {
                SparseKind::Hosted(_) if sparse.is_compressed() => {
                    refuse("a streamOptimized image cannot be written in place; convert it first")
                }
                SparseKind::Hosted(header) if header.version > 2 => {
                    refuse("the extent's version 3 stands for changed block tracking, which a change would make untrue")
                }
                SparseKind::Hosted(_) if sparse.uses_redundant_directory() => {
                    refuse("the grain directory is damaged; repair the image first")
                }
                SparseKind::Hosted(header) if is_writable_sparse(sparse) => Ok(ExtentWriter::Sparse(
                    SparseWriter::new(sparse.clone(), header, file, false)?,
                )),
                _ => refuse("vmfsSparse and seSparse extents can only be read; convert the image first"),
            }
        }
    }
}

impl ReadAt for VmdkWriter {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        match &self.extents[..] {
            [ExtentWriter::Stream(stream)] => stream.read(buf, offset),
            _ => self.disk.read_at(buf, offset),
        }
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        match &self.extents[..] {
            [ExtentWriter::Stream(stream)] => stream.extent_at(offset),
            _ => self.disk.extent_at(offset),
        }
    }
}

impl Differencing for VmdkWriter {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        match &self.extents[..] {
            [ExtentWriter::Stream(stream)] => stream.extent_at(offset),
            _ => self.disk.own_extent_at(offset),
        }
    }
}

impl WriteAt for VmdkWriter {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, buf.len() as u64, self.len())?;
        self.write_source(&Source::Bytes(buf), offset..offset + buf.len() as u64)
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        let range = range.start..range.end.max(range.start);
        WriteError::check_range(range.start, range.end - range.start, self.len())?;
        self.begin_change()?;
        self.on_extents(range, |writer, extent, part| {
            let within = part.start - extent.start..part.end - extent.start;
            match writer {
                ExtentWriter::Flat { file, start } => file.write_zeros_at(start + within.start..start + within.end),
                ExtentWriter::Sparse(sparse) => {
                    let below = |buf: &mut [u8], offset: u64| self.disk.read_below(buf, extent.start + offset);
                    sparse.write_zeros(within, self.has_parent().then_some(&below))
                }
                ExtentWriter::Stream(stream) => stream.write_zeros(within),
                ExtentWriter::Refused(_) if matches!(extent.storage, Storage::Zero) => Ok(()),
                ExtentWriter::Refused(why) => Err(WriteError::Limit((*why).into())),
            }
        })
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        let range = range.start..range.end.max(range.start);
        WriteError::check_range(range.start, range.end - range.start, self.len())?;
        self.begin_change()?;
        self.on_extents(range, |writer, extent, part| {
            let within = part.start - extent.start..part.end - extent.start;
            match writer {
                ExtentWriter::Sparse(sparse) => sparse.reserve(within),
                ExtentWriter::Stream(stream) => {
                    stream.reserve(within);
                    Ok(())
                }
                ExtentWriter::Flat { .. } | ExtentWriter::Refused(_) => Ok(()),
            }
        })
    }

    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, length, self.len())?;
        let source = Source::File {
            file: source,
            offset: source_offset,
        };
        self.write_source(&source, offset..offset + length)
    }

    fn flush(&self) -> Result<(), WriteError> {
        for extent in &self.extents {
            match extent {
                ExtentWriter::Flat { file, .. } => file.flush()?,
                ExtentWriter::Sparse(sparse) => sparse.flush()?,
                ExtentWriter::Stream(stream) => stream.flush()?,
                ExtentWriter::Refused(_) => {}
            }
        }
        self.descriptor.file().flush()
    }
}
