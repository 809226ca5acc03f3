//! An NTFS volume, or the file tree of a layer, read in place.

use super::marks::{MarkedDirectory, Marks};
use super::{Content, MemberError, Site};
use crate::integrity::Verifier;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::{FileAttributes, FileReference, Namespace};
use cv_ntfs::{Directory, DirectoryEntry, File, FileError, Volume};
use cv_overlay::{Kind, NamePath, Names};
use cv_winname::check_stored_component;
use rustix::io::Errno;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

/// Names in a path at most; what is deeper is no path but a loop.
const DEEPEST: usize = 16_384;

/// A volume in the stack.
#[derive(Debug)]
pub struct NtfsMember {
    volume: Volume,
    root: Option<FileReference>,
    names: Arc<Names>,
    marks: Marks,
    site: Site,
    verifier: Option<Arc<Verifier>>,
}

/// An entry of a volume.
#[derive(Debug)]
pub struct NtfsEntry {
    pub(super) name: Box<[u16]>,
    /// Its file; of a whiteout none.
    pub reference: FileReference,
    pub(super) kind: Kind,
    /// Whether it is the root of a prefix, in which the tree is drive C:.
    is_prefix: bool,
    /// The directory it is in; `None` for the root of the tree, what is above it, and whiteouts.
    parent: Option<Arc<NtfsEntry>>,
    marks: Option<MarkedDirectory>,
    directory: OnceLock<Box<Directory>>,
}

impl NtfsEntry {
    /// The path by which a layer's index lists it.
    fn index_path(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(directory) = &at.parent {
            names.push(&at.name);
            at = directory;
        }
        let mut path = layerfmt::FILES_DIRECTORY.as_bytes().to_vec();
        for name in names.iter().rev() {
            path.push(b'/');
            cv_winname::wtf8::encode_into(name, &mut path);
        }
        path
    }

    /// Whether a directory of this record is on the way here.
    fn is_within(self: &Arc<Self>, record: u64) -> bool {
        let mut at = Some(self);
        while let Some(directory) = at {
            if directory.reference.record() == record {
                return true;
            }
            at = directory.parent.as_ref();
        }
        false
    }
}

impl NtfsMember {
    /// The tree below `root`, a directory of `volume`; without one there are no files.
    pub fn new(volume: Volume, root: Option<FileReference>, names: Arc<Names>, marks: Marks) -> Self {
        Self {
            volume,
            root,
            names,
            marks,
            site: Site::Drive,
            verifier: None,
        }
    }

    /// The tree stands in a view whose root is this.
    pub fn stand_in(&mut self, site: Site) {
        self.site = site;
    }

    /// What the root of the view is.
    pub fn site(&self) -> Site {
        self.site
    }

    /// Gives nothing from now on that is not what the layer's index says.
    pub fn verify_by(&mut self, verifier: Arc<Verifier>) {
        self.verifier = Some(verifier);
    }

    /// A stream of an entry, whose file this is: the unnamed one has an empty name. What it gives is verified where that was
    /// asked for.
    pub fn stream(&self, entry: &NtfsEntry, file: &File, name: &[u16]) -> Result<Content, Errno> {
        match &self.verifier {
            Some(verifier) => {
                let opened = verifier.open(entry.index_path(), file, name);
                Ok(Content::Verified(opened.map_err(|_| Errno::IO)?))
            }
            None if name.is_empty() => Ok(Content::Plain(file.content().map_err(|_| Errno::IO)?)),
            None => Ok(Content::Plain(file.stream(name).map_err(|_| Errno::IO)?)),
        }
    }

    /// The volume.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The file of an entry.
    pub fn file(&self, reference: FileReference) -> Result<File, FileError> {
        self.volume.file_by_reference(reference)
    }

