//! Outputs that appear complete or not at all.

use crate::raw_file::RawFile;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempPath;

/// Bytes of the target's name that its temporary file's name repeats at most: file systems allow 255 in all.
const LONGEST_PREFIX: usize = 200;

/// A file that is written beside its target and takes the target's place when it is complete and on stable storage.
///
/// Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct DurableFile {
    disk: Arc<RawFile>,
    temporary: TempPath,
    target: PathBuf,
}

impl DurableFile {
    /// Begins an empty file that will become `target`. A symbolic link there is followed, so that it stays one; a file
    /// there hands its permissions on; a folder or a device there is refused, as it must not be replaced by a file.
    pub fn create(target: &Path) -> io::Result<Self> {
        let target = if target.is_symlink() {
            target.canonicalize()?
        } else {
            target.to_path_buf()
        };
        let name = target
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the output's path names no file"))?;
        let replaced = match target.metadata() {
            Ok(metadata) if metadata.is_file() => Some(metadata.permissions()),
            Ok(_) => {
                let reason = "the output's path names something that is no file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut prefix = std::ffi::OsString::from(".");
        if name.len() <= LONGEST_PREFIX {
            prefix.push(name);
            prefix.push(".");
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, temporary) = builder.tempfile_in(folder_of(&target))?.into_parts();
        #[cfg(unix)]
        if let Some(permissions) = replaced {
            file.set_permissions(permissions)?;
        }
        // Others get the permissions of their folder there.
        #[cfg(not(unix))]
        let _ = replaced;
        Ok(Self {
            disk: Arc::new(RawFile::from_file(file)?.written_early()),
            temporary,
            target,
        })
    }

    /// The disk to write to.
    pub fn disk(&self) -> &Arc<RawFile> {
        &self.disk
    }

    /// Where the file will stand.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the content durable, then lets the file take its target's place.
    pub fn commit(self) -> io::Result<()> {
        Self::commit_all(vec![self])
    }

    /// Commits several files that belong together: all are made durable first, then they take their places in order.
    /// The one that makes the others reachable should therefore come last.
    pub fn commit_all(files: Vec<Self>) -> io::Result<()> {
        for file in &files {
            file.disk.file().sync_all()?;
        }
        let mut folders = Vec::new();
        for Self { temporary, target, .. } in files {
            temporary.persist(&target).map_err(|failure| failure.error)?;
            let folder = folder_of(&target).to_path_buf();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a rename in `folder` durable; Windows has no such call and needs none.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Resize, WriteAt};

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_output_leaves_nothing_and_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("disk.img");
        std::fs::write(&target, b"old").unwrap();
        let output = DurableFile::create(&target).unwrap();
        output.disk().set_len(4).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(output);
        assert_eq!(names(folder.path()), ["disk.img"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn a_committed_output_replaces_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("disk.img");
        std::fs::write(&target, b"old").unwrap();
        let output = DurableFile::create(&target).unwrap();
        output.disk().set_len(3).unwrap();
        output.disk().write_at(b"new", 0).unwrap();
        output.commit().unwrap();
        assert_eq!(names(folder.path()), ["disk.img"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real.img");
        std::fs::write(&file, b"old").unwrap();
        let link = folder.path().join("link.img");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        DurableFile::create(&link).unwrap().commit().unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&file).unwrap(), b"");
    }
}
