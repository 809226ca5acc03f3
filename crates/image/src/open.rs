//! Opening an image by its path, with its chain of parents.

use crate::container::{Container, ParentReference};
use crate::format::{ForeignContainer, Format};
use crate::gate::{Gate, Refused};
use cv_disk::{Differencing, Extent, RawFile, ReadAt, ReadError, Stored};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images in one chain at most; deeper ones are an attack or an accident.
const LONGEST_CHAIN: usize = 256;

/// How to open an image.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Which files the image may have opened besides itself.
    pub gate: Gate,
    /// The format, if it is not to be recognised by the content. Holds for the image itself, not for its parents.
    pub format: Option<Format>,
}

impl OpenOptions {
    /// Recognises the format and lets `gate` decide on parents and extents.
    pub fn new(gate: Gate) -> Self {
        Self { gate, format: None }
    }
}

/// Why an image could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host refused.
    #[error("cannot open the file")]
    Io(#[from] io::Error),
    /// It could not be told which format it is.
    #[error("cannot read the file")]
    Read(#[from] ReadError),
    /// A container, but none of ours.
    #[error(transparent)]
    Foreign(#[from] ForeignContainer),
    /// Not a good VHD.
    #[error(transparent)]
    Vhd(#[from] cv_vhd::vhd::OpenError),
    /// Not a good VHDX.
    #[error(transparent)]
    Vhdx(#[from] cv_vhd::vhdx::OpenError),
    /// Not a good VMDK.
    #[error(transparent)]
    Vmdk(#[from] cv_vmdk::OpenError),
    /// The parent's file is at none of the places that the image names.
    #[error("its parent is missing: looked for {}", list(looked))]
    ParentMissing {
        /// The places, in the order they were tried.
        looked: Vec<PathBuf>,
    },
    /// The parent is there, but the gate is closed for it.
    #[error("its parent may not be opened")]
    ParentRefused(#[from] Refused),
    /// The file at the parent's place is another disk, or was written to after the child was made.
    #[error("{} is not the parent that it was made on: expected {expected}, found {found}", parent.display())]
    ParentMismatch {
        /// The file at the parent's place.
        parent: PathBuf,
        /// The identity that the image notes of its parent.
        expected: String,
        /// The identity of that file.
        found: String,
    },
    /// The chain comes back to a file that is in it already.
    #[error("its chain of parents is a loop: {} comes twice", .0.display())]
    Loop(PathBuf),
    /// The chain does not end within reason.
    #[error("its chain of parents is longer than {LONGEST_CHAIN} images")]
    TooDeep,
    /// A parent could not be opened.
    #[error("its parent {}", parent.display())]
    InParent {
        /// The parent's file.
        parent: PathBuf,
        /// What failed there.
        source: Box<OpenError>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// An image opened for reading: the whole disk as its chain gives it.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    container: Container,
    parent: Option<Arc<Image>>,
}

impl Image {
    /// Opens the image at `path`, recognised by its content, with all its parents.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        Self::open_link(path, options, &mut Vec::new())
    }

    fn open_link(path: &Path, options: &OpenOptions, chain: &mut Vec<PathBuf>) -> Result<Self, OpenError> {
        let mut container = Container::open(path, options)?;
        chain.push(path.canonicalize()?);
        let parent = open_parent(container.parent_reference().as_ref(), path, &options.gate, chain)?;
        if let Some(parent) = &parent {
            container.set_parent(parent.clone());
        }
        Ok(Self {
            path: path.to_path_buf(),
            container,
            parent,
        })
    }

    /// Where the image is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.container.format()
    }

    /// The parent of a differencing image.
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Bytes that the image stores or leaves to its parent as one: a sector, or a grain.
    pub(crate) fn storage_unit(&self) -> u64 {
        match &self.container {
            Container::Vmdk(vmdk) => vmdk
                .info()
                .extents
                .iter()
                .filter_map(|extent| extent.sparse)
                .map(|sparse| sparse.grain_size)
                .max()
                .unwrap_or(512),
            _ => 512,
        }
    }

    pub(crate) fn container(&self) -> &Container {
        &self.container
    }
}

impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.container.disk().len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.container.disk().read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.container.disk().extent_at(offset)
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        self.container.disk().stored_at(offset)
    }
}

impl Differencing for Image {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.container.own_extent_at(offset)
    }
}

/// Opens the parent that a child at `path` notes, if it notes one; `chain` holds the files on the way here.
pub(crate) fn open_parent(
    reference: Option<&ParentReference>,
    path: &Path,
    gate: &Gate,
    chain: &mut Vec<PathBuf>,
) -> Result<Option<Arc<Image>>, OpenError> {
    let Some(reference) = reference else { return Ok(None) };
    let parent = find_parent(reference, path, gate)?;
    if chain.contains(&parent) {
        return Err(OpenError::Loop(parent));
    }
    if chain.len() >= LONGEST_CHAIN {
        return Err(OpenError::TooDeep);
    }
    let options = OpenOptions {
        gate: gate.clone(),
        format: None,
    };
    let image = Image::open_link(&parent, &options, chain).map_err(|source| OpenError::InParent {
        parent: parent.clone(),
        source: Box::new(source),
    })?;
    reference.check(&image)?;
    Ok(Some(Arc::new(image)))
}

/// The file of the parent that a child at `path` notes.
pub(crate) fn find_parent(reference: &ParentReference, path: &Path, gate: &Gate) -> Result<PathBuf, OpenError> {
    let looked = reference.candidates(path);
    let mut refused = None;
    for candidate in &looked {
        match gate.pass(candidate) {
            Ok(Ok(file)) => return Ok(file),
            Ok(Err(refusal)) => {
                refused.get_or_insert(refusal);
            }
            // Not there, or not to be reached: the next place may be.
            Err(_) => {}
        }
    }
    Err(refused.map_or(OpenError::ParentMissing { looked }, OpenError::ParentRefused))
}

/// The file at `path` for reading; a folder is refused, as reading it would only fail later.
pub(crate) fn open_file(path: &Path) -> io::Result<Arc<RawFile>> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Arc::new(RawFile::open(path)?))
}
