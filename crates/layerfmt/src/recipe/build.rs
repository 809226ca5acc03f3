//! From what a recipe says to what a layer holds.

use super::mistake::{Marked, Mistake, Position, RecipeError, with_causes};
use super::model::{Recipe, RegistrySource, Source, SourceKind};
use super::{font, select};
use crate::applications;
use crate::content::{Content, FileTree, HiveName, Metadata, NodeId, NodeKind, Stream, TreeError};
use crate::manifest::{Manifest, Provenance};
use crate::registration::{Font, RegistrationError, Registry};
use cv_disk::{Cancelled, Progress};
use cv_hive::reg::Patch;
use cv_hive::{Hive, Key, KeyState, Name};
use cv_ntfs::structure::{FileAttributes, NtfsTime};
use cv_ntfs::write::Times;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use uuid::Uuid;

/// Bytes of a `.reg` file or a hive at most.
const MAX_REGISTRY: u64 = 1 << 30;
/// Bytes of a font at most.
const MAX_FONT: u64 = 256 << 20;
/// Bytes of a script at most.
const MAX_SCRIPT: u64 = 16 << 20;

/// Why a file that a recipe names could not be had.
pub type HostError = Box<dyn Error + Send + Sync>;

/// Where the files are that a recipe names. Their paths are relative to the recipe; which of them may be opened is the
/// host's choice.
pub trait Host {
    /// The bytes of a file, no more than `limit`.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, HostError>;

    /// What a source holds, from its directory `from` on.
    fn files(&self, kind: SourceKind, path: &str, from: &str, progress: &dyn Progress) -> Result<FileTree, HostError>;

    /// The hives of a layer.
    fn hives(&self, path: &str) -> Result<BTreeMap<HiveName, Key>, HostError>;
}

/// What the caller decides.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuildOptions {
    /// When what the recipe itself makes was made: shortcuts, keys.
    pub time: NtfsTime,
    /// The latest time that a file of the host may have; a later one counts as this. For builds that do not depend on when
    /// the files were put there.
    pub latest: Option<NtfsTime>,
}

/// Gathers what a recipe names. `file` is its path, for messages.
pub fn build(
    recipe: &Recipe,
    file: &Path,
    host: &dyn Host,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Content, RecipeError> {
    let mut building = Building {
        host,
        options,
        content: Content::new(manifest(recipe)),
        mistakes: Vec::new(),
    };
    for source in &recipe.sources {
        building.source(source, progress)?;
    }
    building.registry(recipe);
    building.entries(recipe);
    building.files(recipe);
    building.scripts(recipe);
    let Building {
        mut content,
        mut mistakes,
        ..
    } = building;
    if !mistakes.is_empty() {
        mistakes.sort_by_key(|mistake| mistake.position);
        let file = file.to_owned();
        return Err(RecipeError::Mistakes { file, mistakes });
    }
    let found = applications::find(&content);
    content.manifest.applications = found.applications;
    content.manifest.architecture = recipe.architecture.or(found.architecture).unwrap_or_default();
    Ok(content)
}

fn manifest(recipe: &Recipe) -> Manifest {
    let mut manifest = Manifest::new(&recipe.name, &recipe.version, recipe.kind);
    manifest.id = recipe.id.unwrap_or(Uuid::nil());
    manifest.publisher.clone_from(&recipe.publisher);
    manifest.description.clone_from(&recipe.description);
    manifest.os = recipe.os.clone();
    manifest.requires.clone_from(&recipe.requires);
    manifest.conflicts.clone_from(&recipe.conflicts);
    manifest.policy = recipe.policy.clone();
    manifest.policy.environment.extend(recipe.additions.iter().cloned());
    manifest.provenance = Some(Provenance {
        method: "recipe".to_owned(),
        sources: recipe.sources.iter().map(|source| source.path.value.clone()).collect(),
        ..Provenance::default()
    });
    manifest
}

struct Building<'a> {
    host: &'a dyn Host,
    options: &'a BuildOptions,
    content: Content,
    mistakes: Vec<Mistake>,
}

