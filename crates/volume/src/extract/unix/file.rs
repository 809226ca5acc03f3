//! One file from the volume to the host.

use super::{Folder, host_name, metadata, remove};
use crate::extract::content::{content_of, lies_elsewhere, write_content};
use crate::extract::folder::Left;
use crate::extract::run::Run;
use crate::extract::{ExtractError, FailureReason, Loss, StreamPlace};
use crate::kept::stream_attribute;
use cv_disk::ReadAt;
use cv_ntfs::structure::AttributeType;
use cv_ntfs::{File, Stream};
use rustix::fs::{AtFlags, Mode, OFlags, Timestamps, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// The longest stream that is tried as an extended attribute: what Linux allows.
const LONGEST_ATTRIBUTE: u64 = 64 << 10;

/// Writes `file`, which is no link, as `name` into `folder`. Left out completely where its content cannot be read.
pub fn write_file(
    run: &Run<'_>,
    file: &File,
    folder: &Folder,
    name: &[u8],
    path: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), FailureReason> {
    let content = content_of(file)?;
    let target = create(folder, name, run.options.overwrite)?;
    let written = content.map_or(Ok(()), |content| write_content(&content, &target, run.progress, buffer));
    if let Err(reason) = written {
        let _ = remove(folder, name);
        return Err(reason);
    }
    if lies_elsewhere(file) {
        run.note_elsewhere(path);
    }
    keep_reparse_data(run, file, target.as_fd());
    write_streams(run, file, target.as_fd(), folder, name, path, buffer);
    metadata::keep(file, target.as_fd(), run.naming, run.options.security, |loss| {
        run.lose(loss);
    });
    Ok(())
}

/// Makes a file that was not there, whatever the name may have been before if `overwrite`.
fn create(folder: &Folder, name: &[u8], overwrite: bool) -> Result<std::fs::File, FailureReason> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666));
    Ok(match open() {
        Err(Errno::EXIST) if overwrite => {
            remove(folder, name)?;
            open()?
        }
        opened => opened?,
    }
    .into())
}

/// Writes the named streams of `file`, whose own place is `target`.
fn write_streams(
    run: &Run<'_>,
    file: &File,
    target: BorrowedFd<'_>,
    folder: &Folder,
    name: &[u8],
    path: &[u8],
    buffer: &mut Vec<u8>,
) {
    let information = file.standard_information().ok().flatten().unwrap_or_default().base;
    let times = metadata::host_times(&information);
    for info in file.streams() {
        if info.name.is_empty() || run.options.streams == StreamPlace::Nowhere {
            continue;
        }
        let mut write = || {
            let stream = file.stream(&info.name)?;
            match run.options.streams {
                StreamPlace::Attributes if write_stream_attribute(&stream, &info.name, target)? => Ok(()),
                _ => write_stream_file(run, &stream, &info.name, folder, name, &times, buffer),
            }
        };
        let written = write();
        if let Err(reason) = written {
            let mut path = path.to_vec();
            path.push(b':');
            cv_winname::wtf8::encode_into(&info.name, &mut path);
            run.fail(path, reason);
        }
    }
}

