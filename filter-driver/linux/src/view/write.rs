//! Changing the view: the engine plans, the writable folder takes it.

use super::{Found, State, View, lock};
use crate::member::{Entry, Member};
use crate::nodes::MARKER;
use crate::upper::{Creator, New, Upper, refused};
use cv_overlay::plan::{Data, Replace};
use cv_overlay::{Kind, NamePath, Place, Plan, Step};
use cv_winname::{check_component, wtf8};
use fuser::FileAttr;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// What was made.
#[derive(Debug)]
pub struct Created {
    /// What `stat` shows.
    pub attr: FileAttr,
}

/// What `setattr` changes.
#[derive(Debug, Default, Clone, Copy)]
pub struct NewAttributes {
    /// The permissions.
    pub mode: Option<u32>,
    /// The user.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The size.
    pub size: Option<u64>,
    /// Access time.
    pub accessed: Option<Timespec>,
    /// Modification time.
    pub modified: Option<Timespec>,
}

impl View {
    fn upper(&self) -> Result<&Upper, Errno> {
        self.upper.as_ref().ok_or(Errno::ROFS)
    }

    /// The path of a new name in a directory.
    fn new_path(&self, parent: u64, name: &[u8]) -> Result<NamePath, Errno> {
        let units = wtf8::decode(name).map_err(|_| Errno::ILSEQ)?;
        if units.len() > cv_winname::MAX_COMPONENT {
            return Err(Errno::NAMETOOLONG);
        }
        // Windows has no way to name what breaks its rules; a POSIX program that asked for case may.
        if self.ignores_case() && check_component(&units).is_err() {
            return Err(Errno::INVAL);
        }
        Ok(self.path(parent).ok_or(Errno::STALE)?.joined(&units))
    }

