//! Outputs that appear complete or not at all.

use crate::raw_file::RawFile;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::{Builder, TempPath};

/// Bytes of the target's name that its temporary file's name repeats at most: file systems allow 255 in all.
const LONGEST_PREFIX: usize = 200;

/// A file that is written beside its target and takes the target's place when it is complete and on stable storage.
///
/// Dropped before [`commit`](Self::commit), it leaves nothing behind. Nor does it when the process is killed, where the host's file
/// system has files without a name.
#[derive(Debug)]
pub struct DurableFile {
    disk: Arc<RawFile>,
    /// The name it has until then; `None` for a file without one.
    temporary: Option<TempPath>,
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
        if target.file_name().is_none() {
            let reason = "the output's path names no file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let replaced = match target.metadata() {
            Ok(metadata) if metadata.is_file() => Some(metadata.permissions()),
            Ok(_) => {
                let reason = "the output's path names something that is no file";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let (file, temporary) = if let Some(file) = nameless(folder_of(&target)) {
            (file, None)
        } else {
            let named = with_temporary_name(&target, |builder, folder| builder.tempfile_in(folder))?;
            let (file, path) = named.into_parts();
            (file, Some(path))
        };
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
        for Self {
            temporary,
            target,
            disk,
        } in files
        {
            match temporary {
                Some(temporary) => temporary.persist(&target).map_err(|failure| failure.error)?,
                None => give_name(disk.file(), &target)?,
            }
            let folder = folder_of(&target).to_path_buf();
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }
}

/// Lets `make` make something beside `target` under a name that is not in use.
fn with_temporary_name<T>(target: &Path, make: impl FnOnce(&Builder<'_, '_>, &Path) -> io::Result<T>) -> io::Result<T> {
    let name = target.file_name().unwrap_or_default();
    let mut prefix = OsString::from(".");
    if name.len() <= LONGEST_PREFIX {
        prefix.push(name);
        prefix.push(".");
    }
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    make(&builder, folder_of(target))
}

/// A new file without a name in `folder`, where the file system has such, and the host a way to name them later.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // Not having them is told in several ways, and a file with a name finds all other reasons again.
    let file: File = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666)).ok()?.into();
    descriptor_path(&file).exists().then_some(file)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> Option<File> {
    None
}

/// By what a file without a name can be named.
#[cfg(target_os = "linux")]
fn descriptor_path(file: &File) -> PathBuf {
    use std::os::fd::AsRawFd;

    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Lets a file without a name take the place of `target`.
#[cfg(target_os = "linux")]
fn give_name(file: &File, target: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};

    let from = descriptor_path(file);
    let link = |to: &Path| Ok(rustix::fs::linkat(CWD, &from, CWD, to, AtFlags::SYMLINK_FOLLOW)?);
    match link(target) {
        // A link does not replace.
        Err(error) if io::Error::kind(&error) == io::ErrorKind::AlreadyExists => {}
        linked => return linked,
    }
    let named = with_temporary_name(target, |builder, folder| builder.make_in(folder, link))?;
    named.into_temp_path().persist(target).map_err(|failure| failure.error)
}

#[cfg(not(target_os = "linux"))]
fn give_name(_file: &File, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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
        let is_named = !cfg!(target_os = "linux") || nameless(folder.path()).is_none();
        assert_eq!(names(folder.path()).len(), 1 + usize::from(is_named));
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

    #[test]
    fn an_output_with_a_temporary_name_replaces_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("disk.img");
        std::fs::write(&target, b"old").unwrap();
        let (file, path) = with_temporary_name(&target, |builder, folder| builder.tempfile_in(folder))
            .unwrap()
            .into_parts();
        let output = DurableFile {
            disk: Arc::new(RawFile::from_file(file).unwrap()),
            temporary: Some(path),
            target: target.clone(),
        };
        assert_eq!(names(folder.path()).len(), 2);
        output.commit().unwrap();
        assert_eq!(names(folder.path()), ["disk.img"]);
        assert_eq!(std::fs::read(&target).unwrap(), b"");
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
