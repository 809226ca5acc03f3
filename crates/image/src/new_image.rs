//! A new image, which appears when it is complete.

use crate::change::ChangeError;
use crate::container::{Container, ParentReference};
use crate::extents::NewFiles;
use crate::format::Format;
use crate::layout::{Layout, LayoutError, Origin};
use crate::open::Image;
use crate::parent_note::ParentNote;
use crate::writer::Writer;
use cv_disk::{CopyOptions, DurableFile, RawFile, ReadAt, Resize, WriteAt};
use cv_vhd::{vhd, vhdx};
use cv_vmdk::{Subformat, VmdkBuilder};
use std::path::Path;
use std::sync::Arc;

/// A new image being written beside the place where it will stand. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct NewImage {
    writer: Writer,
    extents: NewFiles,
    file: DurableFile,
    storage_unit: u64,
}

impl NewImage {
    /// Begins an image of a disk of `size` bytes, all zero, that will stand at `path`; a file there is replaced then.
    pub fn create(path: &Path, size: u64, layout: &Layout) -> Result<Self, ChangeError> {
        Self::begin(path, size, layout, None)
    }

    /// As [`create`](Self::create); `parent` makes it a differencing image.
    pub(crate) fn begin(
        path: &Path,
        size: u64,
        layout: &Layout,
        parent: Option<&Arc<Image>>,
    ) -> Result<Self, ChangeError> {
        let file = DurableFile::create(path)?;
        let extents = NewFiles::new(path);
        let disk = file.disk().clone();
        let reference = parent
            .map(|parent| reference_to(parent, path, layout.format))
            .transpose()?;
        let mut writer = match layout.format {
            Format::Raw => raw(&disk, size, layout, parent)?,
            Format::Vhd => Writer::Vhd(Box::new(vhd_builder(size, layout, reference)?.create(disk)?)),
            Format::Vhdx => Writer::Vhdx(Box::new(vhdx_builder(size, layout, reference)?.create(disk)?)),
            Format::Vmdk => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let builder = vmdk_builder(size, layout, reference)?.name(&stem);
                Writer::Vmdk(Box::new(builder.create(disk, &extents)?))
            }
        };
        if let Some(parent) = parent {
            writer.set_parent(parent.clone());
        }
        let storage_unit = match layout.format {
            Format::Vmdk => layout.block_size.unwrap_or(64 << 10),
            _ => 512,
        };
        Ok(Self {
            writer,
            extents,
            file,
            storage_unit,
        })
    }

    /// Begins an image that will take the place of `image`, with its layout and all its identities, on `parent` instead
    /// of its own if it has one.
    pub(crate) fn like(path: &Path, image: &Image, parent: Option<&Arc<Image>>) -> Result<Self, ChangeError> {
        let file = DurableFile::create(path)?;
        let extents = NewFiles::new(path);
        let disk = file.disk().clone();
        let reference = parent
            .map(|parent| reference_to(parent, path, image.format()))
            .transpose()?;
        let mut writer = match (image.container(), reference) {
            (Container::Raw(_), _) => {
                disk.set_len(image.len())?;
                Writer::Raw(disk)
            }
            (Container::Vhd(vhd), Some(ParentReference::Vhd(reference))) => {
                Writer::Vhd(Box::new(vhd::VhdBuilder::like(vhd).parent(reference).create(disk)?))
            }
            (Container::Vhd(vhd), _) => {
                Writer::Vhd(Box::new(vhd::VhdBuilder::like(vhd).without_parent().create(disk)?))
            }
            (Container::Vhdx(vhdx), Some(ParentReference::Vhdx(reference))) => {
                Writer::Vhdx(Box::new(vhdx::VhdxBuilder::like(vhdx).parent(reference).create(disk)?))
            }
            (Container::Vhdx(vhdx), _) => {
                Writer::Vhdx(Box::new(vhdx::VhdxBuilder::like(vhdx).without_parent().create(disk)?))
            }
            (Container::Vmdk(vmdk), reference) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let builder = VmdkBuilder::like(vmdk).name(&stem);
                let builder = match reference {
                    Some(ParentReference::Vmdk(reference)) => builder.parent(reference),
                    _ => builder.without_parent(),
                };
                Writer::Vmdk(Box::new(builder.create(disk, &extents)?))
            }
        };
        if let Some(parent) = parent {
            writer.set_parent(parent.clone());
        }
        Ok(Self {
            writer,
            extents,
            file,
            storage_unit: image.storage_unit(),
        })
    }

    /// The disk to write to.
    pub fn disk(&self) -> &dyn WriteAt {
        self.writer.disk()
    }

    /// Bytes that the image stores as one. Data for [`disk`](Self::disk) had best come in whole units: a compressed grain
    /// waits in memory until it is complete.
    pub fn storage_unit(&self) -> u64 {
        self.storage_unit
    }

    /// How to copy a whole disk into the image.
    pub(crate) fn copy_options(&self) -> CopyOptions {
        let defaults = CopyOptions::default();
        CopyOptions {
            granule: self.storage_unit.max(defaults.granule),
            ..defaults
        }
    }

    /// Completes the image and lets it take its place.
    pub fn finish(self) -> Result<(), ChangeError> {
        self.writer.finish()?;
        let mut files = self.extents.into_made();
        files.push(self.file);
        DurableFile::commit_all(files)?;
        Ok(())
    }
}

