//! The merged view, by the kernel's inodes: what is there, what it holds, and changing it.

mod attributes;
mod change;
mod explain;
mod explain_key;
mod files;
mod hives;
mod host;
mod notices;
mod write;

pub use change::{Changed, Holder, Neighbour};
pub use explain::PathExplained;
pub use explain_key::{KeyExplainError, KeyExplained};
pub use files::{OpenFile, Passthrough, Source};
pub use host::Sizes;
pub use notices::Notice;
pub use write::{Created, NewAttributes};

use crate::events::EventLog;
use crate::facts::{self, Owner};
use crate::integrity::Signature;
use crate::member::{Entry, Member, MemberError, Site};
use crate::nodes::{Identity, MARKER, Nodes, ROOT};
use crate::registry::deltas::LayerRegistry;
use crate::registry::served;
use crate::scripts::ScriptSet;
use crate::upper::{Origin, Upper, is_null_device, link_target};
use cv_overlay::{Kind, LayerId, NamePath, Names, Place, Role, Stack};
use cv_winname::wtf8;
use fuser::{FileAttr, FileType, INodeNo};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::UNIX_EPOCH;

/// Directories whose places are kept; each takes some hundred bytes.
const PLACES_KEPT: usize = 20_000;

/// Names without a file that are remembered, so that the kernel can be told when one appears.
const NEGATIVES_KEPT: usize = 100_000;

/// Entries of one listing whose places are kept with it.
const LISTED_PLACES: usize = 20_000;

/// The name by which Wine finds out that a directory ignores case.
const MARKER_NAME: &[u8] = b".ciopfs";

/// What a member is called.
#[derive(Debug, Clone)]
pub struct MemberFacts {
    /// What it is in the stack.
    pub id: LayerId,
    /// What part it plays.
    pub role: Role,
    /// Where it came from: the path of the folder or image.
    pub source: std::path::PathBuf,
    /// The name in its manifest, of a layer that has one.
    pub name: Option<String>,
    /// What tells it from all others: the id of its manifest, or made of the volume or folder.
    pub uuid: [u8; 16],
    /// Its priority.
    pub priority: i32,
    /// Whose signature it has.
    pub signature: Signature,
    /// The names of its lifecycle scripts.
    pub scripts: Vec<String>,
    /// Whether what is read from it is verified.
    pub verifies_reads: bool,
}

/// A member that is to stand in a stack.
#[derive(Debug)]
pub struct NewMember {
    /// What it is called.
    pub facts: MemberFacts,
    /// The rules of its manifest.
    pub rules: Vec<cv_overlay::policy::Rule>,
    /// The thing itself.
    pub member: Arc<Member>,
    /// By what it takes writes, where it may.
    pub upper: Option<Upper>,
    /// Its lifecycle scripts, where they may run.
    pub scripts: Option<Arc<ScriptSet>>,
    /// What it says of the registry, of a layer.
    pub registry: Option<Arc<LayerRegistry>>,
}

/// The stack of a view as it is now.
#[derive(Debug)]
pub struct State {
    pub(crate) stack: Stack<Arc<Member>>,
    pub(crate) members: Vec<NewMember>,
    pub(crate) next_id: u64,
    /// Counts the changes, so that what was found before one is not taken for what is there now.
    pub(crate) version: u64,
}

impl State {
    pub(crate) fn facts(&self, position: usize) -> Option<&MemberFacts> {
        let id = self.stack.members().get(position)?.id;
        self.members
            .iter()
            .map(|member| &member.facts)
            .find(|facts| facts.id == id)
    }

    fn slot(&self, position: usize) -> u16 {
        let id = self.stack.members().get(position).map_or(0, |member| member.id.0);
        u16::try_from(id).unwrap_or(0)
    }

    fn member(&self, position: usize) -> Result<&Arc<Member>, Errno> {
        Ok(&self.stack.members().get(position).ok_or(Errno::STALE)?.layer)
    }

    /// By what a member takes writes.
    fn upper(&self, position: usize) -> Option<&Upper> {
        let id = self.stack.members().get(position)?.id;
        let member = self.members.iter().find(|member| member.facts.id == id)?;
        member.upper.as_ref()
    }

    /// Whether the winner of a place is what takes the writes there.
    fn takes_writes(&self, place: &Place<Entry>) -> bool {
        let position = place.winner().position;
        self.stack.writes_to(place) == Some(position) && self.upper(position).is_some()
    }