impl Building<'_> {
    fn mistake(&mut self, position: Position, message: impl Into<String>) {
        let message = message.into();
        self.mistakes.push(Mistake { position, message });
    }

    fn failed(&mut self, what: &Marked<String>, error: &(dyn Error + 'static)) {
        self.mistake(what.position, format!("{}: {}", what.value, with_causes(error)));
    }

    /// The bytes of a file that the recipe names.
    fn read(&mut self, path: &Marked<String>, limit: u64) -> Option<Vec<u8>> {
        match self.host.read(&path.value, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.failed(path, &*error);
                None
            }
        }
    }

    fn registry_mut(&mut self) -> Registry<'_> {
        Registry::new(&mut self.content.hives, self.options.time.0)
    }

    fn source(&mut self, source: &Source, progress: &dyn Progress) -> Result<(), RecipeError> {
        let path = &source.path;
        let mut tree = match self.host.files(source.kind, &path.value, &source.from, progress) {
            Ok(tree) => tree,
            Err(error) => {
                if is_cancelled(&*error) {
                    return Err(Cancelled.into());
                }
                self.failed(path, &*error);
                return Ok(());
            }
        };
        if let Some(name) = &source.name {
            tree = renamed(tree, name);
        }
        if let (SourceKind::Folder | SourceKind::File, Some(latest)) = (source.kind, self.options.latest) {
            make_no_later(&mut tree, latest);
        }
        let at: Vec<u16> = source.into.value.encode_utf16().collect();
        match select::graft(&mut self.content.files, &at, tree, &source.selection) {
            Ok(0) => {
                let message = format!("{}: nothing in it is taken", path.value);
                self.mistake(path.position, message);
            }
            Ok(_) => {}
            Err(error) => self.failed(path, &error),
        }
        if source.has_hives {
            match self.host.hives(&path.value) {
                Ok(hives) => {
                    for (name, root) in hives {
                        self.registry_mut().merge(name, root);
                    }
                }
                Err(error) => self.failed(path, &*error),
            }
        }
        Ok(())
    }

    fn registry(&mut self, recipe: &Recipe) {
        for source in &recipe.registry {
            match source {
                RegistrySource::Text(path) => {
                    let Some(bytes) = self.read(path, MAX_REGISTRY) else {
                        continue;
                    };
                    let result = match Patch::parse(&bytes) {
                        Ok(patch) => self.registry_mut().apply(patch),
                        Err(error) => {
                            let message = format!(
                                "{}:{}:{}: expected {}, found {}",
                                path.value, error.line, error.column, error.expected, error.found
                            );
                            self.mistake(path.position, message);
                            continue;
                        }
                    };
                    if let Err(error) = result {
                        self.failed(path, &error);
                    }
                }
                RegistrySource::Hive { path, key } => self.hive(path, key),
                RegistrySource::Key {
                    key,
                    values,
                    is_deleted,
                } => {
                    let result = self.key(&key.value, values, *is_deleted);
                    self.registered(key.position, result);
                }
            }
        }
    }

    fn hive(&mut self, path: &Marked<String>, key: &str) {
        let Some(bytes) = self.read(path, MAX_REGISTRY) else {
            return;
        };
        let tree = match Hive::open(&bytes).map(|hive| hive.to_tree()) {
            Ok(Ok(tree)) => tree,
            Ok(Err(damage)) => return self.failed(path, &damage),
            Err(error) => return self.failed(path, &error),
        };
        let result = self.registry_mut().merge_at(key, tree);
        self.registered(path.position, result);
    }

    fn key(&mut self, path: &str, values: &[cv_hive::Value], is_deleted: bool) -> Result<(), RegistrationError> {
        let mut registry = self.registry_mut();
        let key = registry.key(path)?;
        if is_deleted {
            key.values.clear();
            key.subkeys.clear();
            key.inherits_class = false;
            // With nothing set it stays deleted; else what is set is all there is.
            key.state = KeyState::Tombstone;
            if !values.is_empty() {
                key.state = KeyState::Merge.over(KeyState::Tombstone);
            }
        }
        for value in values {
            registry.set_value(path, value.clone())?;
        }
        Ok(())
    }

    fn registered(&mut self, position: Position, result: Result<(), RegistrationError>) {
        if let Err(error) = result {
            self.mistake(position, with_causes(&error));
        }
    }

    fn entries(&mut self, recipe: &Recipe) {
        /// Registers each entry, and says where the recipe has one that does not go.
        macro_rules! register {
            ($($entries:ident: $method:ident,)*) => {$(
                for entry in &recipe.$entries {
                    let result = self.registry_mut().$method(&entry.value);
                    self.registered(entry.position, result);
                }
            )*};
        }
        register! {
            services: service,
            file_types: file_type,
            protocols: protocol,
            applications: application,
            run: run,
            variables: variable,
        }
        for entry in &recipe.fonts {
            let Some(bytes) = self.read(&entry.path, MAX_FONT) else {
                continue;
            };
            let Some(name) = entry.name.clone().or_else(|| font::registry_name(&bytes)) else {
                self.mistake(
                    entry.path.position,
                    format!("{}: no font that has a name", entry.path.value),
                );
                continue;
            };
            let file = file_name(&entry.path.value).to_owned();
            self.put(entry.path.position, &format!(r"Windows\Fonts\{file}"), bytes);
            let result = self.registry_mut().font(&Font { name, file });
            self.registered(entry.path.position, result);
        }
    }

    fn files(&mut self, recipe: &Recipe) {
        for shortcut in &recipe.shortcuts {
            match shortcut.value.link.to_bytes() {
                Ok(bytes) => self.put(shortcut.position, &shortcut.value.path, bytes),
                Err(error) => self.mistake(shortcut.position, with_causes(&error)),
            }
        }
        for hidden in &recipe.hidden {
            let result = if hidden.is_opaque {
                let units: Vec<u16> = hidden.path.value.encode_utf16().collect();
                let files = &mut self.content.files;
                files.directories(&units).map(|node| files.set_opaque(node, true))
            } else {
                self.add(&hidden.path.value, NodeKind::Whiteout, Metadata::default())
            };
            if let Err(error) = result {
                self.mistake(hidden.path.position, error.to_string());
            }
        }
    }

    /// Puts a file that the recipe makes at a path.
    fn put(&mut self, position: Position, path: &str, bytes: Vec<u8>) {
        let metadata = Metadata {
            attributes: FileAttributes::ARCHIVE,
            times: Times::all(self.options.time),
            streams: vec![Stream::of(bytes)],
            ..Metadata::default()
        };
        if let Err(error) = self.add(path, NodeKind::File, metadata) {
            self.mistake(position, error.to_string());
        }
    }

    fn add(&mut self, path: &str, kind: NodeKind, metadata: Metadata) -> Result<(), TreeError> {
        let files = &mut self.content.files;
        let (directory, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let directory = files.directories(&directory.encode_utf16().collect::<Vec<_>>())?;
        let name = Name::from(name);
        if let Some(there) = files.child(directory, name.units()) {
            files.remove(there);
        }
        files.add(directory, name, kind, metadata).map(|_| ())
    }

    fn scripts(&mut self, recipe: &Recipe) {
        for script in &recipe.scripts {
            let Some(bytes) = self.read(&script.path, MAX_SCRIPT) else {
                continue;
            };
            if self.content.scripts.insert(script.name.clone(), bytes).is_some() {
                let message = format!("there are two scripts of the name {}", script.name);
                self.mistake(script.path.position, message);
            }
        }
    }
}

fn is_cancelled(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<Cancelled>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The tree of a single file, with another name for it.
fn renamed(tree: FileTree, name: &str) -> FileTree {
    let mut named = FileTree::new();
    let Some(node) = tree.children(FileTree::ROOT).next() else {
        return tree;
    };
    match named.add(FileTree::ROOT, name, tree.kind(node), tree.metadata(node).clone()) {
        Ok(_) => named,
        Err(_) => tree,
    }
}

/// Gives files that are later than `latest` that time.
fn make_no_later(tree: &mut FileTree, latest: NtfsTime) {
    let nodes: Vec<NodeId> = tree.walk(FileTree::ROOT).collect();
    for node in std::iter::once(FileTree::ROOT).chain(nodes) {
        let times = &mut tree.metadata_mut(node).times;
        for time in [
            &mut times.creation,
            &mut times.modification,
            &mut times.change,
            &mut times.access,
        ] {
            *time = (*time).min(latest);
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
