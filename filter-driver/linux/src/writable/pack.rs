//! A writable folder as a layer of the kind `writable`, and such a layer as a folder again.
//!
//! `\Files` is the folder. What it marks by the host's means, whiteouts and opaque directories, stands in the index, as in any
//! layer; delta hives in `\Hives`. What else the folder's own directory keeps for longer than a mount, such as the areas of
//! layers that isolate, stays in `\Files\.cvlayer`.

use crate::areas::SESSION;
use crate::facts::Owner;
use crate::member::{OPAQUE, OWN_DIRECTORY, split};
use crate::registry::deltas::{self, DeltaError, HIVES};
use crate::sources::{SourceError, open_folder};
use crate::upper::{Upper, WORK};
use cv_disk::{Progress, Quiet};
use cv_ntfs::structure::NtfsTime;
use cv_overlay::{Names, Role};
use cv_volume::{ExtractError, ExtractOptions, Links};
use cv_winname::wtf8;
use layerfmt::content::{FileTree, Metadata, NodeId, NodeKind, TreeError};
use layerfmt::index::EntryKind;
use layerfmt::read::{Layer, LayerError};
use layerfmt::source::add_folder;
use layerfmt::{Content, FILES_DIRECTORY, Kind, Manifest};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a folder could not be packed, or a layer unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The folder or image cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The folder is mounted, or cannot be a writable folder.
    #[error("cannot take {} into use: {}", path.display(), crate::mount::explain_upper(*source))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: Errno,
    },
    /// The host refused.
    #[error("cannot use {}", path.display())]
    Host {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// What failed.
        source: Box<layerfmt::source::SourceError>,
    },
    /// A whiteout cannot be in a layer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Its hives cannot be read.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// It has something that no layer can hold.
    #[error("{}: a pipe, socket or device, which no layer can hold", .0.display())]
    Special(PathBuf),
    /// The layer is no writable volume.
    #[error("{} is a layer of the kind {kind}, expected writable", path.display())]
    Kind {
        /// The image.
        path: PathBuf,
        /// What it is.
        kind: String,
    },
    /// The layer cannot be read.
    #[error("cannot read the layer {}", path.display())]
    Layer {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<LayerError>,
    },
    /// Its files cannot be extracted.
    #[error("cannot extract the layer {}", path.display())]
    Extract {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: ExtractError,
    },
    /// The host cannot hold something of it.
    #[error("cannot extract {file} of the layer {}: {why}", path.display())]
    Lost {
        /// The image.
        path: PathBuf,
        /// The first file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The layer cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The image.
        path: PathBuf,
        /// What failed.
        source: Box<layerfmt::WriteError>,
    },
}

fn host(path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_path_buf();
    move |source| PackError::Host { path, source }
}

/// A folder that nobody can mount while it is packed.
#[derive(Debug)]
pub struct Unmounted {
    folder: PathBuf,
    _lock: Upper,
}

impl Unmounted {
    /// Takes a folder that is not mounted.
    pub fn open(folder: &Path) -> Result<Self, PackError> {
        let names = Arc::new(Names::windows());
        let opened = open_folder(folder, &names, Role::Writable, true, crate::member::Site::Drive)?;
        let folder = opened.facts.source.clone();
        let owner = Owner {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            umask: 0o022,
        };
        let lock = Upper::open(&opened.member, owner).map_err(|source| PackError::InUse {
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder, _lock: lock })
    }

    /// What it holds, as a layer of this name.
    pub fn content(&self, name: &str, progress: &dyn Progress) -> Result<Content, PackError> {
        content_of(&self.folder, name, progress)
    }
}

