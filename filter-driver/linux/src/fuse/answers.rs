//! Between the words of the kernel's protocol and those of the host.

use crate::upper::Creator;
use fuser::{Errno, FileAttr, FileType, Generation, INodeNo, ReplyEmpty, ReplyEntry, ReplyXattr, Request, TimeOrNow};
use rustix::fs::Timespec;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// For as long as nobody says otherwise.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
pub(super) const NEVER: Duration = Duration::ZERO;

/// The number of an error.
pub(super) fn errno(errno: rustix::io::Errno) -> Errno {
    Errno::from_i32(errno.raw_os_error())
}

/// Answers with what is under a name, for as long as nobody says otherwise.
pub(super) fn entry(result: Result<FileAttr, rustix::io::Errno>, reply: ReplyEntry) {
    match result {
        Ok(attr) => reply.entry(&FOREVER, &attr, Generation(0)),
        Err(error) => reply.error(errno(error)),
    }
}

/// Answers with nothing, or why not.
pub(super) fn empty(result: Result<(), rustix::io::Errno>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

/// Whom a request is from.
pub(super) fn creator(request: &Request) -> Creator {
    Creator {
        uid: request.uid(),
        gid: request.gid(),
    }
}

/// A time that a request names.
pub(super) fn timespec(time: TimeOrNow) -> Timespec {
    let time = match time {
        TimeOrNow::Now => SystemTime::now(),
        TimeOrNow::SpecificTime(time) => time,
    };
    let (seconds, nanoseconds) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = -i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (seconds, 0),
                part => (seconds - 1, 1_000_000_000 - part),
            }
        }
    };
    Timespec {
        tv_sec: seconds,
        tv_nsec: i64::from(nanoseconds),
    }
}

/// Answers with bytes, or with how many there are where the kernel asks that first.
pub(super) fn sized(value: Result<Vec<u8>, rustix::io::Errno>, size: u32, reply: ReplyXattr) {
    match value {
        Err(error) => reply.error(errno(error)),
        Ok(value) if size == 0 => reply.size(u32::try_from(value.len()).unwrap_or(u32::MAX)),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
    }
}

/// Attributes of which only number and kind are looked at.
pub(super) fn bare(number: u64, kind: FileType) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        kind,
        ..nothing()
    }
}

/// Those of nothing.
pub(super) fn nothing() -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}
