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

    #[command(flatten)]
    opening: Opening,
}

impl Source {
    /// Opens the volume.
    pub fn open(&self) -> anyhow::Result<Volume> {
        let image: Arc<dyn ReadAt> = Arc::new(self.opening.open(&self.image)?);
        cv_volume::open_volume(&image, self.volume).with_context(|| self.image.display().to_string())
    }

    /// The image's name, for errors.
    pub fn name(&self) -> String {
        Path::new(&self.image).display().to_string()
    }
}

/// A path as the user gave it, in 16-bit units.
pub fn units(path: &OsStr) -> anyhow::Result<Vec<u16>> {
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