    fn is_upper(&self, position: usize) -> bool {
        self.stack
            .members()
            .get(position)
            .is_some_and(|member| member.role.is_upper())
    }
}

/// How a view is to be.
#[derive(Debug, Clone, Copy)]
pub struct ViewOptions {
    /// Whose the files of volumes are.
    pub owner: Owner,
    /// Whether the kernel may hand reads and writes of files in the writable folder straight to the host.
    pub passthrough: bool,
    /// What its root is.
    pub site: Site,
    /// Inodes that the kernel may know before it is asked to forget the oldest.
    pub known_kept: usize,
}

/// The merged view.
#[derive(Debug)]
pub struct View {
    names: Arc<Names>,
    options: ViewOptions,
    is_writable: bool,
    state: RwLock<State>,
    nodes: Mutex<Nodes>,
    places: Mutex<HashMap<u64, Arc<Place<Entry>>>>,
    files: files::Files,
    hives: hives::Hives,
    negatives: Mutex<Negatives>,
    mounted: std::time::SystemTime,
    notices: notices::Notices,
}

/// The names that the kernel was told do not exist, by directory.
#[derive(Debug, Default)]
struct Negatives {
    names: HashMap<u64, Vec<Box<[u8]>>>,
    count: usize,
}

/// What a lookup found.
#[derive(Debug)]
pub struct Found {
    /// What `stat` shows.
    pub attr: FileAttr,
    /// Whether the name was asked for as it is spelled, so that the kernel may keep it for as long as it likes.
    pub is_spelled: bool,
}

/// An entry of a listing.
#[derive(Debug)]
pub struct ListedName {
    /// The name, as bytes.
    pub name: Box<[u8]>,
    /// The number, as far as it is known without looking at the file; never 0.
    pub number: u64,
    /// What it is.
    pub kind: FileType,
    place: Option<Place<Entry>>,
}

/// A listing as it was when the directory was opened.
#[derive(Debug)]
pub struct Snapshot {
    /// The entries, in the order of the names.
    pub entries: Vec<ListedName>,
    /// The number of the directory above.
    pub parent: u64,
    /// The version of the state that was listed.
    version: u64,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl View {
    /// A view of members, given in the order in which they were attached; their ids count from 1.
    pub fn new(names: Arc<Names>, members: Vec<NewMember>, options: ViewOptions, events: Arc<EventLog>) -> Self {
        let next_id = members.iter().map(|member| member.facts.id.0).max().unwrap_or(0) + 1;
        let stack = change::stack(&names, &members);
        Self {
            options,
            is_writable: members.iter().any(|member| member.upper.is_some()),
            state: RwLock::new(State {
                stack,
                members,
                next_id,
                version: 0,
            }),
            nodes: Mutex::default(),
            places: Mutex::default(),
            files: files::Files::default(),
            hives: hives::Hives::new(options.site, events),
            negatives: Mutex::default(),
            names,
            mounted: std::time::SystemTime::now(),
            notices: notices::Notices::default(),
        }
    }

    /// The stack as it is now, which stays so for as long as the guard lives.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        lock(&self.nodes)
    }

    /// Whether there is a writable volume.
    pub fn is_writable(&self) -> bool {
        self.is_writable
    }

    /// Whether names are the same in any case.
    pub fn ignores_case(&self) -> bool {
        !self.names.is_case_sensitive()
    }

    /// How many inodes the kernel knows.
    pub fn known_inodes(&self) -> usize {
        self.nodes().count()
    }

    /// The kernel forgot an inode.
    pub fn forget(&self, number: u64, lookups: u64) {
        let mut nodes = self.nodes();
        nodes.forget(number, lookups);
        if nodes.identity(number).is_none() {
            lock(&self.places).remove(&number);
            drop(nodes);
            let mut negatives = lock(&self.negatives);
            if let Some(gone) = negatives.names.remove(&number) {
                negatives.count -= gone.len();
            }
        }
    }

    /// The place of a directory.
    fn directory(&self, state: &State, number: u64) -> Result<Arc<Place<Entry>>, Errno> {
        // Up to a directory whose place is known, and down again.
        let mut names = Vec::new();
        let mut at = number;
        let mut place = loop {
            if let Some(known) = lock(&self.places).get(&at) {
                break known.clone();
            }
            if at == ROOT {
                let root = state.stack.root().map_err(|error| error.errno())?.ok_or(Errno::NOENT)?;
                let root = Arc::new(root);
                self.keep_place(ROOT, &root);
                break root;
            }
            let (parent, name) = self.nodes().place(at).ok_or(Errno::STALE)?;
            names.push((at, name));
            at = parent;
        };
        for (number, name) in names.into_iter().rev() {
            let below = state.stack.lookup(&place, &name).map_err(|error| error.errno())?;
            place = Arc::new(below.filter(Place::is_directory).ok_or(Errno::STALE)?);
            self.keep_place(number, &place);
        }
        Ok(place)
    }

