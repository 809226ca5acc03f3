//! What a recipe says, with its variables replaced.

use super::mistake::Marked;
use crate::manifest::{Architecture, EnvironmentAddition, Kind, LayerReference, OsRange, Policy};
use crate::registration::{Application, FileType, Protocol, RunEntry, Service, Variable};
use crate::shell_link::ShellLink;
use cv_hive::Value;
use globset::GlobSet;
use uuid::Uuid;

/// What a recipe says.
#[derive(Debug)]
pub struct Recipe {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Who made the application.
    pub publisher: String,
    /// A text for people.
    pub description: String,
    /// What the layer is for.
    pub kind: Kind,
    /// The processor; `None` for that of the programs.
    pub architecture: Option<Architecture>,
    /// The Windows versions.
    pub os: OsRange,
    /// The identity; `None` for one that follows from the contents.
    pub id: Option<Uuid>,
    /// Layers that must be attached with it.
    pub requires: Vec<LayerReference>,
    /// Layers that must not be.
    pub conflicts: Vec<LayerReference>,
    /// How it behaves.
    pub policy: Policy,
    /// What is added to lists of the environment.
    pub additions: Vec<EnvironmentAddition>,
    /// Where the files come from, later ones going before earlier ones.
    pub sources: Vec<Source>,
    /// What is put into the registry.
    pub registry: Vec<RegistrySource>,
    /// Shortcuts.
    pub shortcuts: Vec<Marked<ShortcutEntry>>,
    /// Environment variables.
    pub variables: Vec<Marked<Variable>>,
    /// Services.
    pub services: Vec<Marked<Service>>,
    /// File types.
    pub file_types: Vec<Marked<FileType>>,
    /// Protocols.
    pub protocols: Vec<Marked<Protocol>>,
    /// Fonts.
    pub fonts: Vec<FontEntry>,
    /// Installed applications.
    pub applications: Vec<Marked<Application>>,
    /// What starts by itself.
    pub run: Vec<Marked<RunEntry>>,
    /// What is hidden below the layer.
    pub hidden: Vec<Hidden>,
    /// Scripts.
    pub scripts: Vec<Script>,
    /// How the layer is written.
    pub output: Output,
    /// The key that signs it, relative to the recipe.
    pub signing_key: Option<Marked<String>>,
}

/// What files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A folder of the host.
    Folder,
    /// A file of the host.
    File,
    /// A tar or zip archive.
    Archive,
    /// A layer: its file tree.
    Layer,
    /// The NTFS volume of a disk image.
    Image,
}

/// Where files come from.
#[derive(Debug)]
pub struct Source {
    /// What kind of source.
    pub kind: SourceKind,
    /// Its path, relative to the recipe.
    pub path: Marked<String>,
    /// Where in the layer it goes.
    pub into: Marked<String>,
    /// The name that a single file gets.
    pub name: Option<String>,
    /// What of it is taken.
    pub selection: Selection,
    /// The directory of a source where it begins.
    pub from: String,
    /// Whether a layer's hives are taken too.
    pub has_hives: bool,
}

/// What of a source is taken.
#[derive(Debug, Default)]
pub struct Selection {
    /// What is taken; `None` for everything.
    pub include: Option<GlobSet>,
    /// What of it is not.
    pub exclude: GlobSet,
    /// How many directories are cut off at the front of each path.
    pub strip: usize,
}

/// What is put into the registry.
#[derive(Debug)]
pub enum RegistrySource {
    /// What a `.reg` file says.
    Text(Marked<String>),
    /// What a hive holds, at a key.
    Hive {
        /// The file, relative to the recipe.
        path: Marked<String>,
        /// The key.
        key: String,
    },
    /// Values of a key.
    Key {
        /// The key.
        key: Marked<String>,
        /// The values.
        values: Vec<Value>,
        /// Whether it is deleted first, below the layer too.
        is_deleted: bool,
    },
}

/// A shortcut to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortcutEntry {
    /// Where, from the root of drive C:, with its extension.
    pub path: String,
    /// What.
    pub link: ShellLink,
}

/// A font to be brought along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FontEntry {
    /// Its file, relative to the recipe.
    pub path: Marked<String>,
    /// Its name; `None` for that in the file.
    pub name: Option<String>,
}

/// What is hidden below the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    /// The path, as on drive C:.
    pub path: Marked<String>,
    /// Whether the directory is there and only what is below it is hidden.
    pub is_opaque: bool,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its name in `\Scripts`.
    pub name: String,
    /// Its file, relative to the recipe.
    pub path: Marked<String>,
}

/// How a layer is written, where the command does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// The container: `vhd`, `vhdx`, `vmdk` or `raw`.
    pub format: Option<Marked<String>>,
    /// The kind within the format.
    pub subformat: Option<Marked<String>>,
    /// Bytes of a block.
    pub block_size: Option<u64>,
    /// Bytes of a cluster.
    pub cluster_size: Option<u64>,
    /// Bytes of the disk.
    pub disk_size: Option<u64>,
}
