//! What differs between two layers, or a layer and a tree of files.
//!
//! Files are compared by their indexes, in one pass over both; no stream is read where both sides know its hash. Hives are
//! compared key by key and value by value, and what the manifests say was found (applications, services, shortcuts, file
//! types) entry by entry.
//!
//! ```
//! use layerfmt::diff::{ChangeKind, DiffOptions, Side, diff};
//! use layerfmt::index::{Entry, EntryKind};
//! use layerfmt::Index;
//!
//! let index = |names: &[&str]| Index {
//!     securities: Vec::new(),
//!     entries: names.iter().map(|name| Entry::new(*name, EntryKind::File)).collect(),
//! };
//! let (before, after) = (index(&["Files/a", "Files/b"]), index(&["Files/B", "Files/c"]));
//! let found = diff(&Side::of_index(&before), &Side::of_index(&after), &DiffOptions::semantic())?;
//! let changes: Vec<_> = found.files.iter().map(|change| (change.change, change.path.as_slice())).collect();
//! assert_eq!(changes, [(ChangeKind::Removed, &b"Files/a"[..]), (ChangeKind::Added, b"Files/c")]);
//! # Ok::<(), layerfmt::diff::DiffError>(())
//! ```
//!
//! # Strict and semantic
//!
//! A strict comparison ([`DiffOptions::strict`]) tells every difference that the sides know of. A semantic one leaves out what
//! differs between two captures of the same install and means nothing to the application:
//!
//! * files: times, object ids, 8.3 names, the case of names, the attributes `archive` and `not-content-indexed`; the content
//!   of a shortcut of which both manifests say the same (its link tracking data differ on every machine);
//! * registry: when keys were last written, the order of values, the case of names, and values named `InstallDate` or
//!   `InstallTime` of keys below an `Uninstall` or `Installer` key;
//! * the manifest: `id`, `created`, `creator`, `provenance`, and everything that follows from the contents (`counts`, hashes
//!   and sizes), which no comparison lists.

mod applications;
mod aspect;
mod files;
mod folder;
mod hashing;
mod html;
mod registry;
mod renames;
mod side;
mod tree;

pub use applications::{ApplicationChange, MemberChange};
pub use aspect::{Aspect, Links, StreamSummary};
pub use files::FileChange;
pub use folder::{FolderError, KNOWN_OF_FOLDERS, folder_tree};
pub use html::write_html;
pub use registry::{KeyState, RegistryChange, RegistryWhat, ValueSummary, value_summary};
pub use side::{HashStreams, Known, Side};
pub use tree::TreeSide;

use crate::content::HiveName;
use serde::Serialize;
use std::io;

/// What counts as a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffOptions {
    /// Whether to leave out what means nothing to the application.
    pub semantic: bool,
    /// Whether files that were removed and added with the same content are one that was renamed.
    pub renames: bool,
    /// Threads that hash, at least one.
    pub threads: usize,
}

impl DiffOptions {
    /// Everything counts.
    pub fn strict() -> Self {
        Self {
            semantic: false,
            renames: true,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// What means nothing to the application does not count.
    pub fn semantic() -> Self {
        Self {
            semantic: true,
            ..Self::strict()
        }
    }
}

/// What happened to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Only the second side has it.
    Added,
    /// Only the first side has it.
    Removed,
    /// Both have it, and it is not the same.
    Changed,
    /// A file that has another path.
    Renamed,
}

/// Why two sides could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// A stream cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: String,
        /// What failed.
        source: io::Error,
    },
}

/// What differs between two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// The manifest's own members: name, version, policy and so on.
    pub manifest: Vec<MemberChange>,
    /// In terms of applications, services, shortcuts, file types.
    pub applications: Vec<ApplicationChange>,
    /// Files, directories and scripts, in the order of their paths; a renamed file at its new path.
    pub files: Vec<FileChange>,
    /// Keys and values, hive by hive.
    pub registry: Vec<RegistryChange>,
    /// Whether both sides are layers: otherwise manifest, applications and registry were not compared.
    pub compared_all: bool,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.manifest.is_empty() && self.applications.is_empty() && self.files.is_empty() && self.registry.is_empty()
    }
}

/// Compares two sides.
pub fn diff(before: &Side<'_>, after: &Side<'_>, options: &DiffOptions) -> Result<Diff, DiffError> {
    let mut found = Diff {
        files: files::diff(before, after, options)?,
        ..Diff::default()
    };
    if let (Some(old), Some(new)) = (before.manifest, after.manifest) {
        found.compared_all = true;
        found.manifest = applications::manifest(old, new, options);
        found.applications = applications::diff(&old.applications, &new.applications);
        let nothing = cv_hive::Key::new("");
        for name in HiveName::ALL {
            let (one, other) = (before.hives.get(&name), after.hives.get(&name));
            if one.is_some() || other.is_some() {
                let (one, other) = (one.unwrap_or(&nothing), other.unwrap_or(&nothing));
                registry::diff(name, one, other, options, &mut found.registry);
            }
        }
    }
    Ok(found)
}