    fn carry_out(&self, state: &mut State, plan: &Plan, new: Option<(&New<'_>, Creator)>) -> Result<(), Errno> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let changes_directories = plan.steps.iter().any(|step| match step {
            Step::CopyUpDirectories { .. }
            | Step::MakeOpaque { .. }
            | Step::CompleteTree { .. }
            | Step::Rename { .. } => true,
            Step::Create { kind, .. } | Step::Remove { kind, .. } => kind.is_directory(),
            Step::Whiteout { over, .. } => over.is_none_or(Kind::is_directory),
            Step::CopyUp { .. } | Step::Link { .. } => false,
        });
        let origin = |position: usize| state.facts(position).map(|facts| facts.uuid);
        let result = self.upper()?.carry_out(&state.stack, plan, new, &origin);
        state.version += 1;
        if changes_directories {
            lock(&self.places).clear();
        }
        result
    }

    /// Copies a file or directory up, so that it can be written.
    pub(super) fn copy_up(&self, number: u64, data: Data) -> Result<(), Errno> {
        self.upper()?;
        if number == MARKER {
            return Err(Errno::ACCESS);
        }
        {
            let state = self.read();
            if self.files.stat_detached(number)?.is_some() {
                return Ok(());
            }
            let place = self.place(&state, number)?;
            if state.is_upper(place.winner().position) {
                return Ok(());
            }
        }
        let mut state = self.change();
        self.copy_up_now(&mut state, number, data)
    }

    fn copy_up_now(&self, state: &mut State, number: u64, data: Data) -> Result<(), Errno> {
        let path = self.path(number).ok_or(Errno::STALE)?;
        let before = self.place(state, number)?;
        if !before.is_directory() {
            let (_, identity, _) = self.look_at(state, &before)?;
            if self.nodes().identity(number) != Some(identity) {
                return Err(Errno::STALE);
            }
        }
        let plan = state.stack.plan_copy_up(&path, data).map_err(|error| refused(&error))?;
        self.carry_out(state, &plan, None)?;
        self.follow(state, number, &before)
    }

    /// After a copy-up: the inode stands for the copy.
    fn follow(&self, state: &State, number: u64, before: &Place<Entry>) -> Result<(), Errno> {
        if before.is_directory() {
            return Ok(());
        }
        let place = self.place(state, number)?;
        let (_, identity, _) = self.look_at(state, &place)?;
        self.nodes().rebind(number, identity);
        if place.kind() == Kind::File {
            self.follow_copy(state, number)
        } else {
            Ok(())
        }
    }

    /// Makes something new under a name of a directory.
    pub fn create(&self, parent: u64, name: &[u8], new: &New<'_>, creator: Creator) -> Result<Created, Errno> {
        let path = self.new_path(parent, name)?;
        let kind = match new {
            New::File { .. } | New::Special { .. } => Kind::File,
            New::Directory { .. } => Kind::Directory,
            New::Symlink { .. } => Kind::Symlink,
        };
        self.upper()?;
        let mut state = self.change();
        let plan = state.stack.plan_create(&path, kind).map_err(|error| refused(&error))?;
        self.carry_out(&mut state, &plan, Some((new, creator)))?;
        let Found { attr, .. } = self.lookup(&state, parent, name)?;
        Ok(Created { attr })
    }

    /// Gives a file a further name.
    pub fn link(&self, number: u64, parent: u64, name: &[u8]) -> Result<Created, Errno> {
        let to = self.new_path(parent, name)?;
        self.upper()?;
        let mut state = self.change();
        if self.files.stat_detached(number)?.is_some() {
            return Err(Errno::NOENT);
        }
        self.copy_up_now(&mut state, number, Data::Whole)?;
        let from = self.path(number).ok_or(Errno::STALE)?;
        let plan = state
            .stack
            .plan_link(&from, &to)
            .map_err(|error| match refused(&error) {
                // What link(2) says of directories.
                Errno::ISDIR => Errno::PERM,
                errno => errno,
            })?;
        self.carry_out(&mut state, &plan, None)?;
        let Found { attr, .. } = self.lookup(&state, parent, name)?;
        Ok(Created { attr })
    }

    /// Removes a file or link, or a directory that shows nothing.
    pub fn remove(&self, parent: u64, name: &[u8], is_directory: bool) -> Result<(), Errno> {
        self.upper()?;
        let units = wtf8::decode(name).map_err(|_| Errno::NOENT)?;
        let mut state = self.change();
        let directory = self.directory(&state, parent)?;
        let place = self.find(&state, &directory, &units).map_err(|error| error.errno())?;
        let place = place.ok_or(Errno::NOENT)?;
        let name = state.stack.name(&place).to_vec();
        let number = self.known_number(&state, &place)?;
        let path = self.path(parent).ok_or(Errno::STALE)?.joined(&name);
        let plan = if is_directory {
            state.stack.plan_remove_directory(&path)
        } else {
            state.stack.plan_remove_file(&path)
        };
        let plan = plan.map_err(|error| refused(&error))?;
        // What is open must stay readable without its name.
        self.carry_out(&mut state, &plan, None)?;
        self.lost_name(number, parent, &name);
        Ok(())
    }

    fn lost_name(&self, number: u64, parent: u64, name: &[u16]) {
        let mut nodes = self.nodes();
        nodes.unlinked(number, parent, name);
        if nodes.place(number).is_none() {
            drop(nodes);
            self.files.detach(number);
        }
    }

    /// The number of a place, as the kernel may know it.
    pub(super) fn known_number(&self, state: &State, place: &Place<Entry>) -> Result<u64, Errno> {
        let (_, identity, natural) = self.look_at(state, place)?;
        let (identity, natural) = if place.is_directory() {
            Self::directory_number(state, place, identity, natural)?
        } else {
            (identity, natural)
        };
        Ok(self.nodes().known(natural, identity))
    }

    /// Renames.
    pub fn rename(&self, from: (u64, &[u8]), to: (u64, &[u8]), replace: Replace) -> Result<(), Errno> {
        self.upper()?;
        let source_name = wtf8::decode(from.1).map_err(|_| Errno::NOENT)?;
        let target = self.new_path(to.0, to.1)?;
        let mut state = self.change();
        let directory = self.directory(&state, from.0)?;
        let place = self
            .find(&state, &directory, &source_name)
            .map_err(|error| error.errno())?;
        let place = place.ok_or(Errno::NOENT)?;
        let spelled = state.stack.name(&place).to_vec();
        let number = self.known_number(&state, &place)?;
        let source = self.path(from.0).ok_or(Errno::STALE)?.joined(&spelled);
        let target_directory = self.directory(&state, to.0)?;
        let new_name = target.last().unwrap_or_default().to_vec();
        let replaced = match self
            .find(&state, &target_directory, &new_name)
            .map_err(|error| error.errno())?
        {
            Some(place) => {
                let name = state.stack.name(&place).to_vec();
                Some((self.known_number(&state, &place)?, name))
            }
            None => None,
        };
        let mut plan = state
            .stack
            .plan_rename(&source, &target, replace)
            .map_err(|error| refused(&error))?;
        if self.files.of(number).is_some() && !place.is_directory() {
            // Whoever has it open reads the copy from then on.
            self.copy_up_now(&mut state, number, Data::Whole)?;
            plan = state
                .stack
                .plan_rename(&source, &target, replace)
                .map_err(|error| refused(&error))?;
        }
        self.carry_out(&mut state, &plan, None)?;
        if let Some((replaced, name)) = replaced
            && replaced != number
        {
            self.lost_name(replaced, to.0, &name);
        }
        self.nodes().renamed(number, (from.0, &spelled), (to.0, &new_name));
        if !place.is_directory()
            && let Ok(directory) = self.directory(&state, to.0)
            && let Ok(Some(place)) = state.stack.lookup(&directory, &new_name)
        {
            let (_, identity, _) = self.look_at(&state, &place)?;
            self.nodes().rebind(number, identity);
        }
        Ok(())
    }

    /// Changes size, permissions, owner or times.
    pub fn set_attributes(&self, number: u64, new: &NewAttributes) -> Result<FileAttr, Errno> {
        let data = if new.size == Some(0) {
            Data::Truncated
        } else {
            Data::Whole
        };
        self.copy_up(number, data)?;
        let state = self.read();
        if let Some(file) = self.files.of(number) {
            // Through the open file, which may have no name any more.
            let done = file.with_host(|host| apply(&Target::Open(host), new));
            done.unwrap_or(Err(Errno::ROFS))?;
            return self.stat(&state, number);
        }
        let place = self.place(&state, number)?;
        let winner = place.winner();
        let (Member::Folder(folder), Entry::Folder(entry)) = (&**state.member(winner.position)?, &winner.entry) else {
            return Err(Errno::ROFS);
        };
        if let Some(size) = new.size {
            let file = folder.open(&entry.path, OFlags::WRONLY)?;
            rustix::fs::ftruncate(&file, size)?;
        }
        let (directory, name) = crate::member::split(&entry.path);
        let (directory, name) = if entry.path.is_empty() {
            (&b""[..], &b"."[..])
        } else {
            (directory, name)
        };
        let directory = folder.open_directory(directory)?;
        apply(
            &Target::Named {
                directory: &directory,
                name,
                is_link: winner.kind == Kind::Symlink,
            },
            &NewAttributes { size: None, ..*new },
        )?;
        self.stat(&state, number)
    }
}

