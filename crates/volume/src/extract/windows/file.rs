//! One file from the volume to the host.

use super::{Folder, units};
use crate::extract::content::{content_of, lies_elsewhere, write_content};
use crate::extract::folder::Left;
use crate::extract::run::Run;
use crate::extract::{FailureReason, Links, Loss, StreamPlace};
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::structure::system_file::ROOT;
use cv_ntfs::structure::{AttributeType, Namespace};
use cv_ntfs::{File, Stream};
use cv_windows::{Access, Basic, Node};
use std::io;

/// Holes smaller than this are not worth a sparse file.
const LEAST_HOLE: u64 = 64 << 10;

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
    let name = units(name)?;
    let target = create(folder, &name, run.options.overwrite)?;
    if let Some(content) = content
        && let Err(reason) = write(&content, target, run.progress, buffer)
    {
        let _ = folder.remove(&name);
        return Err(reason);
    }
    if lies_elsewhere(file) {
        run.note_elsewhere(path);
    }
    if file.wof().is_none() && file.attribute(AttributeType::REPARSE_POINT, &[]).is_some() {
        // Content that Windows would not show behind such data is worth more than they are.
        run.lose(Loss::ReparseData);
    }
    write_streams(run, file, folder, &name, path, buffer);
    keep(run, file, folder, &name);
    Ok(())
}

fn write(
    content: &Stream,
    target: Node,
    progress: &dyn cv_disk::Progress,
    buffer: &mut Vec<u8>,
) -> Result<(), FailureReason> {
    use cv_disk::{ExtentKind, Extents};
    let has_holes = content.resident().is_none()
        && Extents::all(content)
            .filter_map(Result::ok)
            .any(|extent| extent.kind != ExtentKind::Data && extent.length >= LEAST_HOLE);
    if has_holes {
        // A file system that has no sparse files holds zeros.
        let _ = target.set_sparse();
    }
    write_content(content, &target.into_file(), progress, buffer)
}

/// Makes a file that was not there, whatever the name may have been before if `overwrite`.
fn create(folder: &Folder, name: &[u16], overwrite: bool) -> io::Result<Node> {
    match folder.create(name) {
        Err(error) if overwrite && error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove(name)?;
            folder.create(name)
        }
        made => made,
    }
}

/// Writes the named streams of `file`, which is `name` in `folder`; those of the folder itself where that is empty.
fn write_streams(run: &Run<'_>, file: &File, folder: &Folder, name: &[u16], path: &[u8], buffer: &mut Vec<u8>) {
    if run.options.streams == StreamPlace::Nowhere {
        return;
    }
    for info in file.streams().iter().filter(|info| !info.name.is_empty()) {
        let mut written = || {
            let stream = file.stream(&info.name)?;
            let colon = u16::from(b':');
            if info.name.iter().any(|unit| [0x2F, 0x5C, colon, 0].contains(unit)) {
                return Err(FailureReason::Name("Windows has no streams of its name"));
            }
            let full = [name, &[colon], &info.name].concat();
            write(
                &stream,
                create(folder, &full, run.options.overwrite)?,
                &cv_disk::Quiet,
                buffer,
            )
        };
        if let Err(reason) = written() {
            let mut path = path.to_vec();
            path.push(b':');
            cv_winname::wtf8::encode_into(&info.name, &mut path);
            run.fail(path, reason);
        }
    }
}

/// Gives what is at `name` in `folder` the security, times and attributes of `file`, the times last.
fn keep(run: &Run<'_>, file: &File, folder: &Folder, name: &[u16]) {
    let has_short_name = file.names().any(|name| name.namespace() == Namespace::DOS);
    for (is_there, loss) in [
        (file.attribute(AttributeType::OBJECT_ID, &[]).is_some(), Loss::ObjectId),
        (
            file.attribute(AttributeType::EA, &[]).is_some(),
            Loss::ExtendedAttributes,
        ),
        (has_short_name, Loss::ShortName),
    ] {
        if is_there {
            run.lose(loss);
        }
    }
    // Whatever the security will be, the times come after it.
    let node = folder.open(name, Access::ChangeBasic);
    if run.options.security {
        let kept = match file.security_descriptor() {
            Ok(Some(descriptor)) => folder.set_security(name, descriptor.as_ref()).is_ok(),
            Ok(None) => true,
            Err(_) => false,
        };
        if !kept {
            run.lose(Loss::Security);
        }
    }
    let kept = node.and_then(|node| node.set_basic(&basic_of(file)));
    if kept.is_err() {
        run.lose(Loss::Times);
        run.lose(Loss::Attributes);
    }
}

