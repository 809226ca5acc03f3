//! Registry files of the view. They are merged when somebody opens them or asks for their size; what programs write in them
//! is taken back as delta hives when they close them, so neither base nor layers nor the writable folder has a copy.

use super::files::{OpenFile, Source};
use super::{State, View, lock};
use crate::events::{EventLog, What};
use crate::member::{Entry, Member, MemberError, Site};
use crate::registry::deltas::DeltaError;
use crate::registry::file::{FileFault, Form, RegistryTree, read_whole};
use crate::registry::pending::Pending;
use crate::registry::served::{self, RegistryPath};
use crate::registry::stack::RegistryStack;
use cv_disk::{RawFile, ReadAt};
use cv_hive::file::LogFile;
use cv_overlay::{Kind, NamePath, Place, Role};
use fuser::FileAttr;
use layerfmt::content::HiveName;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What a dirty hive's logs are called, behind its name.
const LOGS: [&str; 3] = [".LOG", ".LOG1", ".LOG2"];

/// The registry files of a view.
#[derive(Debug)]
pub(super) struct Hives {
    site: Site,
    events: Arc<EventLog>,
    /// Counts the changes of what the stack says of the registry.
    version: AtomicU64,
    known: Mutex<HashMap<String, Arc<ServedHive>>>,
}

/// A registry file of the view.
#[derive(Debug)]
pub struct ServedHive {
    path: RegistryPath,
    at: NamePath,
    /// Whether something was written that is not kept yet.
    is_dirty: AtomicBool,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    /// What was merged last, and of which version; nothing where the base's file is shown as it is.
    merged: Option<(u64, Option<Arc<RawFile>>)>,
    /// What programs read last.
    read: Option<ReadLast>,
    /// The file that programs write.
    pending: Option<(Pending, File)>,
}

#[derive(Debug, Clone)]
enum ReadLast {
    /// The base's file as it is.
    Base,
    /// A merged one.
    Merged(Arc<RawFile>),
}

impl ServedHive {
    /// Something was written.
    pub(super) fn note_written(&self) {
        self.is_dirty.store(true, Ordering::Relaxed);
    }
}

