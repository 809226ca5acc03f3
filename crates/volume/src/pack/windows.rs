//! Folders of Windows.

use super::source::{HostFolder, TOP};
use super::{FolderError, FolderOptions, HostSecurity, HostTimes, HostTree, LeftOut, Problem};
use crate::extract::Folder;
use crate::kept::{IMPLIED, usual_attributes};
use crate::place_security::{FolderSecurity, PlaceSecurity};
use cv_disk::Progress;
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::{Compression, FileId, Metadata, NameRule, StreamContent, Times, Tree, TreeError};
use cv_windows::{Access, Basic, Listed};
use cv_winname::wtf8;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Problems told at most.
const LISTED: usize = 1000;

/// Opens files and folders by name.
#[derive(Debug, Default)]
pub struct Opener {}

impl Opener {
    /// Opens a folder, which must be no link.
    #[expect(clippy::unused_self, reason = "other hosts remember what they may do")]
    pub fn folder(&self, folder: &Folder, name: &[u8]) -> io::Result<Folder> {
        folder.open(&units(name)?, Access::List)
    }

    /// Opens a file, or a stream behind a colon, for reading.
    #[expect(clippy::unused_self, reason = "other hosts remember what they may do")]
    pub fn file(&self, folder: &Folder, name: &[u8]) -> io::Result<File> {
        Ok(folder.open(&units(name)?, Access::Read)?.into_file())
    }
}

fn units(name: &[u8]) -> io::Result<Vec<u16>> {
    wtf8::decode(name).map_err(|_| io::ErrorKind::InvalidFilename.into())
}

/// Walks the folder `top`.
pub fn walk(
    top: Folder,
    _path: Option<PathBuf>,
    options: &FolderOptions,
    progress: &dyn Progress,
) -> Result<HostTree, FolderError> {
    let basic = top.basic().map_err(FolderError::Folder)?;
    let mut walk = Walk {
        options,
        tree: Tree::new(),
        source: HostFolder::new(top),
        descriptors: PlaceSecurity::default(),
        hard_links: HashMap::new(),
        pending: Vec::new(),
        problems: Vec::new(),
        omitted: 0,
        newest: NtfsTime(0),
    };
    let security = match options.security {
        HostSecurity::None | HostSecurity::Brought => None,
        HostSecurity::Place | HostSecurity::PlaceAndMode => Some(walk.descriptors.root(&mut walk.tree)?),
    };
    let metadata = Metadata {
        security: security.map(FolderSecurity::id),
        // The top of a drive is a hidden system folder, as the root of every volume is.
        attributes: usual_attributes(true),
        ..walk.metadata(&basic, &[])
    };
    walk.tree.set_metadata(Tree::ROOT, &metadata);
    walk.pending.push((Tree::ROOT, TOP, security));
    while let Some((file, number, security)) = walk.pending.pop() {
        progress.advance(0)?;
        walk.directory(file, number, security)?;
    }
    if !walk.problems.is_empty() {
        walk.problems.sort_by(|left, right| left.path.cmp(&right.path));
        return Err(FolderError::Problems {
            problems: walk.problems,
            omitted: walk.omitted,
        });
    }
    Ok(HostTree {
        tree: walk.tree,
        source: walk.source,
        left_out: LeftOut::default(),
        newest: walk.newest,
    })
}

struct Walk<'a> {
    options: &'a FolderOptions,
    tree: Tree,
    source: HostFolder,
    descriptors: PlaceSecurity,
    /// Files with several names, by id.
    hard_links: HashMap<u64, FileId>,
    /// Directories still to be read: in the tree, in the source, and what their files get.
    pending: Vec<(FileId, u32, Option<FolderSecurity>)>,
    problems: Vec<Problem>,
    omitted: u64,
    newest: NtfsTime,
}

/// Why an entry cannot be on the volume; that the tree is full ends it all.
enum Refusal {
    Told(String),
    Full,
}

impl From<TreeError> for Refusal {
    fn from(error: TreeError) -> Self {
        if error == TreeError::Full {
            return Self::Full;
        }
        Self::Told(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Told(error.to_string())
    }
}

impl Walk<'_> {
    fn problem(&mut self, folder: u32, name: &[u8], reason: String) {
        if self.problems.len() < LISTED {
            let path = self.source.path(folder, name);
            self.problems.push(Problem { path, reason });
        } else {
            self.omitted += 1;
        }
    }

