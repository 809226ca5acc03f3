//! Copying up: a file with all its streams, attributes, times and security.

use super::{OWN_ATTRIBUTES, Upper};
use crate::facts;
use crate::member::{Entry, Member, NtfsEntry, NtfsMember, OPAQUE};
use cv_disk::{ExtentKind, ReadAt};
use cv_ntfs::File as NtfsFile;
use cv_overlay::plan::Data;
use cv_overlay::{Kind, NamePath};
use cv_volume::kept::stream_attribute;
use cv_volume::{Loss, Naming};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;

/// The extended attribute that says of what something is a copy.
const ORIGIN: &str = "user.cvlayer.origin";

/// Bytes copied at a time.
const CHUNK: u64 = 1 << 20;

/// Of what something is a copy: the member's id, and the file there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The member.
    pub member: [u8; 16],
    /// The record or inode.
    pub file: u64,
}

impl Origin {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.member);
        bytes[16..].copy_from_slice(&self.file.to_le_bytes());
        bytes
    }

    /// That which is noted with a file of the writable folder.
    pub fn of(file: impl AsFd) -> Option<Self> {
        let mut bytes = [0_u8; 24];
        match rustix::fs::fgetxattr(file, ORIGIN, &mut bytes[..]) {
            Ok(24) => {
                let (member, file) = bytes.split_at(16);
                Some(Self {
                    member: member.try_into().ok()?,
                    file: u64::from_le_bytes(file.try_into().ok()?),
                })
            }
            _ => None,
        }
    }
}

fn set_origin(target: BorrowedFd<'_>, origin: Option<Origin>) -> Result<(), Errno> {
    match origin {
        Some(origin) => rustix::fs::fsetxattr(target, ORIGIN, &origin.to_bytes(), XattrFlags::empty()),
        None => Ok(()),
    }
}

