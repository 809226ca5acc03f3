//! The kernel's requests, answered by the view.
//!
//! Every answer that the kernel may remember is sent while the stack is held, so that a change of the stack comes after it
//! and can take it back.

mod answers;
mod listings;

use crate::around::ReadAround;
use crate::upper::New;
use crate::view::{NewAttributes, OpenFile, Passthrough, View, lock};
use answers::{FOREVER, NEVER, bare, creator, empty, entry, errno, nothing, sized, timespec};
use cv_overlay::plan::Replace;
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use listings::Listings;
use rustix::fs::{FallocateFlags, OFlags, XattrFlags};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// Bytes that the kernel reads ahead at most.
const READ_AHEAD: u32 = 256 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The file system of a mount.
#[derive(Debug)]
pub struct LayerFs {
    view: Arc<View>,
    listings: Listings,
    passes_through: Mutex<bool>,
    around: Arc<ReadAround>,
}

impl LayerFs {
    /// The file system that shows a view. `passthrough` lets the kernel read and write files of the writable folder itself.
    pub(crate) fn new(view: Arc<View>, passthrough: bool, around: Arc<ReadAround>) -> Self {
        Self {
            view,
            around,
            listings: Listings::default(),
            passes_through: Mutex::new(passthrough),
        }
    }

    /// Whether the kernel is to read and write this file itself, by what it was opened as before.
    fn passthrough_of(
        &self,
        file: &OpenFile,
        open: impl FnOnce(&std::fs::File) -> io::Result<fuser::BackingId>,
    ) -> Option<Arc<fuser::BackingId>> {
        let mut state = lock(&file.passthrough);
        match &*state {
            Passthrough::Kernel(backing) => return Some(backing.clone()),
            Passthrough::Never => return None,
            Passthrough::Open => {}
        }
        *state = Passthrough::Never;
        if !*lock(&self.passes_through) {
            return None;
        }
        let backing = file.with_writable(|host| Ok(open(host))).ok()?;
        let Ok(backing) = backing else {
            // Not root, or a kernel without it: not tried again.
            *lock(&self.passes_through) = false;
            return None;
        };
        let backing = Arc::new(backing);
        *state = Passthrough::Kernel(backing.clone());
        Some(backing)
    }
}

