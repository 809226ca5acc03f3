//! Files and folders of Windows, by handle and name.

mod file;

pub use cv_windows::Node as Folder;
pub use file::{add_name, finish_folder, keep_link, make_link, write_file};
use std::io;

/// Opens a folder to extract to or to pack.
pub fn open_top(path: &std::path::Path) -> io::Result<Folder> {
    Folder::target(path)
}

/// The host's form of a name, WTF-8; the reason where Windows programs could not open it, or it would not be the name of one
/// file in one folder.
pub fn host_name(name: &[u16]) -> Result<Vec<u8>, &'static str> {
    match cv_winname::check_component(name) {
        Ok(()) => Ok(cv_winname::wtf8::encode(name)),
        Err(_) => Err("no program of Windows can open a file of its name"),
    }
}

/// A name that [`host_name`] gave, as Windows takes it.
fn units(name: &[u8]) -> io::Result<Vec<u16>> {
    cv_winname::wtf8::decode(name).map_err(|_| io::ErrorKind::InvalidFilename.into())
}

/// Makes the folder `name` unless it is there. Something else of that name is an error, a link to a folder too.
pub fn make(parent: &Folder, name: &[u8]) -> io::Result<Folder> {
    parent.make_folder(&units(name)?)
}

/// Opens the folder `name`, which must not be a link.
pub fn open(parent: &Folder, name: &[u8]) -> io::Result<Folder> {
    parent.open_folder(&units(name)?)
}