/// Whether the host had room for the stream among the extended attributes.
fn write_stream_attribute(stream: &Stream, name: &[u16], target: BorrowedFd<'_>) -> Result<bool, FailureReason> {
    let Some(name) = stream_attribute(name).filter(|_| stream.len() <= LONGEST_ATTRIBUTE) else {
        return Ok(false);
    };
    let mut value = vec![0; stream.len() as usize];
    stream.read_at(&mut value, 0).map_err(FailureReason::Content)?;
    match rustix::fs::fsetxattr(target, name, &value, XattrFlags::empty()) {
        Ok(()) => Ok(true),
        // No room, too long a name or value, or no extended attributes at all.
        Err(Errno::NOSPC | Errno::TOOBIG | Errno::RANGE | Errno::OPNOTSUPP | Errno::DQUOT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes a stream as a file of its own beside its file: `name:stream`.
fn write_stream_file(
    run: &Run<'_>,
    stream: &Stream,
    stream_name: &[u16],
    folder: &Folder,
    name: &[u8],
    times: &Timestamps,
    buffer: &mut Vec<u8>,
) -> Result<(), FailureReason> {
    let stream_name = host_name(stream_name).map_err(FailureReason::Name)?;
    let name = [name, b":", &stream_name].concat();
    let target = create(folder, &name, run.options.overwrite)?;
    write_content(stream, &target, &cv_disk::Quiet, buffer).inspect_err(|_| {
        let _ = remove(folder, &name);
    })?;
    if rustix::fs::futimens(&target, times).is_err() {
        run.lose(Loss::Times);
    }
    Ok(())
}

/// Keeps the reparse data of a file or directory that is no link; WOF's was used to read the content.
fn keep_reparse_data(run: &Run<'_>, file: &File, target: BorrowedFd<'_>) {
    if file.wof().is_some() || file.attribute(AttributeType::REPARSE_POINT, &[]).is_none() {
        return;
    }
    let kept = match file.value(AttributeType::REPARSE_POINT) {
        Ok(Some(value)) => run.naming.set_reparse_data(target, &value).is_ok(),
        _ => false,
    };
    if !kept {
        run.lose(Loss::ReparseData);
    }
}

/// Makes a link; what had the name before goes if `overwrite`.
pub fn make_link(run: &Run<'_>, file: &File, target: &[u8], folder: &Folder, name: &[u8]) -> Result<(), FailureReason> {
    let link = || rustix::fs::symlinkat(target, folder, name);
    match link() {
        Err(Errno::EXIST) if run.options.overwrite => {
            remove(folder, name)?;
            link()?;
        }
        made => made?,
    }
    let information = file.standard_information().ok().flatten().unwrap_or_default().base;
    let times = metadata::host_times(&information);
    if rustix::fs::utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW).is_err() {
        run.lose(Loss::Times);
    }
    Ok(())
}

/// Keeps a link as what it is on the volume: an empty file or folder with reparse data.
pub fn keep_link(run: &Run<'_>, file: &File, folder: &Folder, name: &[u8], path: &[u8]) -> Result<(), FailureReason> {
    let target = if file.is_directory() {
        super::make(folder, name)?
    } else {
        create(folder, name, run.options.overwrite)?.into()
    };
    let value = file.value(AttributeType::REPARSE_POINT)?.unwrap_or_default();
    if let Err(error) = run.naming.set_reparse_data(target.as_fd(), &value) {
        let flags = if file.is_directory() {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        let _ = rustix::fs::unlinkat(folder, name, flags);
        return Err(error.into());
    }
    write_streams(run, file, target.as_fd(), folder, name, path, &mut Vec::new());
    metadata::keep(file, target.as_fd(), run.naming, run.options.security, |loss| {
        run.lose(loss);
    });
    Ok(())
}

/// Gives a folder what the directory has, when nothing more comes into it.
pub fn finish_folder(run: &Run<'_>, file: &File, left: &Left, path: &[u8]) {
    let target = left.folder.as_fd();
    keep_reparse_data(run, file, target);
    write_streams(run, file, target, &left.above, &left.name, path, &mut Vec::new());
    metadata::keep(file, target, run.naming, run.options.security, |loss| {
        run.lose(loss);
    });
}

/// Makes a further name of a file.
pub fn add_name(first: (&Folder, &[u8]), folder: &Folder, name: &[u8], overwrite: bool) -> Result<(), FailureReason> {
    let link = || rustix::fs::linkat(first.0, first.1, folder, name, AtFlags::empty());
    match link() {
        Err(Errno::EXIST) if overwrite => {
            remove(folder, name)?;
            Ok(link()?)
        }
        made => Ok(made?),
    }
}

impl From<Errno> for FailureReason {
    fn from(error: Errno) -> Self {
        Self::Host(error.into())
    }
}

impl From<Errno> for ExtractError {
    fn from(error: Errno) -> Self {
        Self::Target(error.into())
    }
}
