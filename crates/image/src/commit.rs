//! Moving what a child holds into its parent.

use crate::change::{ChangeError, WritableImage};
use crate::new_image::NewImage;
use crate::open::{Image, OpenOptions};
use cv_disk::{CopyOptions, CopyTarget, Progress, ReadAt, copy};
use std::path::Path;
use std::sync::Arc;

/// Writes what the differencing image at `path` holds into its parent, and leaves the image as an empty child of it.
///
/// The parent's other children, if it has any, lose their ground. Stopped at any moment, the image still hides what has
/// been written to its parent, and committing can be done again.
pub fn commit(path: &Path, options: &OpenOptions, progress: &dyn Progress) -> Result<(), ChangeError> {
    let child = Image::open(path, options)?;
    let parent_path = child.parent().ok_or(ChangeError::NoParent)?.path().to_path_buf();
    let mut parent = WritableImage::open(&parent_path, &OpenOptions::new(options.gate.clone()))?;
    parent.will_be_committed_to(path, options)?;
    if parent.len() < child.len() {
        parent.resize(child.len())?;
    }
    copy(
        &child.own(),
        parent.disk(),
        &CopyOptions {
            target: CopyTarget::Below,
            ..CopyOptions::default()
        },
        progress,
    )?;
    parent.close()?;

    let parent = Arc::new(Image::open(&parent_path, &OpenOptions::new(options.gate.clone()))?);
    NewImage::like(path, &child, Some(&parent))?.finish()?;
    Ok(())
}
