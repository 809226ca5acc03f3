//! From a folder of the host to a tree of a volume.

use super::attributes::{Brought, Reader};
use super::link::{LinkTarget, ntfs_target};
use crate::kept::{IMPLIED, usual_attributes};
use crate::pack::source::{HostFolder, TOP};
use crate::pack::{FolderError, FolderOptions, HostSecurity, HostTimes, HostTree, LeftOut, Problem, SymlinkStyle};
use crate::place_security::{FolderSecurity, PlaceSecurity};
use cv_disk::Progress;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::{FileId, Metadata, NameRule, StreamContent, Times, Tree, TreeError};
use cv_winname::wtf8;
use rustix::fs::{AtFlags, Dir, FileType, Statx, StatxFlags};
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

/// Problems told at most.
const LISTED: usize = 1000;

/// Walks the folder `top`, whose path is `path`.
pub fn walk(
    top: OwnedFd,
    path: Option<PathBuf>,
    options: &FolderOptions,
    progress: &dyn Progress,
) -> Result<HostTree, FolderError> {
    let mut walk = Walk {
        reader: Reader::new(&proc_path(&top, b".")),
        path,
        options,
        tree: Tree::new(),
        source: HostFolder::new(top),
        descriptors: PlaceSecurity::default(),
        hard_links: HashMap::new(),
        object_ids: HashSet::new(),
        pending: Vec::new(),
        left_out: LeftOut::default(),
        problems: Vec::new(),
        omitted: 0,
        newest: NtfsTime(0),
    };
    walk.top()?;
    while let Some(directory) = walk.pending.pop() {
        progress.advance(0)?;
        walk.directory(&directory)?;
    }
    if walk.problems.is_empty() {
        Ok(HostTree {
            tree: walk.tree,
            source: walk.source,
            left_out: walk.left_out,
            newest: walk.newest,
        })
    } else {
        walk.problems.sort_by(|left, right| left.path.cmp(&right.path));
        Err(FolderError::Problems {
            problems: walk.problems,
            omitted: walk.omitted,
        })
    }
}

/// A directory still to be read.
pub(super) struct Pending {
    /// In the tree.
    pub(super) file: FileId,
    /// In the source.
    pub(super) number: u32,
    pub(super) security: Option<FolderSecurity>,
}

pub(super) struct Walk<'a> {
    pub(super) options: &'a FolderOptions,
    pub(super) path: Option<PathBuf>,
    pub(super) reader: Reader,
    pub(super) tree: Tree,
    pub(super) source: HostFolder,
    pub(super) descriptors: PlaceSecurity,
    /// Files with several names, by device and inode.
    pub(super) hard_links: HashMap<(u32, u32, u64), FileId>,
    pub(super) object_ids: HashSet<[u8; 16]>,
    pub(super) pending: Vec<Pending>,
    pub(super) left_out: LeftOut,
    pub(super) problems: Vec<Problem>,
    pub(super) omitted: u64,
    pub(super) newest: NtfsTime,
}

/// An entry of a directory on its way into the tree.
pub(super) struct Entry<'a> {
    pub(super) directory: &'a Pending,
    pub(super) folder: &'a Arc<OwnedFd>,
    pub(super) name: &'a [u8],
    pub(super) units: Vec<u16>,
    pub(super) stat: Statx,
    pub(super) brought: Brought,
}

/// A path to the entry `name` of an open folder, which calls that have no other form take.
fn proc_path(folder: &OwnedFd, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", folder.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

pub(super) fn stat(folder: &OwnedFd, name: &[u8]) -> rustix::io::Result<Statx> {
    rustix::fs::statx(
        folder,
        name,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS | StatxFlags::BTIME,
    )
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(stat.stx_mode))
}

