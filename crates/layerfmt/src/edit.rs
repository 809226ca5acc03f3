//! Editing a layer: what it holds is changed in memory and then written as a new one.
//!
//! Streams that stay are moved from one image to the other, and are not hashed again: the old index answers for them.
//!
//! ```
//! use layerfmt::edit::Editor;
//! use layerfmt::{Content, Kind, Manifest};
//! use cv_ntfs::structure::NtfsTime;
//! # use std::io::Write;
//! # let mut notes = tempfile::NamedTempFile::new()?;
//! # notes.write_all(b"notes")?;
//! # let notes = notes.path();
//!
//! let content = Content::new(Manifest::new("App", "1.0", Kind::App));
//! let mut editor = Editor::new(content, NtfsTime(0));
//! editor.add_file(r"%ProgramFiles%\App\notes.txt", notes)?;
//! editor.hide(r"C:\Program Files\Old")?;
//! editor.manifest_mut().version = "1.1".to_owned();
//! let content = editor.finish();
//! assert_eq!(content.manifest.version, "1.1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::Manifest;
use crate::applications;
use crate::content::{Content, FileTree, HiveName, Metadata, NoDrivePath, NodeId, NodeKind, drive_path};
use crate::manifest::{FileAction, FileRule, Provenance, RegistryAction, RegistryRule};
use crate::registration::{RegistrationError, Registry, place};
use crate::source::{self, SourceError};
use cv_disk::Progress;
use cv_hive::reg::Patch;
use cv_hive::{Key, KeyPath, KeyState, Name, Value, ValueState, ValueType};
use cv_ntfs::structure::NtfsTime;
use std::path::Path;
use uuid::Uuid;

/// Why a layer cannot be changed as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is no path in a layer.
    #[error(transparent)]
    Path(#[from] NoDrivePath),
    /// The root of the file tree can neither be removed, hidden nor replaced.
    #[error("the root of the drive cannot be changed itself")]
    Root,
    /// There is no such file or directory in the layer.
    #[error("the layer has no {0:?}")]
    NoFile(String),
    /// What is named is no directory.
    #[error("{0:?} is no directory")]
    NotADirectory(String),
    /// There is no such key in the layer.
    #[error("the layer has no key {0}")]
    NoKey(String),
    /// There is no such value in the layer.
    #[error("the layer's key {key} has no value {name:?}")]
    NoValue {
        /// The key.
        key: String,
        /// The value's name.
        name: String,
    },
    /// There is no such script in the layer.
    #[error("the layer has no script {0:?}")]
    NoScript(String),
    /// There is no such rule in the manifest.
    #[error("the layer's policy has no rule for {0:?}")]
    NoRule(String),
    /// A key cannot be written.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// What is to be added cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl From<crate::content::TreeError> for EditError {
    fn from(error: crate::content::TreeError) -> Self {
        Self::Source(error.into())
    }
}

/// A layer that is being changed. Paths are those of drive C:, as [`drive_path`] takes them; keys are written in full.
#[derive(Debug)]
pub struct Editor {
    content: Content,
    time: NtfsTime,
    is_changed: bool,
}

impl Editor {
    /// Changes `content`, at `time`: that is when changed keys and new directories are from.
    pub fn new(content: Content, time: NtfsTime) -> Self {
        Self {
            content,
            time,
            is_changed: false,
        }
    }

    /// The manifest, to change what it says of the layer. Counts, hashes and what was found are made when it is written.
    pub fn manifest_mut(&mut self) -> &mut Manifest {
        &mut self.content.manifest
    }

    /// What the layer is to hold. Where files or keys were changed, the applications in it are found anew.
    pub fn finish(self) -> Content {
        let mut content = self.content;
        if self.is_changed {
            let found = applications::find(&content);
            let other = std::mem::take(&mut content.manifest.applications.other);
            content.manifest.applications = found.applications;
            content.manifest.applications.other = other;
            content.manifest.architecture = found.architecture.unwrap_or_default();
        }
        let manifest = &mut content.manifest;
        // Another build has another identity and time.
        manifest.id = Uuid::nil();
        manifest.created.clear();
        manifest.creator.clear();
        manifest.provenance.get_or_insert_with(|| Provenance {
            method: "edit".to_owned(),
            ..Provenance::default()
        });
        content
    }

    /// Adds a file of the host at `path`; what is there is replaced.
    pub fn add_file(&mut self, path: &str, file: &Path) -> Result<(), EditError> {
        let (directory, name) = self.directory_of(path)?;
        source::add_file(&mut self.content.files, directory, name, file)?;
        Ok(())
    }

