//! A folder of the host as a tree of files to compare with: names, kinds, sizes, contents and times of modification.

use super::side::Known;
use crate::content::{FileTree, Metadata, NodeId, NodeKind, Origin, Stream, StreamContent, TreeError};
use crate::source::{MAX_DEPTH, MAX_NAMES};
use cv_ntfs::structure::NtfsTime;
use cv_ntfs::write::{OpenStream, SourceError, Times};
use cv_winname::wtf8;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of a folder's files.
pub const KNOWN_OF_FOLDERS: Known = Known {
    attributes: false,
    times: [false, true, false, false],
    security: false,
    details: false,
};

/// Why a folder could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The host refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A name is none that Windows could have, or two names are one to it.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A name is no Unicode.
    #[error("the name of {} is no Unicode", .0.display())]
    Name(PathBuf),
    /// Something that is no file, folder or link.
    #[error("{} is neither a file nor a folder nor a link", .0.display())]
    Special(PathBuf),
    /// There are more names, or deeper ones, than any layer has.
    #[error("{} has more than {MAX_NAMES} names, or is deeper than {MAX_DEPTH} folders", .0.display())]
    TooLarge(PathBuf),
}

/// Opens files by their place in a list.
#[derive(Debug, Default)]
struct Files(Vec<PathBuf>);

impl Origin for Files {
    fn open(&self, item: u64) -> Result<OpenStream<'_>, SourceError> {
        let path = self.0.get(item as usize).ok_or("no such file")?;
        let file = File::open(path)?;
        Ok(OpenStream::File { file, offset: 0 })
    }
}

/// Something found in a folder, before its content has an origin.
struct Pending {
    node: NodeId,
    size: u64,
    item: u64,
}

/// The tree of a folder. Links are taken as links, whatever they point to.
pub fn folder_tree(folder: &Path) -> Result<FileTree, FolderError> {
    let mut tree = FileTree::new();
    let mut files = Files::default();
    let mut contents = Vec::new();
    let mut links: HashMap<(u64, u64), NodeId> = HashMap::new();
    let mut folders = vec![(folder.to_owned(), FileTree::ROOT, 0)];
    let mut names = 0;
    while let Some((path, directory, depth)) = folders.pop() {
        let failed = |source| FolderError::Io {
            path: path.clone(),
            source,
        };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(|source| FolderError::Io {
                path: path.clone(),
                source,
            })?;
            names += 1;
            if names > MAX_NAMES || depth >= MAX_DEPTH {
                return Err(FolderError::TooLarge(folder.to_owned()));
            }
            let name = units(&entry.file_name()).ok_or_else(|| FolderError::Name(path.clone()))?;
            let of_file = metadata_of(&metadata);
            let kind = metadata.file_type();
            if kind.is_dir() {
                let below = tree.add(directory, name, NodeKind::Directory, of_file)?;
                folders.push((path, below, depth + 1));
            } else if kind.is_symlink() {
                // The tag alone: where it leads is written otherwise on every system.
                let reparse = Some([0x0c, 0, 0, 0xa0, 0, 0, 0, 0].into());
                tree.add(directory, name, NodeKind::File, Metadata { reparse, ..of_file })?;
            } else if kind.is_file() {
                let identity = link_of(&metadata);
                if let Some(first) = identity.and_then(|identity| links.get(&identity)) {
                    tree.link(directory, name, *first)?;
                    continue;
                }
                let node = tree.add(directory, name, NodeKind::File, of_file)?;
                links.extend(identity.map(|identity| (identity, node)));
                contents.push(Pending {
                    node,
                    size: metadata.len(),
                    item: files.0.len() as u64,
                });
                files.0.push(path);
            } else {
                return Err(FolderError::Special(path));
            }
        }
    }
    let origin: Arc<dyn Origin> = Arc::new(files);
    for Pending { node, size, item } in contents {
        tree.metadata_mut(node).streams.push(Stream {
            size,
            content: StreamContent::Origin {
                origin: origin.clone(),
                item,
            },
            ..Stream::of([])
        });
    }
    Ok(tree)
}

fn units(name: &OsStr) -> Option<Vec<u16>> {
    // On Windows these bytes are WTF-8 as well.
    wtf8::decode(name.as_encoded_bytes()).ok()
}

fn metadata_of(metadata: &fs::Metadata) -> Metadata {
    let modified = metadata.modified().ok().and_then(|time| {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        let seconds = since.as_secs().checked_add(11_644_473_600)?;
        seconds
            .checked_mul(10_000_000)?
            .checked_add(u64::from(since.subsec_nanos() / 100))
    });
    Metadata {
        times: Times {
            modification: NtfsTime(modified.unwrap_or(0)),
            ..Times::default()
        },
        ..Metadata::default()
    }
}

/// What names of one file share, of a file with several.
fn link_of(metadata: &fs::Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}
