//! What `stat` shows of a file.

use cv_ntfs::structure::{FileAttributes, Namespace, NtfsTime, StandardInformation};
use cv_ntfs::{File, FileError, Glance};
use fuser::{FileAttr, FileType, INodeNo};
use rustix::fs::Stat;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whose the files of volumes are, and who may do what with them.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permissions that nobody has.
    pub umask: u16,
}

/// A time of NTFS on the host's clock.
pub fn time(time: NtfsTime) -> SystemTime {
    let (seconds, nanoseconds) = time.to_unix();
    host_time(seconds, i64::from(nanoseconds))
}

fn host_time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let part = Duration::from_nanos(nanoseconds.unsigned_abs());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(part)).unwrap_or(UNIX_EPOCH)
}

/// What a volume says of a file, as far as `stat` shows it.
struct Known {
    information: StandardInformation,
    kind: FileType,
    size: u64,
    links: usize,
}

/// What `stat` shows of a file of a volume.
pub fn of_volume(file: &File, is_link: bool, owner: Owner) -> Result<FileAttr, FileError> {
    let kind = match (is_link, file.is_directory()) {
        (true, _) => FileType::Symlink,
        (false, true) => FileType::Directory,
        (false, false) => FileType::RegularFile,
    };
    let content = file.streams().into_iter().find(|stream| stream.name.is_empty());
    let known = Known {
        information: file.standard_information()?.unwrap_or_default(),
        kind,
        size: content.map_or(0, |stream| stream.size),
        links: file.names().filter(|name| name.namespace() != Namespace::DOS).count(),
    };
    Ok(known.shown(owner))
}

/// What `stat` shows of a file of a volume whose record says all.
pub fn of_glance(glance: &Glance, owner: Owner) -> FileAttr {
    let summary = &glance.summary;
    let known = Known {
        information: summary.information,
        kind: if summary.is_directory {
            FileType::Directory
        } else {
            FileType::RegularFile
        },
        size: summary.size,
        links: usize::from(summary.link_count.saturating_sub(glance.short_names)),
    };
    known.shown(owner)
}

impl Known {
    fn shown(&self, owner: Owner) -> FileAttr {
        let information = &self.information.base;
        let size = match self.kind {
            FileType::RegularFile => self.size,
            _ => 0,
        };
        let is_read_only = information.file_attributes.contains(FileAttributes::READONLY);
        let permissions = match self.kind {
            FileType::RegularFile if is_read_only => 0o555,
            _ => 0o777,
        };
        FileAttr {
            ino: INodeNo(0),
            size,
            blocks: size.div_ceil(512),
            atime: time(information.last_access_time),
            mtime: time(information.last_modification_time),
            ctime: time(information.last_change_time),
            crtime: time(information.creation_time),
            kind: self.kind,
            perm: permissions & !owner.umask,
            nlink: if self.kind == FileType::Directory {
                1
            } else {
                u32::try_from(self.links.max(1)).unwrap_or(u32::MAX)
            },
            uid: owner.uid,
            gid: owner.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// What `stat` shows of a file of the host.
pub fn of_host(stat: &Stat) -> FileAttr {
    use rustix::fs::FileType as HostType;
    let kind = match HostType::from_raw_mode(stat.st_mode) {
        HostType::Directory => FileType::Directory,
        HostType::Symlink => FileType::Symlink,
        HostType::Fifo => FileType::NamedPipe,
        HostType::Socket => FileType::Socket,
        HostType::CharacterDevice => FileType::CharDevice,
        HostType::BlockDevice => FileType::BlockDevice,
        _ => FileType::RegularFile,
    };
    FileAttr {
        ino: INodeNo(0),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        blocks: u64::try_from(stat.st_blocks).unwrap_or(0),
        atime: host_time(stat.st_atime, stat.st_atime_nsec.cast_signed()),
        mtime: host_time(stat.st_mtime, stat.st_mtime_nsec.cast_signed()),
        ctime: host_time(stat.st_ctime, stat.st_ctime_nsec.cast_signed()),
        crtime: UNIX_EPOCH,
        kind,
        perm: (stat.st_mode & 0o7777) as u16,
        nlink: if kind == FileType::Directory {
            1
        } else {
            u32::try_from(stat.st_nlink).unwrap_or(u32::MAX)
        },
        uid: stat.st_uid,
        gid: stat.st_gid,
        rdev: u32::try_from(stat.st_rdev).unwrap_or(0),
        blksize: 4096,
        flags: 0,
    }
}