impl Hives {
    pub(super) fn new(site: Site, events: Arc<EventLog>) -> Self {
        Self {
            site,
            events,
            version: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    /// What members say of the registry is other than before.
    pub(super) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    fn refused(&self, hive: &ServedHive, message: String) {
        self.events.tell(What::RegistryRefused {
            path: hive.at.to_string(),
            message,
        });
    }
}

fn host(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A file without a name that goes when it is closed.
fn unnamed(bytes: &[u8]) -> io::Result<RawFile> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    RawFile::from_file(file)
}

impl View {
    /// What its root is.
    pub(super) fn site(&self) -> Site {
        self.hives.site
    }

    /// Whether what is under a name may be a registry file, whose size and content change without anybody writing it.
    pub fn may_be_registry(&self, number: u64) -> bool {
        let place = self.nodes().place(number);
        place.is_some_and(|(_, name)| served::is_likely(&name))
    }

    /// The registry file that is an inode.
    pub(super) fn hive_of(&self, state: &State, number: u64) -> Option<Arc<ServedHive>> {
        let (parent, name) = self.nodes().place(number)?;
        self.hive_at(state, parent, &name)
    }

    /// The registry file that is under a name of a directory. One that somebody put in its place is none.
    pub(super) fn hive_at(&self, state: &State, parent: u64, name: &[u16]) -> Option<Arc<ServedHive>> {
        if !served::is_likely(name) {
            return None;
        }
        let at = self.path(parent)?.joined(name);
        let path = served::at(&at, self.hives.site == Site::Prefix)?;
        let place = state.stack.resolve(&at).ok()?.found()?;
        if place.kind() != Kind::File || state.is_upper(place.winner().position) {
            return None;
        }
        let mut known = lock(&self.hives.known);
        let hive = known.entry(path.stem.clone()).or_insert_with(|| {
            Arc::new(ServedHive {
                path,
                at,
                is_dirty: AtomicBool::new(false),
                content: Mutex::default(),
            })
        });
        Some(hive.clone())
    }

    /// Corrects what `stat` shows of a registry file.
    pub(super) fn show_hive(
        &self,
        state: &State,
        (parent, name): (u64, &[u16]),
        number: u64,
        attr: &mut FileAttr,
    ) -> Result<(), Errno> {
        let Some(hive) = self.hive_at(state, parent, name) else {
            return Ok(());
        };
        if let Some(Ok(open)) = self.files.of(number).map(|file| file.attr()) {
            attr.size = open.size;
        } else {
            let mut content = lock(&hive.content);
            let size = match &content.pending {
                Some((_, live)) => Some(live.metadata().map_err(|error| host(&error))?.len()),
                None => self.merged(state, &hive, &mut content)?.map(|merged| merged.len()),
            };
            attr.size = size.unwrap_or(attr.size);
        }
        attr.blocks = attr.size.div_ceil(512);
        Ok(())
    }

    /// The base's file with all that the stack says laid over it; nothing where it says nothing.
    fn merged(&self, state: &State, hive: &ServedHive, content: &mut Content) -> Result<Option<Arc<RawFile>>, Errno> {
        let version = self.hives.version.load(Ordering::Relaxed);
        if let Some((of, merged)) = &content.merged
            && *of == version
        {
            return Ok(merged.clone());
        }
        let form = hive.path.form;
        let refused = |message: String| self.hives.refused(hive, message);
        let stack = RegistryStack::of(&state.members).map_err(|error| {
            refused(crate::attach::one_line(&error));
            Errno::IO
        })?;
        let merged = if form.hives().all(|name| stack.is_silent(name)) {
            None
        } else {
            match Self::base_tree(state, &hive.at, form) {
                Ok(mut tree) => {
                    stack.lay_over(&mut tree);
                    stack.additions().join(&mut tree);
                    let bytes = tree.to_bytes().map_err(|error| {
                        refused(error.to_string());
                        Errno::IO
                    })?;
                    Some(Arc::new(unnamed(&bytes).map_err(|error| host(&error))?))
                }
                Err(error) => {
                    // What cannot be read cannot be merged; it is shown as it is.
                    refused(error.to_string());
                    None
                }
            }
        };
        content.merged = Some((version, merged.clone()));
        Ok(merged)
    }

    /// What the base's registry file at a path holds.
    pub(super) fn base_tree(state: &State, at: &NamePath, form: Form) -> Result<RegistryTree, FileFault> {
        let bytes = read_whole(&*base_file(state, at)?, form)?;
        let mut logs = Vec::new();
        if let (true, Some(name)) = (form.hive_file_name().is_some(), at.last())
            && cv_hive::Hive::open(&bytes).map_or(true, |opened| opened.is_dirty())
        {
            for suffix in LOGS {
                let log: Vec<u16> = name.iter().copied().chain(suffix.encode_utf16()).collect();
                let path = at.parent().joined(&log);
                let Ok(source) = base_file(state, &path) else { continue };
                let mut bytes = vec![0; source.len().min(cv_hive::read::MAX_HIVE_SIZE) as usize];
                source.read_at(&mut bytes, 0)?;
                if !bytes.is_empty() {
                    logs.push(LogFile {
                        path: PathBuf::from(path.to_string()),
                        bytes,
                    });
                }
            }
        }
        let mut tree = RegistryTree::parse(bytes, form, logs)?;
        if form == Form::Hive(HiveName::User) && base_file(state, &served::classes_beside(at)).is_ok() {
            tree.leave_out_classes();
        }
        Ok(tree)
    }

    /// Opens a registry file for a program; `None` where the inode is none.
    pub(super) fn open_hive(
        &self,
        number: u64,
        flags: OFlags,
        pid: u32,
    ) -> Result<Option<(u64, Arc<OpenFile>)>, Errno> {
        let truncates = flags.contains(OFlags::TRUNC);
        let writes = truncates || flags & OFlags::RWMODE != OFlags::RDONLY;
        if !self.may_be_registry(number) {
            return Ok(None);
        }
        let state = self.read();
        let Some(hive) = self.hive_of(&state, number) else {
            return Ok(None);
        };
        let mut content = lock(&hive.content);
        let open = self.files.of(number);
        let file = match open {
            Some(file) if !writes => file,
            open => {
                let (source, member) = if writes {
                    self.live(&state, &hive, &mut content)?;
                    let (_, live) = content.pending.as_ref().ok_or(Errno::ROFS)?;
                    let file = live.try_clone().map_err(|error| host(&error))?;
                    if truncates {
                        file.set_len(0).map_err(|error| host(&error))?;
                        hive.note_written();
                    }
                    let (_, member) = self.source(&state, number)?;
                    let is_writable = true;
                    (Source::Host { file, is_writable }, member)
                } else {
                    self.readable(&state, number, &hive, &mut content)?
                };
                match open {
                    Some(file) => {
                        file.replace(source, member);
                        file
                    }
                    None => self
                        .files
                        .add_open(OpenFile::of_hive(number, source, member, hive.clone())),
                }
            }
        };
        Ok(Some((self.files.add(&file, pid, flags), file)))
    }

    /// What a program reads that opens the file now.
    fn readable(
        &self,
        state: &State,
        number: u64,
        hive: &ServedHive,
        content: &mut Content,
    ) -> Result<(Source, cv_overlay::LayerId), Errno> {
        let (plain, member) = self.source(state, number)?;
        let file = if let Some((_, live)) = &content.pending {
            Some(live.try_clone())
        } else {
            let merged = self.merged(state, hive, content)?;
            content.read = Some(merged.clone().map_or(ReadLast::Base, ReadLast::Merged));
            merged.map(|merged| merged.file().try_clone())
        };
        let file = file.transpose().map_err(|error| host(&error))?;
        let source = file.map_or(plain, |file| Source::Host {
            file,
            is_writable: false,
        });
        Ok((source, member))
    }

    fn writable_folder(state: &State) -> Result<PathBuf, Errno> {
        let mut members = state.members.iter();
        let writable = members.find(|member| member.facts.role == Role::Writable);
        Ok(writable.ok_or(Errno::ROFS)?.facts.source.clone())
    }

    /// Makes the file that programs write, where there is none yet.
    fn live(&self, state: &State, hive: &ServedHive, content: &mut Content) -> Result<(), Errno> {
        if content.pending.is_some() {
            return Ok(());
        }
        let writable = Self::writable_folder(state)?;
        let stem = &hive.path.stem;
        let begun = match self.merged(state, hive, content)? {
            Some(merged) => Pending::begin(&writable, stem, &*merged),
            None => Pending::begin(
                &writable,
                stem,
                &*base_file(state, &hive.at).map_err(|error| error.errno())?,
            ),
        };
        Self::take_pending(begun, content)
    }

    fn take_pending(begun: io::Result<Pending>, content: &mut Content) -> Result<(), Errno> {
        let opened = begun.and_then(|pending| {
            let live = pending.open()?;
            Ok((pending, live))
        });
        content.pending = Some(opened.map_err(|error| host(&error))?);
        Ok(())
    }

    /// Changes the size of a registry file, all that can be set of one; whether the inode is one.
    pub(super) fn resize_hive(&self, number: u64, size: Option<u64>) -> Result<bool, Errno> {
        if !self.may_be_registry(number) {
            return Ok(false);
        }
        let state = self.read();
        let Some(hive) = self.hive_of(&state, number) else {
            return Ok(false);
        };
        if let Some(size) = size {
            let mut content = lock(&hive.content);
            self.live(&state, &hive, &mut content)?;
            let (_, live) = content.pending.as_ref().ok_or(Errno::ROFS)?;
            live.set_len(size).map_err(|error| host(&error))?;
            hive.note_written();
        }
        Ok(true)
    }

    /// A program put a file that it wrote in the place of a registry file. What it changed is measured by what was read last.
    pub(super) fn adopt_hive(&self, state: &State, hive: &ServedHive, written: &dyn ReadAt) -> Result<(), Errno> {
        let writable = Self::writable_folder(state)?;
        let mut content = lock(&hive.content);
        let stem = &hive.path.stem;
        let read = match (&content.pending, content.read.clone()) {
            // Somebody wrote in it as well, and what he wrote is replaced.
            (Some((pending, _)), _) => Some(Arc::new(pending.before().map_err(|error| host(&error))?)),
            (None, Some(ReadLast::Merged(read))) => Some(read),
            (None, Some(ReadLast::Base)) => None,
            (None, None) => self.merged(state, hive, &mut content)?,
        };
        let begun = match read {
            Some(read) => Pending::adopt(&writable, stem, &*read, written),
            None => Pending::adopt(
                &writable,
                stem,
                &*base_file(state, &hive.at).map_err(|error| error.errno())?,
                written,
            ),
        };
        Self::take_pending(begun, &mut content)?;
        hive.note_written();
        Ok(())
    }

    /// A program closes a file, or has closed it for the last time: what it wrote in a registry file is kept.
    pub fn closing(&self, file: &OpenFile, is_last: bool) {
        if let Some(hive) = &file.hive {
            self.keep_hive(hive, is_last);
        }
    }

    pub(super) fn keep_hive(&self, hive: &ServedHive, is_last: bool) {
        let state = self.read();
        let mut content = lock(&hive.content);
        let Some((pending, _)) = &content.pending else { return };
        if hive.is_dirty.swap(false, Ordering::Relaxed) {
            match self.take_back(&state, pending) {
                Ok(()) => {
                    // Whoever wrote it goes on from what he wrote.
                    content.read = pending.before().ok().map(|read| ReadLast::Merged(Arc::new(read)));
                }
                Err(TakeBackError::Fault(_)) if !is_last => {
                    // Half-written, perhaps.
                    hive.note_written();
                    return;
                }
                Err(error) => {
                    self.hives.refused(hive, error.to_string());
                    if let (TakeBackError::Fault(_), Some((pending, _))) = (error, content.pending.take()) {
                        let _ = pending.set_aside();
                    } else {
                        // Tried again when it is closed next, and by the next mount.
                        hive.note_written();
                    }
                    return;
                }
            }
        }
        if is_last
            && let Some((pending, _)) = content.pending.take()
            && let Err(error) = pending.end()
        {
            self.hives.refused(hive, error.to_string());
        }
    }

    fn take_back(&self, state: &State, pending: &Pending) -> Result<(), TakeBackError> {
        let (before, mut after) = pending.trees().map_err(TakeBackError::Fault)?;
        let kept = RegistryStack::of(&state.members)?.keep(&before, &mut after)?;
        pending.advance().map_err(TakeBackError::Host)?;
        self.hives.changed();
        self.hives.events.tell(What::RegistryKept {
            path: pending.stem().to_owned(),
            hives: kept
                .hives
                .iter()
                .map(|(folder, hive)| folder.join(hive.file_name()))
                .collect(),
            excluded: kept.has_refused,
        });
        Ok(())
    }

    /// Keeps what a mount that was killed did not.
    pub fn recover_hives(&self) {
        let state = self.read();
        let Ok(writable) = Self::writable_folder(&state) else {
            return;
        };
        for pending in Pending::left_behind(&writable) {
            let stem = pending.stem().to_owned();
            let done = match self.take_back(&state, &pending) {
                Ok(()) => pending.end(),
                Err(TakeBackError::Fault(error)) => {
                    let refused = pending.set_aside();
                    refused.and(Err(io::Error::other(error)))
                }
                Err(error) => Err(io::Error::other(error)),
            };
            if let Err(error) = done {
                self.hives.events.tell(What::RegistryRefused {
                    path: stem,
                    message: error.to_string(),
                });
            }
        }
    }

    /// What the stack says of the registry.
    pub fn registry(&self) -> Result<RegistryStack, DeltaError> {
        RegistryStack::of(&self.read().members)
    }
}

/// Why changes of a registry file were not kept.
#[derive(Debug, thiserror::Error)]
enum TakeBackError {
    #[error("what was written is no registry file: {0}")]
    Fault(FileFault),
    #[error(transparent)]
    Delta(#[from] DeltaError),
    #[error(transparent)]
    Host(io::Error),
}

/// The file that the members show at a path, as it is.
pub(super) fn base_file(state: &State, at: &NamePath) -> Result<Box<dyn ReadAt>, MemberError> {
    let place: Place<Entry> = state.stack.resolve(at)?.found().ok_or(Errno::NOENT)?;
    let winner = place.winner();
    if winner.kind != Kind::File {
        return Err(Errno::NOENT.into());
    }
    match (&**state.member(winner.position)?, &winner.entry) {
        (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
            let file = ntfs.file(entry.reference)?;
            Ok(Box::new(ntfs.stream(entry, &file, &[])?))
        }
        (Member::Folder(folder), Entry::Folder(entry)) => {
            let file = File::from(folder.open(&entry.path, OFlags::RDONLY)?);
            Ok(Box::new(RawFile::from_file(file).map_err(|error| host(&error))?))
        }
        _ => Err(Errno::STALE.into()),
    }
}