    fn directory(&mut self, file: FileId, number: u32, security: Option<FolderSecurity>) -> Result<(), FolderError> {
        let read = || {
            let folder = self.source.open_folder(number)?;
            let entries = folder.entries()?;
            io::Result::Ok((folder, entries))
        };
        let (folder, mut entries) = match read() {
            Ok(read) => read,
            Err(error) => {
                self.problem(number, b".", format!("cannot read the folder: {error}"));
                return Ok(());
            }
        };
        // So that nothing depends on the order the host has them in.
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        for entry in &entries {
            match self.entry(file, (number, &folder), security, entry) {
                Ok(()) => {}
                Err(Refusal::Full) => return Err(TreeError::Full.into()),
                Err(Refusal::Told(reason)) => self.problem(number, &wtf8::encode(&entry.name), reason),
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: FileId,
        (number, folder): (u32, &Folder),
        security: Option<FolderSecurity>,
        entry: &Listed,
    ) -> Result<(), Refusal> {
        let check = match self.options.name_rule {
            NameRule::Windows => cv_winname::check_component(&entry.name),
            NameRule::Any => cv_winname::check_stored_component(&entry.name),
        };
        check.map_err(|fault| Refusal::Told(fault.to_string()))?;
        let node = folder.open(&entry.name, Access::Look)?;
        let (id, links) = node.id_and_links()?;
        let is_directory = entry.basic.is_directory();
        let is_shared = !is_directory && links > 1 && id != 0;
        if let Some(known) = self.hard_links.get(&id).filter(|_| is_shared) {
            return Ok(self.tree.add_link(parent, &entry.name, *known)?);
        }
        let reparse = if entry.basic.is_reparse_point() {
            node.reparse_data()?
        } else {
            None
        };
        let mut metadata = self.metadata(&entry.basic, &entry.name);
        let name = wtf8::encode(&entry.name);
        let mut below = None;
        if let Some(security) = security {
            metadata.security = Some(if is_directory {
                let shown = String::from_utf8_lossy(&name);
                let folder = self.descriptors.directory(&mut self.tree, security, &shown, false)?;
                below = Some(folder);
                folder.id()
            } else {
                self.descriptors.file(&mut self.tree, security, false)?
            });
        }
        let file = if is_directory {
            self.tree.add_directory(parent, &entry.name, &metadata)?
        } else {
            self.tree.add_file(parent, &entry.name, &metadata)?
        };
        if is_shared {
            self.hard_links.insert(id, file);
        }
        if is_directory && reparse.is_none() {
            let child = self.source.add_folder(number, &name);
            self.pending.push((file, child, below));
        } else if !is_directory {
            self.content(file, number, &name, entry, reparse.is_some())?;
        }
        if let Some(reparse) = &reparse {
            self.tree.set_reparse_data(file, reparse)?;
        }
        for stream in node.streams()? {
            let content = if stream.size == 0 {
                StreamContent::Bytes(&[])
            } else {
                let full = [&name[..], b":", &wtf8::encode(&stream.name)].concat();
                StreamContent::Source {
                    size: stream.size,
                    token: self.source.add_file(number, &full),
                }
            };
            self.tree.add_stream(file, &stream.name, content)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        file: FileId,
        number: u32,
        name: &[u8],
        entry: &Listed,
        has_reparse_data: bool,
    ) -> Result<(), TreeError> {
        if entry.size == 0 {
            self.tree.add_stream(file, &[], StreamContent::Bytes(&[]))?;
            return Ok(());
        }
        let attributes = FileAttributes::from_bits_retain(entry.basic.attributes);
        let compression = match self.options.compression {
            Compression::WofXpress4k if has_reparse_data => Compression::None,
            Compression::None if attributes.contains(FileAttributes::COMPRESSED) && self.options.small_clusters => {
                Compression::Lznt1
            }
            wanted => wanted,
        };
        let content = StreamContent::Source {
            size: entry.size,
            token: self.source.add_file(number, name),
        };
        self.tree.add_compressed_stream(file, &[], content, compression)?;
        Ok(())
    }

    fn metadata(&mut self, basic: &Basic, name: &[u16]) -> Metadata {
        let mut attributes = FileAttributes::from_bits_retain(basic.attributes) - IMPLIED;
        let is_dot_file = name.first() == Some(&u16::from(b'.'));
        if is_dot_file && self.options.hide_dot_files {
            attributes |= FileAttributes::HIDDEN;
        }
        if is_dot_file && !self.options.hide_dot_files && cv_windows::machine::is_wine() {
            // It hides them all, whatever they are on the host.
            attributes -= FileAttributes::HIDDEN;
        }
        let modification = NtfsTime(basic.modified);
        self.newest = self.newest.max(modification);
        Metadata {
            times: match self.options.times {
                HostTimes::Modification => Times::all(modification),
                HostTimes::All => Times {
                    creation: NtfsTime(basic.created),
                    modification,
                    change: NtfsTime(basic.changed),
                    access: NtfsTime(basic.accessed),
                },
            },
            attributes,
            security: None,
        }
    }
}
