//! Changing an image in place.

use crate::container::{Container, ParentReference};
use crate::extents::GatedFiles;
use crate::format::Format;
use crate::layout::{LayoutError, Origin};
use crate::new_image::reference_to;
use crate::open::{Image, OpenError, OpenOptions, open_parent};
use crate::writer::Writer;
use cv_disk::{Cancelled, CopyError, Differencing, Extent, RawFile, ReadAt, ReadError, WriteAt, WriteError};
use cv_vhd::{vhd, vhdx};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Why an image could not be made or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The host refused.
    #[error("cannot make or replace the file")]
    Io(#[from] io::Error),
    /// Somebody else has the image open for writing.
    #[error("the image is in use by another program")]
    InUse,
    /// The image, or its parent, could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The image could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The image could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Content could not be moved.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// There can be no such image.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The image needs no parent, so that there is nothing to rebase or commit.
    #[error("it is not a differencing image")]
    NoParent,
    /// Child and parent must be of one format.
    #[error("a {child} image cannot have a {parent} image for its parent")]
    ParentFormat {
        /// The child's format.
        child: Format,
        /// The parent's format.
        parent: Format,
    },
    /// The parent would be its own descendant.
    #[error("{} has this image among its own parents", .0.display())]
    ParentLoop(PathBuf),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// An image opened to be changed in place, its parents for reading.
///
/// Ended at any moment, the image opens again and holds every completed write.
#[derive(Debug)]
pub struct WritableImage {
    path: PathBuf,
    format: Format,
    writer: Writer,
    files: GatedFiles,
    /// Held so that nobody else changes the image; the lock goes with it.
    _lock: RawFile,
}

impl WritableImage {
    /// Opens the image at `path` with its chain.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ChangeError> {
        Self::open_with(path, options, Origin::now().content_id(""))
    }

    /// Opens `parent`, which a child of it is about to be committed to. A VMDK keeps its content id meanwhile, so that
    /// the child stays its child; [`renew_content_id`](Self::renew_content_id) changes it then.
    pub(crate) fn open_parent(parent: &Image, options: &OpenOptions) -> Result<Self, ChangeError> {
        let content_id = match parent.container() {
            Container::Vmdk(vmdk) => vmdk.identity().cid,
            _ => 0,
        };
        Self::open_with(parent.path(), options, content_id)
    }

    /// Gives a VMDK another content id: other children no longer take it for the parent that they were made on.
    pub(crate) fn renew_content_id(path: &Path, options: &OpenOptions) -> Result<(), ChangeError> {
        let image = Self::open(path, options)?;
        if matches!(image.writer, Writer::Vmdk(_)) {
            // The first change brings the new id, even one of no bytes.
            image.disk().write_zeros_at(0..0)?;
        }
        image.close()
    }

    fn open_with(path: &Path, options: &OpenOptions, content_id: u32) -> Result<Self, ChangeError> {
        let mut image = Self::open_alone(path, options, content_id)?;
        let reference = image.writer.parent_reference();
        let mut chain = vec![path.canonicalize()?];
        if let Some(parent) = open_parent(reference.as_ref(), path, &options.gate, &mut chain)? {
            image.writer.set_parent(parent);
        }
        Ok(image)
    }

    /// Opens the image at `path` alone, to change what it says of its parent.
    pub(crate) fn open_without_parent(path: &Path, options: &OpenOptions) -> Result<Self, ChangeError> {
        Self::open_alone(path, options, Origin::now().content_id(""))
    }

    /// `content_id` is what a VMDK gets with its first change.
    fn open_alone(path: &Path, options: &OpenOptions, content_id: u32) -> Result<Self, ChangeError> {
        if path.is_dir() {
            return Err(OpenError::Io(io::ErrorKind::IsADirectory.into()).into());
        }
        let lock = RawFile::open_writable(path).map_err(OpenError::Io)?;
        refuse_if_locked(&lock)?;
        let file = Arc::new(RawFile::open_writable(path).map_err(OpenError::Io)?);
        let format = match options.format {
            Some(format) => format,
            None => Format::recognise(&*file)
                .map_err(OpenError::Read)?
                .map_err(OpenError::Foreign)?,
        };
        let files = GatedFiles::new(path, &options.gate);
        let writer = match format {
            Format::Raw => Writer::Raw(file),
            Format::Vhd => Writer::Vhd(Box::new(vhd::VhdWriter::open(file).map_err(OpenError::Vhd)?)),
            Format::Vhdx => Writer::Vhdx(Box::new(
                vhdx::VhdxWriter::open(file, Uuid::new_v4).map_err(OpenError::Vhdx)?,
            )),
            Format::Vmdk => Writer::Vmdk(Box::new(
                cv_vmdk::VmdkWriter::open(file, &files, content_id).map_err(OpenError::Vmdk)?,
            )),
        };
        Ok(Self {
            path: path.to_path_buf(),
            format,
            writer,
            files,
            _lock: lock,
        })
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The disk to write to.
    pub fn disk(&self) -> &dyn WriteAt {
        self.writer.disk()
    }

    /// Changes the size of the disk; what is cut off is lost.
    pub fn resize(&mut self, size: u64) -> Result<(), ChangeError> {
        Ok(self.writer.resize(size, &self.files)?)
    }

    /// Completes the changes; they are on stable storage then.
    pub fn close(self) -> Result<(), ChangeError> {
        self.writer.disk().flush()?;
        Ok(self.writer.finish()?)
    }

    /// Reads and writes over `parent` from now on, whatever the image says of its parent.
    pub(crate) fn set_parent(&mut self, parent: Arc<Image>) {
        self.writer.set_parent(parent);
    }

    /// Refuses a parent that cannot be one: none is wanted, another format, or the image itself is below it.
    pub(crate) fn refuse_as_parent(&self, parent: &Image) -> Result<(), ChangeError> {
        if self.writer.parent_reference().is_none() {
            return Err(ChangeError::NoParent);
        }
        if parent.format() != self.format {
            return Err(ChangeError::ParentFormat {
                child: self.format,
                parent: parent.format(),
            });
        }
        let own = self.path.canonicalize()?;
        let mut link = Some(parent);
        while let Some(image) = link {
            if image.path().canonicalize()? == own {
                return Err(ChangeError::ParentLoop(parent.path().to_path_buf()));
            }
            link = image.parent().map(|parent| &**parent);
        }
        Ok(())
    }

    /// Refuses an image that is not the parent that this one was made on.
    pub(crate) fn check_parent(&self, parent: &Image) -> Result<(), ChangeError> {
        Ok(self
            .writer
            .parent_reference()
            .ok_or(ChangeError::NoParent)?
            .check(parent)?)
    }

    /// Notes `parent` as the parent.
    pub(crate) fn set_parent_reference(&mut self, parent: &Image) -> Result<(), ChangeError> {
        let reference = reference_to(parent, &self.path, self.format)?;
        // The content was written for the new parent first.
        self.writer.disk().flush()?;
        Ok(self.writer.relink(&reference)?)
    }

    /// Prepares `child` for this image, its parent, to change under it: a VHDX child notes the identity that its parent
    /// will have.
    pub(crate) fn will_be_committed_to(&self, child: &Path, options: &OpenOptions) -> Result<(), ChangeError> {
        if let Writer::Vhdx(parent) = &self.writer {
            let mut child = Self::open_without_parent(child, options)?;
            if let Some(ParentReference::Vhdx(mut reference)) = child.writer.parent_reference() {
                reference.parent_linkage2 = Some(parent.next_data_write_guid());
                child.writer.relink(&ParentReference::Vhdx(reference))?;
            }
            child.close()?;
        }
        Ok(())
    }
}

impl ReadAt for WritableImage {
    fn len(&self) -> u64 {
        self.writer.disk().len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.writer.disk().read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.writer.disk().extent_at(offset)
    }
}

impl Differencing for WritableImage {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.writer.own_extent_at(offset)
    }
}

/// Takes the lock of an image that is to be changed. Where the file system has no locks there is none to take.
pub(crate) fn refuse_if_locked(file: &RawFile) -> Result<(), ChangeError> {
    match file.file().try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Err(ChangeError::InUse),
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// Changes the size of the disk that the image at `path` holds, in place; what is cut off is lost.
pub fn resize(path: &Path, size: u64, options: &OpenOptions) -> Result<(), ChangeError> {
    let mut image = WritableImage::open(path, options)?;
    image.resize(size)?;
    image.close()
}