fn basic_of(file: &File) -> Basic {
    let information = file.standard_information().ok().flatten().unwrap_or_default().base;
    Basic {
        created: information.creation_time.0,
        accessed: information.last_access_time.0,
        modified: information.last_modification_time.0,
        changed: information.last_change_time.0,
        attributes: information.file_attributes.bits(),
    }
}

/// Makes a link; what had the name before goes if `overwrite`.
pub fn make_link(run: &Run<'_>, file: &File, target: &[u8], folder: &Folder, name: &[u8]) -> Result<(), FailureReason> {
    let mut target = units(target)?;
    for unit in &mut target {
        if *unit == u16::from(b'/') {
            *unit = u16::from(b'\\');
        }
    }
    let point = ReparsePoint::Symlink {
        substitute_name: target.clone(),
        print_name: target,
        is_relative: true,
    };
    let data = point.to_bytes().ok_or(FailureReason::Name("its target is too long"))?;
    set_link(run, file, &data, folder, name)
}

/// Makes a link of what it is on the volume. Windows follows such links: where they would lead out of the folder, only on
/// request.
pub fn keep_link(run: &Run<'_>, file: &File, folder: &Folder, name: &[u8], path: &[u8]) -> Result<(), FailureReason> {
    if run.options.links != Links::Data {
        return Err(FailureReason::Name(
            "it is a link out of the folder, which --links data makes all the same",
        ));
    }
    let data = file.value(AttributeType::REPARSE_POINT)?.unwrap_or_default();
    set_link(run, file, &data, folder, name)?;
    write_streams(run, file, folder, &units(name)?, path, &mut Vec::new());
    Ok(())
}

fn set_link(run: &Run<'_>, file: &File, data: &[u8], folder: &Folder, name: &[u8]) -> Result<(), FailureReason> {
    let units = units(name)?;
    let made = if file.is_directory() {
        folder.make_folder(&units)?;
        folder.open(&units, Access::Change)?
    } else {
        create(folder, &units, run.options.overwrite)?
    };
    if let Err(error) = made.set_reparse_data(data) {
        drop(made);
        let _ = folder.remove(&units);
        return Err(error.into());
    }
    drop(made);
    keep(run, file, folder, &units);
    Ok(())
}

/// Gives a folder what the directory has, when nothing more comes into it.
pub fn finish_folder(run: &Run<'_>, file: &File, left: &Left, path: &[u8]) {
    let Ok(name) = units(&left.name) else { return };
    if file.reference().record() == ROOT.record {
        // The folder that is extracted to stays what it is.
        write_streams(run, file, &left.folder, &[], path, &mut Vec::new());
        return;
    }
    if file.attribute(AttributeType::REPARSE_POINT, &[]).is_some() {
        run.lose(Loss::ReparseData);
    }
    write_streams(run, file, &left.above, &name, path, &mut Vec::new());
    keep(run, file, &left.above, &name);
}

/// Makes a further name of a file.
pub fn add_name(first: (&Folder, &[u8]), folder: &Folder, name: &[u8], overwrite: bool) -> Result<(), FailureReason> {
    let file = first.0.open(&units(first.1)?, Access::ChangeBasic)?;
    let name = units(name)?;
    match file.link_as(folder, &name) {
        Err(error) if overwrite && error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove(&name)?;
            Ok(file.link_as(folder, &name)?)
        }
        made => Ok(made?),
    }
}
