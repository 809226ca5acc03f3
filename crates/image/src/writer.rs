//! A container open for writing, whatever its format.

use crate::container::ParentReference;
use crate::extents::GatedFiles;
use crate::open::Image;
use cv_disk::{Differencing, Extent, RawFile, ReadAt, ReadError, Resize, WriteAt, WriteError};
use cv_vhd::{vhd::VhdWriter, vhdx::VhdxWriter};
use cv_vmdk::VmdkWriter;
use std::sync::Arc;

/// A container that is written: a new one, or one in place.
#[derive(Debug)]
pub(crate) enum Writer {
    Raw(Arc<RawFile>),
    Vhd(Box<VhdWriter>),
    Vhdx(Box<VhdxWriter>),
    Vmdk(Box<VmdkWriter>),
}

impl Writer {
    pub fn disk(&self) -> &dyn WriteAt {
        match self {
            Self::Raw(file) => &**file,
            Self::Vhd(vhd) => &**vhd,
            Self::Vhdx(vhdx) => &**vhdx,
            Self::Vmdk(vmdk) => &**vmdk,
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

    pub fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        match self {
            Self::Raw(file) => file.extent_at(offset),
            Self::Vhd(vhd) => vhd.own_extent_at(offset),
            Self::Vhdx(vhdx) => vhdx.own_extent_at(offset),
            Self::Vmdk(vmdk) => vmdk.own_extent_at(offset),
        }
    }

    /// Notes another parent; a reference of another format is never given.
    pub fn relink(&mut self, reference: &ParentReference) -> Result<(), WriteError> {
        match (self, reference) {
            (Self::Vhd(vhd), ParentReference::Vhd(reference)) => vhd.relink(reference),
            (Self::Vhdx(vhdx), ParentReference::Vhdx(reference)) => vhdx.relink(reference.clone()),
            (Self::Vmdk(vmdk), ParentReference::Vmdk(reference)) => vmdk.relink(reference),
            _ => Err(WriteError::Limit("the parent is of another format".into())),
        }
    }

    pub fn resize(&mut self, size: u64, files: &GatedFiles) -> Result<(), WriteError> {
        match self {
            Self::Raw(file) => file.set_len(size),
            Self::Vhd(vhd) => vhd.resize(size),
            Self::Vhdx(vhdx) => vhdx.resize(size),
            Self::Vmdk(vmdk) => vmdk.resize(size, files),
        }
    }

    /// Completes the container.
    pub fn finish(self) -> Result<(), WriteError> {
        match self {
            Self::Raw(_) => Ok(()),
            Self::Vhd(vhd) => vhd.finish(),
            Self::Vhdx(vhdx) => vhdx.finish(),
            Self::Vmdk(vmdk) => vmdk.finish(),
        }
    }
}
