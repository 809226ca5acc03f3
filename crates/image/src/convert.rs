//! Making images: empty ones, children, and copies in another format.

use crate::change::ChangeError;
use crate::layout::Layout;
use crate::new_image::NewImage;
use crate::open::{Image, OpenOptions};
use cv_disk::{CopyOptions, Progress, ReadAt, copy};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// Makes an empty image of a disk of `size` bytes at `path`; a file there is replaced.
pub fn create(path: &Path, size: u64, layout: &Layout) -> Result<(), ChangeError> {
    NewImage::begin(path, size, layout, None)?.finish()
}

/// Makes a differencing child of `parent` at `path`, of its size unless told another.
pub fn create_child(path: &Path, parent: &Arc<Image>, size: Option<u64>, layout: &Layout) -> Result<(), ChangeError> {
    refuse_replacing(path, parent)?;
    NewImage::begin(path, size.unwrap_or(parent.len()), layout, Some(parent))?.finish()
}

/// Writes the whole disk of `source` as a new image at `path`, with `threads` threads or as many as the machine has; a
/// file there is replaced when the new one is complete.
pub fn convert(
    source: &Image,
    path: &Path,
    layout: &Layout,
    threads: Option<NonZeroUsize>,
    progress: &dyn Progress,
) -> Result<(), ChangeError> {
    let output = NewImage::begin(path, source.len(), layout, None)?;
    let defaults = output.copy_options();
    let options = CopyOptions {
        threads: threads.map_or(defaults.threads, NonZeroUsize::get),
        ..defaults
    };
    copy(source, output.disk(), &options, progress)?;
    output.finish()
}

/// Copies into the differencing image at `path` what it has from its parents, so that it needs none.
///
/// It is written anew beside the old file and takes its place when it is complete.
pub fn flatten(path: &Path, options: &OpenOptions, progress: &dyn Progress) -> Result<(), ChangeError> {
    let image = Image::open(path, options)?;
    if image.parent().is_none() {
        return Err(ChangeError::NoParent);
    }
    let output = NewImage::like(path, &image, None)?;
    copy(&image, output.disk(), &output.copy_options(), progress)?;
    output.finish()
}

/// Refuses to put a new image in the place of one that it needs.
fn refuse_replacing(path: &Path, parent: &Image) -> Result<(), ChangeError> {
    let Ok(new) = path.canonicalize() else { return Ok(()) };
    let mut link = Some(parent);
    while let Some(image) = link {
        if image.path().canonicalize()? == new {
            return Err(ChangeError::ParentLoop(parent.path().to_path_buf()));
        }
        link = image.parent().map(|parent| &**parent);
    }
    Ok(())
}
