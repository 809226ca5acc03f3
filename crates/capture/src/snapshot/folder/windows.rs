//! Folders of Windows, and its drive C:, by handle.

use super::Walked;
use crate::snapshot::files::{Entry, EntryId, EntryKind, FilesBuilder, NamedStream};
use crate::snapshot::machine::{Problem, SnapshotError};
use crate::snapshot::registry;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::reparse::ReparseTag;
use cv_windows::{Access, Listed, Node};
use cv_winname::wtf8;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Walks the folder `top`, which is laid out as drive C: or that of a Wine prefix.
pub fn walk(top: &Path, is_prefix: bool) -> Result<Walked, SnapshotError> {
    Ok(Walk::new(top, !is_prefix, false, Vec::new())?.walk())
}

/// Walks the drive that Windows runs from, but what is at the paths `leave_out`.
pub fn live(drive: &Path, leave_out: &[PathBuf]) -> Result<Walked, SnapshotError> {
    let left_out = leave_out.iter().filter_map(|path| {
        // The name as the drive has it.
        let path = path.canonicalize().ok()?;
        let name = path.file_name()?.as_encoded_bytes().to_vec();
        let (id, _) = Node::top(&path).ok()?.id_and_links().ok()?;
        Some((EntryId(id), name))
    });
    Ok(Walk::new(drive, false, true, left_out.collect())?.walk())
}

struct Walk {
    builder: FilesBuilder,
    /// Directories to look into: the one above, the name there, and the number.
    pending: Vec<Pending>,
    problems: Vec<Problem>,
    hive_paths: HashMap<EntryId, PathBuf>,
    top: PathBuf,
    /// Whether files at the top may be parts of the registry, and none of the drive.
    has_loose: bool,
    /// Whether security is taken over: that of a machine is part of what was installed, that of any other folder is not.
    has_security: bool,
    /// What is passed over, by id and name.
    left_out: Vec<(EntryId, Vec<u8>)>,
    /// Descriptors by what they hold, and their numbers.
    securities: HashMap<Vec<u8>, u32>,
    is_wine: bool,
}

struct Pending {
    above: Arc<Node>,
    name: Vec<u16>,
    /// From the top, names separated by `/`.
    path: Vec<u8>,
    number: u32,
}

impl Walk {
    fn new(
        top: &Path,
        has_loose: bool,
        has_security: bool,
        left_out: Vec<(EntryId, Vec<u8>)>,
    ) -> Result<Self, SnapshotError> {
        let node = Node::top(top)?;
        let (id, _) = node.id_and_links()?;
        let root = Entry::new(Vec::new(), EntryKind::Directory, EntryId(id));
        let is_wine = cv_windows::machine::is_wine();
        let mut walk = Self {
            builder: FilesBuilder::new(node.volume_serial()?, root),
            pending: Vec::new(),
            problems: Vec::new(),
            hive_paths: HashMap::new(),
            top: top.to_path_buf(),
            has_loose,
            // Those that Wine gives are made of the host's modes.
            has_security: has_security && !is_wine,
            left_out,
            securities: HashMap::new(),
            is_wine,
        };
        walk.entries(&Arc::new(node), &[], 0);
        Ok(walk)
    }

    fn walk(mut self) -> Walked {
        while let Some(next) = self.pending.pop() {
            match next.above.open(&next.name, Access::List) {
                Ok(node) => self.entries(&Arc::new(node), &next.path, next.number),
                // It went away since the directory above was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.problem(&next.path, &error.to_string()),
            }
        }
        Walked {
            builder: self.builder,
            problems: self.problems,
            hive_paths: self.hive_paths,
        }
    }

    fn problem(&mut self, path: &[u8], reason: &str) {
        self.problems.push(Problem {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: reason.to_owned(),
        });
    }

