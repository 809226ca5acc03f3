//! Carrying out what the merge engine planned, in the writable folder.
//!
//! Each step is atomic: what is new is built in a folder of its own beside the tree and renamed to its place. The order of
//! the steps is the engine's, so a kill between any two leaves a view that is as before or as after. What was being built
//! is removed at the next mount.

mod copy;

pub use copy::{Origin, link_target};

use crate::facts::Owner;

use crate::member::{Entry, FolderMember, Member, MemberError, OPAQUE, OWN_DIRECTORY, PREFIX_DIRECTORY, Site, split};
use cv_overlay::{Kind, Layer, NamePath, Plan, PlanError, Refusal, Stack, Step};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use std::collections::{HashMap, hash_map};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The folder in which copies are built, below the project's own.
pub(crate) const WORK: &str = "work";

/// How long another mount may take to let go of the folder.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The extended attributes that are the project's own begin so.
pub const OWN_ATTRIBUTES: &str = "user.cvlayer.";

/// The extended attribute of an empty file that stands for a character device of number 0/0.
const NULL_DEVICE: &str = "user.cvlayer.device";

/// Whether an empty file of the writable folder stands for a character device of number 0/0.
pub fn is_null_device(file: impl AsFd) -> bool {
    rustix::fs::fgetxattr(file, NULL_DEVICE, &mut [0_u8; 0][..]).is_ok()
}

/// What a new entry is to be.
#[derive(Debug)]
pub enum New<'a> {
    /// A file of these permissions.
    File {
        /// The permissions.
        mode: u32,
    },
    /// A directory of these permissions.
    Directory {
        /// The permissions.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: &'a [u8],
    },
    /// A pipe, a socket or a device.
    Special {
        /// Which.
        file_type: FileType,
        /// The permissions.
        mode: u32,
        /// The device's number.
        device: u64,
    },
}

/// Whose a new entry is.
#[derive(Debug, Clone, Copy)]
pub struct Creator {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

/// The writable folder, as the one who changes it sees it.
#[derive(Debug)]
pub struct Upper {
    member: Arc<Member>,
    work: OwnedFd,
    next: AtomicU64,
    is_root: bool,
    owner: Owner,
}

/// The number by which programs are told why there is no plan.
pub fn refused(error: &PlanError<MemberError>) -> Errno {
    match error {
        PlanError::Layer(error) => error.errno(),
        PlanError::Refused(refusal) => match refusal {
            Refusal::ReadOnly => Errno::ROFS,
            Refusal::NotFound { .. } => Errno::NOENT,
            Refusal::NotADirectory { .. } | Refusal::Obstructed { .. } => Errno::NOTDIR,
            Refusal::Exists => Errno::EXIST,
            Refusal::IsADirectory => Errno::ISDIR,
            Refusal::NotEmpty => Errno::NOTEMPTY,
            Refusal::IntoItself => Errno::INVAL,
            Refusal::Root => Errno::BUSY,
            Refusal::CrossesUppers => Errno::XDEV,
            Refusal::HiddenByRule(_) => Errno::ACCESS,
        },
    }
}

/// Locks the work folder. `umount` does not wait until the mount has let go of it, so this does, for a while.
fn lock(work: &OwnedFd) -> Result<(), Errno> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match rustix::fs::flock(work, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            locked => return locked,
        }
    }
}