/// What a writable folder holds.
pub(crate) fn content_of(folder: &Path, name: &str, progress: &dyn Progress) -> Result<Content, PackError> {
    let mut content = Content::new(Manifest::new(name, "", Kind::Writable));
    let left_out = add_folder(&mut content.files, FileTree::ROOT, folder, progress);
    let left_out = left_out.map_err(|source| PackError::Read {
        path: folder.to_path_buf(),
        source: Box::new(source),
    })?;
    let mut marks = Marked {
        folder,
        files: &mut content.files,
        whiteouts: 0,
    };
    marks.take(FileTree::ROOT, &PathBuf::new())?;
    if marks.whiteouts < left_out.special.count {
        let first = OsStr::from_bytes(&left_out.special.first);
        return Err(PackError::Special(folder.join(first)));
    }
    let own: Vec<u16> = OWN_DIRECTORY.encode_utf16().collect();
    if let Some(own) = content.files.child(FileTree::ROOT, &own) {
        for name in [WORK, SESSION, HIVES] {
            let name: Vec<u16> = name.encode_utf16().collect();
            if let Some(gone) = content.files.child(own, &name) {
                content.files.remove(gone);
            }
        }
        if content.files.children(own).len() == 0 {
            content.files.remove(own);
        }
    }
    content.hives.extend(deltas::of_writable(folder)?);
    Ok(content)
}

/// Takes over what the host's means mark.
struct Marked<'a> {
    folder: &'a Path,
    files: &'a mut FileTree,
    whiteouts: u64,
}

impl Marked<'_> {
    /// In a directory; folders have a bounded depth on the host, so this has too.
    fn take(&mut self, directory: NodeId, path: &Path) -> Result<(), PackError> {
        let stream: Vec<u16> = OPAQUE.trim_start_matches("user.").encode_utf16().collect();
        let streams = &mut self.files.metadata_mut(directory).streams;
        let before = streams.len();
        streams.retain(|found| found.name.units() != stream);
        let is_opaque = streams.len() != before;
        self.files.set_opaque(directory, is_opaque);
        let full = self.folder.join(path);
        for entry in std::fs::read_dir(&full).map_err(host(&full))? {
            let entry = entry.map_err(host(&full))?;
            let Ok(name) = wtf8::decode(entry.file_name().as_bytes()) else {
                return Err(PackError::Special(entry.path()));
            };
            let stat = rustix::fs::lstat(entry.path()).map_err(|errno| host(&entry.path())(errno.into()))?;
            if let Some(node) = self.files.child(directory, &name) {
                // A copy keeps when it was made; when it was written the host knows, as the mount shows it.
                let written = NtfsTime::from_unix(stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
                self.files.metadata_mut(node).times.modification = written.unwrap_or_default();
                if self.files.kind(node).is_directory() {
                    self.take(node, &path.join(entry.file_name()))?;
                }
                continue;
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0 {
                self.files
                    .add(directory, &*name, NodeKind::Whiteout, Metadata::default())?;
                self.whiteouts += 1;
            }
        }
        Ok(())
    }
}

/// Makes a writable folder of a layer; it appears complete or not at all, and must not be there yet.
pub fn unpack(image: &Path, layer: &Layer, folder: &Path) -> Result<(), PackError> {
    let kind = layer.manifest().kind;
    if kind != Kind::Writable {
        return Err(PackError::Kind {
            path: image.to_path_buf(),
            kind: format!("{kind:?}").to_lowercase(),
        });
    }
    let folder = std::path::absolute(folder).map_err(host(folder))?;
    let parent = folder.parent().unwrap_or(Path::new("/"));
    if std::fs::symlink_metadata(&folder).is_ok_and(|facts| !facts.is_dir()) {
        return Err(host(&folder)(io::ErrorKind::AlreadyExists.into()));
    }
    let made = tempfile::Builder::new().prefix(".cvtool-unpack-").tempdir_in(parent);
    let made = made.map_err(host(parent))?;
    let files = made.path().join(FILES_DIRECTORY);
    std::fs::create_dir(&files).map_err(host(&files))?;
    extract_files(image, layer, made.path())?;
    finish(image, layer, &files)?;
    let hives = files.join(OWN_DIRECTORY).join(HIVES);
    for name in layer.hives() {
        let refused = |source| PackError::Layer {
            path: image.to_path_buf(),
            source: Box::new(source),
        };
        std::fs::create_dir_all(&hives).map_err(host(&hives))?;
        let path = hives.join(name.file_name());
        std::fs::write(&path, layer.hive(name).map_err(refused)?).map_err(host(&path))?;
    }
    let top = open(&files)?;
    rustix::fs::syncfs(&top).map_err(|errno| host(&files)(errno.into()))?;
    // Takes the place of an empty folder, and of nothing else.
    std::fs::rename(&files, &folder).map_err(host(&folder))?;
    open(parent).and_then(|parent| rustix::fs::fsync(parent).map_err(|errno| host(&folder)(errno.into())))
}

fn open(folder: &Path) -> Result<OwnedFd, PackError> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty()).map_err(|errno| host(folder)(errno.into()))
}