impl Upper {
    /// Builds a copy of a file or link in the work folder.
    pub(super) fn copy_file(
        &self,
        name: &str,
        member: &Member,
        entry: &Entry,
        path: &NamePath,
        data: Data,
        origin: Option<[u8; 16]>,
    ) -> Result<(), Errno> {
        let is_link = matches!(member_kind(entry, member), Kind::Symlink | Kind::Junction);
        match (member, entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
                let file = ntfs.file(entry.reference).map_err(|_| Errno::IO)?;
                if is_link {
                    let target = link_target(&file, &ntfs.site().on_drive(path))?;
                    return rustix::fs::symlinkat(&*target, &self.work, name);
                }
                let target = self.new_file(name)?;
                if data == Data::Whole {
                    copy_content(ntfs, entry, &file, &target)?;
                }
                let number = file.reference().record();
                let origin = origin.map(|member| Origin { member, file: number });
                self.keep(&file, target.as_fd(), origin)?;
                target.sync_all().map_err(|error| errno(&error))
            }
            (Member::Folder(folder), Entry::Folder(entry)) => {
                let stat = folder.stat(&entry.path)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Symlink => {
                        let target = rustix::fs::readlinkat(folder.root_fd(), &*entry.path, Vec::new())?;
                        rustix::fs::symlinkat(&target, &self.work, name)?;
                    }
                    FileType::RegularFile => {
                        let source = File::from(folder.open(&entry.path, OFlags::RDONLY)?);
                        let target = self.new_file(name)?;
                        if data == Data::Whole {
                            copy_host(&source, &target)?;
                        }
                        copy_attributes(source.as_fd(), target.as_fd())?;
                        let file = stat.st_ino;
                        set_origin(target.as_fd(), origin.map(|member| Origin { member, file }))?;
                    }
                    kind => rustix::fs::mknodat(&self.work, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?,
                }
                self.keep_host(name, &stat)
            }
            _ => Err(Errno::INVAL),
        }
    }

    /// Builds a copy of a directory, without what is in it, in the work folder.
    pub(super) fn copy_directory(
        &self,
        name: &str,
        member: &Member,
        entry: &Entry,
        origin: Option<Origin>,
    ) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.work, name, Mode::from_raw_mode(0o700))?;
        let target = self.open_work(name)?;
        match (member, entry) {
            (Member::Ntfs(ntfs), Entry::Ntfs(entry)) => {
                let file = ntfs.file(entry.reference).map_err(|_| Errno::IO)?;
                copy_streams(ntfs, entry, &file, target.as_fd())?;
                self.keep(&file, target.as_fd(), origin)
            }
            (Member::Folder(folder), Entry::Folder(entry)) => {
                let source = folder.open_directory(&entry.path)?;
                let stat = rustix::fs::fstat(&source)?;
                copy_attributes(source.as_fd(), target.as_fd())?;
                set_origin(target.as_fd(), origin)?;
                self.keep_host(name, &stat)
            }
            _ => Err(Errno::INVAL),
        }
    }

    fn new_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.work, name, flags, Mode::from_raw_mode(0o600))?.into())
    }

    /// Attributes, times and security of a file of a volume.
    fn keep(&self, file: &NtfsFile, target: BorrowedFd<'_>, origin: Option<Origin>) -> Result<(), Errno> {
        set_origin(target, origin)?;
        let attr = facts::of_volume(file, false, self.owner).map_err(|_| Errno::IO)?;
        if self.is_root {
            let owner = self.owner;
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(owner.uid),
                rustix::fs::Gid::from_raw(owner.gid),
            );
            rustix::fs::fchown(target, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(target, Mode::from_raw_mode(u32::from(attr.perm)))?;
        let naming = Naming::of(&self.work);
        let mut lost = None;
        // The times last, as what comes before changes them.
        cv_volume::keep(file, target, naming, true, |loss| {
            // The 8.3 name belongs to the name in the layer, and goes with it.
            if loss != Loss::ShortName {
                lost = Some(loss);
            }
        });
        if lost.is_some() { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// Owner, permissions and times of a file of the host.
    fn keep_host(&self, name: &str, stat: &rustix::fs::Stat) -> Result<(), Errno> {
        if self.is_root {
            let (uid, gid) = (
                rustix::fs::Uid::from_raw(stat.st_uid),
                rustix::fs::Gid::from_raw(stat.st_gid),
            );
            rustix::fs::chownat(&self.work, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            rustix::fs::chmodat(
                &self.work,
                name,
                Mode::from_raw_mode(stat.st_mode & 0o7777),
                AtFlags::empty(),
            )?;
        }
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: stat.st_atime,
                tv_nsec: stat.st_atime_nsec.cast_signed(),
            },
            last_modification: Timespec {
                tv_sec: stat.st_mtime,
                tv_nsec: stat.st_mtime_nsec.cast_signed(),
            },
        };
        rustix::fs::utimensat(&self.work, name, &times, AtFlags::SYMLINK_NOFOLLOW)
    }
}

fn member_kind(entry: &Entry, member: &Member) -> Kind {
    cv_overlay::Layer::kind(member, entry)
}

/// Where a link of a volume leads, from its directory on.
pub fn link_target(file: &NtfsFile, path: &NamePath) -> Result<Vec<u8>, Errno> {
    let point = file.reparse_point().map_err(|_| Errno::IO)?.ok_or(Errno::INVAL)?;
    let directory: Vec<Vec<u16>> = path.parent().names().map(<[u16]>::to_vec).collect();
    cv_volume::relative_target(&directory, &point).ok_or(Errno::OPNOTSUPP)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Copies the unnamed stream without its holes, and the named streams.
fn copy_content(ntfs: &NtfsMember, entry: &NtfsEntry, file: &NtfsFile, target: &File) -> Result<(), Errno> {
    let stream = ntfs.stream(entry, file, &[])?;
    let length = stream.len();
    target.set_len(length).map_err(|error| errno(&error))?;
    let mut buffer = vec![0; CHUNK.min(length) as usize];
    let mut offset = 0;
    while offset < length {
        let extent = stream.extent_at(offset).map_err(|_| Errno::IO)?;
        let end = extent.start.saturating_add(extent.length).min(length);
        if extent.kind != ExtentKind::Data {
            offset = end.max(offset + 1);
            continue;
        }
        while offset < end {
            let part = &mut buffer[..(end - offset).min(CHUNK) as usize];
            stream.read_at(part, offset).map_err(|_| Errno::IO)?;
            if !cv_disk::is_zero(part) {
                target.write_all_at(part, offset).map_err(|error| errno(&error))?;
            }
            offset += part.len() as u64;
        }
    }
    copy_streams(ntfs, entry, file, target.as_fd())
}

/// Copies the named streams into extended attributes. One that the host has no room for is an error: nothing is lost.
fn copy_streams(ntfs: &NtfsMember, entry: &NtfsEntry, file: &NtfsFile, target: BorrowedFd<'_>) -> Result<(), Errno> {
    const LONGEST: u64 = 64 << 10;
    for info in file.streams() {
        if info.name.is_empty() {
            continue;
        }
        let name = stream_attribute(&info.name).ok_or(Errno::OPNOTSUPP)?;
        if info.size > LONGEST {
            return Err(Errno::NOSPC);
        }
        let stream = ntfs.stream(entry, file, &info.name)?;
        let mut value = vec![0; stream.len().min(LONGEST) as usize];
        stream.read_at(&mut value, 0).map_err(|_| Errno::IO)?;
        rustix::fs::fsetxattr(target, name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

fn copy_host(source: &File, target: &File) -> Result<(), Errno> {
    let (mut source, mut target) = (source, target);
    // The standard library copies by reference or inside the kernel where the host can.
    std::io::copy(&mut source, &mut target).map_err(|error| errno(&error))?;
    target.sync_all().map_err(|error| errno(&error))
}

/// Copies the extended attributes that programs may set.
fn copy_attributes(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::flistxattr(source, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut value = vec![0_u8; 64 << 10];
    for name in names[..length].split(|byte| *byte == 0) {
        let is_ours = name == OPAQUE.as_bytes() || name.starts_with(OWN_ATTRIBUTES.as_bytes());
        if !name.starts_with(b"user.") || is_ours {
            continue;
        }
        let length = rustix::fs::fgetxattr(source, name, &mut value[..])?;
        rustix::fs::fsetxattr(target, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}
