//! What is compared: a layer, a folder, or a volume in an image.

use crate::image::source::Opening;
use anyhow::Context;
use cv_disk::{Quiet, ReadAt};
use layerfmt::content::FileTree;
use layerfmt::diff::{KNOWN_OF_FOLDERS, Known, Side, TreeSide, folder_tree};
use layerfmt::{Layer, OpenError};
use std::path::Path;
use std::sync::Arc;

/// An opened side.
pub enum Opened {
    /// A layer, its index read.
    Layer(Layer),
    /// The files of a folder.
    Folder(FileTree),
    /// The files of a volume that is no layer.
    Volume(FileTree),
}

/// Opens what is at `path`.
pub fn open(path: &Path, opening: &Opening) -> anyhow::Result<Opened> {
    let shown = || path.display().to_string();
    if path.is_dir() {
        return Ok(Opened::Folder(folder_tree(path)?));
    }
    let image: Arc<dyn ReadAt> = Arc::new(opening.open(path)?);
    match Layer::open(&image) {
        Ok(layer) => {
            layer.index().with_context(shown)?;
            Ok(Opened::Layer(layer))
        }
        Err(OpenError::NoLayer) => {
            let volume = cv_volume::open_volume(&image, None).with_context(shown)?;
            let mut tree = FileTree::new();
            layerfmt::source::add_volume(&mut tree, FileTree::ROOT, &volume, &Quiet).with_context(shown)?;
            Ok(Opened::Volume(tree))
        }
        Err(error) => Err(error).with_context(shown),
    }
}

impl Opened {
    /// What it is, in one word.
    pub fn what(&self) -> &'static str {
        match self {
            Self::Layer(_) => "layer",
            Self::Folder(_) => "folder",
            Self::Volume(_) => "volume",
        }
    }

    /// With what the side of a tree needs.
    pub fn prepared(&self) -> Prepared<'_> {
        match self {
            Self::Layer(layer) => Prepared::Layer(layer),
            Self::Folder(tree) => Prepared::Tree(TreeSide::new(tree), KNOWN_OF_FOLDERS),
            Self::Volume(tree) => Prepared::Tree(TreeSide::new(tree), Known::ALL),
        }
    }
}

/// What a side is made of.
pub enum Prepared<'a> {
    /// A layer.
    Layer(&'a Layer),
    /// A tree of files, and what is known of them.
    Tree(TreeSide<'a>, Known),
}

impl Prepared<'_> {
    /// The side.
    pub fn side(&self) -> anyhow::Result<Side<'_>> {
        match self {
            Self::Tree(tree, known) => Ok(tree.side(*known)),
            Self::Layer(layer) => Ok(Side::of_layer(layer)?),
        }
    }
}
