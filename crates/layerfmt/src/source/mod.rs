//! Where a layer's files come from: each source adds what it holds to a [`FileTree`], and gives
//! the streams later, when they are written.

#[cfg(any(target_os = "linux", windows))]
mod ahead;
mod archive;
mod file_at;
#[cfg(any(target_os = "linux", windows))]
mod folder;
mod host_file;
pub(crate) mod names;
pub(crate) mod tar_file;
mod volume;
mod zip_file;

pub use archive::{ArchiveOptions, add_archive};
pub(crate) use archive::{plain_tar, unpacked_limit};
pub(crate) use file_at::FileAt;
#[cfg(any(target_os = "linux", windows))]
pub use folder::add_folder;
pub use host_file::add_file;
pub(crate) use volume::read_metadata;
pub use volume::{VolumeOrigin, add_directory, add_volume};

use crate::content::{FileTree, NodeId, TreeError};
use cv_disk::{Cancelled, ReadError};
use cv_hive::Name;
use cv_ntfs::FileError;
use std::io;
use std::path::PathBuf;

/// Levels of directories at most.
pub const MAX_DEPTH: usize = 512;

/// Names at most.
pub const MAX_NAMES: u64 = 1 << 24;

/// Why a source could not be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The tree refuses a name.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of a volume cannot be read.
    #[error("cannot read {path} on the volume")]
    File {
        /// Its path.
        path: String,
        /// What failed.
        source: FileError,
    },
    /// A stream of a volume cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: String,
        /// What failed.
        source: ReadError,
    },
    /// A folder cannot be read, or holds what no volume can.
    #[cfg(any(target_os = "linux", windows))]
    #[error("{}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What failed.
        source: cv_volume::FolderError,
    },
    /// A file of the host cannot be read.
    #[error("cannot read {}", file.display())]
    HostFile {
        /// The file.
        file: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// An archive cannot be read.
    #[error("cannot read {}", archive.display())]
    Archive {
        /// The archive.
        archive: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Something is not as it must be.
    #[error("{path}: {reason}")]
    Refused {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// There are more levels than any layer has.
    #[error("{path} is deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// The path, or the beginning of it.
        path: String,
    },
    /// There are more names than any layer has.
    #[error("there are more than {MAX_NAMES} names")]
    TooMany,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Removes what has the name already.
fn make_way(tree: &mut FileTree, directory: NodeId, name: &Name) {
    if let Some(old) = tree.child(directory, name.units()) {
        tree.remove(old);
    }
}