    fn keep_place(&self, number: u64, place: &Arc<Place<Entry>>) {
        let mut places = lock(&self.places);
        if places.len() >= PLACES_KEPT {
            places.clear();
        }
        places.insert(number, place.clone());
    }

    /// Finds a name in a directory, an 8.3 name too.
    fn find(&self, state: &State, directory: &Place<Entry>, name: &[u16]) -> Result<Option<Place<Entry>>, MemberError> {
        let found = state.stack.lookup(directory, name)?;
        let may_be_short = found.is_none() && self.ignores_case() && cv_winname::is_short_name(name);
        if !may_be_short {
            return Ok(found);
        }
        for part in directory.merged() {
            let Some(member) = state.stack.members().get(part.position) else {
                continue;
            };
            if let Some(long) = member.layer.long_name(&part.entry, name)? {
                return state.stack.lookup(directory, &long);
            }
        }
        Ok(None)
    }

    /// What is under a name of a directory; the kernel knows it from then on.
    pub fn lookup(&self, state: &State, parent: u64, name: &[u8]) -> Result<Found, Errno> {
        let units = wtf8::decode(name).map_err(|_| Errno::NOENT)?;
        if units.len() > cv_winname::MAX_COMPONENT {
            return Err(Errno::NAMETOOLONG);
        }
        let directory = self.directory(state, parent)?;
        let Some(place) = self.find(state, &directory, &units).map_err(|error| error.errno())? else {
            if self.ignores_case() && name == MARKER_NAME {
                return Ok(Found {
                    attr: self.marker(),
                    is_spelled: true,
                });
            }
            return Err(Errno::NOENT);
        };
        let spelled = state.stack.name(&place);
        let is_spelled = spelled == units;
        let attr = self.intern(state, parent, spelled, &place)?;
        Ok(Found { attr, is_spelled })
    }

    /// Notes that the kernel was told that a name does not exist; whether it may remember that.
    pub fn note_negative(&self, parent: u64, name: &[u8]) -> bool {
        if self.is_writable() && self.ignores_case() {
            // A file made in another spelling would stay unseen in this one.
            return false;
        }
        let mut negatives = lock(&self.negatives);
        if negatives.count >= NEGATIVES_KEPT {
            return false;
        }
        negatives.count += 1;
        let names = negatives.names.entry(parent).or_default();
        names.push(name.into());
        true
    }

    /// Notes a spelling of a name that is not the name's own; whether the kernel may remember it.
    pub fn note_spelling(&self, parent: u64, name: &[u8]) -> bool {
        self.note_negative(parent, name)
    }

