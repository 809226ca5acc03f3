//! One file of a chain, whatever its format.

use crate::extents::GatedFiles;
use crate::format::Format;
use crate::open::{Image, OpenError, OpenOptions, open_file};
use crate::parent_path::places;
use cv_disk::{Differencing, Extent, RawFile, ReadAt, ReadError};
use cv_vhd::{vhd, vhdx};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A container opened for reading.
#[derive(Debug)]
pub(crate) enum Container {
    Raw(Arc<RawFile>),
    Vhd(Box<vhd::Vhd>),
    Vhdx(Box<vhdx::Vhdx>),
    Vmdk(Box<cv_vmdk::Vmdk>),
}

/// What a child notes of its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParentReference {
    Vhd(vhd::ParentReference),
    Vhdx(vhdx::ParentReference),
    Vmdk(cv_vmdk::ParentReference),
}

impl Container {
    /// Opens the file at `path`, not its parent.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenError> {
        let file = open_file(path)?;
        Ok(
            match options
                .format
                .map_or_else(|| Format::recognise(&*file), |format| Ok(Ok(format)))??
            {
                Format::Raw => Self::Raw(file),
                Format::Vhd => Self::Vhd(Box::new(vhd::Vhd::open(file)?)),
                Format::Vhdx => Self::Vhdx(Box::new(vhdx::Vhdx::open(file)?)),
                Format::Vmdk => {
                    let files = GatedFiles::new(path, &options.gate);
                    Self::Vmdk(Box::new(cv_vmdk::Vmdk::open(file, &files)?))
                }
            },
        )
    }

    pub fn format(&self) -> Format {
        match self {
            Self::Raw(_) => Format::Raw,
            Self::Vhd(_) => Format::Vhd,
            Self::Vhdx(_) => Format::Vhdx,
            Self::Vmdk(_) => Format::Vmdk,
        }
    }

    /// The whole disk, with what the parent supplies once there is one.
    pub fn disk(&self) -> &dyn ReadAt {
        match self {
            Self::Raw(file) => &**file,
            Self::Vhd(vhd) => &**vhd,
            Self::Vhdx(vhdx) => &**vhdx,
            Self::Vmdk(vmdk) => &**vmdk,
        }
    }

    pub fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        match self {
            Self::Raw(file) => file.extent_at(offset),
            Self::Vhd(vhd) => vhd.own_extent_at(offset),
            Self::Vhdx(vhdx) => vhdx.own_extent_at(offset),
            Self::Vmdk(vmdk) => vmdk.own_extent_at(offset),
        }
    }

    pub fn set_parent(&mut self, parent: Arc<Image>) {
        match self {
            Self::Raw(_) => {}
            Self::Vhd(vhd) => vhd.set_parent(parent),
            Self::Vhdx(vhdx) => vhdx.set_parent(parent),
            Self::Vmdk(vmdk) => vmdk.set_parent(parent),
        }
    }

    pub fn parent_reference(&self) -> Option<ParentReference> {
        match self {
            Self::Raw(_) => None,
            Self::Vhd(vhd) => vhd.parent_reference().cloned().map(ParentReference::Vhd),
            Self::Vhdx(vhdx) => vhdx.parent_reference().cloned().map(ParentReference::Vhdx),
            Self::Vmdk(vmdk) => vmdk.parent_reference().cloned().map(ParentReference::Vmdk),
        }
    }
}

impl ParentReference {
    /// Where the parent's file may be, for a child at `path`, in the order to try.
    pub fn candidates(&self, path: &Path) -> Vec<PathBuf> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut candidates: Vec<PathBuf> = Vec::new();
        for noted in self.noted_paths() {
            for place in places(noted, folder) {
                if !candidates.contains(&place) {
                    candidates.push(place);
                }
            }
        }
        candidates
    }

    /// The paths as the child holds them.
    pub fn noted_paths(&self) -> Vec<&str> {
        match self {
            Self::Vhd(reference) => reference.paths.iter().map(|path| &*path.path).collect(),
            Self::Vhdx(reference) => reference.candidates().map(|(_, path)| path).collect(),
            Self::Vmdk(reference) => reference.candidate_paths().collect(),
        }
    }

    /// Refuses an image that is not the parent that the child was made on.
    pub fn check(&self, parent: &Image) -> Result<(), OpenError> {
        let mismatch = |expected: String, found: String| OpenError::ParentMismatch {
            parent: parent.path().to_path_buf(),
            expected,
            found,
        };
        match (self, parent.container()) {
            (Self::Vhd(reference), Container::Vhd(vhd)) => {
                let found = vhd.identity();
                if reference.matches(&found) {
                    return Ok(());
                }
                Err(mismatch(format!("unique id {}", reference.identity), found.to_string()))
            }
            (Self::Vhdx(reference), Container::Vhdx(vhdx)) => {
                let found = vhdx.identity();
                if reference.matches(&found) {
                    return Ok(());
                }
                Err(mismatch(
                    format!("DataWriteGuid {}", reference.parent_linkage),
                    found.data_write_guid.to_string(),
                ))
            }
            (Self::Vmdk(reference), Container::Vmdk(vmdk)) => {
                let found = vmdk.identity();
                if reference.matches(&found) {
                    return Ok(());
                }
                Err(mismatch(
                    format!("CID {:08x}", reference.cid),
                    format!("{:08x}", found.cid),
                ))
            }
            (_, other) => Err(mismatch(
                format!("a {}", self.format()),
                format!("a {} image", other.format()),
            )),
        }
    }

    pub fn format(&self) -> Format {
        match self {
            Self::Vhd(_) => Format::Vhd,
            Self::Vhdx(_) => Format::Vhdx,
            Self::Vmdk(_) => Format::Vmdk,
        }
    }
}
