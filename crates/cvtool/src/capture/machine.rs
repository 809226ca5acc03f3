//! The machine that is captured: a disk image, a folder or a Wine prefix.

use crate::image::source::Opening;
use anyhow::{Context, bail};
use cv_capture::changes::ChainBlocks;
use cv_capture::changes::content::{Contents, Shared};
#[cfg(windows)]
use cv_capture::snapshot::LiveDrive;
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

    /// The Windows that this runs on, but for what is at the paths `left_out`.
    #[cfg(windows)]
    pub fn live(left_out: &[PathBuf], threads: usize) -> anyhow::Result<Self> {
        let drive = cv_windows::machine::system_drive();
        let name = || drive.display().to_string();
        Ok(Self {
            path: drive.clone(),
            snapshot: Snapshot::of_this_machine(left_out, threads).with_context(name)?,
            storage: Storage::Live(LiveDrive {
                // With this form, Windows takes names as they are, however long and whatever they end with.
                top: drive.canonicalize().with_context(name)?,
                is_wine: cv_windows::machine::is_wine(),
            }),
            disk: None,
        })
    }

    /// The Windows that this runs on after an install, with what its change journal says since it stood there.
    #[cfg(windows)]
    pub fn live_since(
        before: &Snapshot,
        journal: Option<(u64, u64)>,
        left_out: &[PathBuf],
        threads: usize,
    ) -> anyhow::Result<Self> {
        use cv_capture::snapshot::{apply_journal, journal_since};
        use cv_windows::journal::Position;
        let mut machine = Self::live(left_out, threads)?;
        if let Some((journal, next)) = journal {
            match journal_since(Position { journal, next }) {
                Ok(records) => {
                    let problem = apply_journal(&before.files, &mut machine.snapshot.files, &records);
                    machine.snapshot.problems.extend(problem);
                }
                // It is not needed; sizes and times tell nearly as much.
                Err(error) => crate::print::warn(&format!("the change journal is not used: {error}")),
            }
        }
        Ok(machine)
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
