//! What the host keeps of a file besides its content: times, and extended attributes for what it has no place for.

use crate::extract::Loss;
use crate::kept::{IMPLIED, Kept, usual_attributes};
use cv_ntfs::structure::standard_information::StandardInformationBase;
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{AttributeType, Namespace, NtfsTime};
use cv_ntfs::{File, FileError};
use rustix::fs::{Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// How a target names what ntfs-3g calls `system.ntfs_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    prefix: &'static str,
}

impl Naming {
    /// That of the file system that `folder` is on.
    pub fn of(folder: impl AsFd) -> Self {
        let is_ntfs_3g = rustix::fs::fgetxattr(folder, "system.ntfs_attrib", &mut [0_u8; 4][..]).is_ok();
        Self {
            prefix: if is_ntfs_3g { "system." } else { "user." },
        }
    }

    /// Keeps one thing.
    pub fn set(self, file: BorrowedFd<'_>, kept: Kept, value: &[u8]) -> Result<(), Errno> {
        let name = [self.prefix, kept.name()].concat();
        rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
    }

    /// Keeps reparse data.
    pub fn set_reparse_data(self, file: BorrowedFd<'_>, value: &[u8]) -> Result<(), Errno> {
        self.set(file, Kept::ReparseData, value)
    }
}

/// Keeps everything that `file` has besides content and streams in extended attributes of `target`, its times last. What
/// could not be kept is told to `lose`.
pub fn keep(file: &File, target: BorrowedFd<'_>, naming: Naming, security: bool, mut lose: impl FnMut(Loss)) {
    let mut lost = |kept: Result<(), Errno>, loss: Loss| {
        if kept.is_err() {
            lose(loss);
        }
    };
    let information = file.standard_information().ok().flatten().unwrap_or_default().base;
    let attributes = information.file_attributes - IMPLIED;
    // Every root is a hidden system file.
    let is_root = file.reference().record() == ROOT.record;
    if attributes != usual_attributes(file.is_directory()) && !is_root {
        lost(
            naming.set(target, Kept::Attributes, &attributes.bits().to_le_bytes()),
            Loss::Attributes,
        );
    }
    lost(
        naming.set(target, Kept::Times, &exact_times(&information)),
        Loss::ExactTimes,
    );
    let values = [
        (AttributeType::OBJECT_ID, Kept::ObjectId, Loss::ObjectId),
        (AttributeType::EA, Kept::ExtendedAttributes, Loss::ExtendedAttributes),
    ];
    for (type_code, kept, loss) in values {
        if file.attribute(type_code, &[]).is_some() {
            lost(set_value(naming, target, kept, file.value(type_code)), loss);
        }
    }
    if let Some(short) = file.names().find(|name| name.namespace() == Namespace::DOS) {
        lost(
            naming.set(target, Kept::ShortName, &cv_winname::wtf8::encode(&short.name)),
            Loss::ShortName,
        );
    }
    if security {
        let descriptor = file.security_descriptor();
        if !matches!(descriptor, Ok(None)) {
            lost(set_value(naming, target, Kept::Security, descriptor), Loss::Security);
        }
    }
    lost(rustix::fs::futimens(target, &host_times(&information)), Loss::Times);
}

fn set_value(
    naming: Naming,
    target: BorrowedFd<'_>,
    kept: Kept,
    value: Result<Option<impl AsRef<[u8]>>, FileError>,
) -> Result<(), Errno> {
    match value {
        Ok(Some(value)) => naming.set(target, kept, value.as_ref()),
        Ok(None) => Ok(()),
        Err(_) => Err(Errno::IO),
    }
}

fn exact_times(information: &StandardInformationBase) -> [u8; 32] {
    let times = [
        information.creation_time,
        information.last_modification_time,
        information.last_access_time,
        information.last_change_time,
    ];
    let mut bytes = [0; 32];
    for (place, time) in bytes.chunks_exact_mut(8).zip(times) {
        place.copy_from_slice(&time.0.to_le_bytes());
    }
    bytes
}

/// Access and modification time for the host.
pub fn host_times(information: &StandardInformationBase) -> Timestamps {
    let time = |time: NtfsTime| {
        let (seconds, nanoseconds) = time.to_unix();
        Timespec {
            tv_sec: seconds,
            tv_nsec: i64::from(nanoseconds),
        }
    };
    Timestamps {
        last_access: time(information.last_access_time),
        last_modification: time(information.last_modification_time),
    }
}
