//! Who opens the files of an image that has several.

use cv_disk::{ReadAt, Resize};
use std::io;
use std::sync::Arc;

/// Opens and creates the files that a descriptor names. This crate opens no path by itself: what a name may reach is the
/// caller's choice.
///
/// Names are as the descriptor holds them: usually a bare file name, to be looked for beside the descriptor, sometimes a
/// path of Windows or ESX.
pub trait ExtentFiles: Send + Sync {
    /// Opens the extent's file for reading.
    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadAt>>;

    /// Opens the extent's file for reading and writing.
    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn Resize>>;

    /// Creates an empty file for a new extent.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Resize>>;
}

/// Opens nothing: for images that are a single file.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoExtentFiles;

impl NoExtentFiles {
    fn refuse<T>() -> io::Result<T> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the caller opens no other files",
        ))
    }
}

impl ExtentFiles for NoExtentFiles {
    fn open(&self, _name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Self::refuse()
    }

    fn open_writable(&self, _name: &str) -> io::Result<Arc<dyn Resize>> {
        Self::refuse()
    }

    fn create(&self, _name: &str) -> io::Result<Arc<dyn Resize>> {
        Self::refuse()
    }
}
