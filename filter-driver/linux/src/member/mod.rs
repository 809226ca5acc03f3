//! What stands in the stack of a mount: a folder of the host, or a volume or layer in a disk image.

mod content;
mod folder;
mod marks;
mod ntfs;
mod site;

pub use content::Content;
pub use folder::{FolderEntry, FolderMember, OPAQUE, OWN_DIRECTORY, joined, split};
pub use marks::Marks;
pub use ntfs::{NtfsEntry, NtfsMember};
pub use site::{DRIVE, PREFIX_DIRECTORY, Site};

use cv_ntfs::FileError;
use cv_overlay::{Kind, Layer, NamePath};
use rustix::io::Errno;
use std::sync::Arc;

/// Why a member could not answer.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The volume could not be read.
    #[error("cannot read the volume")]
    Volume(#[from] FileError),
    /// The host refused.
    #[error("the host refused: {0}")]
    Host(#[from] Errno),
}

impl MemberError {
    /// The number by which programs are told.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Host(errno) => *errno,
            Self::Volume(FileError::NotFound { .. }) => Errno::NOENT,
            Self::Volume(FileError::NotADirectory { .. }) => Errno::NOTDIR,
            Self::Volume(_) => Errno::IO,
        }
    }
}

/// A member of a mount's stack.
#[derive(Debug)]
pub enum Member {
    /// A folder of the host.
    Folder(FolderMember),
    /// An NTFS volume, or the file tree of a layer.
    Ntfs(NtfsMember),
}

/// An entry of a member.
#[derive(Debug, Clone)]
pub enum Entry {
    /// In a folder.
    Folder(Arc<FolderEntry>),
    /// On a volume.
    Ntfs(Arc<NtfsEntry>),
}

impl Entry {
    /// What tells the entry's file from all others of its member; `None` where it is not to be had cheaply.
    pub fn as_ntfs(&self) -> Option<&NtfsEntry> {
        match self {
            Self::Ntfs(entry) => Some(entry),
            Self::Folder(_) => None,
        }
    }

    /// The entry in a folder.
    pub fn as_folder(&self) -> Option<&FolderEntry> {
        match self {
            Self::Folder(entry) => Some(entry),
            Self::Ntfs(_) => None,
        }
    }
}

impl Member {
    /// The folder, of a member that is one.
    pub fn folder(&self) -> Option<&FolderMember> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Ntfs(_) => None,
        }
    }

    /// The volume, of a member that is one.
    pub fn ntfs(&self) -> Option<&NtfsMember> {
        match self {
            Self::Ntfs(ntfs) => Some(ntfs),
            Self::Folder(_) => None,
        }
    }

    /// The long name of what has this 8.3 name in a directory.
    pub fn long_name(&self, directory: &Entry, short: &[u16]) -> Result<Option<Vec<u16>>, MemberError> {
        match (self, directory) {
            (Self::Ntfs(ntfs), Entry::Ntfs(directory)) => ntfs.long_name(directory, short),
            _ => Ok(None),
        }
    }
}

impl Layer for Member {
    type Entry = Entry;
    type Error = MemberError;
    type Listing<'l> = std::vec::IntoIter<Result<Entry, MemberError>>;

    fn root(&self) -> Result<Option<Entry>, MemberError> {
        Ok(match self {
            Self::Folder(folder) => Some(Entry::Folder(folder.root())),
            Self::Ntfs(ntfs) => ntfs.root().map(Entry::Ntfs),
        })
    }

    fn lookup(&self, directory: &Entry, name: &[u16]) -> Result<Option<Entry>, MemberError> {
        match (self, directory) {
            (Self::Folder(folder), Entry::Folder(directory)) => Ok(folder.lookup(directory, name)?.map(Entry::Folder)),
            (Self::Ntfs(ntfs), Entry::Ntfs(directory)) => Ok(ntfs.lookup(directory, name)?.map(Entry::Ntfs)),
            _ => Ok(None),
        }
    }

    fn list(&self, directory: &Entry) -> Result<Self::Listing<'_>, MemberError> {
        let entries: Vec<Result<Entry, MemberError>> = match (self, directory) {
            (Self::Folder(folder), Entry::Folder(directory)) => {
                let entries = folder.list(directory)?;
                entries.into_iter().map(|entry| Ok(Entry::Folder(entry))).collect()
            }
            (Self::Ntfs(ntfs), Entry::Ntfs(directory)) => {
                let entries = ntfs.list(directory)?;
                entries.into_iter().map(|entry| Ok(Entry::Ntfs(entry))).collect()
            }
            _ => Vec::new(),
        };
        Ok(entries.into_iter())
    }

    fn kind(&self, entry: &Entry) -> Kind {
        match entry {
            Entry::Folder(entry) => entry.kind,
            Entry::Ntfs(entry) => entry.kind,
        }
    }

    fn name<'l>(&'l self, entry: &'l Entry) -> &'l [u16] {
        match entry {
            Entry::Folder(entry) => &entry.name,
            Entry::Ntfs(entry) => &entry.name,
        }
    }

    fn other_links(&self, entry: &Entry) -> Result<Vec<NamePath>, MemberError> {
        match (self, entry) {
            (Self::Ntfs(ntfs), Entry::Ntfs(entry)) => ntfs.other_links(entry),
            // Where a file's other names are on the host cannot be known.
            _ => Ok(Vec::new()),
        }
    }
}
