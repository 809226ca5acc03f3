//! The snapshot of a folder of the host: a Wine prefix, or one laid out as drive C:.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use super::files::{Entry, EntryId, Files, FilesBuilder};
use super::machine::{Problem, Snapshot, SnapshotError};
use super::registry::{self, HiveFiles, Registry};
use crate::rules::Platform;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use unix as host;
#[cfg(windows)]
use windows as host;
#[cfg(windows)]
pub use windows::live;

/// The directory of a Wine prefix that is drive C:.
pub const DRIVE_C: &str = "drive_c";

/// What a walk found.
pub struct Walked {
    builder: FilesBuilder,
    pub problems: Vec<Problem>,
    /// Where files stand that may be hives or their logs, by id.
    hive_paths: HashMap<EntryId, PathBuf>,
}

impl Walked {
    /// The files, and their hives.
    pub fn finish(self) -> (Files, FolderHives, Vec<Problem>) {
        let (files, twins) = self.builder.finish();
        let mut problems = self.problems;
        problems.extend(twins.into_iter().map(|path| Problem {
            path: String::from_utf8_lossy(&path).into_owned(),
            reason: "another name there differs from it in case alone".to_owned(),
        }));
        let hives = FolderHives { paths: self.hive_paths };
        (files, hives, problems)
    }
}

pub fn snapshot(folder: &Path, threads: usize) -> Result<Snapshot, SnapshotError> {
    let is_prefix = folder.join("system.reg").is_file() && folder.join(DRIVE_C).is_dir();
    let top = if is_prefix {
        folder.join(DRIVE_C)
    } else {
        folder.to_path_buf()
    };
    let (files, hives, mut problems) = host::walk(&top, is_prefix)?.finish();
    let mut registry = Registry::default();
    if is_prefix {
        registry::add_wine(&mut registry, folder, &files, &mut problems);
    } else {
        registry = registry::of_hives(&files, &hives, threads, &mut problems);
        registry::add_loose(&mut registry, folder, &mut problems);
    }
    Ok(Snapshot {
        platform: if is_prefix { Platform::Wine } else { Platform::Windows },
        files,
        registry,
        problems,
    })
}

/// The hives among the files of a walk.
pub struct FolderHives {
    paths: HashMap<EntryId, PathBuf>,
}

impl HiveFiles for FolderHives {
    fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, String> {
        let path = self.paths.get(&entry.id).ok_or("no such file was listed")?;
        read_file(path, limit).map_err(|error| error.to_string())
    }
}

/// Reads a file of at most `limit` bytes.
pub fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(bytes)
}
