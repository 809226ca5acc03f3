//! What a layer is to hold, before it is written: the manifest, the file tree, the hives and the scripts.

mod drive_path;
mod hive_name;
mod origin;
mod stored;
mod tree;

pub(crate) use drive_path::without_variable;
pub use drive_path::{NoDrivePath, drive_path};
pub use hive_name::{ENVIRONMENTS, HiveName};
pub use origin::{Origin, ReadAhead, StreamContent};
pub use tree::{FileTree, Metadata, NodeId, NodeKind, Stream, TreeError};

pub(crate) use stored::{entry_kind, index_attributes, kept_attributes, reparse_tag};

use crate::Manifest;
use cv_hive::Key;
use std::collections::BTreeMap;

/// What a layer is to hold.
#[derive(Debug)]
pub struct Content {
    /// What it is. Counts, hashes and, where it is nil, the id are filled in when the layer is written.
    pub manifest: Manifest,
    /// What is in `\Files`.
    pub files: FileTree,
    /// The delta hives: each tree's root stands for the root of its hive.
    pub hives: BTreeMap<HiveName, Key>,
    /// What is in `\Scripts`, by name.
    pub scripts: BTreeMap<String, Vec<u8>>,
}

impl Content {
    /// A layer with nothing in it.
    pub fn new(manifest: Manifest) -> Self {
        Self {
            manifest,
            files: FileTree::new(),
            hives: BTreeMap::new(),
            scripts: BTreeMap::new(),
        }
    }
}
