//! Moving what a child holds into its parent.

use crate::change::{ChangeError, WritableImage};
use crate::new_image::NewImage;
use crate::open::{Image, OpenOptions};
use cv_disk::{CopyOptions, CopyTarget, Progress, ReadAt, copy};
use std::path::Path;
use std::sync::Arc;

/// Writes what the differencing image at `path` holds into its parent, and leaves the image as an empty child of it.
///
/// The parent's other children, if it has any, lose their ground. Stopped while content is moved, the image still hides
/// what has been written to its parent, and committing can be done again.
pub fn commit(path: &Path, options: &OpenOptions, progress: &dyn Progress) -> Result<(), ChangeError> {
    let child = Image::open(path, options)?;
    let before = child.parent().ok_or(ChangeError::NoParent)?.clone();
    let parent_options = OpenOptions::new(options.gate.clone());
    let mut parent = WritableImage::open_parent(&before, &parent_options)?;
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
    WritableImage::renew_content_id(before.path(), &parent_options)?;

    let parent = Arc::new(Image::open(before.path(), &parent_options)?);
    NewImage::like(path, &child, Some(&parent))?.finish()?;
    Ok(())
}
