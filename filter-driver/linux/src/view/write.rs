//! Changing the view: the engine plans, the writable folder takes it.

use super::{Found, State, View, lock};
use crate::member::{Entry, Member};
use crate::nodes::MARKER;
use crate::upper::{Creator, New, refused};
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

/// Something that is to be changed, and where it is.
struct Existing {
    parent: u64,
    number: u64,
    path: NamePath,
    /// As it is spelled.
    name: Vec<u16>,
    is_directory: bool,
}

impl View {
    fn check_writable(&self) -> Result<(), Errno> {
        if self.is_writable { Ok(()) } else { Err(Errno::ROFS) }
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
            | Step::Exchange { .. }
            | Step::Rename { .. } => true,
            Step::Create { kind, .. } | Step::Remove { kind, .. } => kind.is_directory(),
            Step::Whiteout { over, .. } => over.is_none_or(Kind::is_directory),
            Step::CopyUp { .. } | Step::Link { .. } => false,
        });
        let origin = |position: usize| state.facts(position).map(|facts| facts.uuid);
        // Where a rule sends writes to the base, that may be an image, or not be given up for it.
        let upper = state.upper(plan.upper).ok_or(Errno::ROFS)?;
        let result = upper.carry_out(&state.stack, plan, new, &origin);
        state.version += 1;
        if changes_directories {
            lock(&self.places).clear();
        }
        result
    }

    /// Copies a file or directory up, so that it can be written.
    pub(super) fn copy_up(&self, number: u64, data: Data) -> Result<(), Errno> {
        self.check_writable()?;
        if number == MARKER {
            return Err(Errno::ACCESS);
        }
        {
            let state = self.read();
            if self.hive_of(&state, number).is_some() {
                // It is made anew of what the members say; what would be set of it has no place to stay.
                return Err(Errno::PERM);
            }
            if self.files.stat_detached(number)?.is_some() {
                return Ok(());
            }
            let place = self.place(&state, number)?;
            if state.takes_writes(&place) {
                return Ok(());
            }
            if state.stack.writes_to(&place) == Some(place.winner().position) {
                return Err(Errno::ROFS);
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
        if !before.is_directory() && before.kind() == Kind::File {
            self.link_other_names(state, number, &path)?;
        }
        self.follow(state, number, &before)
    }

    /// The kernel takes all names that it knows of a file for one: those whose file was copied up under another become
    /// links of the copy.
    fn link_other_names(&self, state: &mut State, number: u64, path: &NamePath) -> Result<(), Errno> {
        let others = self.nodes().paths(number);
        for other in others.into_iter().filter(|other| other != path) {
            let Ok(mut plan) = state.stack.plan_copy_up(&other, Data::Whole) else {
                continue;
            };
            for step in &mut plan.steps {
                if let Step::CopyUp { path: to, .. } = step {
                    *step = Step::Link {
                        from: path.clone(),
                        to: to.clone(),
                        over: None,
                    };
                }
            }
            self.carry_out(state, &plan, None)?;
        }
        Ok(())
    }

    /// After a copy-up: the inode stands for the copy.
    fn follow(&self, state: &State, number: u64, before: &Place<Entry>) -> Result<(), Errno> {
        if before.is_directory() {
            return Ok(());
        }
        let place = self.place(state, number)?;
        self.rebind_to(state, number, &place)
    }

    /// Makes something new under a name of a directory.
    pub fn create(&self, parent: u64, name: &[u8], new: &New<'_>, creator: Creator) -> Result<Created, Errno> {
        let path = self.new_path(parent, name)?;
        let kind = match new {
            New::File { .. } | New::Special { .. } => Kind::File,
            New::Directory { .. } => Kind::Directory,
            New::Symlink { .. } => Kind::Symlink,
        };
        self.check_writable()?;
        let mut state = self.change();
        let plan = state.stack.plan_create(&path, kind).map_err(|error| refused(&error))?;
        self.carry_out(&mut state, &plan, Some((new, creator)))?;
        let Found { attr, .. } = self.lookup(&state, parent, name)?;
        Ok(Created { attr })
    }

    /// Gives a file a further name.
    pub fn link(&self, number: u64, parent: u64, name: &[u8]) -> Result<Created, Errno> {
        let to = self.new_path(parent, name)?;
        self.check_writable()?;
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
        self.check_writable()?;
        let mut state = self.change();
        let entry = self.entry_of(&state, parent, name)?;
        let plan = if is_directory {
            state.stack.plan_remove_directory(&entry.path)
        } else {
            state.stack.plan_remove_file(&entry.path)
        };
        let plan = plan.map_err(|error| refused(&error))?;
        // What is open must stay readable without its name.
        self.carry_out(&mut state, &plan, None)?;
        self.note_gone(&entry, name);
        self.lost_name(entry.number, parent, &entry.name);
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
        self.check_writable()?;
        let target = self.new_path(to.0, to.1)?;
        let mut state = self.change();
        let source = self.entry_of(&state, from.0, from.1)?;
        let new_name = target.last().unwrap_or_default().to_vec();
        if let Some(hive) = self.hive_at(&state, to.0, &new_name)
            && !source.is_directory
            && replace != Replace::Never
        {
            self.replace_hive(&mut state, &hive, &source, from.1)?;
            self.notices.stale(to.0, &new_name);
            drop(state);
            self.keep_hive(&hive, true);
            return Ok(());
        }
        let replaced = match self.entry_of(&state, to.0, to.1) {
            Ok(entry) => Some(entry),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno),
        };
        let plan = |state: &State| {
            let plan = state.stack.plan_rename(&source.path, &target, replace);
            plan.map_err(|error| refused(&error))
        };
        let mut steps = plan(&state)?;
        if !source.is_directory && self.files.of(source.number).is_some() {
            // Whoever has it open reads the copy from then on.
            self.copy_up_now(&mut state, source.number, Data::Whole)?;
            steps = plan(&state)?;
        }
        self.carry_out(&mut state, &steps, None)?;
        if let Some(replaced) = replaced
            && replaced.number != source.number
        {
            self.lost_name(replaced.number, to.0, &replaced.name);
        }
        self.note_gone(&source, from.1);
        let now = (to.0, &*new_name);
        self.nodes().renamed(source.number, (from.0, &source.name), now);
        self.rebind(&state, source.number, now)
    }

    /// A file takes the place of a registry file: what it changes is kept, and the file goes.
    fn replace_hive(
        &self,
        state: &mut State,
        hive: &super::hives::ServedHive,
        source: &Existing,
        asked: &[u8],
    ) -> Result<(), Errno> {
        let place = state.stack.resolve(&source.path).map_err(|error| error.errno())?;
        let place = place.found().ok_or(Errno::NOENT)?;
        if place.kind() != Kind::File {
            return Err(Errno::INVAL);
        }
        let written = super::hives::base_file(state, &source.path).map_err(|error| error.errno())?;
        self.adopt_hive(state, hive, &*written)?;
        let plan = state.stack.plan_remove_file(&source.path);
        self.carry_out(state, &plan.map_err(|error| refused(&error))?, None)?;
        self.note_gone(source, asked);
        self.lost_name(source.number, source.parent, &source.name);
        Ok(())
    }

    /// Puts two entries in each other's places.
    pub fn exchange(&self, one: (u64, &[u8]), other: (u64, &[u8])) -> Result<(), Errno> {
        self.check_writable()?;
        let mut state = self.change();
        let asked = [one.1, other.1];
        let one = self.entry_of(&state, one.0, one.1)?;
        let other = self.entry_of(&state, other.0, other.1)?;
        for entry in [&one, &other] {
            if !entry.is_directory && self.files.of(entry.number).is_some() {
                // Whoever has it open reads the copy from then on.
                self.copy_up_now(&mut state, entry.number, Data::Whole)?;
            }
        }
        let plan = state.stack.plan_exchange(&one.path, &other.path);
        self.carry_out(&mut state, &plan.map_err(|error| refused(&error))?, None)?;
        for (entry, asked) in [&one, &other].into_iter().zip(asked) {
            self.note_gone(entry, asked);
        }
        let (from, to) = ((one.parent, &*one.name), (other.parent, &*other.name));
        self.nodes().renamed(one.number, from, to);
        self.nodes().renamed(other.number, to, from);
        for (entry, now) in [(&one, to), (&other, from)] {
            self.rebind(&state, entry.number, now)?;
        }
        Ok(())
    }

    /// What is under a name of a directory, as a change needs to know it.
    fn entry_of(&self, state: &State, parent: u64, name: &[u8]) -> Result<Existing, Errno> {
        let units = wtf8::decode(name).map_err(|_| Errno::NOENT)?;
        let directory = self.directory(state, parent)?;
        let place = self.find(state, &directory, &units).map_err(|error| error.errno())?;
        let place = place.ok_or(Errno::NOENT)?;
        let name = state.stack.name(&place).to_vec();
        Ok(Existing {
            parent,
            number: self.known_number(state, &place)?,
            path: self.path(parent).ok_or(Errno::STALE)?.joined(&name),
            name,
            is_directory: place.is_directory(),
        })
    }

    /// An inode stands for what is under its name now, which may have been copied up.
    fn rebind(&self, state: &State, number: u64, (parent, name): (u64, &[u16])) -> Result<(), Errno> {
        let directory = self.directory(state, parent)?;
        let place = state.stack.lookup(&directory, name).map_err(|error| error.errno())?;
        match place {
            Some(place) if place.is_directory() => {
                // Much of what is below may have been copied up for the move.
                let below = self.nodes().below(number);
                for number in below {
                    let place = self.place(state, number)?;
                    self.rebind_to(state, number, &place)?;
                }
                Ok(())
            }
            Some(place) => self.rebind_to(state, number, &place),
            None => Ok(()),
        }
    }

    /// Something went from its name, which the kernel was told in the spelling `asked`.
    fn note_gone(&self, gone: &Existing, asked: &[u8]) {
        if wtf8::encode(&gone.name) != asked {
            self.notices.stale(gone.parent, &gone.name);
        }
    }

    fn rebind_to(&self, state: &State, number: u64, place: &Place<Entry>) -> Result<(), Errno> {
        if place.is_directory() {
            return Ok(());
        }
        let (_, identity, _) = self.look_at(state, place)?;
        self.nodes().rebind(number, identity);
        if place.kind() == Kind::File {
            self.follow_copy(state, number)?;
        }
        Ok(())
    }

    /// Changes size, permissions, owner or times.
    pub fn set_attributes(&self, number: u64, new: &NewAttributes) -> Result<FileAttr, Errno> {
        if self.resize_hive(number, new.size)? {
            return self.stat(&self.read(), number);
        }
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