    fn entries(&mut self, node: &Arc<Node>, path: &[u8], number: u32) {
        let entries = match node.entries() {
            Ok(entries) => entries,
            Err(error) => return self.problem(path, &error.to_string()),
        };
        for listed in &entries {
            let name = wtf8::encode(&listed.name);
            let below = if path.is_empty() {
                name.clone()
            } else {
                [path, b"/", &name].concat()
            };
            match self.entry(node, listed, name, &below, number) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.problem(&below, &error.to_string()),
            }
        }
    }

    fn entry(
        &mut self,
        above: &Arc<Node>,
        listed: &Listed,
        name: Vec<u8>,
        path: &[u8],
        directory: u32,
    ) -> io::Result<()> {
        cv_winname::check_stored_component(&listed.name).map_err(|fault| io::Error::other(fault.to_string()))?;
        let id = EntryId(listed.id);
        if self.left_out.iter().any(|(left, named)| *left == id && *named == name) {
            return Ok(());
        }
        let is_directory = listed.basic.is_directory();
        let is_loose = self.has_loose && directory == 0 && !is_directory && registry::is_loose(&name);
        if is_loose {
            return Ok(());
        }
        let kind = if is_directory {
            EntryKind::Directory
        } else {
            EntryKind::File
        };
        let mut entry = Entry::new(name, kind, id);
        if !is_directory {
            entry.size = listed.size;
        }
        entry.created = listed.basic.created;
        entry.modified = listed.basic.modified;
        entry.changed = listed.basic.changed;
        entry.attributes = self.attributes(listed);
        let is_reparse_point = listed.basic.is_reparse_point();
        if is_reparse_point || !self.is_wine {
            self.look(above, listed, &mut entry)?;
        }
        if entry.kind == EntryKind::File && registry::may_be_hive(&entry.name) {
            self.hive_paths.insert(id, self.host_path(path));
        }
        let is_entered = entry.kind == EntryKind::Directory;
        match self.builder.add(directory, entry) {
            Some(number) if is_entered => self.pending.push(Pending {
                above: above.clone(),
                name: listed.name.clone(),
                path: path.to_vec(),
                number,
            }),
            Some(_) => {}
            None => return Err(io::Error::other("more names than a snapshot can have")),
        }
        Ok(())
    }

    /// What only the file itself tells: reparse data, streams, security.
    fn look(&mut self, above: &Node, listed: &Listed, entry: &mut Entry) -> io::Result<()> {
        let node = above.open(&listed.name, Access::Look)?;
        if listed.basic.is_reparse_point() {
            match node.reparse_data() {
                Ok(Some(data)) => {
                    let tag = data.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
                    if ReparseTag(tag).is_name_surrogate() {
                        entry.kind = EntryKind::Link;
                        entry.reparse = Some(data);
                    } else if entry.size == 0 && entry.kind == EntryKind::File {
                        entry.reparse = Some(data);
                    }
                    // Behind other data there is content, and that is what is read.
                }
                // So are the links of Wine's host to folders elsewhere, and nothing is behind them that was installed.
                _ if self.is_wine => entry.kind = EntryKind::Link,
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_wine {
            return Ok(());
        }
        entry.streams = node
            .streams()?
            .into_iter()
            .map(|stream| NamedStream {
                name: stream.name,
                size: stream.size,
            })
            .collect();
        if self.has_security
            && let Some(descriptor) = node.security()?
        {
            let known = self.securities.get(&descriptor).copied();
            entry.security = known.unwrap_or_else(|| self.builder.add_security(&descriptor));
            self.securities.insert(descriptor, entry.security);
        }
        Ok(())
    }

    /// The attributes. Wine says of every file that it is to be archived, and of those whose names begin with a dot that they
    /// are hidden, which nobody has said.
    fn attributes(&self, listed: &Listed) -> u32 {
        let mut attributes = FileAttributes::from_bits_retain(listed.basic.attributes);
        if self.is_wine {
            attributes -= FileAttributes::ARCHIVE;
            if listed.name.first() == Some(&u16::from(b'.')) {
                attributes -= FileAttributes::HIDDEN;
            }
            if listed.basic.is_directory() {
                attributes -= FileAttributes::READONLY;
            }
        }
        attributes.bits()
    }

    fn host_path(&self, path: &[u8]) -> PathBuf {
        crate::snapshot::storage::below(&self.top, path)
    }
}
