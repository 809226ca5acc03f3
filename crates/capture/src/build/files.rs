//! Changed files as a tree.

use super::items::{Change, Items};
use super::metadata::{StorageOrigin, metadata};
use crate::changes::files::{Difference, FileChange, Parts};
use crate::paths::Template;
use crate::snapshot::{EntryId, EntryKind, Files, Problem, Snapshot, Storage};
use cv_hive::Name;
use cv_winname::wtf8;
use layerfmt::content::{FileTree, Metadata, NodeId, NodeKind, Origin};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Adds the changed files to a tree.
pub struct FileGatherer<'a> {
    before: &'a Files,
    after: Arc<Files>,
    storage: &'a Storage,
    origin: Arc<dyn Origin>,
    template: &'a Template,
    /// Names of files with several, by file.
    links: HashMap<EntryId, NodeId>,
    /// Directories that have their metadata.
    done: HashSet<NodeId>,
    pub tree: FileTree,
    pub problems: Vec<Problem>,
}

impl<'a> FileGatherer<'a> {
    pub fn new(before: &'a Snapshot, after: &'a Snapshot, storage: &'a Storage, template: &'a Template) -> Self {
        let files = Arc::new(after.files.clone());
        Self {
            before: &before.files,
            origin: Arc::new(StorageOrigin::new(storage.clone(), files.clone())),
            after: files,
            storage,
            template,
            links: HashMap::new(),
            done: HashSet::new(),
            tree: FileTree::new(),
            problems: Vec::new(),
        }
    }

    fn problem(&mut self, path: &[u8], reason: &str) {
        self.problems.push(Problem {
            path: String::from_utf8_lossy(path).into_owned(),
            reason: reason.to_owned(),
        });
    }

    /// Adds a change, and notes it among the items.
    pub fn add(&mut self, change: &FileChange, items: &mut Items) {
        match (change.difference, change.before, change.after) {
            (Difference::Deleted, Some(entry), _) => self.whiteout(entry, items),
            (Difference::Changed(parts), ..) if (Parts::TIMES | Parts::NAME).contains(parts) => {}
            (Difference::Changed(parts), _, Some(entry)) => {
                self.entry(entry, Change::Modified, describe(parts), items);
            }
            (Difference::Added, _, Some(entry)) => {
                let from = change.renamed_from.map(|from| self.before.path(from));
                match from {
                    Some(from) => {
                        let from = String::from_utf8_lossy(&from).into_owned();
                        self.entry(entry, Change::Renamed, format!("from {from}"), items);
                    }
                    None => self.entry(entry, Change::Added, String::new(), items),
                }
            }
            _ => {}
        }
    }

    fn whiteout(&mut self, entry: u32, items: &mut Items) {
        let source = self.before.path(entry);
        let path = self.template.file(&source);
        let (parent, name) = split(&path);
        // One for the whole directory is enough.
        let (above, _) = split(&source);
        let is_below_another = self.before.entry(entry).parent != Files::ROOT && self.after.find(above).is_none();
        if is_below_another {
            return;
        }
        let added = units(parent)
            .and_then(|units| self.tree.directories(&units).map_err(|error| error.to_string()))
            .and_then(|directory| {
                let name = Name::from(units(name)?);
                if self.tree.child(directory, name.units()).is_some() {
                    return Ok(());
                }
                self.tree
                    .add(directory, name, NodeKind::Whiteout, Metadata::default())
                    .map(drop)
                    .map_err(|error| error.to_string())
            });
        match added {
            Ok(()) => items.add_file(&path, Change::Deleted, String::new()),
            Err(reason) => self.problem(&path, &reason),
        }
    }

    fn entry(&mut self, number: u32, change: Change, detail: String, items: &mut Items) {
        let source = self.after.path(number);
        let path = self.template.file(&source);
        match self.place(number, &path) {
            Ok(true) => items.add_file(&path, change, detail),
            Ok(false) => {}
            Err(reason) => self.problem(&source, &reason),
        }
    }

    /// Puts an entry at a path of the tree; whether it is there now.
    fn place(&mut self, number: u32, path: &[u8]) -> Result<bool, String> {
        let files = self.after.clone();
        let entry = files.entry(number);
        if number == Files::ROOT {
            return Ok(false);
        }
        let (_, name) = split(path);
        let parent = self.directory(entry.parent)?;
        let name = Name::from(units(name)?);
        if entry.kind == EntryKind::Directory {
            self.directory(number)?;
            return Ok(true);
        }
        if let Some(there) = self.tree.child(parent, name.units()) {
            if self.tree.kind(there) != NodeKind::Whiteout {
                return Err("another profile has a file of this name, which is taken in its place".to_owned());
            }
            self.tree.remove(there);
        }
        if let Some(known) = self.links.get(&entry.id) {
            let link = self.tree.link(parent, name, *known);
            return link.map(|_| true).map_err(|error| error.to_string());
        }
        let (metadata, note) =
            metadata(&files, number, self.storage, &self.origin).map_err(|error| error.to_string())?;
        if let Some(note) = note {
            return Err(note);
        }
        let node = self
            .tree
            .add(parent, name, NodeKind::File, metadata)
            .map_err(|error| error.to_string())?;
        if entry.kind == EntryKind::File && entry.id != EntryId(0) {
            self.links.insert(entry.id, node);
        }
        Ok(true)
    }

    /// The node of a directory, added with those above it, all as they are on the machine.
    fn directory(&mut self, number: u32) -> Result<NodeId, String> {
        if number == Files::ROOT {
            return Ok(FileTree::ROOT);
        }
        let files = self.after.clone();
        let parent = self.directory(files.entry(number).parent)?;
        let path = self.template.file(&files.path(number));
        let (_, name) = split(&path);
        let node = self
            .tree
            .directory(parent, Name::from(units(name)?))
            .map_err(|error| error.to_string())?;
        if self.done.insert(node) {
            let (metadata, _) =
                metadata(&files, number, self.storage, &self.origin).map_err(|error| error.to_string())?;
            *self.tree.metadata_mut(node) = metadata;
        }
        Ok(node)
    }
}

fn describe(parts: Parts) -> String {
    let names: Vec<String> = parts.iter_names().map(|(name, _)| name.to_lowercase()).collect();
    names.join(", ")
}

fn units(path: &[u8]) -> Result<Vec<u16>, String> {
    wtf8::decode(path).map_err(|error| error.to_string())
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}