    fn marker(&self) -> FileAttr {
        FileAttr {
            ino: INodeNo(MARKER),
            size: 0,
            blocks: 0,
            atime: self.mounted,
            mtime: self.mounted,
            ctime: self.mounted,
            crtime: UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm: 0o444,
            nlink: 1,
            uid: self.options.owner.uid,
            gid: self.options.owner.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// What `stat` shows of a place, and what tells its file from others. The inode's number is not yet in it.
    fn look_at(&self, state: &State, place: &Place<Entry>) -> Result<(FileAttr, Identity, u64), Errno> {
        let winner = place.winner();
        let slot = state.slot(winner.position);
        match (&**state.member(winner.position)?, &winner.entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
                let is_link = matches!(winner.kind, Kind::Symlink | Kind::Junction);
                let failed = |error| MemberError::from(error).errno();
                let attr = match ntfs.volume().glance(entry.reference).map_err(failed)? {
                    Some(glance) if !is_link => facts::of_glance(&glance, self.options.owner),
                    _ => {
                        let file = ntfs.file(entry.reference).map_err(failed)?;
                        facts::of_volume(&file, is_link, self.options.owner).map_err(failed)?
                    }
                };
                let identity = Identity {
                    slot,
                    file: entry.reference.record(),
                };
                Ok((attr, identity, identity.natural()))
            }
            (Member::Folder(folder), Entry::Folder(entry)) => {
                let stat = folder.stat(&entry.path)?;
                let identity = Identity {
                    slot,
                    file: stat.st_ino,
                };
                let mut natural = identity.natural();
                let mut attr = facts::of_host(&stat);
                let may_have_origin = matches!(attr.kind, FileType::RegularFile | FileType::Directory);
                if may_have_origin
                    && state.is_upper(winner.position)
                    && let Ok(file) = folder.open(&entry.path, OFlags::RDONLY | OFlags::NONBLOCK)
                {
                    if let Some(origin) = Self::origin(state, &file) {
                        natural = origin;
                    }
                    if attr.kind == FileType::RegularFile && attr.size == 0 && is_null_device(&file) {
                        attr.kind = FileType::CharDevice;
                    }
                }
                Ok((attr, identity, natural))
            }
            _ => Err(Errno::STALE),
        }
    }

    /// The number of what something in the writable folder is a copy of.
    fn origin(state: &State, file: &OwnedFd) -> Option<u64> {
        let origin = Origin::of(file)?;
        let facts = state
            .members
            .iter()
            .map(|member| &member.facts)
            .find(|facts| facts.uuid == origin.member)?;
        let natural = Identity {
            slot: u16::try_from(facts.id.0).ok()?,
            file: origin.file,
        }
        .natural();
        (natural != 0).then_some(natural)
    }

    /// What `stat` shows of a place with its inode's number, which the kernel knows from then on.
    fn intern(&self, state: &State, parent: u64, name: &[u16], place: &Place<Entry>) -> Result<FileAttr, Errno> {
        let (mut attr, identity, natural) = self.look_at(state, place)?;
        let (identity, natural) = if place.is_directory() {
            Self::directory_number(state, place, identity, natural)?
        } else {
            (identity, natural)
        };
        if attr.kind == FileType::Symlink && attr.size == 0 {
            attr.size = self.link_length(state, parent, name, place);
        }
        let mut nodes = self.nodes();
        attr.ino = INodeNo(nodes.intern(parent, name, natural, identity, 1));
        let is_crowded = nodes.count() > self.options.known_kept;
        drop(nodes);
        if is_crowded {
            self.notices.crowded();
        }
        if attr.kind == FileType::RegularFile {
            self.files.refresh(attr.ino.0, &mut attr);
            if let Err(errno) = self.show_hive(state, (parent, name), attr.ino.0, &mut attr) {
                self.forget(attr.ino.0, 1);
                return Err(errno);
            }
        }
        Ok(attr)
    }

    /// A directory has the number of its lowest part.
    fn directory_number(
        state: &State,
        place: &Place<Entry>,
        identity: Identity,
        natural: u64,
    ) -> Result<(Identity, u64), Errno> {
        let winner_slot = identity.slot;
        let lowest = place
            .merged()
            .last()
            .filter(|part| state.slot(part.position) != winner_slot);
        let identity = match lowest {
            Some(part) => Identity {
                slot: state.slot(part.position),
                file: match (&**state.member(part.position)?, &part.entry) {
                    (Member::Folder(folder), Entry::Folder(entry)) => folder.stat(&entry.path)?.st_ino,
                    (_, entry) => entry.as_ntfs().map_or(0, |entry| entry.reference.record()),
                },
            },
            // A copy that stands alone is still what it was copied from.
            None if natural != identity.natural() && natural != 0 => Identity {
                slot: (natural >> 48) as u16,
                file: natural & ((1 << 48) - 1),
            },
            None => identity,
        };
        Ok((identity, identity.natural()))
    }

    fn link_length(&self, state: &State, parent: u64, name: &[u16], place: &Place<Entry>) -> u64 {
        let Some(path) = self.path(parent).map(|path| path.joined(name)) else {
            return 0;
        };
        Self::target_of(state, place, &path).map_or(0, |target| target.len() as u64)
    }

    /// The path of an inode.
    fn path(&self, number: u64) -> Option<NamePath> {
        self.nodes().path(number)
    }

    /// The place of an inode: what its path leads to, where that is still the same file.
    fn place(&self, state: &State, number: u64) -> Result<Arc<Place<Entry>>, Errno> {
        if number == ROOT {
            return self.directory(state, ROOT);
        }
        if let Some(known) = lock(&self.places).get(&number) {
            return Ok(known.clone());
        }
        let (parent, name) = self.nodes().place(number).ok_or(Errno::STALE)?;
        let directory = self.directory(state, parent)?;
        let place = state.stack.lookup(&directory, &name).map_err(|error| error.errno())?;
        Ok(Arc::new(place.ok_or(Errno::STALE)?))
    }

    /// What `stat` shows of an inode.
    pub fn stat(&self, state: &State, number: u64) -> Result<FileAttr, Errno> {
        if number == MARKER {
            return Ok(self.marker());
        }
        if let Some(attr) = self.files.stat_detached(number)? {
            return Ok(attr);
        }
        let place = self.place(state, number)?;
        let (mut attr, identity, _) = self.look_at(state, &place)?;
        if !place.is_directory() && self.nodes().identity(number) != Some(identity) {
            return self.files.stat_open(number);
        }
        if attr.kind == FileType::Symlink
            && attr.size == 0
            && let Some(path) = self.path(number)
        {
            attr.size = Self::target_of(state, &place, &path).map_or(0, |target| target.len() as u64);
        }
        attr.ino = INodeNo(number);
        if attr.kind == FileType::RegularFile {
            let place = self.nodes().place(number);
            if let Some((parent, name)) = place {
                self.show_hive(state, (parent, &name), number, &mut attr)?;
            }
        }
        Ok(attr)
    }

    /// Where a link leads.
    pub fn read_link(&self, state: &State, number: u64) -> Result<Vec<u8>, Errno> {
        let place = self.place(state, number)?;
        let path = self.path(number).ok_or(Errno::STALE)?;
        Self::target_of(state, &place, &path)
    }

    fn target_of(state: &State, place: &Place<Entry>, path: &NamePath) -> Result<Vec<u8>, Errno> {
        let winner = place.winner();
        match (&**state.member(winner.position)?, &winner.entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
                let file = ntfs.file(entry.reference).map_err(|_| Errno::IO)?;
                link_target(&file, &ntfs.site().on_drive(path))
            }
            (Member::Folder(folder), Entry::Folder(entry)) => {
                let target = rustix::fs::readlinkat(folder.root_fd(), &*entry.path, Vec::new())?;
                Ok(target.into_bytes())
            }
            _ => Err(Errno::STALE),
        }
    }