enum Target<'a> {
    Open(&'a std::fs::File),
    Named {
        directory: &'a std::os::fd::OwnedFd,
        name: &'a [u8],
        is_link: bool,
    },
}

fn apply(target: &Target<'_>, new: &NewAttributes) -> Result<(), Errno> {
    const OMIT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    let (uid, gid) = (new.uid.map(Uid::from_raw), new.gid.map(Gid::from_raw));
    let times = (new.accessed.is_some() || new.modified.is_some()).then(|| Timestamps {
        last_access: new.accessed.unwrap_or(OMIT),
        last_modification: new.modified.unwrap_or(OMIT),
    });
    match target {
        Target::Open(file) => {
            if let Some(size) = new.size {
                rustix::fs::ftruncate(file, size)?;
            }
            if uid.is_some() || gid.is_some() {
                rustix::fs::fchown(file, uid, gid)?;
            }
            if let Some(mode) = new.mode {
                rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o7777))?;
            }
            if let Some(times) = times {
                rustix::fs::futimens(file, &times)?;
            }
        }
        Target::Named {
            directory,
            name,
            is_link,
        } => {
            if uid.is_some() || gid.is_some() {
                rustix::fs::chownat(directory, *name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            if let Some(mode) = new.mode {
                if *is_link {
                    return Err(Errno::OPNOTSUPP);
                }
                rustix::fs::chmodat(directory, *name, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty())?;
            }
            if let Some(times) = times {
                rustix::fs::utimensat(directory, *name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
    }
    Ok(())
}
