//! The recipe's own folder as the host of what it names.

use super::build::{Host, HostError};
use super::model::{Selection, SourceKind};
use super::select::graft_from;
use crate::content::{FileTree, HiveName};
use crate::read::Layer;
use crate::source::{self, ArchiveOptions};
use cv_disk::{Progress, ReadAt};
use cv_hive::{Key, Name};
use cv_image::{Gate, Image, OpenOptions};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that a recipe may not have.
#[derive(Debug, thiserror::Error)]
#[error("it lies outside of the recipe's folder")]
pub struct Outside;

/// Files below the recipe's folder, and below the folders that the caller allows besides.
#[derive(Debug, Clone)]
pub struct RecipeFolder {
    folder: PathBuf,
    gate: Gate,
}

impl RecipeFolder {
    /// The folder of `recipe`. `gate` decides what may be opened, with symbolic links resolved.
    pub fn new(recipe: &Path, gate: Gate) -> Self {
        let folder = recipe.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            gate,
        }
    }

    fn path(&self, path: &str) -> Result<PathBuf, HostError> {
        // Recipes may be written on Windows; a host that knows no backslash means a slash.
        let path = if cfg!(windows) {
            path.to_owned()
        } else {
            path.replace('\\', "/")
        };
        self.gate.pass(&self.folder.join(path))?.map_err(|_| Outside.into())
    }

    fn image(&self, path: &Path) -> Result<Arc<dyn ReadAt>, HostError> {
        let options = OpenOptions {
            gate: self.gate.clone(),
            format: None,
        };
        Ok(Arc::new(Image::open(path, &options)?))
    }

    fn layer(&self, path: &str) -> Result<Layer, HostError> {
        let path = self.path(path)?;
        Ok(Layer::open(&self.image(&path)?)?)
    }
}

impl Host for RecipeFolder {
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError> {
        let file = File::open(self.path(path)?)?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(format!("it has more than {limit} bytes").into());
        }
        Ok(bytes)
    }

    fn files(&self, kind: SourceKind, path: &str, from: &str, progress: &dyn Progress) -> Result<FileTree, HostError> {
        let mut tree = FileTree::new();
        match kind {
            SourceKind::Folder => add_folder(&mut tree, &self.path(path)?, progress)?,
            SourceKind::File => {
                let path = self.path(path)?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                source::add_file(&mut tree, FileTree::ROOT, Name::from(&*name), &path)?;
            }
            SourceKind::Archive => {
                let options = ArchiveOptions::default();
                source::add_archive(&mut tree, FileTree::ROOT, &self.path(path)?, &options, progress)?;
            }
            SourceKind::Layer => tree = self.layer(path)?.content()?.files,
            SourceKind::Image => {
                let volume = cv_volume::open_volume(&self.image(&self.path(path)?)?, None)?;
                if from.is_empty() {
                    source::add_volume(&mut tree, FileTree::ROOT, &volume, progress)?;
                } else {
                    let top = volume.open_str(from)?;
                    source::add_directory(&mut tree, FileTree::ROOT, &top, progress)?;
                }
                return Ok(tree);
            }
        }
        if from.is_empty() {
            return Ok(tree);
        }
        let units: Vec<u16> = from.encode_utf16().collect();
        let top = tree.find(&units).filter(|top| tree.kind(*top).is_directory());
        let top = top.ok_or_else(|| format!("there is no directory {from} in it"))?;
        let mut part = FileTree::new();
        graft_from(&mut part, &[], tree, top, &Selection::default())?;
        Ok(part)
    }

    fn hives(&self, path: &str) -> Result<BTreeMap<HiveName, Key>, HostError> {
        Ok(self.layer(path)?.content()?.hives)
    }
}

#[cfg(any(target_os = "linux", windows))]
fn add_folder(tree: &mut FileTree, path: &Path, progress: &dyn Progress) -> Result<(), HostError> {
    source::add_folder(tree, FileTree::ROOT, path, progress)?;
    Ok(())
}

#[cfg(not(any(target_os = "linux", windows)))]
fn add_folder(_: &mut FileTree, _: &Path, _: &dyn Progress) -> Result<(), HostError> {
    Err("folders are read on Linux and Windows alone; an archive goes everywhere".into())
}
