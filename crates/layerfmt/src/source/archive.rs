//! Archives as sources: zip (and so wheels), tar, and tar packed by gzip or zstd.

use super::file_at::FileAt;
use super::{SourceError, names, tar_file, zip_file};
use crate::content::{FileTree, Metadata, NodeId, NodeKind};
use cv_disk::Progress;
use cv_hive::Name;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::Times;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an archive may be, and where there is room.
#[derive(Debug, Clone)]
pub struct ArchiveOptions {
    /// Bytes of everything in it at most.
    pub limit: u64,
    /// The folder where a packed tar is unpacked to a file without a name; `None` for the system's.
    pub scratch: Option<PathBuf>,
}

impl Default for ArchiveOptions {
    /// 256 GiB, in the system's folder.
    fn default() -> Self {
        Self {
            limit: 256 << 30,
            scratch: None,
        }
    }
}

/// How much larger than the archive its contents may be: no more than deflate can make of anything.
const MAX_RATIO: u64 = 1100;

/// Adds what is in the archive at `path` to the directory `at`; what it is, is seen from its content. Directories there
/// already are merged, other files replaced. Gives the names of what no volume can hold: devices, sockets and the like.
///
/// Nothing is unpacked before it is written, but a packed tar, once and as a whole. Names and links that lead out of `at` are
/// refused, and so is an archive that unpacks to more than it can be meant to.
pub fn add_archive(
    tree: &mut FileTree,
    at: NodeId,
    path: &Path,
    options: &ArchiveOptions,
    progress: &dyn Progress,
) -> Result<Vec<String>, SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let file = FileAt::new(Arc::new(file)).map_err(failed)?;
    let limit = unpacked_limit(file.len(), options.limit);
    let mut start = Vec::new();
    file.clone().take(4).read_to_end(&mut start).map_err(failed)?;
    let mut adder = Adder {
        tree,
        at,
        limit,
        size: 0,
        names: 0,
        left_out: Vec::new(),
    };
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        zip_file::add(&mut adder, &file, path)?;
    } else {
        let plain = plain_tar(&file, limit, options.scratch.as_deref(), progress, path)?;
        tar_file::add(&mut adder, &plain, path)?;
    }
    Ok(adder.left_out)
}

/// The tar at the start of `file`, where it is packed by gzip or zstd, unpacked.
pub(crate) fn plain_tar(
    file: &FileAt,
    limit: u64,
    scratch: Option<&Path>,
    progress: &dyn Progress,
    path: &Path,
) -> Result<FileAt, SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let mut start = Vec::new();
    file.clone().take(262).read_to_end(&mut start).map_err(failed)?;
    if start.starts_with(&[0x1F, 0x8B]) {
        let packed = flate2::read::MultiGzDecoder::new(file.clone());
        unpacked(packed, limit, scratch, progress, path)
    } else if start.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        let packed = zstd::stream::read::Decoder::new(file.clone()).map_err(failed)?;
        unpacked(packed, limit, scratch, progress, path)
    } else if start.get(257..262) == Some(b"ustar") {
        Ok(file.clone())
    } else {
        Err(SourceError::Refused {
            path: path.display().to_string(),
            reason: "no archive that is known here: zip, tar, tar.gz or tar.zst".to_owned(),
        })
    }
}

/// The most that an archive of `length` bytes may unpack to, where `limit` is the most for any.
pub(crate) fn unpacked_limit(length: u64, limit: u64) -> u64 {
    limit.min(length.saturating_mul(MAX_RATIO).saturating_add(64 << 20))
}

/// The unpacked archive, in a file without a name.
fn unpacked(
    mut packed: impl Read,
    limit: u64,
    scratch: Option<&Path>,
    progress: &dyn Progress,
    path: &Path,
) -> Result<FileAt, SourceError> {
    let failed = |source: io::Error| SourceError::Archive {
        archive: path.to_path_buf(),
        source,
    };
    let mut file = match scratch {
        Some(folder) => tempfile::tempfile_in(folder),
        None => tempfile::tempfile(),
    }
    .map_err(failed)?;
    let mut size = 0;
    loop {
        progress.advance(0)?;
        let count = io::copy(&mut (&mut packed).take(1 << 20), &mut file).map_err(failed)?;
        if count == 0 {
            break;
        }
        size += count;
        if size > limit {
            return Err(too_large(path, limit));
        }
    }
    FileAt::new(Arc::new(file)).map_err(failed)
}

