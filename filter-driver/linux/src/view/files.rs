//! Open files. Each inode that is open anywhere has one, shared by all who opened it, so that what one writes the other
//! reads, also where the file was copied up in between.

use super::hives::ServedHive;
use super::{State, View, lock};
use crate::around::SmallReads;
use crate::facts;
use crate::member::{Content, Entry, Member, MemberError};
use cv_disk::ReadAt;
use cv_overlay::plan::Data;
use cv_overlay::{Kind, LayerId};
use fuser::{BackingId, FileAttr, INodeNo};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Where the bytes of an open file are.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of them for each open file")]
pub enum Source {
    /// On a volume.
    Stream {
        /// The bytes.
        stream: Content,
        /// What `stat` shows.
        attr: FileAttr,
    },
    /// In a file of the host.
    Host {
        /// The file.
        file: File,
        /// Whether it may be written.
        is_writable: bool,
    },
}

/// Whether the kernel reads and writes the host's file itself.
#[derive(Debug)]
pub enum Passthrough {
    /// Not decided yet.
    Open,
    /// It does.
    Kernel(Arc<BackingId>),
    /// It asks here.
    Never,
}

/// What the kernel sets in the flags of a file that it opens to run it (`__FMODE_EXEC` of `linux/fs.h`).
const EXEC: OFlags = OFlags::from_bits_retain(0x20);

/// Who opened a file.
#[derive(Debug)]
struct Opener {
    pid: u32,
    /// To run it.
    runs: bool,
}

/// An inode that is open.
#[derive(Debug)]
pub struct OpenFile {
    /// The inode.
    pub number: u64,
    source: RwLock<Source>,
    /// The member that the bytes come from.
    member: Mutex<LayerId>,
    /// Who opened it, by handle.
    holders: Mutex<HashMap<u64, Opener>>,
    /// The registry file that it is.
    pub(super) hive: Option<Arc<ServedHive>>,
    /// How the kernel reads it. All who have it open read it the same way.
    pub passthrough: Mutex<Passthrough>,
    /// How little pieces of it are read.
    pub(crate) small_reads: SmallReads,
}

/// All open files.
#[derive(Debug, Default)]
pub struct Files {
    by_number: Mutex<HashMap<u64, Arc<OpenFile>>>,
    by_handle: RwLock<HashMap<u64, Arc<OpenFile>>>,
    next_handle: AtomicU64,
    /// Inodes without a name that are still open.
    detached: Mutex<std::collections::HashSet<u64>>,
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// The process of a thread: the kernel names who opens a file by thread.
fn process_of(thread: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
    let process = status
        .lines()
        .find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    process.unwrap_or(thread)
}

impl OpenFile {
    /// A registry file, which the kernel never reads or writes by itself.
    pub(super) fn of_hive(number: u64, source: Source, member: LayerId, hive: Arc<ServedHive>) -> Self {
        Self {
            number,
            source: RwLock::new(source),
            member: Mutex::new(member),
            holders: Mutex::default(),
            hive: Some(hive),
            passthrough: Mutex::new(Passthrough::Never),
            small_reads: SmallReads::default(),
        }
    }

    /// Reads up to `size` bytes. `buffer` grows where it has to; what it had before does not matter.
    pub fn read<'a>(&self, offset: u64, size: usize, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Errno> {
        let source = &*self.source.read().unwrap_or_else(PoisonError::into_inner);
        let size = match source {
            Source::Stream { stream, .. } => stream.len().saturating_sub(offset).min(size as u64) as usize,
            Source::Host { .. } => size,
        };
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        let bytes = &mut buffer[..size];
        match source {
            Source::Stream { .. } if size == 0 => Ok(bytes),
            Source::Stream { stream, .. } => {
                stream.read_at(bytes, offset).map_err(|_| Errno::IO)?;
                Ok(bytes)
            }
            Source::Host { file, .. } => {
                let mut done = 0;
                while done < size {
                    match file.read_at(&mut bytes[done..], offset + done as u64) {
                        Ok(0) => break,
                        Ok(read) => done += read,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(errno(&error)),
                    }
                }
                Ok(&bytes[..done])
            }
        }
    }

