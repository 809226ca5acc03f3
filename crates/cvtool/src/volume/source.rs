//! The volume that a command works on, and paths in it.

use crate::image::source::Opening;
use anyhow::{Context, anyhow};
use clap::Args;
use cv_disk::ReadAt;
use cv_ntfs::Volume;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which volume of which image.
#[derive(Debug, Args)]
pub struct Source {
    /// The disk image: VHD, VHDX, VMDK or raw, with partitions or one bare volume
    pub image: PathBuf,

    /// The partition whose volume it is, by number; without it the first NTFS volume
    #[arg(long, value_name = "NUMBER")]
    volume: Option<u32>,

    /// Of a layer, take paths as they are on its volume. Without it those that do not begin with a name in the volume's root
    /// are meant as on drive C:, and so below \Files
    #[arg(long)]
    raw: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Source {
    /// Opens the volume.
    pub fn open(&self) -> anyhow::Result<Volume> {
        let image: Arc<dyn ReadAt> = Arc::new(self.opening.open(&self.image)?);
        cv_volume::open_volume(&image, self.volume).with_context(|| self.image.display().to_string())
    }

    /// A path in the volume as the user gave it; of a layer as it would be on drive C:.
    pub fn path(&self, volume: &Volume, path: &OsStr) -> anyhow::Result<Vec<u16>> {
        let given = units(path)?;
        let Some(first) = cv_winname::components(&given).next() else {
            return Ok(given);
        };
        let is_there = |name: &[u16]| volume.open_path(name).is_ok();
        let name = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        let is_layer = || is_there(&name(layerfmt::MANIFEST_NAME)) && is_there(&name(layerfmt::FILES_DIRECTORY));
        if self.raw || is_there(first) || !is_layer() {
            return Ok(given);
        }
        let mut path = name(layerfmt::FILES_DIRECTORY);
        path.push(u16::from(b'\\'));
        path.extend(given);
        Ok(path)
    }

    /// The image's name, for errors.
    pub fn name(&self) -> String {
        Path::new(&self.image).display().to_string()
    }
}

/// A path as the user gave it, in 16-bit units.
fn units(path: &OsStr) -> anyhow::Result<Vec<u16>> {
    #[cfg(unix)]
    let units = {
        use std::os::unix::ffi::OsStrExt;
        cv_winname::wtf8::decode(path.as_bytes())
    };
    #[cfg(not(unix))]
    let units = cv_winname::wtf8::decode(path.as_encoded_bytes());
    units.map_err(|error| anyhow!("the path {}: {error}", path.display()))
}

/// Threads for work that the processor bounds.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}
