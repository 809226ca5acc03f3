//! Taking what does not go with the stack out of a writable folder. Whiteouts go; what somebody wrote is set aside.

use super::check::{Checked, Problem};
use crate::member::OWN_DIRECTORY;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where in a writable folder's own directory it is set aside, under the path that it had.
pub const SET_ASIDE: &str = "set-aside";

/// Why an entry could not be taken out.
#[derive(Debug, thiserror::Error)]
#[error("cannot take {} out of the writable folder", path.display())]
pub struct RepairError {
    /// The entry.
    path: PathBuf,
    /// What failed.
    source: io::Error,
}

/// Takes out all that was found; each entry by one rename, so it may be ended and begun again at any moment.
pub fn repair(checked: &Checked) -> Result<(), RepairError> {
    for finding in &checked.findings {
        let relative = Path::new(OsStr::from_bytes(&finding.path));
        let path = checked.folder.join(relative);
        let done = match finding.problem {
            Problem::HidesNothing => fs::remove_file(&path),
            _ => set_aside(&checked.folder, relative, &path),
        };
        done.and_then(|()| path.parent().map_or(Ok(()), sync))
            .map_err(|source| RepairError { path, source })?;
    }
    Ok(())
}

/// Sets a file of a writable folder aside, under the path that it has in it.
pub(crate) fn set_aside(folder: &Path, relative: &Path, path: &Path) -> io::Result<()> {
    let relative = relative.strip_prefix(OWN_DIRECTORY).unwrap_or(relative);
    let target = folder.join(OWN_DIRECTORY).join(SET_ASIDE).join(relative);
    let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(parent)?;
    let mut free = target.clone();
    for number in 1_u32.. {
        match fs::symlink_metadata(&free) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
            Ok(_) => {
                let mut numbered = name.to_owned();
                numbered.push(format!(".{number}"));
                free = parent.join(numbered);
            }
        }
    }
    fs::rename(path, &free)?;
    sync(parent)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