/// What a child at `child` is to note of `parent`.
pub(crate) fn reference_to(parent: &Image, child: &Path, format: Format) -> Result<ParentReference, ChangeError> {
    let note = ParentNote::new(parent.path(), child)?;
    match parent.container() {
        Container::Vhd(vhd) if format == Format::Vhd => {
            let mut reference = vhd::ParentReference::new(vhd.identity());
            if let Some(path) = note.windows_relative() {
                reference = reference.relative(path);
            }
            Ok(ParentReference::Vhd(reference.absolute(note.windows_absolute())))
        }
        Container::Vhdx(vhdx) if format == Format::Vhdx => Ok(ParentReference::Vhdx(vhdx::ParentReference {
            parent_linkage: vhdx.identity().data_write_guid,
            relative_path: note.windows_relative(),
            absolute_win32_path: Some(note.windows_absolute()),
            ..vhdx::ParentReference::default()
        })),
        Container::Vmdk(vmdk) if format == Format::Vmdk => Ok(ParentReference::Vmdk(cv_vmdk::ParentReference {
            cid: vmdk.identity().cid,
            file_name_hint: Some(note.hint()),
        })),
        _ => Err(ChangeError::ParentFormat {
            child: format,
            parent: parent.format(),
        }),
    }
}

fn raw(disk: &Arc<RawFile>, size: u64, layout: &Layout, parent: Option<&Arc<Image>>) -> Result<Writer, ChangeError> {
    let unknown = if parent.is_some() {
        Some("parent")
    } else if layout
        .subformat
        .as_deref()
        .is_some_and(|name| !name.eq_ignore_ascii_case("raw"))
    {
        Some("subformats")
    } else if layout.block_size.is_some() {
        Some("block size")
    } else if layout.sector_size.is_some() {
        Some("sector size")
    } else {
        None
    };
    if let Some(what) = unknown {
        return Err(layout.refuse(what).into());
    }
    disk.set_len(size)?;
    Ok(Writer::Raw(disk.clone()))
}

/// Whether the layout says fixed; a differencing image is neither fixed nor dynamic.
fn is_fixed(layout: &Layout, reference: Option<&ParentReference>) -> Result<bool, LayoutError> {
    match layout.subformat.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("dynamic") => Ok(false),
        Some("differencing") if reference.is_some() => Ok(false),
        Some("fixed") if reference.is_none() => Ok(true),
        _ => Err(LayoutError::Subformat {
            format: layout.format,
            name: layout.subformat.clone().unwrap_or_default(),
            known: if reference.is_some() {
                "differencing"
            } else {
                "dynamic and fixed"
            },
        }),
    }
}

/// The option as the `u32` that formats store.
fn narrow(what: &'static str, value: u64) -> Result<u32, LayoutError> {
    u32::try_from(value).map_err(|_| LayoutError::Range { what, value })
}

fn vhd_builder(size: u64, layout: &Layout, reference: Option<ParentReference>) -> Result<vhd::VhdBuilder, ChangeError> {
    if layout.sector_size.is_some_and(|size| size != 512) {
        return Err(layout.refuse("sectors of another size than 512 bytes").into());
    }
    let since_2000 = layout.origin.created.saturating_sub(946_684_800);
    let mut builder = vhd::VhdBuilder::new(size)
        .packed()
        .identity(layout.origin.identity("vhd unique id"))
        .time_stamp(u32::try_from(since_2000).unwrap_or(0));
    if let Some(block_size) = layout.block_size {
        builder = builder.block_size(narrow("a block", block_size)?);
    }
    if layout.azure {
        builder = builder.azure();
    } else if is_fixed(layout, reference.as_ref())? {
        builder = builder.fixed();
    }
    if let Some(ParentReference::Vhd(reference)) = reference {
        builder = builder.parent(reference);
    }
    Ok(builder)
}

fn vhdx_builder(
    size: u64,
    layout: &Layout,
    reference: Option<ParentReference>,
) -> Result<vhdx::VhdxBuilder, ChangeError> {
    let origin: &Origin = &layout.origin;
    let identity = vhdx::VhdxIdentity {
        virtual_disk_id: origin.identity("vhdx virtual disk id"),
        data_write_guid: origin.identity("vhdx data write guid"),
        file_write_guid: origin.identity("vhdx file write guid"),
    };
    let mut builder = vhdx::VhdxBuilder::new(size).identity(identity);
    if let Some(block_size) = layout.block_size {
        builder = builder.block_size(narrow("a block", block_size)?);
    }
    if let Some(sector_size) = layout.sector_size {
        builder = builder.sector_sizes(narrow("a sector", sector_size)?, 4096);
    }
    if is_fixed(layout, reference.as_ref())? {
        builder = builder.fixed();
    }
    if let Some(ParentReference::Vhdx(reference)) = reference {
        builder = builder.parent(reference);
    }
    Ok(builder)
}

fn vmdk_builder(size: u64, layout: &Layout, reference: Option<ParentReference>) -> Result<VmdkBuilder, ChangeError> {
    if layout.sector_size.is_some_and(|size| size != 512) {
        return Err(layout.refuse("sectors of another size than 512 bytes").into());
    }
    let mut builder = VmdkBuilder::new(size).content_id(layout.origin.content_id("vmdk content id"));
    if let Some(name) = &layout.subformat {
        let subformat = Subformat::from_create_type(name).ok_or_else(|| LayoutError::Subformat {
            format: layout.format,
            name: name.clone(),
            known: "monolithicSparse, monolithicFlat, twoGbMaxExtentSparse, twoGbMaxExtentFlat, vmfs and streamOptimized",
        })?;
        builder = builder.subformat(subformat);
    }
    if let Some(grain_size) = layout.block_size {
        builder = builder.grain_size(grain_size);
    }
    if let Some(ParentReference::Vmdk(reference)) = reference {
        builder = builder.parent(reference);
    }
    Ok(builder)
}
