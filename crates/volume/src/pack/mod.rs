//! Folders of the host to volumes.
//!
//! [`read_folder`] describes a folder as a [`Tree`], without reading a file; [`cv_ntfs::write::plan`] lays that out and
//! [`cv_ntfs::write::write`] writes it, with the folder as the source. [`DiskLayout`] is the disk around it.
//!
//! | on the host | on the volume |
//! |---|---|
//! | file, folder | file, directory; holes stay holes |
//! | further names of a file | hard links |
//! | symbolic link | symbolic link, or WSL link, see [`SymlinkStyle`] |
//! | extended attribute `user.NAME` | stream |
//! | file `name:stream` beside `name` | stream |
//! | extended attributes of [`kept`](crate::kept) | what they keep |
//! | owner and mode | a security descriptor, see [`HostSecurity`] |
//! | FIFO, socket, device | left out |
//!
//! Folders of Windows are volumes already: files, streams, attributes, hard links and reparse data are taken over as they are.
//! Security is not, so that the same files give the same volume whoever packs them; each file gets that of its place.

#[cfg(target_os = "linux")]
mod linux;
mod source;
#[cfg(windows)]
mod windows;

use crate::extract::Folder;
use cv_disk::{Cancelled, Progress};
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{Compression, NameRule, Tree, TreeError};
#[cfg(target_os = "linux")]
use linux as host;
pub use source::HostFolder;
use std::fmt;
use std::io;
use std::path::PathBuf;
#[cfg(windows)]
use windows as host;

/// What symbolic links become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SymlinkStyle {
    /// Symbolic links of NTFS, relative ones; what leads out of the folder by an absolute path becomes a WSL link.
    #[default]
    Ntfs,
    /// Links of the Windows Subsystem for Linux, which keep their targets as they are.
    Wsl,
}

/// Which of the host's times are taken over. Those kept in extended attributes always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HostTimes {
    /// The modification time for all four: the others differ between copies of a folder, or change when it is read.
    #[default]
    Modification,
    /// All four.
    All,
}

/// How files that bring no security descriptor along get one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HostSecurity {
    /// That of the same place on drive C:, and where the mode lets nobody but the owner read one for administrators alone.
    #[default]
    PlaceAndMode,
    /// That of the same place on drive C:.
    Place,
    /// None: only those brought along are taken over.
    Brought,
    /// One for all ([`cv_ntfs::write::PlanOptions::default_security`]); those brought along are left out too.
    None,
}

/// How to describe a folder.
#[derive(Debug, Clone, Default)]
pub struct FolderOptions {
    /// What symbolic links become.
    pub symlinks: SymlinkStyle,
    /// Which times are taken over.
    pub times: HostTimes,
    /// How files get their security descriptors.
    pub security: HostSecurity,
    /// How contents are compressed.
    pub compression: Compression,
    /// Whether clusters will be small enough (4 KiB at most) for files whose kept attributes say compressed to be so.
    pub small_clusters: bool,
    /// Which names are allowed.
    pub name_rule: NameRule,
    /// Whether files whose name begins with a dot are hidden.
    pub hide_dot_files: bool,
}

/// Some of many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// The first one's path, WTF-8.
    pub first: Vec<u8>,
}

#[cfg(target_os = "linux")]
impl Counted {
    fn note(&mut self, path: Vec<u8>) {
        if self.count == 0 {
            self.first = path;
        }
        self.count += 1;
    }
}

/// What of a folder is not in its tree, or not as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// FIFOs, sockets and devices, left out.
    pub special: Counted,
    /// Links to places that only the host has, which became WSL links.
    pub foreign_links: Counted,
    /// Object ids that another file has too, left out.
    pub object_ids: Counted,
}

/// A folder described.
#[derive(Debug)]
pub struct HostTree {
    /// What the volume is to hold.
    pub tree: Tree,
    /// Where its contents come from.
    pub source: HostFolder,
    /// What is missing.
    pub left_out: LeftOut,
    /// The latest modification time.
    pub newest: NtfsTime,
}

/// Something that cannot be on a volume, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path below the folder.
    pub path: Vec<u8>,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", String::from_utf8_lossy(&self.path), self.reason)
    }
}

/// Why a folder cannot become a volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder itself cannot be read.
    #[error("cannot read the folder")]
    Folder(#[source] io::Error),
    /// What is in it.
    #[error("{} things in it cannot be on the volume", problems.len() as u64 + omitted)]
    Problems {
        /// The problems, the first thousand, by path.
        problems: Vec<Problem>,
        /// How many more.
        omitted: u64,
    },
    /// The tree refuses something for another reason than what it is.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Describes the folder `top`, whose absolute path without links is `path` where links to it are to be recognised.
///
/// All problems are found before any is told.
pub fn read_folder(
    top: Folder,
    path: Option<PathBuf>,
    options: &FolderOptions,
    progress: &dyn Progress,
) -> Result<HostTree, FolderError> {
    host::walk(top, path, options, progress)
}
