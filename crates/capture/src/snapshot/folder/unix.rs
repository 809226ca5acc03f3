//! Folders of Unix.

use super::Walked;
use crate::snapshot::files::{Entry, EntryId, EntryKind, FilesBuilder};
use crate::snapshot::machine::{Problem, SnapshotError};
use crate::snapshot::registry;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_volume::kept::{DOS_ATTRIBUTES, attributes_of_wine};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Walks the folder `top`.
pub fn walk(top: &Path, is_prefix: bool) -> Result<Walked, SnapshotError> {
    let mut walk = Walk::new(top, is_prefix)?;
    while let Some((path, number)) = walk.pending.pop() {
        walk.directory(&path, number);
    }
    Ok(Walked {
        builder: walk.builder,
        problems: walk.problems,
        hive_paths: walk.hive_paths,
    })
}

struct Walk {
    builder: FilesBuilder,
    pending: Vec<(PathBuf, u32)>,
    problems: Vec<Problem>,
    hive_paths: HashMap<EntryId, PathBuf>,
    top: PathBuf,
    is_prefix: bool,
}

impl Walk {
    fn new(top: &Path, is_prefix: bool) -> Result<Self, SnapshotError> {
        let metadata = fs::metadata(top)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
        }
        let root = Entry::new(Vec::new(), EntryKind::Directory, id_of(&metadata));
        Ok(Self {
            builder: FilesBuilder::new(volume_of(&metadata), root),
            pending: vec![(top.to_path_buf(), 0)],
            problems: Vec::new(),
            hive_paths: HashMap::new(),
            top: top.to_path_buf(),
            is_prefix,
        })
    }

    fn problem(&mut self, path: &Path, reason: &str) {
        let path = path.strip_prefix(&self.top).unwrap_or(path);
        self.problems.push(Problem {
            path: path.display().to_string(),
            reason: reason.to_owned(),
        });
    }

    fn directory(&mut self, path: &Path, number: u32) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &error.to_string()),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.problem(path, &error.to_string());
                    continue;
                }
            };
            match entry.metadata() {
                Ok(metadata) => self.entry(&entry, &metadata, number),
                // It went away since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.problem(&entry.path(), &error.to_string()),
            }
        }
    }

    fn entry(&mut self, host: &fs::DirEntry, metadata: &Metadata, directory: u32) {
        let name = host.file_name();
        let bytes = name.as_encoded_bytes();
        let units = match cv_winname::wtf8::decode(bytes) {
            Ok(units) => units,
            Err(error) => return self.problem(&host.path(), &error.to_string()),
        };
        if let Err(fault) = cv_winname::check_stored_component(&units) {
            return self.problem(&host.path(), &fault.to_string());
        }
        let file_type = metadata.file_type();
        if directory == 0 && file_type.is_file() && !self.is_prefix && registry::is_loose(bytes) {
            return;
        }
        let kind = if file_type.is_dir() {
            EntryKind::Directory
        } else if file_type.is_file() {
            EntryKind::File
        } else if file_type.is_symlink() {
            EntryKind::Link
        } else {
            return self.problem(&host.path(), "a FIFO, a socket or a device");
        };
        let mut entry = Entry::new(bytes.to_vec(), kind, id_of(metadata));
        if kind == EntryKind::File {
            entry.size = metadata.len();
        }
        entry.modified = metadata.modified().map_or(0, ticks);
        entry.created = metadata.created().map_or(entry.modified, ticks);
        entry.changed = changed(metadata);
        if kind == EntryKind::File && metadata.permissions().readonly() {
            entry.attributes = FileAttributes::READONLY.bits();
        }
        if self.is_prefix && kind == EntryKind::File {
            entry.attributes |= of_wine(&host.path()).bits();
        }
        if kind == EntryKind::Link {
            match fs::read_link(host.path()) {
                Ok(target) => entry.reparse = Some(target.as_os_str().as_encoded_bytes().to_vec()),
                Err(error) => return self.problem(&host.path(), &error.to_string()),
            }
        }
        if kind == EntryKind::File && registry::may_be_hive(bytes) {
            self.hive_paths.insert(entry.id, host.path());
        }
        match self.builder.add(directory, entry) {
            Some(number) if kind == EntryKind::Directory => self.pending.push((host.path(), number)),
            Some(_) => {}
            None => self.problem(&host.path(), "more names than a snapshot can have"),
        }
    }
}

/// The attributes that Wine keeps of a file.
fn of_wine(path: &Path) -> FileAttributes {
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(path, DOS_ATTRIBUTES, &mut value[..]);
    length.map_or_else(
        |_| FileAttributes::empty(),
        |length| attributes_of_wine(&value[..length]),
    )
}

fn ticks(time: SystemTime) -> u64 {
    let time = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => NtfsTime::from_unix(after.as_secs().cast_signed(), after.subsec_nanos()),
        Err(before) => NtfsTime::from_unix(-before.duration().as_secs().cast_signed(), 0),
    };
    time.unwrap_or_default().0
}

fn changed(metadata: &Metadata) -> u64 {
    let nanoseconds = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
    NtfsTime::from_unix(metadata.ctime(), nanoseconds).unwrap_or_default().0
}

fn id_of(metadata: &Metadata) -> EntryId {
    EntryId(metadata.ino())
}

fn volume_of(metadata: &Metadata) -> u64 {
    metadata.dev()
}
