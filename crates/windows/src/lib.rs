//! The live Windows machine by its own interfaces.
//!
//! * `Node`: files and folders by handle, so that no link leads anywhere else: listed with ids, opened, made and removed by
//!   name; their streams, security descriptors, reparse data and times.
//! * `Key`: the registry as it is stored: names with NULs, types that nobody knows, links not followed.
//! * `Job`: a program and all that it starts.
//! * `machine`: who runs this, with which privileges, and whether it is Wine.
//! * [`usn`]: the change journal of a volume; its records are read anywhere, `journal` asks for them on Windows.
//!
//! Calls of Windows are in `sys`, which is all the unsafe code there is. Everywhere else but on Windows this crate holds
//! [`usn`] alone.

pub mod usn;

#[cfg(windows)]
mod buffer;
#[cfg(windows)]
mod job;
#[cfg(windows)]
pub mod journal;
#[cfg(windows)]
mod key;
#[cfg(windows)]
pub mod machine;
#[cfg(windows)]
mod node;
#[cfg(windows)]
mod sys;

#[cfg(windows)]
pub use job::{Ended, Job};
#[cfg(windows)]
pub use key::{Key, KeyDetails, KeyValue};
#[cfg(windows)]
pub use node::{Access, Basic, Listed, Node, NodeStream, open_file};
