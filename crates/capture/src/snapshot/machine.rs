//! A snapshot as a whole.

use super::files::Files;
use super::registry::Registry;
use super::{folder, volume};
use crate::rules::Platform;
use cv_ntfs::Volume;
use std::fmt;
use std::io;
use std::path::Path;

/// Something that could not be read. The rest was.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// The path, or the registry key.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// What a machine looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What it runs.
    pub platform: Platform,
    /// Its drive C:.
    pub files: Files,
    /// Its registry.
    pub registry: Registry,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Why no snapshot could be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The folder cannot be read.
    #[error("cannot read the folder")]
    Folder(#[from] io::Error),
    /// It is no prefix of Wine.
    #[error("no Wine prefix: it has no {0}")]
    NotAPrefix(&'static str),
}

impl Snapshot {
    /// That of a volume which is a machine's drive C:, read with `threads` threads.
    pub fn of_volume(volume: &Volume, threads: usize) -> Self {
        volume::snapshot(volume, threads)
    }

    /// That of a folder: a Wine prefix, or one laid out as drive C:, with hives in their places, or `.reg` files and hives at
    /// its top.
    pub fn of_folder(folder: &Path, threads: usize) -> Result<Self, SnapshotError> {
        folder::snapshot(folder, threads)
    }

    /// That of the machine that this runs on: the drive that Windows runs from, but what is at the paths `leave_out`, and the
    /// registry.
    #[cfg(windows)]
    pub fn of_this_machine(leave_out: &[std::path::PathBuf], threads: usize) -> Result<Self, SnapshotError> {
        super::live::snapshot(leave_out, threads)
    }
}
