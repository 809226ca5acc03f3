//! Where the content of a snapshot's files is.

use super::files::{EntryId, Files};
use super::folder::DRIVE_C;
use super::volume::record_of;
use cv_disk::{RawFile, ReadAt};
use cv_ntfs::{FileError, Volume};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Where the content of a snapshot's files is.
#[derive(Debug, Clone)]
pub enum Storage {
    /// On a volume.
    Volume(Volume),
    /// In a folder of the host, which is drive C:.
    Folder(PathBuf),
    /// On the drive that Windows runs from.
    Live(LiveDrive),
}

/// The drive that Windows runs from.
#[derive(Debug, Clone)]
pub struct LiveDrive {
    /// Its top.
    pub top: PathBuf,
    /// Whether Windows is Wine, whose host has the drive in a folder.
    pub is_wine: bool,
}

/// Why content could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// The host refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The volume is damaged there.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes cannot be read.
    #[error(transparent)]
    Read(#[from] cv_disk::ReadError),
}

impl Storage {
    /// That of a folder: of a Wine prefix its drive C:.
    pub fn of_folder(folder: &Path) -> Self {
        let is_prefix = folder.join("system.reg").is_file() && folder.join(DRIVE_C).is_dir();
        Self::Folder(if is_prefix {
            folder.join(DRIVE_C)
        } else {
            folder.to_path_buf()
        })
    }

    /// Opens a stream of an entry; the empty name is that of the content proper.
    pub fn open(&self, files: &Files, entry: u32, stream: &[u16]) -> Result<Box<dyn ReadAt>, ContentError> {
        match self {
            Self::Volume(volume) => Ok(Box::new(Self::stream(volume, files.entry(entry).id, stream)?)),
            Self::Folder(_) | Self::Live(_) => Ok(Box::new(RawFile::from_file(self.open_file(files, entry, stream)?)?)),
        }
    }

    /// Opens a stream of an entry that the host has; a folder holds contents alone.
    pub fn open_file(&self, files: &Files, entry: u32, stream: &[u16]) -> io::Result<File> {
        let mut path = self.host_path(files, entry).ok_or(io::ErrorKind::NotFound)?;
        if !stream.is_empty() && matches!(self, Self::Live(_)) {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(":");
            name.push(os_name(&cv_winname::wtf8::encode(stream)));
            path.set_file_name(name);
        }
        open(&path)
    }

    /// A stream of a volume's file.
    pub fn stream(volume: &Volume, id: EntryId, stream: &[u16]) -> Result<cv_ntfs::Stream, FileError> {
        volume.file(record_of(id))?.stream(stream)
    }

    /// Where an entry stands on the host.
    pub fn host_path(&self, files: &Files, entry: u32) -> Option<PathBuf> {
        let top = match self {
            Self::Volume(_) => return None,
            Self::Folder(top) => top,
            Self::Live(drive) => &drive.top,
        };
        Some(below(top, &files.path(entry)))
    }
}

/// The host's path of names below a folder. Names of a snapshot have passed the check for names, and are one component each.
pub fn below(top: &Path, path: &[u8]) -> PathBuf {
    let mut full = top.to_path_buf();
    full.extend(path.split(|byte| *byte == b'/').map(os_name));
    full
}

#[cfg(unix)]
fn os_name(name: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(name.to_vec())
}

#[cfg(windows)]
fn os_name(name: &[u8]) -> OsString {
    let units = cv_winname::wtf8::decode(name).unwrap_or_default();
    std::os::windows::ffi::OsStringExt::from_wide(&units)
}

#[cfg(not(windows))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(windows)]
fn open(path: &Path) -> io::Result<File> {
    cv_windows::open_file(path)
}
