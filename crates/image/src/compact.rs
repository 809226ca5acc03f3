//! Giving back the room that zeros take.

use crate::change::{ChangeError, WritableImage};
use crate::format::Format;
use crate::new_image::NewImage;
use crate::open::{Image, OpenOptions};
use cv_disk::{CopyOptions, CopyTarget, ExtentKind, Extents, Progress, ReadAt, copy, data_runs};
use std::path::Path;

/// Zeros are looked for in pieces of this many bytes.
const PIECE: u64 = 4096;

/// What compacting won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactOutcome {
    /// Bytes that the image's files took on the host before.
    pub before: u64,
    /// Bytes that they take now.
    pub after: u64,
}

/// Gives back what zeros and unused blocks take in the image at `path`, which keeps its content and all its identities.
///
/// A container is written anew beside the old file and takes its place when it is complete. In a raw file holes are made
/// where there are zeros.
pub fn compact(path: &Path, options: &OpenOptions, progress: &dyn Progress) -> Result<CompactOutcome, ChangeError> {
    let image = Image::open(path, options)?;
    let before = image.allocated();
    if image.format() == Format::Raw {
        drop(image);
        let image = WritableImage::open(path, options)?;
        make_holes(&image, progress)?;
        image.close()?;
    } else {
        let target = if image.parent().is_some() {
            CopyTarget::Below
        } else {
            CopyTarget::Zero
        };
        let output = NewImage::like(path, &image, image.parent())?;
        copy(
            &image.own(),
            output.disk(),
            &CopyOptions {
                target,
                ..output.copy_options()
            },
            progress,
        )?;
        output.finish()?;
    }
    let after = Image::open(path, options)?.allocated();
    Ok(CompactOutcome { before, after })
}

fn make_holes(image: &WritableImage, progress: &dyn Progress) -> Result<(), ChangeError> {
    const CHUNK: u64 = 1 << 20;
    progress.begin(image.len());
    let mut buffer = vec![0; CHUNK as usize];
    let mut position = 0;
    for extent in Extents::all(image) {
        let extent = extent?;
        progress.advance(extent.end() - position)?;
        position = extent.end();
        if extent.kind != ExtentKind::Data {
            continue;
        }
        let mut start = extent.start;
        while start < extent.end() {
            let end = extent.end().min((start / CHUNK + 1) * CHUNK);
            let bytes = &mut buffer[..(end - start) as usize];
            image.read_at(bytes, start)?;
            let mut zeros_from = start;
            for run in data_runs(bytes, PIECE as usize) {
                punch(image, zeros_from..start + run.start as u64)?;
                zeros_from = start + run.end as u64;
            }
            punch(image, zeros_from..end)?;
            start = end;
        }
    }
    Ok(())
}

fn punch(image: &WritableImage, range: std::ops::Range<u64>) -> Result<(), ChangeError> {
    if range.start < range.end {
        image.disk().write_zeros_at(range)?;
    }
    Ok(())
}