    /// Lists a directory as it is now.
    pub fn list(&self, state: &State, number: u64) -> Result<Snapshot, Errno> {
        let directory = self.directory(state, number)?;
        let mut entries = Vec::new();
        for listed in state.stack.list(&directory).map_err(|error| error.errno())? {
            let place = listed.map_err(|error| error.errno())?.place;
            let kind = match place.kind() {
                Kind::Directory | Kind::OpaqueDirectory => FileType::Directory,
                Kind::Symlink | Kind::Junction => FileType::Symlink,
                Kind::File | Kind::Whiteout => FileType::RegularFile,
            };
            let lowest = place.merged().last().unwrap_or(place.winner());
            let file = lowest.entry.as_ntfs().map_or(0, |entry| entry.reference.record());
            let natural = Identity {
                slot: state.slot(lowest.position),
                file,
            }
            .natural();
            entries.push(ListedName {
                name: wtf8::encode(state.stack.name(&place)).into(),
                // Of a file of the host the number is not known yet; the kernel asks for it where it matters.
                number: if file == 0 || natural == 0 {
                    u64::from(u32::MAX)
                } else {
                    natural
                },
                kind,
                place: (entries.len() < LISTED_PLACES).then_some(place),
            });
        }
        let parent = if number == ROOT {
            ROOT
        } else {
            self.nodes().place(number).map_or(ROOT, |(parent, _)| parent)
        };
        Ok(Snapshot {
            entries,
            parent,
            version: state.version,
        })
    }

    /// What `stat` shows of an entry of a listing of the directory `parent`, which the kernel knows from then on.
    pub fn stat_listed(
        &self,
        state: &State,
        parent: u64,
        snapshot: &Snapshot,
        index: usize,
    ) -> Result<FileAttr, Errno> {
        let listed = snapshot.entries.get(index).ok_or(Errno::NOENT)?;
        if wtf8::decode(&listed.name).is_ok_and(|name| served::is_likely(&name)) {
            // To know its size would be to merge it, which can wait until somebody asks for it.
            return Err(Errno::AGAIN);
        }
        match &listed.place {
            Some(place) if snapshot.version == state.version => {
                let name = state.stack.name(place);
                self.intern(state, parent, name, place)
            }
            _ => self.lookup(state, parent, &listed.name).map(|found| found.attr),
        }
    }
}