    /// Adds what is in a folder of the host to the directory at `path`: directories are merged, files replaced.
    #[cfg(any(target_os = "linux", windows))]
    pub fn add_folder(&mut self, path: &str, folder: &Path, progress: &dyn Progress) -> Result<(), EditError> {
        let units: Vec<u16> = drive_path(path)?.encode_utf16().collect();
        self.is_changed = true;
        let directory = self.content.files.directories(&units)?;
        source::add_folder(&mut self.content.files, directory, folder, progress)?;
        Ok(())
    }

    /// Folders are read on Linux and Windows alone.
    #[cfg(not(any(target_os = "linux", windows)))]
    pub fn add_folder(&mut self, path: &str, folder: &Path, _: &dyn Progress) -> Result<(), EditError> {
        let _ = path;
        Err(EditError::Source(SourceError::HostFile {
            file: folder.to_path_buf(),
            source: std::io::Error::other("folders are read on Linux and Windows alone"),
        }))
    }

    /// Takes a file, or a directory with all below it, out of the layer: what is below the layer is seen again.
    pub fn remove(&mut self, path: &str) -> Result<(), EditError> {
        let node = self.node(path)?;
        if node == FileTree::ROOT {
            return Err(EditError::Root);
        }
        self.is_changed = true;
        self.content.files.remove(node);
        Ok(())
    }

    /// Has the layer hide what is below it at `path`, by a whiteout; what the layer itself has there goes.
    pub fn hide(&mut self, path: &str) -> Result<(), EditError> {
        let (directory, name) = self.directory_of(path)?;
        if let Some(there) = self.content.files.child(directory, name.units()) {
            self.content.files.remove(there);
        }
        let metadata = Metadata::default();
        self.content.files.add(directory, name, NodeKind::Whiteout, metadata)?;
        Ok(())
    }

    /// Has the directory at `path`, which is made where it is missing, hide what is below the layer there, or not any more.
    pub fn set_opaque(&mut self, path: &str, is_opaque: bool) -> Result<(), EditError> {
        let units: Vec<u16> = drive_path(path)?.encode_utf16().collect();
        self.is_changed = true;
        let node = self.content.files.directories(&units)?;
        self.content.files.set_opaque(node, is_opaque);
        Ok(())
    }

    /// Does to the layer's hives what a `.reg` file says; what it deletes is deleted below the layer too.
    pub fn import(&mut self, patch: Patch) -> Result<(), EditError> {
        self.registry().apply(patch)?;
        Ok(())
    }

    /// Sets a value.
    pub fn set_value(&mut self, key: &str, value: Value) -> Result<(), EditError> {
        self.registry().set_value(key, value)?;
        Ok(())
    }

    /// Has the layer hide a key below it, with all that is in it; what the layer itself has there goes.
    pub fn hide_key(&mut self, key: &str) -> Result<(), EditError> {
        if self.is_below_tombstone(key)? {
            return Ok(());
        }
        let mut registry = self.registry();
        let key = registry.key(key)?;
        key.values.clear();
        key.subkeys.clear();
        key.inherits_class = false;
        key.state = KeyState::Tombstone;
        Ok(())
    }

    /// Has the layer hide a value below it.
    pub fn hide_value(&mut self, key: &str, name: &str) -> Result<(), EditError> {
        if self.is_below_tombstone(key)? {
            return Ok(());
        }
        let mut tombstone = Value::new(name, ValueType::NONE, Vec::new());
        tombstone.state = ValueState::Tombstone;
        self.set_value(key, tombstone)
    }

    /// Takes a key with all that is in it out of the layer: what is below the layer is seen again.
    pub fn remove_key(&mut self, key: &str) -> Result<(), EditError> {
        let (parent, name) = self.parent_of_key(key)?;
        let Ok(position) = parent.position(name.units()) else {
            return Err(EditError::NoKey(key.to_owned()));
        };
        parent.subkeys.remove(position);
        Ok(())
    }

    /// Takes a value out of the layer: that below the layer is seen again.
    pub fn remove_value(&mut self, key: &str, name: &str) -> Result<(), EditError> {
        let missing = || EditError::NoKey(key.to_owned());
        let wanted = Name::from(name);
        let (parent, last) = self.parent_of_key(key)?;
        let position = parent.position(last.units()).map_err(|_| missing())?;
        let values = &mut parent.subkeys[position].values;
        let there = values.iter().position(|value| value.name.matches(wanted.units()));
        let there = there.ok_or_else(|| EditError::NoValue {
            key: key.to_owned(),
            name: name.to_owned(),
        })?;
        values.remove(there);
        Ok(())
    }

