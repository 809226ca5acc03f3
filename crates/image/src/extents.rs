//! The files of an image that has several.

use crate::gate::Gate;
use crate::parent_path::places;
use cv_disk::{DurableFile, RawFile, ReadAt, Resize};
use cv_vmdk::ExtentFiles;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Opens the extents of an existing image, as far as the gate lets them through.
#[derive(Debug)]
pub(crate) struct GatedFiles {
    folder: PathBuf,
    gate: Gate,
}

impl GatedFiles {
    /// For the image at `path`.
    pub fn new(path: &Path, gate: &Gate) -> Self {
        Self {
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            gate: gate.clone(),
        }
    }

    fn find(&self, name: &str) -> io::Result<PathBuf> {
        let mut refused = None;
        for place in places(name, &self.folder) {
            match self.gate.pass(&place) {
                Ok(Ok(file)) => return Ok(file),
                Ok(Err(refusal)) => {
                    refused.get_or_insert(refusal);
                }
                Err(_) => {}
            }
        }
        Err(match refused {
            Some(refusal) => io::Error::new(io::ErrorKind::PermissionDenied, refusal),
            None => io::ErrorKind::NotFound.into(),
        })
    }
}

impl ExtentFiles for GatedFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(RawFile::open(&self.find(name)?)?))
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        Ok(Arc::new(RawFile::open_writable(&self.find(name)?)?))
    }

    /// Growing an image may need another extent; it is made beside the others and never replaces a file.
    fn create(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        let path = self.folder.join(plain_name(name)?);
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Arc::new(RawFile::from_file(file)?))
    }
}

/// Makes the extents of a new image, which appear together with it.
#[derive(Debug)]
pub(crate) struct NewFiles {
    folder: PathBuf,
    made: Mutex<Vec<DurableFile>>,
}

impl NewFiles {
    /// For an image that will be at `path`.
    pub fn new(path: &Path) -> Self {
        Self {
            folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            made: Mutex::default(),
        }
    }

    /// The files made, in order.
    pub fn into_made(self) -> Vec<DurableFile> {
        self.made.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExtentFiles for NewFiles {
    fn open(&self, _name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open_writable(&self, _name: &str) -> io::Result<Arc<dyn Resize>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        let file = DurableFile::create(&self.folder.join(plain_name(name)?))?;
        let disk = file.disk().clone();
        self.made.lock().unwrap_or_else(PoisonError::into_inner).push(file);
        Ok(disk)
    }
}

/// The name, if it is one and not a path.
fn plain_name(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "an extent's name may not be a path",
        ));
    }
    Ok(name)
}