fn too_large(path: &Path, limit: u64) -> SourceError {
    SourceError::Refused {
        path: path.display().to_string(),
        reason: format!("it unpacks to more than {limit} bytes"),
    }
}

/// Puts an archive's entries into the tree.
pub(super) struct Adder<'a> {
    pub tree: &'a mut FileTree,
    pub at: NodeId,
    limit: u64,
    size: u64,
    names: u64,
    pub left_out: Vec<String>,
}

/// What an archive says of an entry.
pub(super) struct ArchiveEntry<'a> {
    pub path: &'a str,
    /// Unix permissions, where it has them.
    pub mode: Option<u32>,
    pub modified: NtfsTime,
}

impl ArchiveEntry<'_> {
    fn metadata(&self, is_directory: bool) -> Metadata {
        let mut attributes = if is_directory {
            FileAttributes::empty()
        } else {
            FileAttributes::ARCHIVE
        };
        // Nobody may write it. Of a directory that means something else on Windows.
        if !is_directory && self.mode.is_some_and(|mode| mode & 0o222 == 0) {
            attributes |= FileAttributes::READONLY;
        }
        Metadata {
            attributes,
            times: Times::all(self.modified),
            ..Metadata::default()
        }
    }
}

impl Adder<'_> {
    /// Counts an entry with as many bytes.
    pub fn count(&mut self, archive: &Path, size: u64) -> Result<(), SourceError> {
        self.names += 1;
        self.size = self.size.saturating_add(size);
        if self.names > super::MAX_NAMES {
            return Err(SourceError::TooMany);
        }
        if self.size > self.limit {
            return Err(too_large(archive, self.limit));
        }
        Ok(())
    }

    pub fn directory(&mut self, entry: &ArchiveEntry<'_>) -> Result<(), SourceError> {
        let names = names::components(entry.path)?;
        let mut node = self.at;
        for name in names {
            node = self.tree.directory(node, name)?;
        }
        if node != self.at {
            *self.tree.metadata_mut(node) = entry.metadata(true);
        }
        Ok(())
    }

    /// Adds a file; `fill` gives it what it holds.
    pub fn file(&mut self, entry: &ArchiveEntry<'_>, fill: impl FnOnce(&mut Metadata)) -> Result<(), SourceError> {
        let Some((directory, name)) = self.place(entry.path)? else {
            return Ok(());
        };
        let mut metadata = entry.metadata(false);
        fill(&mut metadata);
        self.tree.add(directory, name, NodeKind::File, metadata)?;
        Ok(())
    }

    pub fn link(&mut self, entry: &ArchiveEntry<'_>, target: &str) -> Result<(), SourceError> {
        let depth = names::components(entry.path)?.len();
        let reparse = names::link(entry.path, target, depth)?;
        self.file(entry, |metadata| {
            metadata.attributes = FileAttributes::empty();
            metadata.reparse = Some(reparse);
        })
    }

    pub fn hard_link(&mut self, entry: &ArchiveEntry<'_>, target: &str) -> Result<(), SourceError> {
        let refuse = || SourceError::Refused {
            path: entry.path.to_owned(),
            reason: format!("a hard link to {target:?}, which is no file before it in the archive"),
        };
        let mut node = self.at;
        for name in names::components(target)? {
            node = self.tree.child(node, &name).ok_or_else(refuse)?;
        }
        if self.tree.kind(node) != NodeKind::File {
            return Err(refuse());
        }
        if let Some((directory, name)) = self.place(entry.path)? {
            self.tree.link(directory, name, node)?;
        }
        Ok(())
    }

    /// The directory for a path, made where it is missing, and the last name, which is free.
    fn place(&mut self, path: &str) -> Result<Option<(NodeId, Name)>, SourceError> {
        let mut names = names::components(path)?;
        let Some(name) = names.pop() else { return Ok(None) };
        let mut node = self.at;
        for name in names {
            node = self.tree.directory(node, name)?;
        }
        let name = Name::from(name);
        super::make_way(self.tree, node, &name);
        Ok(Some((node, name)))
    }
}