    pub(super) fn root(&self) -> Option<Arc<NtfsEntry>> {
        match self.site {
            Site::Drive => self.tree(&[]),
            // The prefix has nothing but the drive, and looks like it.
            Site::Prefix => Some(Arc::new(NtfsEntry {
                name: Box::default(),
                reference: self.root?,
                kind: Kind::Directory,
                is_prefix: true,
                parent: None,
                marks: None,
                directory: OnceLock::new(),
            })),
        }
    }

    /// The root of the tree, under the name that it has in the view.
    fn tree(&self, name: &[u16]) -> Option<Arc<NtfsEntry>> {
        let marks = self.marks.root();
        Some(Arc::new(NtfsEntry {
            name: name.into(),
            reference: self.root?,
            kind: self.marks.mark(marks).unwrap_or(Kind::Directory),
            is_prefix: false,
            parent: None,
            marks: Some(marks),
            directory: OnceLock::new(),
        }))
    }

    fn directory<'e>(&self, entry: &'e NtfsEntry) -> Result<&'e Directory, MemberError> {
        if let Some(known) = entry.directory.get() {
            return Ok(known);
        }
        let opened = self.file(entry.reference)?.directory()?;
        Ok(entry.directory.get_or_init(|| Box::new(opened)))
    }

    fn marked(&self, directory: &NtfsEntry, name: &[u16]) -> Option<MarkedDirectory> {
        self.marks.child(directory.marks?, name, &self.names)
    }

    fn whiteout(name: &[u16]) -> Arc<NtfsEntry> {
        Arc::new(NtfsEntry {
            name: name.into(),
            reference: FileReference::new(0, 0),
            kind: Kind::Whiteout,
            is_prefix: false,
            parent: None,
            marks: None,
            directory: OnceLock::new(),
        })
    }

    pub(super) fn lookup(
        &self,
        directory: &Arc<NtfsEntry>,
        name: &[u16],
    ) -> Result<Option<Arc<NtfsEntry>>, MemberError> {
        if directory.is_prefix {
            let drive = self.site.drive().filter(|drive| self.names.equal(drive, name));
            return Ok(drive.and_then(|drive| self.tree(&drive)));
        }
        let marks = self.marked(directory, name);
        if marks.is_some_and(|marks| self.marks.mark(marks) == Some(Kind::Whiteout)) {
            return Ok(Some(Self::whiteout(name)));
        }
        match self.directory(directory)?.find(name)? {
            Some(found) if !found.is_short_name() && Self::is_seen(directory, &found) => {
                if self.names.is_case_sensitive() && found.name() != name {
                    return Ok(None);
                }
                Ok(Some(Arc::new(self.entry(directory, found, marks)?)))
            }
            _ => Ok(None),
        }
    }

    /// The long name of what has this 8.3 name in a directory.
    pub(super) fn long_name(&self, directory: &NtfsEntry, short: &[u16]) -> Result<Option<Vec<u16>>, MemberError> {
        if directory.is_prefix {
            return Ok(None);
        }
        let found = self.directory(directory)?.find(short)?;
        let Some(found) = found.filter(DirectoryEntry::is_short_name) else {
            return Ok(None);
        };
        let file = self.file(found.reference)?;
        let long = file.names().find(|name| {
            name.namespace() == Namespace::WIN32 && name.parent().record() == directory.reference.record()
        });
        Ok(long.map(|name| name.name))
    }

    pub(super) fn list(&self, directory: &Arc<NtfsEntry>) -> Result<Vec<Arc<NtfsEntry>>, MemberError> {
        if directory.is_prefix {
            let drive = self.site.drive();
            return Ok(drive.and_then(|drive| self.tree(&drive)).into_iter().collect());
        }
        let mut entries = Vec::new();
        for found in self.directory(directory)?.entries() {
            let found = found?;
            if Self::is_seen(directory, &found) {
                let marks = self.marked(directory, found.name());
                entries.push(Arc::new(self.entry(directory, found, marks)?));
            }
        }
        let compare = |left: &Arc<NtfsEntry>, right: &Arc<NtfsEntry>| self.names.compare(&left.name, &right.name);
        // A volume may have another table, or names that differ in case alone.
        if !entries.is_sorted_by(|left, right| compare(left, right).is_lt()) {
            entries.sort_by(compare);
            entries.dedup_by(|later, earlier| compare(later, earlier).is_eq());
        }
        let whiteouts = match directory.marks {
            Some(marks) => self.marks.whiteouts(marks).map(Self::whiteout).collect(),
            None => Vec::new(),
        };
        Ok(Marks::merged(whiteouts, entries, compare))
    }

    /// Whether the view may show it: the volume's own files, names that no path can hold and directories that lie in
    /// themselves stay out.
    fn is_seen(directory: &Arc<NtfsEntry>, found: &DirectoryEntry) -> bool {
        const SYSTEM_RECORDS: u64 = 24;
        let record = found.reference.record();
        let is_own = record < SYSTEM_RECORDS && directory.reference.record() < SYSTEM_RECORDS;
        let is_loop = found.file_name.is_directory() && directory.is_within(record);
        !is_own && !is_loop && check_stored_component(found.name()).is_ok()
    }

    fn entry(
        &self,
        directory: &Arc<NtfsEntry>,
        found: DirectoryEntry,
        marks: Option<MarkedDirectory>,
    ) -> Result<NtfsEntry, MemberError> {
        let is_reparse_point = found
            .file_name
            .header
            .file_attributes
            .contains(FileAttributes::REPARSE_POINT);
        let mut kind = if found.file_name.is_directory() {
            Kind::Directory
        } else {
            Kind::File
        };
        if is_reparse_point {
            kind = match self.file(found.reference)?.reparse_point()? {
                Some(ReparsePoint::Symlink { .. } | ReparsePoint::LxSymlink { .. }) => Kind::Symlink,
                Some(point) if point.tag().is_name_surrogate() => Kind::Junction,
                _ => kind,
            };
        }
        if kind == Kind::Directory
            && let Some(mark) = marks.and_then(|marks| self.marks.mark(marks))
        {
            kind = mark;
        }
        Ok(NtfsEntry {
            name: found.file_name.name.into(),
            reference: found.reference,
            kind,
            is_prefix: false,
            parent: Some(directory.clone()),
            marks: marks.filter(|_| kind.is_directory()),
            directory: OnceLock::new(),
        })
    }

    pub(super) fn other_links(&self, entry: &NtfsEntry) -> Result<Vec<NamePath>, MemberError> {
        let file = self.file(entry.reference)?;
        let long: Vec<_> = file.names().filter(|name| name.namespace() != Namespace::DOS).collect();
        if long.len() < 2 {
            return Ok(Vec::new());
        }
        let directory = entry.parent.as_ref().map_or(0, |parent| parent.reference.record());
        let mut paths = Vec::new();
        for name in long {
            if name.parent().record() == directory && self.names.equal(&name.name, &entry.name) {
                continue;
            }
            if let Some(mut path) = self.path_of(name.parent())? {
                path.push(&name.name);
                paths.push(path);
            }
        }
        Ok(paths)
    }

    /// The path of a directory from the root of the tree; `None` where it is elsewhere.
    fn path_of(&self, directory: FileReference) -> Result<Option<NamePath>, MemberError> {
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        let mut at = directory;
        while Some(at.record()) != self.root.map(FileReference::record) {
            if names.len() >= DEEPEST || !seen.insert(at.record()) {
                return Ok(None);
            }
            let file = match self.file(at) {
                Ok(file) => file,
                Err(error) if error.is_damage() => return Err(error.into()),
                Err(_) => return Ok(None),
            };
            let Some(name) = file.names().find(|name| name.namespace() != Namespace::DOS) else {
                return Ok(None);
            };
            at = name.parent();
            names.push(name.name);
        }
        let path: NamePath = names.iter().rev().map(Vec::as_slice).collect();
        Ok(Some(self.site.in_view(&path)))
    }
}
