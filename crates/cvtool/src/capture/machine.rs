//! The machine that is captured: a disk image, a folder or a Wine prefix.

use crate::image::source::Opening;
use anyhow::{Context, bail};
use cv_capture::changes::ChainBlocks;
use cv_capture::changes::content::{Contents, Shared};
use cv_capture::snapshot::{Snapshot, Storage};
use cv_disk::ReadAt;
use cv_image::Image;
use cv_volume::{Place, open_volumes};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A machine, and what it looks like.
#[derive(Debug)]
pub struct Machine {
    path: PathBuf,
    pub snapshot: Snapshot,
    pub storage: Storage,
    /// The image, and where its volume begins.
    disk: Option<(Arc<Image>, u64)>,
}

impl Machine {
    /// Opens what is at `path` and takes its snapshot.
    pub fn open(path: &Path, opening: &Opening, threads: usize) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        if path.is_dir() {
            return Ok(Self {
                path: path.to_path_buf(),
                snapshot: Snapshot::of_folder(path, threads).with_context(name)?,
                storage: Storage::of_folder(path),
                disk: None,
            });
        }
        let image = Arc::new(opening.open(path)?);
        let disk: Arc<dyn ReadAt> = image.clone();
        let place = drive_c(open_volumes(&disk).with_context(name)?).with_context(name)?;
        let volume = place.volume.with_context(name)?;
        Ok(Self {
            path: path.to_path_buf(),
            snapshot: Snapshot::of_volume(&volume, threads),
            storage: Storage::Volume(volume),
            disk: Some((image, place.range.start)),
        })
    }

    /// Where the content of the machine is, before and after.
    pub fn contents(before: &Self, after: &Self) -> anyhow::Result<Contents> {
        let shared = match (&before.disk, &after.disk) {
            (Some((_, start)), Some((image, same))) if start == same => {
                let blocks = ChainBlocks::new(image, &before.path)?;
                blocks.map(|blocks| Shared {
                    blocks: Box::new(blocks),
                    start: *start,
                })
            }
            _ => None,
        };
        Ok(Contents {
            before: before.storage.clone(),
            after: after.storage.clone(),
            shared,
        })
    }
}

/// The volume that is drive C: of the machine. It is the one with Windows on it, else the largest.
fn drive_c(places: Vec<Place>) -> anyhow::Result<Place> {
    let mut places: Vec<Place> = places.into_iter().filter(|place| place.volume.is_ok()).collect();
    let has_windows =
        |place: &Place| matches!(&place.volume, Ok(volume) if volume.open_str(r"\Windows\System32").is_ok());
    let largest = (0..places.len()).max_by_key(|index| places[*index].range.end - places[*index].range.start);
    match places.iter().position(has_windows).or(largest) {
        Some(index) => Ok(places.swap_remove(index)),
        None => bail!("the disk holds no NTFS volume"),
    }
}
