//! Folders of Linux, and what their files bring along.

mod attributes;
mod link;
mod streams;
mod walk;

use crate::extract::Folder;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
pub use walk::walk;

/// Opens files and folders by name, without leaving a trace in their access times where the host allows that.
#[derive(Debug)]
pub struct Opener {
    is_quiet: AtomicBool,
}

impl Default for Opener {
    fn default() -> Self {
        Self {
            is_quiet: AtomicBool::new(true),
        }
    }
}

impl Opener {
    /// Opens a folder, which must be no link.
    pub fn folder(&self, folder: &Folder, name: &[u8]) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(self.open(folder, name, flags)?)
    }

    /// Opens a file for reading; a link is an error.
    pub fn file(&self, folder: &Folder, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(self.open(folder, name, flags)?.into())
    }

    fn open(&self, folder: &Folder, name: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        if self.is_quiet.load(Ordering::Relaxed) {
            match rustix::fs::openat(folder, name, flags | OFlags::NOATIME, Mode::empty()) {
                // Only owners may.
                Err(Errno::PERM) => self.is_quiet.store(false, Ordering::Relaxed),
                opened => return opened,
            }
        }
        rustix::fs::openat(folder, name, flags, Mode::empty())
    }
}