    /// How long it is, if its bytes are on a volume, where they never change.
    pub(crate) fn stream_length(&self) -> Option<u64> {
        match &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Stream { stream, .. } => Some(stream.len()),
            Source::Host { .. } => None,
        }
    }

    /// Does something with the host's file, which may be written.
    pub fn with_writable<T>(&self, work: impl FnOnce(&File) -> Result<T, Errno>) -> Result<T, Errno> {
        match &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Host {
                file,
                is_writable: true,
            } => {
                if let Some(hive) = &self.hive {
                    hive.note_written();
                }
                work(file)
            }
            _ => Err(Errno::BADF),
        }
    }

    /// Does something with the host's file, if it is one.
    pub fn with_host<T>(&self, work: impl FnOnce(&File) -> Result<T, Errno>) -> Option<Result<T, Errno>> {
        match &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Host { file, .. } => Some(work(file)),
            Source::Stream { .. } => None,
        }
    }

    /// Writes all of `data`.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.with_writable(|file| file.write_all_at(data, offset).map_err(|error| errno(&error)))
    }

    /// Where the next data or hole begins.
    pub fn seek(&self, offset: u64, data: bool) -> Result<u64, Errno> {
        match &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Host { file, .. } => {
                let to = if data {
                    rustix::fs::SeekFrom::Data(offset)
                } else {
                    rustix::fs::SeekFrom::Hole(offset)
                };
                rustix::fs::seek(file, to)
            }
            Source::Stream { stream, .. } => {
                let mut at = offset;
                while at < stream.len() {
                    let extent = stream.extent_at(at).map_err(|_| Errno::IO)?;
                    if (extent.kind == cv_disk::ExtentKind::Data) == data {
                        return Ok(at);
                    }
                    at = extent.start.saturating_add(extent.length).max(at + 1);
                }
                if data || offset >= stream.len() {
                    Err(Errno::NXIO)
                } else {
                    Ok(stream.len())
                }
            }
        }
    }

    pub(super) fn attr(&self) -> Result<FileAttr, Errno> {
        let mut attr = match &*self.source.read().unwrap_or_else(PoisonError::into_inner) {
            Source::Stream { attr, .. } => *attr,
            Source::Host { file, .. } => facts::of_host(&rustix::fs::fstat(file)?),
        };
        attr.ino = INodeNo(self.number);
        Ok(attr)
    }

    /// Whether a program runs from it.
    fn runs(&self) -> bool {
        lock(&self.holders).values().any(|opener| opener.runs)
    }

    /// Takes the bytes from elsewhere from now on.
    pub(super) fn replace(&self, source: Source, member: LayerId) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source;
        *lock(&self.member) = member;
    }
}

impl Files {
    /// The open file of a handle.
    pub fn get(&self, handle: u64) -> Result<Arc<OpenFile>, Errno> {
        let handles = self.by_handle.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(&handle).cloned().ok_or(Errno::BADF)
    }

    /// The open file of an inode.
    pub fn of(&self, number: u64) -> Option<Arc<OpenFile>> {
        lock(&self.by_number).get(&number).cloned()
    }

    /// Takes an open file; where its inode was opened in this moment, that one counts.
    pub(super) fn add_open(&self, file: OpenFile) -> Arc<OpenFile> {
        let mut by_number = lock(&self.by_number);
        by_number.entry(file.number).or_insert_with(|| Arc::new(file)).clone()
    }

    /// Gives somebody a handle of an open file.
    pub(super) fn add(&self, file: &Arc<OpenFile>, pid: u32, flags: OFlags) -> u64 {
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed) + 1;
        let mut by_number = lock(&self.by_number);
        // Whoever had it open may have closed it in this moment.
        by_number.entry(file.number).or_insert_with(|| file.clone());
        let runs = flags.contains(EXEC);
        lock(&file.holders).insert(handle, Opener { pid, runs });
        drop(by_number);
        let mut handles = self.by_handle.write().unwrap_or_else(PoisonError::into_inner);
        handles.insert(handle, file.clone());
        handle
    }

    /// A handle was closed. Gives the file where it was the last of it.
    pub fn close(&self, handle: u64) -> Option<Arc<OpenFile>> {
        let file = self
            .by_handle
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&handle);
        let file = file?;
        let mut by_number = lock(&self.by_number);
        let mut holders = lock(&file.holders);
        holders.remove(&handle);
        let is_last = holders.is_empty();
        let is_known = by_number
            .get(&file.number)
            .is_some_and(|known| Arc::ptr_eq(known, &file));
        if is_last && is_known {
            by_number.remove(&file.number);
            lock(&self.detached).remove(&file.number);
        }
        drop(holders);
        drop(by_number);
        is_last.then_some(file)
    }

    /// The open files whose bytes come from a member, and who has them open.
    pub fn held(&self, member: LayerId) -> Vec<(u64, Vec<u32>)> {
        let files = lock(&self.by_number);
        let held = files.values().filter(|file| *lock(&file.member) == member);
        held.map(|file| {
            let mut pids: Vec<u32> = lock(&file.holders)
                .values()
                .map(|opener| process_of(opener.pid))
                .collect();
            pids.sort_unstable();
            pids.dedup();
            (file.number, pids)
        })
        .collect()
    }

    /// How many files are open.
    pub fn count(&self) -> usize {
        lock(&self.by_number).len()
    }

    /// An inode lost its last name.
    pub fn detach(&self, number: u64) {
        if lock(&self.by_number).contains_key(&number) {
            lock(&self.detached).insert(number);
        }
    }

    /// What `stat` shows of an inode without a name that is open.
    pub fn stat_detached(&self, number: u64) -> Result<Option<FileAttr>, Errno> {
        if !lock(&self.detached).contains(&number) {
            return Ok(None);
        }
        let mut attr = self.stat_open(number)?;
        attr.nlink = 0;
        Ok(Some(attr))
    }

    /// What `stat` shows of an inode that is open, whatever has its name now.
    pub fn stat_open(&self, number: u64) -> Result<FileAttr, Errno> {
        self.of(number).ok_or(Errno::STALE)?.attr()
    }

    /// Corrects size and times of a file that is open, of which another name may have been looked at.
    pub fn refresh(&self, number: u64, attr: &mut FileAttr) {
        if let Some(Ok(open)) = self.of(number).map(|file| file.attr()) {
            (attr.size, attr.blocks, attr.mtime, attr.ctime) = (open.size, open.blocks, open.mtime, open.ctime);
        }
    }
}

