//! A layer as writable volume of a mount: unpacked into a folder beside it, and packed again when the mount ends.
//!
//! The folder counts from the moment it is there, complete, until its content is in the image, so that a kill at any moment
//! loses nothing: the next mount goes on with the folder.

use super::pack::{PackError, content_of, unpack};
use crate::sources::{Allowed, SourceError, open_volume};
use cv_disk::Quiet;
use cv_image::{Format, Gate, Image, OpenOptions};
use layerfmt::WriteOptions;
use layerfmt::read::Layer;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// An image that is a mount's writable volume.
#[derive(Debug)]
pub struct WritableImage {
    image: PathBuf,
    format: Format,
    name: String,
    folder: PathBuf,
}

fn beside(image: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(image);
    name.push(extension);
    name.into()
}

impl WritableImage {
    /// Unpacks an image, unless the folder beside it is there already, left behind by a mount that was killed.
    pub fn open(image: &Path, allowed: &Allowed) -> Result<Self, PackError> {
        let host = |source| PackError::Host {
            path: image.to_path_buf(),
            source,
        };
        let image = image.canonicalize().map_err(host)?;
        let opened = Image::open(&image, &OpenOptions::new(Gate::beside(&image).map_err(host)?));
        let format = opened
            .map_err(|source| SourceError::Image {
                path: image.clone(),
                source: Box::new(source),
            })?
            .format();
        let volume = open_volume(&image, allowed)?;
        let layer = Layer::open_volume(volume).map_err(|source| SourceError::NoLayer {
            path: image.clone(),
            source: Box::new(source),
        })?;
        remove(&beside(&image, ".packed"))?;
        let folder = beside(&image, ".writable");
        if !folder.is_dir() {
            unpack(&image, &layer, &folder)?;
        }
        let name = layer.manifest().name.clone();
        Ok(Self {
            image,
            format,
            name,
            folder,
        })
    }

    /// The folder that takes the writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what the folder holds into a new image that takes the old one's place, and removes the folder. Nobody may use
    /// it any more.
    pub fn pack(&self) -> Result<(), PackError> {
        let content = content_of(&self.folder, &self.name, &Quiet)?;
        let written = layerfmt::write(&content, &self.image, &WriteOptions::new(self.format), &Quiet);
        written.map_err(|source| PackError::Write {
            path: self.image.clone(),
            source: Box::new(source),
        })?;
        // Half-removed it must not be taken for the writable volume.
        let packed = beside(&self.image, ".packed");
        std::fs::rename(&self.folder, &packed).map_err(|source| PackError::Host {
            path: self.folder.clone(),
            source,
        })?;
        remove(&packed)
    }
}

fn remove(folder: &Path) -> Result<(), PackError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| PackError::Host {
            path: folder.to_path_buf(),
            source,
        }),
    }
}