impl Filesystem for LayerFs {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let wanted = [
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_DONT_MASK,
        ];
        for flag in wanted {
            // What an older kernel does not know it does without.
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_readahead(READ_AHEAD);
        let passthrough = *lock(&self.passes_through)
            && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(1).is_ok();
        *lock(&self.passes_through) = passthrough;
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes();
        let state = self.view.read();
        match self.view.lookup(&state, parent.0, name) {
            Ok(found) => {
                let is_steady = !self.view.may_be_registry(found.attr.ino.0);
                let keeps = is_steady && (found.is_spelled || self.view.note_spelling(parent.0, name));
                let ttl = if keeps { FOREVER } else { NEVER };
                let attr_ttl = if is_steady { FOREVER } else { NEVER };
                reply.entry_with_ttls(&attr_ttl, &ttl, &found.attr, Generation(0));
            }
            Err(rustix::io::Errno::NOENT) if self.view.note_negative(parent.0, name) => {
                // Inode 0 says that there is nothing, and that this may be remembered.
                reply.entry(&FOREVER, &nothing(), Generation(0));
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn forget(&self, _request: &Request, inode: INodeNo, lookups: u64) {
        self.view.forget(inode.0, lookups);
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let _ = handle;
        let state = self.view.read();
        match self.view.stat(&state, inode.0) {
            Ok(attr) if self.view.may_be_registry(inode.0) => reply.attr(&NEVER, &attr),
            Ok(attr) => reply.attr(&FOREVER, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _changed_time: Option<SystemTime>,
        _backed_up: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let new = NewAttributes {
            mode,
            uid,
            gid,
            size,
            accessed: accessed.map(timespec),
            modified: modified.map(timespec),
        };
        match self.view.set_attributes(inode.0, &new) {
            Ok(attr) => reply.attr(&FOREVER, &attr),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readlink(&self, _request: &Request, inode: INodeNo, reply: ReplyData) {
        let state = self.view.read();
        match self.view.read_link(&state, inode.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let file_type = rustix::fs::FileType::from_raw_mode(mode);
        let mode = mode & !umask;
        let new = match file_type {
            rustix::fs::FileType::RegularFile => New::File { mode },
            _ => New::Special {
                file_type,
                mode,
                device: u64::from(device),
            },
        };
        let made = self.view.create(parent.0, name.as_bytes(), &new, creator(request));
        entry(made.map(|made| made.attr), reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let new = New::Directory { mode: mode & !umask };
        let made = self.view.create(parent.0, name.as_bytes(), &new, creator(request));
        entry(made.map(|made| made.attr), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let new = New::Symlink {
            target: target.as_os_str().as_bytes(),
        };
        let made = self.view.create(parent.0, name.as_bytes(), &new, creator(request));
        entry(made.map(|made| made.attr), reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.view.remove(parent.0, name.as_bytes(), false), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.view.remove(parent.0, name.as_bytes(), true), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = if flags == RenameFlags::empty() {
            Replace::Existing
        } else if flags == RenameFlags::RENAME_NOREPLACE {
            Replace::Never
        } else if flags == RenameFlags::RENAME_EXCHANGE {
            let (one, other) = ((parent.0, name.as_bytes()), (new_parent.0, new_name.as_bytes()));
            return empty(self.view.exchange(one, other), reply);
        } else {
            return reply.error(Errno::EINVAL);
        };
        let from = (parent.0, name.as_bytes());
        empty(
            self.view.rename(from, (new_parent.0, new_name.as_bytes()), replace),
            reply,
        );
    }

    fn link(&self, _request: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let made = self.view.link(inode.0, parent.0, name.as_bytes());
        entry(made.map(|made| made.attr), reply);
    }

    fn open(&self, request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let flags = OFlags::from_bits_retain(flags.0.cast_unsigned());
        match self.view.open(inode.0, flags, request.pid()) {
            Ok((handle, file)) => match self.passthrough_of(&file, |host| reply.open_backing(host.as_fd())) {
                Some(backing) => reply.opened_passthrough(FileHandle(handle), FopenFlags::empty(), &backing),
                None if self.view.may_be_registry(inode.0) => reply.opened(FileHandle(handle), FopenFlags::empty()),
                None => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE),
            },
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let new = New::File { mode: mode & !umask };
        let made = self.view.create(parent.0, name.as_bytes(), &new, creator(request));
        let flags = OFlags::from_bits_retain(flags.cast_unsigned()) - OFlags::TRUNC;
        let opened = made.and_then(|made| {
            let opened = self.view.open(made.attr.ino.0, flags, request.pid());
            if opened.is_err() {
                self.view.forget(made.attr.ino.0, 1);
            }
            Ok((made.attr, opened?))
        });
        match opened {
            Ok((attr, (handle, file))) => match self.passthrough_of(&file, |host| reply.open_backing(host.as_fd())) {
                Some(backing) => reply.created_passthrough(
                    &FOREVER,
                    &attr,
                    Generation(0),
                    FileHandle(handle),
                    FopenFlags::empty(),
                    &backing,
                ),
                None => reply.created(
                    &FOREVER,
                    &attr,
                    Generation(0),
                    FileHandle(handle),
                    FopenFlags::FOPEN_KEEP_CACHE,
                ),
            },
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let file = match self.view.files().get(handle.0) {
            Ok(file) => file,
            Err(error) => return reply.error(errno(error)),
        };
        BUFFER.with_borrow_mut(|buffer| match file.read(offset, size as usize, buffer) {
            Ok(bytes) => {
                reply.data(bytes);
                self.around.after_read(&file, offset, size);
            }
            Err(error) => reply.error(errno(error)),
        });
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self
            .view
            .files()
            .get(handle.0)
            .and_then(|file| file.write(offset, data));
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn flush(&self, _request: &Request, _inode: INodeNo, handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        if let Ok(file) = self.view.files().get(handle.0) {
            self.view.closing(&file, false);
        }
        reply.ok();
    }

    fn release(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if let Some(file) = self.view.files().close(handle.0) {
            self.view.closing(&file, true);
        }
        reply.ok();
    }

    fn fsync(&self, _request: &Request, _inode: INodeNo, handle: FileHandle, only_data: bool, reply: ReplyEmpty) {
        let file = self.view.files().get(handle.0);
        let synced = file.and_then(|file| {
            let sync = |host: &std::fs::File| {
                if only_data {
                    rustix::fs::fdatasync(host)
                } else {
                    rustix::fs::fsync(host)
                }
            };
            file.with_host(sync).unwrap_or(Ok(()))
        });
        empty(synced, reply);
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let state = self.view.read();
        match self.view.list(&state, inode.0) {
            Ok(snapshot) => {
                let handle = self.listings.open(snapshot);
                reply.opened(handle, FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _request: &Request, inode: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(snapshot) = self.listings.of(handle) else {
            return reply.error(Errno::EBADF);
        };
        for index in offset.. {
            let full = match index {
                0 => reply.add(inode, 1, FileType::Directory, "."),
                1 => reply.add(INodeNo(snapshot.parent), 2, FileType::Directory, ".."),
                _ => match snapshot.entries.get((index - 2) as usize) {
                    Some(entry) => {
                        let name = OsStr::from_bytes(&entry.name);
                        reply.add(INodeNo(entry.number), index + 1, entry.kind, name)
                    }
                    None => break,
                },
            };
            if full {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _request: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(snapshot) = self.listings.of(handle) else {
            return reply.error(Errno::EBADF);
        };
        let state = self.view.read();
        for index in offset.. {
            let (name, attr) = match index {
                // Of these two the kernel takes the number alone.
                0 => (&b"."[..], bare(inode.0, FileType::Directory)),
                1 => (&b".."[..], bare(snapshot.parent, FileType::Directory)),
                _ => match snapshot.entries.get((index - 2) as usize) {
                    Some(entry) => match self.view.stat_listed(&state, inode.0, &snapshot, (index - 2) as usize) {
                        Ok(attr) => (&*entry.name, attr),
                        // It is gone, or damaged: the name is there, and looking at it says why.
                        Err(_) => (&*entry.name, bare(0, entry.kind)),
                    },
                    None => break,
                },
            };
            let is_dot = index < 2;
            if reply.add(
                attr.ino,
                index + 1,
                OsStr::from_bytes(name),
                &FOREVER,
                &attr,
                Generation(0),
            ) {
                if !is_dot && attr.ino.0 != 0 {
                    // What did not fit the kernel does not know.
                    self.view.forget(attr.ino.0, 1);
                }
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings.close(handle);
        reply.ok();
    }

    fn fsyncdir(&self, _request: &Request, inode: INodeNo, _handle: FileHandle, _only_data: bool, reply: ReplyEmpty) {
        let state = self.view.read();
        empty(self.view.sync_directory(&state, inode.0), reply);
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let sizes = self.view.sizes();
        reply.statfs(
            sizes.blocks,
            sizes.free,
            sizes.available,
            sizes.files,
            sizes.free_files,
            sizes.block_size,
            255,
            sizes.block_size,
        );
    }

    fn setxattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let flags = XattrFlags::from_bits_retain(flags.cast_unsigned());
        empty(self.view.set_attribute(inode.0, name.as_bytes(), value, flags), reply);
    }

    fn getxattr(&self, _request: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let state = self.view.read();
        sized(self.view.get_attribute(&state, inode.0, name.as_bytes()), size, reply);
    }

    fn listxattr(&self, _request: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        let state = self.view.read();
        sized(self.view.list_attributes(&state, inode.0), size, reply);
    }

    fn removexattr(&self, _request: &Request, inode: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.view.remove_attribute(inode.0, name.as_bytes()), reply);
    }

    fn access(&self, _request: &Request, _inode: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        // The kernel checks the permissions itself.
        reply.error(Errno::ENOSYS);
    }

    fn fallocate(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let file = self.view.files().get(handle.0);
        empty(
            file.and_then(|file| file.with_writable(|host| rustix::fs::fallocate(host, mode, offset, length))),
            reply,
        );
    }

    fn lseek(
        &self,
        _request: &Request,
        _inode: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        const SEEK_DATA: i32 = 3;
        let found = self.view.files().get(handle.0).and_then(|file| {
            let offset = u64::try_from(offset).map_err(|_| rustix::io::Errno::NXIO)?;
            file.seek(offset, whence == SEEK_DATA)
        });
        match found {
            Ok(offset) => reply.offset(i64::try_from(offset).unwrap_or(i64::MAX)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn copy_file_range(
        &self,
        _request: &Request,
        _from: INodeNo,
        _from_handle: FileHandle,
        _from_offset: u64,
        _to: INodeNo,
        _to_handle: FileHandle,
        _to_offset: u64,
        _length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The kernel then copies through its own cache.
        reply.error(Errno::EOPNOTSUPP);
    }
}