fn extract_files(image: &Path, layer: &Layer, target: &Path) -> Result<(), PackError> {
    if layer.volume().open_str(FILES_DIRECTORY).is_err() {
        return Ok(());
    }
    let options = ExtractOptions {
        paths: vec![FILES_DIRECTORY.encode_utf16().collect()],
        overwrite: true,
        links: Links::Inside,
        ..ExtractOptions::default()
    };
    let outcome = cv_volume::extract(layer.volume(), open(target)?, &options, &Quiet);
    let outcome = outcome.map_err(|source| PackError::Extract {
        path: image.to_path_buf(),
        source,
    })?;
    let lost = |file: String, why: String| PackError::Lost {
        path: image.to_path_buf(),
        file,
        why,
    };
    if let Some(failure) = outcome.failures.first() {
        let file = String::from_utf8_lossy(&failure.path).into_owned();
        return Err(lost(file, failure.reason.to_string()));
    }
    if let Some((loss, count)) = outcome.lost.iter().next() {
        return Err(lost(
            format!("{count} files"),
            format!("the host has no place for {}", loss.what()),
        ));
    }
    Ok(())
}

/// Makes a whiteout; the directory keeps its times.
fn whiteout(top: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
    let (directory, _) = split(path);
    let directory = if directory.is_empty() { b"." } else { directory };
    let stat = rustix::fs::statat(top, directory, AtFlags::SYMLINK_NOFOLLOW)?;
    rustix::fs::mknodat(top, path, FileType::CharacterDevice, Mode::empty(), 0)?;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: stat.st_atime,
            tv_nsec: stat.st_atime_nsec.cast_signed(),
        },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec.cast_signed(),
        },
    };
    rustix::fs::utimensat(top, directory, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Makes the marks of the index.
fn finish(image: &Path, layer: &Layer, files: &Path) -> Result<(), PackError> {
    let index = layer.index().map_err(|source| PackError::Layer {
        path: image.to_path_buf(),
        source: Box::new(source),
    })?;
    let top = open(files)?;
    for entry in &index.entries {
        let below = entry.path.strip_prefix(FILES_DIRECTORY.as_bytes());
        let Some(below) = below.map(|path| path.strip_prefix(b"/").unwrap_or(path)) else {
            continue;
        };
        let path = if below.is_empty() { &b"."[..] } else { below };
        let failed = |errno: Errno| host(&files.join(OsStr::from_bytes(below)))(errno.into());
        if entry.kind == EntryKind::Whiteout {
            whiteout(&top, path).map_err(failed)?;
            continue;
        }
        if entry.kind == EntryKind::OpaqueDirectory {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::openat(&top, path, flags, Mode::empty()).map_err(failed)?;
            rustix::fs::fsetxattr(&directory, OPAQUE, b"y", XattrFlags::empty()).map_err(failed)?;
        }
    }
    // Only who owns a folder sees what is its own.
    if let Ok(own) = rustix::fs::openat(&top, OWN_DIRECTORY, OFlags::DIRECTORY, Mode::empty()) {
        rustix::fs::fchmod(&own, Mode::from_raw_mode(0o700)).map_err(|errno| host(files)(errno.into()))?;
    }
    Ok(())
}
