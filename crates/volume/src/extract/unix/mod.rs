//! Files and folders of Unix, by handle and name.

mod file;
mod metadata;

pub use file::{add_name, finish_folder, keep_link, make_link, write_file};
pub use metadata::{Naming, keep};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

/// A folder that is open.
pub type Folder = std::os::fd::OwnedFd;

/// Opens a folder to extract to or to pack.
pub fn open_top(path: &std::path::Path) -> std::io::Result<Folder> {
    Ok(std::fs::File::open(path)?.into())
}

/// Names longer than this no host stores.
const LONGEST_NAME: usize = 255;

/// The host's form of a name, WTF-8; the reason where it would not be the name of one file in one folder.
pub fn host_name(name: &[u16]) -> Result<Vec<u8>, &'static str> {
    let bytes = cv_winname::wtf8::encode(name);
    match bytes.as_slice() {
        [] => Err("its name is empty"),
        b"." | b".." => Err("its name is that of a directory's link to itself or its parent"),
        name if name.contains(&b'/') => Err("its name holds `/`"),
        name if name.contains(&0) => Err("its name holds a NUL character"),
        name if name.len() > LONGEST_NAME => Err("its name is longer than the 255 bytes that hosts allow"),
        _ => Ok(bytes),
    }
}

/// Makes the folder `name` unless it is there. Something else of that name is an error, a link to a folder too.
pub fn make(parent: &Folder, name: &[u8]) -> Result<Folder, Errno> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => open(parent, name),
        Err(error) => Err(error),
    }
}

/// Opens the folder `name`, which must not be a link.
pub fn open(parent: &Folder, name: &[u8]) -> Result<Folder, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes what is no folder.
pub fn remove(parent: &Folder, name: &[u8]) -> Result<(), Errno> {
    rustix::fs::unlinkat(parent, name, AtFlags::empty())
}
