//! A folder of the host: a base, or the writable volume.
//!
//! A writable folder marks what it hides as the overlay file system of Linux does with its option `userxattr`: a whiteout is
//! a character device of number 0/0, an opaque directory has the extended attribute `user.overlay.opaque` with the value
//! `y`. Both appear and vanish with one rename, so that no kill leaves half of a change, and Linux itself can mount the
//! folder over the same base.

use super::{MemberError, PREFIX_DIRECTORY, Site};
use cv_overlay::{Kind, NamePath, Names};
use cv_winname::wtf8;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the project keeps for itself in the root of a writable folder.
pub const OWN_DIRECTORY: &str = ".cvlayer";

/// The extended attribute of an opaque directory.
pub const OPAQUE: &str = "user.overlay.opaque";

/// Names of listed directories kept in memory.
const NAMES_KEPT: usize = 500_000;

/// A folder in the stack.
#[derive(Debug)]
pub struct FolderMember {
    root: OwnedFd,
    names: Arc<Names>,
    is_writable: bool,
    site: Site,
    listings: Mutex<Listings>,
}

/// An entry of a folder.
#[derive(Debug)]
pub struct FolderEntry {
    /// The path on the host from the root of the folder; empty for that itself.
    pub path: Box<[u8]>,
    pub(super) name: Box<[u16]>,
    /// What it is.
    pub kind: Kind,
}

/// Directories as they were listed last, by their paths.
#[derive(Debug, Default)]
struct Listings {
    known: HashMap<Box<[u8]>, Listing>,
    names: usize,
}

#[derive(Debug, Clone)]
struct Listing {
    /// When the directory was changed last, of one that others may change.
    stamp: (i64, i64),
    entries: Vec<(Box<[u16]>, Kind)>,
}

/// The path of a name in a directory.
pub fn joined(directory: &[u8], name: &[u16]) -> Box<[u8]> {
    let mut path = Vec::with_capacity(directory.len() + name.len() + 1);
    if !directory.is_empty() {
        path.extend_from_slice(directory);
        path.push(b'/');
    }
    wtf8::encode_into(name, &mut path);
    path.into()
}

/// The path of a directory and the last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Modification time, in seconds and nanoseconds; also tells what took the place of a directory from it.
fn stamp(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec.cast_signed())
}

impl FolderMember {
    /// The folder that `root` is open on. Only a writable one has whiteouts and opaque directories.
    pub fn new(root: OwnedFd, names: Arc<Names>, is_writable: bool) -> Self {
        Self {
            root,
            names,
            is_writable,
            site: Site::Drive,
            listings: Mutex::default(),
        }
    }

    /// The folder stands in a view whose root is this. It is itself drive C:, wherever that is there.
    #[must_use]
    pub fn standing_in(self, site: Site) -> Self {
        Self { site, ..self }
    }

    /// What the root of the view is.
    pub fn site(&self) -> Site {
        self.site
    }

    /// Where a path of the view is in the folder, on the host.
    pub fn host_path(&self, path: &NamePath) -> Vec<u8> {
        self.site.host_path(path, &self.names)
    }

