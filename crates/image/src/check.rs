//! Looking for faults, and mending them.

use crate::change::{ChangeError, refuse_if_locked};
use crate::container::Container;
use crate::extents::GatedFiles;
use crate::format::Format;
use crate::open::{Image, OpenError, OpenOptions, open_file};
use cv_disk::{Damage, Fault, Faults, RawFile, ReadAt, Resize, Severity};
use cv_vhd::{vhd, vhdx};
use std::path::Path;
use std::sync::Arc;

/// What a check found.
#[derive(Debug)]
pub struct CheckReport {
    /// The image's format.
    pub format: Format,
    /// The faults, none in a sound image.
    pub faults: Faults,
}

/// Looks for every fault in the image at `path`, and whether its parent is there and the right one. Changes nothing.
pub fn check(path: &Path, options: &OpenOptions) -> Result<CheckReport, OpenError> {
    let file: Arc<dyn ReadAt> = open_file(path)?;
    let format = match options.format {
        Some(format) => format,
        None => Format::recognise(&file)??,
    };
    let mut faults = match format {
        Format::Raw => Faults::new(),
        Format::Vhd => vhd::check(&file)?,
        Format::Vhdx => vhdx::check(&file)?,
        Format::Vmdk => cv_vmdk::check(&file, &GatedFiles::new(path, &options.gate))?,
    };
    let has_errors = faults.listed().iter().any(|fault| fault.severity == Severity::Error);
    if !has_errors && format != Format::Raw {
        let reference = Container::open(path, options)?.parent_reference();
        if let (Some(reference), Err(error)) = (reference, Image::open(path, options)) {
            let expected = format!("the parent at {}", reference.noted_paths().join(" or "));
            let damage = Damage::new("parent", 0, expected, crate::describe::one_line(&error));
            faults.push(Fault::new(Severity::Error, damage));
        }
    }
    Ok(CheckReport { format, faults })
}

/// Mends in place what can be mended without guessing, and tells what that was.
pub fn repair(path: &Path, options: &OpenOptions) -> Result<Vec<Fault>, ChangeError> {
    let file = Arc::new(RawFile::open_writable(path).map_err(OpenError::Io)?);
    refuse_if_locked(&file)?;
    let format = match options.format {
        Some(format) => format,
        None => Format::recognise(&*file)
            .map_err(OpenError::Read)?
            .map_err(OpenError::Foreign)?,
    };
    let file: Arc<dyn Resize> = file;
    let mended = match format {
        Format::Raw => Faults::new(),
        Format::Vhd => vhd::repair(&file)?,
        Format::Vhdx => vhdx::repair(file, uuid::Uuid::new_v4)?,
        Format::Vmdk => cv_vmdk::repair(&file, &GatedFiles::new(path, &options.gate))?,
    };
    Ok(mended.into_iter().collect())
}