impl Upper {
    /// Takes a writable folder into use: its host must be able to do what is needed, nobody else may have it mounted, and
    /// what a killed mount left half-built goes.
    pub fn open(member: &Arc<Member>, owner: Owner) -> Result<Self, Errno> {
        let folder = member.folder().ok_or(Errno::ROFS)?;
        let root = folder.root_fd();
        make_directory(root, OWN_DIRECTORY)?;
        let own = rustix::fs::openat(root, OWN_DIRECTORY, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        // The lock lives as long as the file description, which the work folder keeps.
        make_directory(own.as_fd(), WORK)?;
        if folder.site() == Site::Prefix {
            make_directory(root, PREFIX_DIRECTORY)?;
        }
        let work = rustix::fs::openat(&own, WORK, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        lock(&work)?;
        empty(&work)?;
        let upper = Self {
            work,
            next: AtomicU64::new(0),
            is_root: rustix::process::geteuid().is_root(),
            owner,
            member: member.clone(),
        };
        upper.probe()?;
        Ok(upper)
    }

    /// Tries what the steps need: whiteouts, exchange, extended attributes.
    fn probe(&self) -> Result<(), Errno> {
        let (one, other) = (self.temporary(), self.temporary());
        self.make_whiteout(&one)?;
        rustix::fs::mkdirat(&self.work, &*other, Mode::from_raw_mode(0o700))?;
        let result = self.open_work(&other).and_then(|directory| {
            rustix::fs::fsetxattr(&directory, OPAQUE, b"y", XattrFlags::empty())?;
            rustix::fs::renameat_with(&self.work, &*one, &self.work, &*other, RenameFlags::EXCHANGE)
        });
        empty(&self.work)?;
        result
    }

    fn folder(&self) -> Result<&FolderMember, Errno> {
        self.member.folder().ok_or(Errno::ROFS)
    }

    fn temporary(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn open_work(&self, name: &str) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(
            &self.work,
            name,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    fn make_whiteout(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::mknodat(&self.work, name, FileType::CharacterDevice, Mode::empty(), 0)
    }

    /// Carries out a plan. `new` is what its [`Step::Create`] makes.
    pub fn carry_out(
        &self,
        stack: &Stack<Arc<Member>>,
        plan: &Plan,
        new: Option<(&New<'_>, Creator)>,
        origin: &dyn Fn(usize) -> Option<[u8; 16]>,
    ) -> Result<(), Errno> {
        for step in &plan.steps {
            if let Step::CompleteTree { path } = step {
                let mut completion = stack.complete(path).map_err(|error| refused(&error))?;
                let mut copied = HashMap::new();
                while let Some(step) = completion.next().map_err(|error| refused(&error))? {
                    let step = Self::as_link(stack, step, &mut copied);
                    self.step(stack, &step, None, origin)?;
                }
            } else {
                self.step(stack, step, new, origin)?;
            }
        }
        Ok(())
    }

    /// A further name of a file of the host that was `copied` already is a link of the copy.
    fn as_link(stack: &Stack<Arc<Member>>, step: Step, copied: &mut HashMap<(usize, u64), NamePath>) -> Step {
        let Step::CopyUp { path, from, .. } = &step else {
            return step;
        };
        let folder = stack.members().get(*from).and_then(|member| member.layer.folder());
        let stat = folder.and_then(|folder| folder.stat(&folder.host_path(path)).ok());
        let Some(stat) = stat.filter(|stat| stat.st_nlink > 1) else {
            return step;
        };
        match copied.entry((*from, stat.st_ino)) {
            hash_map::Entry::Vacant(place) => {
                place.insert(path.clone());
                step
            }
            hash_map::Entry::Occupied(first) => Step::Link {
                from: first.get().clone(),
                to: path.clone(),
                over: None,
            },
        }
    }

    fn step(
        &self,
        stack: &Stack<Arc<Member>>,
        step: &Step,
        new: Option<(&New<'_>, Creator)>,
        origin: &dyn Fn(usize) -> Option<[u8; 16]>,
    ) -> Result<(), Errno> {
        match step {
            Step::CopyUpDirectories { path, present, from } => {
                let mut at = path.clone();
                at.truncate(*present);
                for (name, position) in path.names().skip(*present).zip(from) {
                    at.push(name);
                    let source = source(stack, *position, &at)?;
                    self.copy_up_directory(&at, &source, directory_origin(stack, &at, origin))?;
                }
                Ok(())
            }
            Step::CopyUp { path, from, data } => {
                let source = source(stack, *from, path)?;
                let temporary = self.temporary();
                let (member, entry) = &source;
                let copied = self.copy_file(&temporary, member, entry, path, *data, origin(*from));
                let kind = member.kind(entry);
                let kind = if kind == Kind::Junction { Kind::Symlink } else { kind };
                self.finish(copied.and_then(|()| self.put(&temporary, path, kind)), &temporary)
            }
            Step::Create { path, kind, over } => {
                let (new, creator) = new.ok_or(Errno::INVAL)?;
                self.create(path, *kind, *over, new, creator)
            }
            Step::Link { from, to, over } => self.link(from, to, *over),
            Step::Rename {
                from,
                to,
                leave_whiteout,
                over,
            } => self.rename(from, to, *leave_whiteout, *over),
            Step::Exchange { one, other } => self.swap(one, other),
            Step::Whiteout { path, over } => {
                let temporary = self.temporary();
                let made = self.make_whiteout(&temporary);
                let placed = made.and_then(|()| match over {
                    Some(kind) if kind.is_directory() => self.exchange(&temporary, path, Kind::Whiteout),
                    _ => self.put(&temporary, path, Kind::Whiteout),
                });
                self.finish(placed, &temporary)
            }
            Step::Remove { path, kind } if kind.is_directory() => {
                // Out of the tree at one stroke; the whiteouts in it go then.
                let temporary = self.temporary();
                let (directory, name) = self.parent(path)?;
                rustix::fs::renameat(&directory, &*name, &self.work, &*temporary)?;
                self.noted(path, None)?;
                self.finish(Ok(()), &temporary)
            }
            Step::Remove { path, .. } => {
                let (directory, name) = self.parent(path)?;
                rustix::fs::unlinkat(&directory, &*name, AtFlags::empty())?;
                self.noted(path, None)
            }
            Step::MakeOpaque { path } => {
                let directory = self.folder()?.open_directory(&self.host_path(path)?)?;
                rustix::fs::fsetxattr(&directory, OPAQUE, b"y", XattrFlags::empty())?;
                self.noted(path, Some(Kind::OpaqueDirectory))
            }
            // Taken apart by whoever carries out the plan.
            Step::CompleteTree { .. } => Err(Errno::INVAL),
        }
    }

    fn noted(&self, path: &NamePath, kind: Option<Kind>) -> Result<(), Errno> {
        let folder = self.folder()?;
        let path = folder.host_path(path);
        if kind.is_none_or(|kind| !kind.is_directory()) {
            folder.forget_below(&path);
        }
        folder.note(&path, kind);
        Ok(())
    }

    /// The directory of a path, open, and the last name.
    fn parent(&self, path: &NamePath) -> Result<(OwnedFd, Vec<u8>), Errno> {
        let path = self.host_path(path)?;
        let (directory, name) = split(&path);
        if name.is_empty() {
            // The root of the view, or drive C: in a prefix: the folder itself.
            return Err(Errno::BUSY);
        }
        Ok((self.folder()?.open_directory(directory)?, name.to_vec()))
    }

    /// The directory of a path, open, and the last name, which whatever is there has in this spelling from now on: two
    /// spellings of one name must not stand beside each other.
    fn place(&self, path: &NamePath) -> Result<(OwnedFd, Vec<u8>), Errno> {
        let (directory, name) = self.parent(path)?;
        let folder = self.folder()?;
        let host_path = folder.host_path(path);
        if let Some(other) = folder.other_spelling(&host_path)? {
            let (_, spelled) = split(&other.path);
            rustix::fs::renameat(&directory, spelled, &directory, &*name)?;
            folder.forget_below(&other.path);
            folder.note(&host_path, Some(other.kind));
        }
        Ok((directory, name))
    }

    /// Renames what was built to its place, over a file or whiteout that is there.
    fn put(&self, temporary: &str, path: &NamePath, kind: Kind) -> Result<(), Errno> {
        let (directory, name) = self.place(path)?;
        rustix::fs::renameat(&self.work, temporary, &directory, &*name)?;
        self.noted(path, Some(kind))
    }

    /// Puts what was built in the place of what is there, which goes.
    fn exchange(&self, temporary: &str, path: &NamePath, kind: Kind) -> Result<(), Errno> {
        let (directory, name) = self.place(path)?;
        rustix::fs::renameat_with(&self.work, temporary, &directory, &*name, RenameFlags::EXCHANGE)?;
        self.folder()?.forget_below(&self.host_path(path)?);
        self.noted(path, Some(kind))
    }

    /// Removes what is left in the work folder under this name.
    fn finish(&self, result: Result<(), Errno>, temporary: &str) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.work, temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => {
                if let Ok(directory) = self.open_work(temporary) {
                    let _ = empty(&directory);
                }
                let _ = rustix::fs::unlinkat(&self.work, temporary, AtFlags::REMOVEDIR);
            }
        }
        result
    }

    fn copy_up_directory(
        &self,
        path: &NamePath,
        source: &(Arc<Member>, Entry),
        origin: Option<Origin>,
    ) -> Result<(), Errno> {
        let temporary = self.temporary();
        let (member, entry) = source;
        let copied = self.copy_directory(&temporary, member, entry, origin);
        let placed = copied.and_then(|()| {
            let (directory, name) = self.place(path)?;
            match rustix::fs::renameat_with(&self.work, &*temporary, &directory, &*name, RenameFlags::NOREPLACE) {
                Ok(()) => self.noted(path, Some(Kind::Directory)),
                Err(Errno::EXIST) => {
                    let stat = rustix::fs::statat(&directory, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
                    match FileType::from_raw_mode(stat.st_mode) {
                        FileType::Directory => Ok(()),
                        _ => self.exchange(&temporary, path, Kind::Directory),
                    }
                }
                Err(errno) => Err(errno),
            }
        });
        self.finish(placed, &temporary)
    }

    fn create(
        &self,
        path: &NamePath,
        kind: Kind,
        over: Option<Kind>,
        new: &New<'_>,
        creator: Creator,
    ) -> Result<(), Errno> {
        let temporary = self.temporary();
        let made = self.make_new(&temporary, kind, new, creator);
        let placed = made.and_then(|()| match (kind.is_directory(), over) {
            (true, Some(_)) => self.exchange(&temporary, path, kind),
            _ => self.put(&temporary, path, kind),
        });
        self.finish(placed, &temporary)
    }

    fn make_new(&self, name: &str, kind: Kind, new: &New<'_>, creator: Creator) -> Result<(), Errno> {
        let (mode, is_link) = match new {
            New::File { mode } => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(&self.work, name, flags, Mode::from_raw_mode(0o600))?;
                (*mode, false)
            }
            New::Directory { mode } => {
                rustix::fs::mkdirat(&self.work, name, Mode::from_raw_mode(0o700))?;
                if kind == Kind::OpaqueDirectory {
                    let directory = self.open_work(name)?;
                    rustix::fs::fsetxattr(&directory, OPAQUE, b"y", XattrFlags::empty())?;
                }
                (*mode, false)
            }
            New::Symlink { target } => {
                rustix::fs::symlinkat(*target, &self.work, name)?;
                (0, true)
            }
            New::Special {
                file_type,
                mode,
                device,
            } => {
                if *file_type == FileType::CharacterDevice && *device == 0 {
                    // It would be a whiteout: an empty file stands for it.
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    let file = rustix::fs::openat(&self.work, name, flags, Mode::from_raw_mode(0o600))?;
                    rustix::fs::fsetxattr(&file, NULL_DEVICE, b"", XattrFlags::empty())?;
                } else {
                    rustix::fs::mknodat(&self.work, name, *file_type, Mode::from_raw_mode(0o600), *device)?;
                }
                (*mode, false)
            }
        };
        if self.is_root {
            let owner = (
                Some(rustix::fs::Uid::from_raw(creator.uid)),
                Some(rustix::fs::Gid::from_raw(creator.gid)),
            );
            rustix::fs::chownat(&self.work, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !is_link {
            rustix::fs::chmodat(&self.work, name, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?;
        }
        Ok(())
    }

    fn link(&self, from: &NamePath, to: &NamePath, over: Option<Kind>) -> Result<(), Errno> {
        let (source, source_name) = self.parent(from)?;
        let kind = Self::kind_at(&source, &source_name)?;
        if over.is_none() {
            let (directory, name) = self.place(to)?;
            rustix::fs::linkat(&source, &*source_name, &directory, &*name, AtFlags::empty())?;
            return self.noted(to, Some(kind));
        }
        let temporary = self.temporary();
        let linked = rustix::fs::linkat(&source, &*source_name, &self.work, &*temporary, AtFlags::empty());
        self.finish(linked.and_then(|()| self.put(&temporary, to, kind)), &temporary)
    }

    fn kind_at(directory: &OwnedFd, name: &[u8]) -> Result<Kind, Errno> {
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Whiteout,
            FileType::Directory => {
                let opened = rustix::fs::openat(directory, name, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                let is_opaque = rustix::fs::fgetxattr(&opened, OPAQUE, &mut [0_u8; 1][..]).is_ok();
                if is_opaque {
                    Kind::OpaqueDirectory
                } else {
                    Kind::Directory
                }
            }
            _ => Kind::File,
        })
    }

    fn rename(&self, from: &NamePath, to: &NamePath, leave_whiteout: bool, over: Option<Kind>) -> Result<(), Errno> {
        let (source, source_name) = self.parent(from)?;
        let (old, new) = (self.host_path(from)?, self.host_path(to)?);
        let other = self.folder()?.other_spelling(&new)?;
        let is_new_spelling = other.is_some_and(|other| *other.path == *old);
        let (target, target_name) = if is_new_spelling {
            self.parent(to)?
        } else {
            self.place(to)?
        };
        let kind = Self::kind_at(&source, &source_name)?;
        if kind.is_directory() && over == Some(Kind::Whiteout) {
            // The whiteout lands where the directory was; where none is wanted there it hides nothing and can go after.
            rustix::fs::renameat_with(&source, &*source_name, &target, &*target_name, RenameFlags::EXCHANGE)?;
            if !leave_whiteout {
                rustix::fs::unlinkat(&source, &*source_name, AtFlags::empty())?;
            }
        } else {
            if kind.is_directory() && over.is_some_and(Kind::is_directory) {
                self.clear_whiteouts(to)?;
            }
            let flags = if leave_whiteout {
                RenameFlags::WHITEOUT
            } else {
                RenameFlags::empty()
            };
            rustix::fs::renameat_with(&source, &*source_name, &target, &*target_name, flags)?;
            if !leave_whiteout && !kind.is_directory() && from != to {
                // Of two names of one file, rename(2) leaves both.
                match rustix::fs::unlinkat(&source, &*source_name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        let folder = self.folder()?;
        folder.forget_below(&folder.host_path(from));
        folder.forget_below(&folder.host_path(to));
        // Another spelling of the same name is one entry: the old goes before the new comes.
        folder.note(&folder.host_path(from), leave_whiteout.then_some(Kind::Whiteout));
        folder.note(&folder.host_path(to), Some(kind));
        Ok(())
    }

    /// Puts two entries in each other's places.
    fn swap(&self, one: &NamePath, other: &NamePath) -> Result<(), Errno> {
        let (left, left_name) = self.parent(one)?;
        let (right, right_name) = self.parent(other)?;
        let kinds = (Self::kind_at(&left, &left_name)?, Self::kind_at(&right, &right_name)?);
        rustix::fs::renameat_with(&left, &*left_name, &right, &*right_name, RenameFlags::EXCHANGE)?;
        let folder = self.folder()?;
        for (path, kind) in [(one, kinds.1), (other, kinds.0)] {
            folder.forget_below(&folder.host_path(path));
            folder.note(&folder.host_path(path), Some(kind));
        }
        Ok(())
    }

    /// Replaces a directory that shows nothing by an empty one that still shows nothing, so that it can be renamed over.
    fn clear_whiteouts(&self, path: &NamePath) -> Result<(), Errno> {
        let directory = self.folder()?.open_directory(&self.host_path(path)?)?;
        if is_empty(&directory)? {
            return Ok(());
        }
        let temporary = self.temporary();
        let stat = rustix::fs::fstat(&directory)?;
        let creator = Creator {
            uid: stat.st_uid,
            gid: stat.st_gid,
        };
        let new = New::Directory { mode: stat.st_mode };
        let made = self.make_new(&temporary, Kind::OpaqueDirectory, &new, creator);
        self.finish(
            made.and_then(|()| self.exchange(&temporary, path, Kind::OpaqueDirectory)),
            &temporary,
        )
    }

    /// The path of an entry of the writable folder, on the host.
    pub fn host_path(&self, path: &NamePath) -> Result<Vec<u8>, Errno> {
        Ok(self.folder()?.host_path(path))
    }
}

/// What a directory is a copy of: its lowest part, by which its number goes also where the copy will stand alone.
fn directory_origin(
    stack: &Stack<Arc<Member>>,
    path: &NamePath,
    origin: &dyn Fn(usize) -> Option<[u8; 16]>,
) -> Option<Origin> {
    let place = stack.resolve(path).ok()?.found()?;
    let lowest = place.merged().last()?;
    let member = &stack.members().get(lowest.position)?.layer;
    Some(Origin {
        member: origin(lowest.position)?,
        file: file_number(member, &lowest.entry)?,
    })
}

/// What a member knows a file by: the host's inode or the record.
fn file_number(member: &Member, entry: &Entry) -> Option<u64> {
    match (member, entry) {
        (Member::Folder(folder), Entry::Folder(entry)) => Some(folder.stat(&entry.path).ok()?.st_ino),
        (_, entry) => Some(entry.as_ntfs()?.reference.record()),
    }
}

/// The number of the file that a member has at a path.
pub fn file_number_at(stack: &Stack<Arc<Member>>, position: usize, path: &NamePath) -> Option<u64> {
    let (member, entry) = source(stack, position, path).ok()?;
    file_number(&member, &entry)
}

/// What a member has at a path.
fn source(stack: &Stack<Arc<Member>>, position: usize, path: &NamePath) -> Result<(Arc<Member>, Entry), Errno> {
    let member = &stack.members().get(position).ok_or(Errno::NOENT)?.layer;
    let look = || -> Result<Option<Entry>, MemberError> {
        let Some(mut entry) = member.root()? else {
            return Ok(None);
        };
        for name in path.names() {
            match member.lookup(&entry, name)? {
                Some(found) => entry = found,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    };
    let entry = look().map_err(|error| error.errno())?.ok_or(Errno::NOENT)?;
    Ok((member.clone(), entry))
}

fn make_directory(at: impl AsFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn is_empty(directory: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes everything in a directory.
fn empty(directory: &OwnedFd) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                empty(&rustix::fs::openat(directory, name, flags, Mode::empty())?)?;
                rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
