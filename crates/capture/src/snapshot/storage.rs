//! Where the content of a snapshot's files is.

use super::files::{EntryId, Files};
use super::folder::DRIVE_C;
use super::volume::record_of;
use cv_disk::{RawFile, ReadAt};
use cv_ntfs::{FileError, Volume};
use std::io;
use std::path::PathBuf;

/// Where the content of a snapshot's files is.
#[derive(Debug, Clone)]
pub enum Storage {
    /// On a volume.
    Volume(Volume),
    /// In a folder of the host, which is drive C:.
    Folder(PathBuf),
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
    pub fn of_folder(folder: &std::path::Path) -> Self {
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
            Self::Folder(_) => {
                let path = self.host_path(files, entry).unwrap_or_default();
                Ok(Box::new(RawFile::open(&path)?))
            }
        }
    }

    /// A stream of a volume's file.
    pub fn stream(volume: &Volume, id: EntryId, stream: &[u16]) -> Result<cv_ntfs::Stream, FileError> {
        volume.file(record_of(id))?.stream(stream)
    }

    /// Where an entry stands on the host.
    pub fn host_path(&self, files: &Files, entry: u32) -> Option<PathBuf> {
        let Self::Folder(top) = self else { return None };
        let mut path = top.clone();
        for name in files.path(entry).split(|byte| *byte == b'/') {
            // Names of a snapshot have passed the check for names, and are one component each.
            path.push(String::from_utf8_lossy(name).as_ref());
        }
        Some(path)
    }
}