    /// The open folder.
    pub fn root_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens what is at a path below the folder, never through a link.
    pub fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(
            &self.root,
            or_dot(path),
            flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
            resolve,
        )
    }

    /// Opens a directory for work on its entries.
    pub fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::DIRECTORY | OFlags::RDONLY)
    }

    /// What the host says of a path.
    pub fn stat(&self, path: &[u8]) -> Result<Stat, Errno> {
        rustix::fs::statat(&self.root, or_dot(path), AtFlags::SYMLINK_NOFOLLOW)
    }

    fn listings(&self) -> MutexGuard<'_, Listings> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn root(&self) -> Arc<FolderEntry> {
        match self.site {
            Site::Drive => self.directory_at(b"", &[]),
            Site::Prefix => self.directory_at(PREFIX_DIRECTORY.as_bytes(), &[]),
        }
    }

    fn directory_at(&self, path: &[u8], name: &[u16]) -> Arc<FolderEntry> {
        let kind = if self.is_opaque(path) {
            Kind::OpaqueDirectory
        } else {
            Kind::Directory
        };
        Arc::new(FolderEntry {
            path: path.into(),
            name: name.into(),
            kind,
        })
    }

    /// The directory that is drive C:, of the root of a prefix.
    fn drive_in(&self, directory: &FolderEntry) -> Option<Arc<FolderEntry>> {
        let drive = self.site.drive()?;
        (*directory.path == *PREFIX_DIRECTORY.as_bytes()).then(|| self.directory_at(b"", &drive))
    }

    fn is_opaque(&self, path: &[u8]) -> bool {
        if !self.is_writable {
            return false;
        }
        let mut value = [0_u8; 1];
        let Ok(directory) = self.open_directory(path) else {
            return false;
        };
        matches!(rustix::fs::fgetxattr(&directory, OPAQUE, &mut value[..]), Ok(1)) && value == *b"y"
    }

    /// Looks into the listing of a directory, which is read where it is not known.
    fn with_listing<T>(&self, path: &[u8], look: impl FnOnce(&Listing) -> T) -> Result<T, Errno> {
        let now = if self.is_writable {
            (0, 0)
        } else {
            stamp(&self.stat(path)?)
        };
        let mut listings = self.listings();
        if let Some(known) = listings.known.get(path)
            && known.stamp == now
        {
            return Ok(look(known));
        }
        // Read under the lock, so that a change of the directory finds the listing either whole or not yet begun.
        let listing = self.read_listing(path, now)?;
        let found = look(&listing);
        listings.put(path, listing);
        Ok(found)
    }

    fn read_listing(&self, path: &[u8], stamp: (i64, i64)) -> Result<Listing, Errno> {
        let directory = self.open_directory(path)?;
        let mut entries: Vec<(Box<[u16]>, Kind)> = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let bytes = entry.file_name().to_bytes();
            if matches!(bytes, b"." | b"..")
                || (self.is_writable && path.is_empty() && bytes == OWN_DIRECTORY.as_bytes())
            {
                continue;
            }
            // A name that is no text cannot be shown to Windows programs.
            let Ok(name) = wtf8::decode(bytes) else { continue };
            let mut file_type = entry.file_type();
            let is_device = file_type == FileType::CharacterDevice && self.is_writable;
            let mut is_whiteout = false;
            if file_type == FileType::Unknown || is_device {
                match rustix::fs::statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => {
                        file_type = FileType::from_raw_mode(stat.st_mode);
                        is_whiteout = self.is_writable && file_type == FileType::CharacterDevice && stat.st_rdev == 0;
                    }
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(errno),
                }
            }
            let kind = match file_type {
                FileType::Directory if self.is_opaque(&joined(path, &name)) => Kind::OpaqueDirectory,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Symlink,
                _ if is_whiteout => Kind::Whiteout,
                _ => Kind::File,
            };
            entries.push((name.into(), kind));
        }
        // Of names that differ in case alone the first by its units is shown, always the same one; but what is there counts
        // for more than a whiteout, which hides what lies below.
        entries.sort_by(|(left, left_kind), (right, right_kind)| {
            let is_whiteout = |kind: &Kind| *kind == Kind::Whiteout;
            let by_name = self.names.compare(left, right);
            let by_kind = || is_whiteout(left_kind).cmp(&is_whiteout(right_kind));
            by_name.then_with(by_kind).then_with(|| left.cmp(right))
        });
        entries.dedup_by(|(later, _), (earlier, _)| self.names.equal(later, earlier));
        Ok(Listing { stamp, entries })
    }

    pub(super) fn lookup(
        &self,
        directory: &FolderEntry,
        name: &[u16],
    ) -> Result<Option<Arc<FolderEntry>>, MemberError> {
        if self.site.is_drive(name, &self.names)
            && let Some(drive) = self.drive_in(directory)
        {
            return Ok(Some(drive));
        }
        let found = self.with_listing(&directory.path, |listing| {
            let index = listing.find(name, &self.names).ok()?;
            Some(listing.entries[index].clone())
        })?;
        Ok(found.map(|(name, kind)| {
            Arc::new(FolderEntry {
                path: joined(&directory.path, &name),
                name,
                kind,
            })
        }))
    }

    pub(super) fn list(&self, directory: &FolderEntry) -> Result<Vec<Arc<FolderEntry>>, MemberError> {
        let entry = |(name, kind): &(Box<[u16]>, Kind)| {
            Arc::new(FolderEntry {
                path: joined(&directory.path, name),
                name: name.clone(),
                kind: *kind,
            })
        };
        let mut entries: Vec<Arc<FolderEntry>> =
            self.with_listing(&directory.path, |listing| listing.entries.iter().map(entry).collect())?;
        if let Some(drive) = self.drive_in(directory) {
            match entries.binary_search_by(|entry| self.names.compare(&entry.name, &drive.name)) {
                Ok(place) => entries[place] = drive,
                Err(place) => entries.insert(place, drive),
            }
        }
        Ok(entries)
    }

    /// What the last name of a path leads to, where that has another spelling.
    pub fn other_spelling(&self, path: &[u8]) -> Result<Option<FolderEntry>, Errno> {
        let (directory, last) = split(path);
        let Ok(name) = wtf8::decode(last) else {
            return Ok(None);
        };
        self.with_listing(directory, |listing| {
            let index = listing.find(&name, &self.names).ok()?;
            let (spelled, kind) = &listing.entries[index];
            (**spelled != *name).then(|| FolderEntry {
                path: joined(directory, spelled),
                name: spelled.clone(),
                kind: *kind,
            })
        })
    }

    /// Notes that a name in a directory is there now, as `kind`, or gone.
    pub fn note(&self, path: &[u8], kind: Option<Kind>) {
        let (directory, name) = split(path);
        let Ok(name) = wtf8::decode(name) else { return };
        if let Some(listing) = self.listings().known.get_mut(directory) {
            match (listing.find(&name, &self.names), kind) {
                (Ok(index), Some(kind)) => listing.entries[index] = (name.into(), kind),
                (Ok(index), None) => {
                    listing.entries.remove(index);
                }
                (Err(index), Some(kind)) => listing.entries.insert(index, (name.into(), kind)),
                (Err(_), None) => {}
            }
        }
    }

    /// Forgets the listings of a directory and all below it, which moved or went.
    pub fn forget_below(&self, path: &[u8]) {
        let mut listings = self.listings();
        let is_below = |other: &[u8]| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        listings.known.retain(|other, _| !is_below(other));
        listings.names = listings.known.values().map(|listing| listing.entries.len()).sum();
    }
}

impl Listing {
    fn find(&self, name: &[u16], names: &Names) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| names.compare(other, name))
    }
}

impl Listings {
    fn put(&mut self, path: &[u8], listing: Listing) {
        if self.names + listing.entries.len() > NAMES_KEPT {
            self.known.clear();
            self.names = 0;
        }
        self.names += listing.entries.len();
        self.known.insert(path.into(), listing);
    }
}
