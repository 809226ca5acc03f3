//! Giving a differencing image another parent.

use crate::change::{ChangeError, WritableImage};
use crate::open::{Image, OpenOptions};
use cv_disk::{Differencing, ExtentKind, Progress, ReadAt, is_zero};
use std::path::Path;
use std::sync::Arc;

/// Bytes compared at once.
const CHUNK: u64 = 1 << 20;
/// What differs is stored in pieces of this many bytes, the sector of every disk of today, or in whole grains.
const PIECE: u64 = 4096;

/// Makes `parent` the parent of the differencing image at `path`, whose content stays the same: what it had from its old
/// parent and does not find in the new one is stored in it first.
///
/// Stopped at any moment, the image is still a good child of its old parent.
pub fn rebase(
    path: &Path,
    parent: &Arc<Image>,
    options: &OpenOptions,
    progress: &dyn Progress,
) -> Result<(), ChangeError> {
    let before = Image::open(path, options)?;
    let mut image = WritableImage::open_without_parent(path, options)?;
    image.refuse_as_parent(parent)?;
    // What is written must differ from what the new parent shows. Whole pieces are written, so that nothing of the new
    // parent gets into the image while it still names the old one.
    image.set_parent(parent.clone());
    let piece = before.storage_unit().clamp(PIECE, CHUNK) as usize;
    progress.begin(before.len());
    let mut position = 0;
    let (mut old, mut new) = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
    while position < before.len() {
        let extent = before.own_extent_at(position)?.clipped((position / CHUNK + 1) * CHUNK);
        if extent.kind == ExtentKind::Hole {
            let (old, new) = (&mut old[..extent.length as usize], &mut new[..extent.length as usize]);
            before.read_at(old, extent.start)?;
            let inside = parent.len().saturating_sub(extent.start).min(extent.length) as usize;
            if inside > 0 {
                parent.read_at(&mut new[..inside], extent.start)?;
            }
            new[inside..].fill(0);
            store_differences(&image, piece, old, new, extent.start)?;
        }
        position = extent.end();
        progress.advance(extent.length)?;
    }
    image.set_parent_reference(parent)?;
    image.close()
}

fn store_differences(
    image: &WritableImage,
    piece: usize,
    old: &[u8],
    new: &[u8],
    start: u64,
) -> Result<(), ChangeError> {
    let differs = |index: usize| {
        let range = index * piece..old.len().min((index + 1) * piece);
        old[range.clone()] != new[range]
    };
    let pieces = old.len().div_ceil(piece);
    let mut index = 0;
    while index < pieces {
        if !differs(index) {
            index += 1;
            continue;
        }
        let first = index;
        let zero = |index: usize| is_zero(&old[index * piece..old.len().min((index + 1) * piece)]);
        let is_run_zero = zero(first);
        while index < pieces && differs(index) && zero(index) == is_run_zero {
            index += 1;
        }
        let run = first * piece..old.len().min(index * piece);
        let offset = start + run.start as u64;
        if is_run_zero {
            image.disk().write_zeros_at(offset..start + run.end as u64)?;
        } else {
            image.disk().write_at(&old[run], offset)?;
        }
    }
    Ok(())
}

/// Notes in the differencing image at `path` that its parent is now the file of `parent`.
///
/// The parent must be the disk that the image was made on, unless `force` says to take it all the same: the image's
/// content then becomes whatever that parent makes of it.
pub fn relink(path: &Path, parent: &Image, force: bool, options: &OpenOptions) -> Result<(), ChangeError> {
    let mut image = WritableImage::open_without_parent(path, options)?;
    image.refuse_as_parent(parent)?;
    if !force {
        image.check_parent(parent)?;
    }
    image.set_parent_reference(parent)?;
    image.close()
}
