//! NTFS volumes inside disk images, to and from folders of the host.
//!
//! * [`open_volumes`], [`open_volume`]: the NTFS volumes of a disk, in its partitions or bare.
//! * [`find`], [`find_stream`]: what a path means that a user gives.
//! * [`list`], [`list_below`]: what a directory holds, or everything below it.
//! * [`check`](check()): what is wrong with a disk's partition table and NTFS volumes.
//! * [`read_folder`], [`PlaceSecurity`], [`DiskLayout`]: a folder of the host as the tree of a volume, security for files
//!   that bring none along, and the disk around the volume.
//! * [`extract`](extract()): files to a folder of the host, whatever names and links the volume holds.
//!
//! ```no_run
//! use cv_disk::{RawFile, ReadAt};
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! let disk: Arc<dyn ReadAt> = Arc::new(RawFile::open(Path::new("disk.img"))?);
//! let volume = cv_volume::open_volume(&disk, None)?;
//! let path: Vec<u16> = r"\Files\Program Files".encode_utf16().collect();
//! let found = cv_volume::find(&volume, &path)?;
//! let skipped = cv_volume::list(&volume, &found, false, &mut |entry| {
//!     println!("{:>12} {}", entry.size, String::from_utf8_lossy(entry.path));
//! })?;
//! assert!(skipped.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod disk_layout;
#[cfg(any(unix, windows))]
mod extract;
mod find;
pub mod kept;
mod list;
#[cfg(any(target_os = "linux", windows))]
mod pack;
mod path;
mod place_security;

pub use check::{CheckError, Checked, Part, check};
pub use disk_layout::{DiskLayout, Scheme};
#[cfg(any(unix, windows))]
pub use extract::{
    ExtractError, ExtractOptions, ExtractOutcome, Failure, FailureReason, Folder, Links, Loss, StreamPlace, extract,
    open_top, relative_target,
};
#[cfg(unix)]
pub use extract::{Naming, keep};
pub use find::{FindError, Place, open_volume, open_volumes};
pub use list::{Details, Entry, Skipped, details, list, list_below};
#[cfg(any(target_os = "linux", windows))]
pub use pack::{
    Counted, FolderError, FolderOptions, HostFolder, HostSecurity, HostTimes, HostTree, LeftOut, Problem, SymlinkStyle,
    read_folder,
};
pub use path::{Found, FoundStream, find, find_stream, has_content, is_system_record};
pub use place_security::{FolderSecurity, PlaceSecurity};