impl View {
    /// The open files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Opens a file for a program.
    pub fn open(&self, number: u64, flags: OFlags, pid: u32) -> Result<(u64, Arc<OpenFile>), Errno> {
        let truncates = flags.contains(OFlags::TRUNC);
        let writes = truncates || flags & OFlags::RWMODE != OFlags::RDONLY;
        if truncates && self.files.of(number).is_some_and(|file| file.runs()) {
            // Of who writes, the kernel found that out before it asked; of who only truncates, it would look afterwards.
            return Err(Errno::TXTBSY);
        }
        if let Some(opened) = self.open_hive(number, flags, pid)? {
            return Ok(opened);
        }
        if writes {
            self.copy_up(number, if truncates { Data::Truncated } else { Data::Whole })?;
        }
        let state = self.read();
        let file = self.opened(&state, number)?;
        if writes {
            if file.with_writable(|_| Ok(())).is_err() {
                let (source, member) = self.source(&state, number)?;
                file.replace(source, member);
            }
            if truncates {
                file.with_writable(|host| host.set_len(0).map_err(|error| errno(&error)))?;
            }
        }
        Ok((self.files.add(&file, pid, flags), file))
    }

    /// The open file of an inode, opened if it is not.
    fn opened(&self, state: &State, number: u64) -> Result<Arc<OpenFile>, Errno> {
        if let Some(file) = self.files.of(number) {
            return Ok(file);
        }
        let (source, member) = self.source(state, number)?;
        Ok(self.files.add_open(OpenFile {
            number,
            source: RwLock::new(source),
            member: Mutex::new(member),
            holders: Mutex::default(),
            hive: None,
            passthrough: Mutex::new(Passthrough::Open),
            small_reads: SmallReads::default(),
        }))
    }

    pub(super) fn source(&self, state: &State, number: u64) -> Result<(Source, LayerId), Errno> {
        let place = self.place(state, number)?;
        let winner = place.winner();
        if winner.kind != Kind::File {
            return Err(if winner.kind.is_directory() {
                Errno::ISDIR
            } else {
                Errno::LOOP
            });
        }
        let id = state.stack.members().get(winner.position).ok_or(Errno::STALE)?.id;
        let source = match (&**state.member(winner.position)?, &winner.entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
                let failed = |error: cv_ntfs::FileError| MemberError::from(error).errno();
                let file = ntfs.file(entry.reference).map_err(failed)?;
                Source::Stream {
                    stream: ntfs.stream(entry, &file, &[])?,
                    attr: facts::of_volume(&file, false, self.options.owner).map_err(failed)?,
                }
            }
            (Member::Folder(folder), Entry::Folder(entry)) => {
                let writable = if state.takes_writes(&place) {
                    folder.open(&entry.path, OFlags::RDWR)
                } else {
                    Err(Errno::ROFS)
                };
                match writable {
                    Ok(file) => Source::Host {
                        file: file.into(),
                        is_writable: true,
                    },
                    Err(_) => Source::Host {
                        file: folder.open(&entry.path, OFlags::RDONLY)?.into(),
                        is_writable: false,
                    },
                }
            }
            _ => return Err(Errno::STALE),
        };
        Ok((source, id))
    }

    /// Lets an open file that was copied up read its copy.
    pub(super) fn follow_copy(&self, state: &State, number: u64) -> Result<(), Errno> {
        if let Some(file) = self.files.of(number)
            && file.with_writable(|_| Ok(())).is_err()
        {
            let (source, member) = self.source(state, number)?;
            file.replace(source, member);
        }
        Ok(())
    }
}