impl Walk<'_> {
    #[expect(clippy::needless_pass_by_value, reason = "a text, or what becomes one")]
    pub(super) fn problem(&mut self, directory: u32, name: &[u8], reason: impl ToString) {
        if self.problems.len() < LISTED {
            self.problems.push(Problem {
                path: self.source.path(directory, name),
                reason: reason.to_string(),
            });
        } else {
            self.omitted += 1;
        }
    }

    /// Whatever the tree refuses is a problem of the file, but that it is full.
    pub(super) fn refused(&mut self, directory: u32, name: &[u8], error: &TreeError) -> Result<(), FolderError> {
        if *error == TreeError::Full {
            return Err(TreeError::Full.into());
        }
        let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        self.problem(directory, name, reason);
        Ok(())
    }

    fn top(&mut self) -> Result<(), FolderError> {
        let folder = self.source.open_folder(TOP).map_err(FolderError::Folder)?;
        let stat = stat(&folder, b".").map_err(|error| FolderError::Folder(error.into()))?;
        let brought = self.reader.read(&proc_path(&folder, b".")).unwrap_or_default();
        let security = match (&brought.security, self.options.security) {
            (_, HostSecurity::None) | (None, HostSecurity::Brought) => None,
            (Some(bytes), _) => Some(FolderSecurity::with(self.descriptors.brought(&mut self.tree, bytes)?)),
            (None, _) => Some(self.descriptors.root(&mut self.tree)?),
        };
        let metadata = Metadata {
            security: security.map(FolderSecurity::id),
            ..self.metadata(&stat, &brought, b".")
        };
        self.tree.set_metadata(Tree::ROOT, &metadata);
        for (name, value) in &brought.streams {
            match wtf8::decode(name) {
                Ok(units) => {
                    if let Err(error) = self.tree.add_stream(Tree::ROOT, &units, StreamContent::Bytes(value)) {
                        self.refused(TOP, b".", &error)?;
                    }
                }
                Err(error) => self.problem(TOP, b".", format!("a stream's name: {error}")),
            }
        }
        self.pending.push(Pending {
            file: Tree::ROOT,
            number: TOP,
            security,
        });
        Ok(())
    }

    fn directory(&mut self, directory: &Pending) -> Result<(), FolderError> {
        let read = || -> std::io::Result<(Arc<OwnedFd>, Vec<Vec<u8>>)> {
            let folder = self.source.open_folder(directory.number)?;
            let mut names = Vec::new();
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.push(name.to_vec());
                }
            }
            // So that nothing depends on the order the host has them in.
            names.sort_unstable();
            Ok((folder, names))
        };
        let (folder, names) = match read() {
            Ok(read) => read,
            Err(error) => {
                self.problem(directory.number, b".", format!("cannot read the folder: {error}"));
                return Ok(());
            }
        };
        let has_streams = names.iter().any(|name| name.contains(&b':'));
        let mut by_name: HashMap<&[u8], FileId> = HashMap::new();
        for name in &names {
            let is_stream = stream_parts(name).is_some_and(|(file, _)| is_one_of(&names, directory, file));
            if is_stream {
                continue;
            }
            if let Some(file) = self.entry(directory, &folder, name)?
                && has_streams
            {
                by_name.insert(name, file);
            }
        }
        if has_streams {
            for name in &names {
                let Some((file, stream)) = stream_parts(name) else {
                    continue;
                };
                let file = if file.is_empty() {
                    Some(&Tree::ROOT)
                } else {
                    by_name.get(file)
                };
                if let Some(file) =
                    file.filter(|_| is_one_of(&names, directory, stream_parts(name).unwrap_or_default().0))
                {
                    self.stream_file(directory, &folder, name, *file, stream)?;
                }
            }
        }
        Ok(())
    }

    /// Adds what `name` is; gives its file where there is one.
    fn entry(
        &mut self,
        directory: &Pending,
        folder: &Arc<OwnedFd>,
        name: &[u8],
    ) -> Result<Option<FileId>, FolderError> {
        let Ok(units) = wtf8::decode(name) else {
            self.problem(directory.number, name, "the name is not UTF-8");
            return Ok(None);
        };
        let check = match self.options.name_rule {
            NameRule::Windows => cv_winname::check_component(&units),
            NameRule::Any => cv_winname::check_stored_component(&units),
        };
        if let Err(fault) = check {
            self.problem(directory.number, name, fault);
            return Ok(None);
        }
        let stat = match stat(folder, name) {
            Ok(stat) => stat,
            Err(error) => {
                self.problem(directory.number, name, format!("cannot read what it is: {error}"));
                return Ok(None);
            }
        };
        let kind = file_type(&stat);
        if !matches!(kind, FileType::Directory | FileType::RegularFile | FileType::Symlink) {
            self.left_out.special.note(self.source.path(directory.number, name));
            return Ok(None);
        }
        let inode = (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let is_shared = kind != FileType::Directory && stat.stx_nlink > 1;
        if let Some(file) = self.hard_links.get(&inode).filter(|_| is_shared) {
            let file = *file;
            return match self.tree.add_link(directory.file, &units, file) {
                Ok(()) => Ok(Some(file)),
                Err(error) => self.refused(directory.number, name, &error).map(|()| None),
            };
        }
        let brought = match self.reader.read(&proc_path(folder, name)) {
            Ok(brought) => brought,
            Err(reason) => {
                self.problem(directory.number, name, reason);
                return Ok(None);
            }
        };
        let entry = Entry {
            directory,
            folder,
            name,
            units,
            stat,
            brought,
        };
        match self.add(&entry, kind) {
            Ok(file) => {
                if let Some(file) = file.filter(|_| is_shared) {
                    self.hard_links.insert(inode, file);
                }
                Ok(file)
            }
            Err(error) => self.refused(directory.number, name, &error).map(|()| None),
        }
    }

    fn add(&mut self, entry: &Entry<'_>, kind: FileType) -> Result<Option<FileId>, TreeError> {
        let mut metadata = self.metadata(&entry.stat, &entry.brought, entry.name);
        let mut reparse = entry.brought.reparse.clone();
        let mut is_directory = kind == FileType::Directory;
        if kind == FileType::Symlink {
            if reparse.is_some() {
                // A mount shows links of either kind as links.
                let attributes = entry.brought.attributes.unwrap_or_default();
                is_directory = attributes.contains(FileAttributes::DIRECTORY);
            } else {
                match self.link(entry) {
                    Ok((data, directory)) => (reparse, is_directory) = (Some(data), directory),
                    Err(reason) => {
                        self.problem(entry.directory.number, entry.name, reason);
                        return Ok(None);
                    }
                }
            }
            if entry.brought.attributes.is_none() {
                metadata.attributes = usual_attributes(is_directory);
            }
        }
        let (security, below) = self.security(entry, is_directory)?;
        metadata.security = security;
        let parent = entry.directory.file;
        let file = if is_directory {
            self.tree.add_directory(parent, &entry.units, &metadata)?
        } else {
            self.tree.add_file(parent, &entry.units, &metadata)?
        };
        if kind == FileType::Directory {
            let number = self.source.add_folder(entry.directory.number, entry.name);
            self.pending.push(Pending {
                file,
                number,
                security: below,
            });
        } else if !is_directory {
            self.content(entry, kind, file, &metadata, reparse.is_some())?;
        }
        if let Some(reparse) = reparse {
            self.tree.set_reparse_data(file, &reparse)?;
        }
        self.extras(entry, file)?;
        Ok(Some(file))
    }

    /// Reparse data for a symbolic link, and whether it is a directory's.
    fn link(&mut self, entry: &Entry<'_>) -> Result<(Vec<u8>, bool), String> {
        let target = rustix::fs::readlinkat(entry.folder.as_ref(), entry.name, Vec::new())
            .map_err(|error| format!("cannot read where the link leads: {error}"))?
            .into_bytes();
        let leads_to_directory = || {
            let followed = rustix::fs::statat(entry.folder.as_ref(), entry.name, AtFlags::empty());
            followed.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        };
        if self.options.symlinks == SymlinkStyle::Ntfs {
            let folder = self.source.path(entry.directory.number, b"");
            match ntfs_target(&target, &folder, self.path.as_deref()) {
                LinkTarget::Relative(name) => {
                    let point = ReparsePoint::Symlink {
                        substitute_name: name.clone(),
                        print_name: name,
                        is_relative: true,
                    };
                    let data = point.to_bytes().ok_or("its target is too long")?;
                    return Ok((data, leads_to_directory()));
                }
                LinkTarget::Foreign => self
                    .left_out
                    .foreign_links
                    .note(self.source.path(entry.directory.number, entry.name)),
            }
        }
        let point = ReparsePoint::LxSymlink { version: 2, target };
        Ok((point.to_bytes().ok_or("its target is too long")?, false))
    }

    fn security(
        &mut self,
        entry: &Entry<'_>,
        is_directory: bool,
    ) -> Result<(Option<cv_ntfs::write::SecurityId>, Option<FolderSecurity>), TreeError> {
        if self.options.security == HostSecurity::Brought {
            let brought = entry.brought.security.as_ref();
            let id = brought
                .map(|bytes| self.descriptors.brought(&mut self.tree, bytes))
                .transpose()?;
            return Ok((id, None));
        }
        let Some(parent) = entry.directory.security else {
            return Ok((None, None));
        };
        if let Some(bytes) = &entry.brought.security {
            let id = self.descriptors.brought(&mut self.tree, bytes)?;
            return Ok((Some(id), Some(FolderSecurity::with(id))));
        }
        // Nobody but the owner may read it. The modes of symbolic links mean nothing.
        let is_private = self.options.security == HostSecurity::PlaceAndMode
            && file_type(&entry.stat) != FileType::Symlink
            && entry.stat.stx_mode & 0o044 == 0;
        if is_directory {
            let name = String::from_utf8_lossy(entry.name);
            let folder = self.descriptors.directory(&mut self.tree, parent, &name, is_private)?;
            Ok((Some(folder.id()), Some(folder)))
        } else {
            let id = self.descriptors.file(&mut self.tree, parent, is_private)?;
            Ok((Some(id), None))
        }
    }

    fn metadata(&mut self, stat: &Statx, brought: &Brought, name: &[u8]) -> Metadata {
        let is_directory = file_type(stat) == FileType::Directory;
        let mut attributes = brought.attributes.map_or_else(
            || usual_attributes(is_directory) | brought.of_wine,
            |kept| kept - IMPLIED,
        );
        if self.options.hide_dot_files && name.first() == Some(&b'.') && name != b"." {
            attributes |= FileAttributes::HIDDEN;
        }
        let time =
            |time: &rustix::fs::StatxTimestamp| NtfsTime::from_unix(time.tv_sec, time.tv_nsec).unwrap_or_default();
        let modification = time(&stat.stx_mtime);
        let times = brought.times.unwrap_or_else(|| match self.options.times {
            HostTimes::Modification => Times::all(modification),
            HostTimes::All => Times {
                creation: if stat.stx_mask & StatxFlags::BTIME.bits() != 0 {
                    time(&stat.stx_btime)
                } else {
                    modification
                },
                modification,
                change: time(&stat.stx_ctime),
                access: time(&stat.stx_atime),
            },
        });
        self.newest = self.newest.max(times.modification);
        Metadata {
            times,
            attributes,
            security: None,
        }
    }
}

/// The parts of a name that stands for a stream of a file beside it.
fn stream_parts(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = name.iter().position(|byte| *byte == b':')?;
    let (file, stream) = (&name[..colon], &name[colon + 1..]);
    (!stream.is_empty()).then_some((file, stream))
}

/// Whether the file that a stream would be of is there; in the top folder the root is.
fn is_one_of(names: &[Vec<u8>], directory: &Pending, file: &[u8]) -> bool {
    if file.is_empty() {
        return directory.number == TOP;
    }
    names.binary_search_by(|name| name.as_slice().cmp(file)).is_ok()
}