    /// Adds a script, or replaces it.
    pub fn set_script(&mut self, name: &str, bytes: Vec<u8>) {
        // Names are compared as on a volume.
        let there = self.script(name).unwrap_or_else(|| name.to_owned());
        self.content.scripts.insert(there, bytes);
    }

    /// Removes a script.
    pub fn remove_script(&mut self, name: &str) -> Result<(), EditError> {
        let there = self.script(name).ok_or_else(|| EditError::NoScript(name.to_owned()))?;
        self.content.scripts.remove(&there);
        Ok(())
    }

    /// Has a rule for a path of the file tree; one for the same path is replaced.
    pub fn set_file_rule(&mut self, path: &str, action: FileAction, reason: &str) -> Result<(), EditError> {
        let rules = &mut self.content.manifest.policy.files;
        rules.retain(|rule| !rule.path.eq_ignore_ascii_case(path));
        rules.push(FileRule {
            path: path.to_owned(),
            action,
            reason: reason.to_owned(),
            other: serde_json::Map::new(),
        });
        Ok(())
    }

    /// Has a rule for a key; one for the same key is replaced.
    pub fn set_registry_rule(&mut self, key: &str, action: RegistryAction, reason: &str) -> Result<(), EditError> {
        let rules = &mut self.content.manifest.policy.registry;
        rules.retain(|rule| !rule.key.eq_ignore_ascii_case(key));
        rules.push(RegistryRule {
            key: key.to_owned(),
            action,
            reason: reason.to_owned(),
            other: serde_json::Map::new(),
        });
        Ok(())
    }

    /// Removes the rule for a path or key.
    pub fn remove_rule(&mut self, path_or_key: &str) -> Result<(), EditError> {
        let policy = &mut self.content.manifest.policy;
        let before = policy.files.len() + policy.registry.len();
        policy.files.retain(|rule| !rule.path.eq_ignore_ascii_case(path_or_key));
        policy
            .registry
            .retain(|rule| !rule.key.eq_ignore_ascii_case(path_or_key));
        if policy.files.len() + policy.registry.len() == before {
            return Err(EditError::NoRule(path_or_key.to_owned()));
        }
        Ok(())
    }

    fn registry(&mut self) -> Registry<'_> {
        self.is_changed = true;
        Registry::new(&mut self.content.hives, self.time.0)
    }

    fn script(&self, name: &str) -> Option<String> {
        let mut names = self.content.scripts.keys();
        names.find(|there| there.eq_ignore_ascii_case(name)).cloned()
    }

    fn node(&self, path: &str) -> Result<NodeId, EditError> {
        let units: Vec<u16> = drive_path(path)?.encode_utf16().collect();
        let found = self.content.files.find(&units);
        found.ok_or_else(|| EditError::NoFile(path.to_owned()))
    }

    /// The directory that a path is in, made where it is missing, and the last name.
    fn directory_of(&mut self, path: &str) -> Result<(NodeId, Name), EditError> {
        let path = drive_path(path)?;
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", &path));
        if name.is_empty() {
            return Err(EditError::Root);
        }
        self.is_changed = true;
        let units: Vec<u16> = directory.encode_utf16().collect();
        Ok((self.content.files.directories(&units)?, Name::from(name)))
    }

    /// Whether the key, or one above it, is a tombstone: then everything in it is hidden already.
    fn is_below_tombstone(&self, text: &str) -> Result<bool, EditError> {
        let (hive, names) = hive_and_names(text)?;
        let Some(mut key) = self.content.hives.get(&hive) else {
            return Ok(false);
        };
        for name in names {
            match key.position(name.units()) {
                Ok(position) => key = &key.subkeys[position],
                Err(_) => return Ok(false),
            }
            if key.state == KeyState::Tombstone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The key above one that is to be changed, and the last name.
    fn parent_of_key(&mut self, text: &str) -> Result<(&mut Key, Name), EditError> {
        let missing = || EditError::NoKey(text.to_owned());
        let (hive, names) = hive_and_names(text)?;
        let (last, above) = names.split_last().ok_or_else(missing)?;
        self.is_changed = true;
        let mut key = self.content.hives.get_mut(&hive).ok_or_else(missing)?;
        for name in above {
            let position = key.position(name.units()).map_err(|_| missing())?;
            key = &mut key.subkeys[position];
        }
        key.last_written = key.last_written.max(self.time.0);
        Ok((key, last.clone()))
    }
}

/// The hive that a key is in, and its path there.
fn hive_and_names(text: &str) -> Result<(HiveName, Vec<Name>), RegistrationError> {
    let path = KeyPath::parse(text).map_err(|source| RegistrationError::Path {
        path: text.to_owned(),
        source,
    })?;
    place(&path).ok_or_else(|| RegistrationError::NoHive(text.to_owned()))
}
