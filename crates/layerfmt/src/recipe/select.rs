//! Taking a part of one file tree into another.

use super::model::Selection;
use crate::content::{FileTree, NodeId, NodeKind, TreeError};
use std::collections::HashMap;

impl Selection {
    /// Whether a path, names separated by slashes, is taken.
    fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|include| include.is_match(path)) && !self.exclude.is_match(path)
    }
}

/// Puts what `selection` takes of `source` below `at`, a path from the root of `target`. Directories are merged; a file takes
/// the place of what is there. Gives how many names were taken.
pub fn graft(target: &mut FileTree, at: &[u16], source: FileTree, selection: &Selection) -> Result<u64, TreeError> {
    graft_from(target, at, source, FileTree::ROOT, selection)
}

/// As [`graft`], of what is below the directory `top` of `source` alone.
pub(super) fn graft_from(
    target: &mut FileTree,
    at: &[u16],
    mut source: FileTree,
    top: NodeId,
    selection: &Selection,
) -> Result<u64, TreeError> {
    let mut grafting = Grafting {
        at: at.to_vec(),
        directories: HashMap::new(),
        links: HashMap::new(),
        taken: 0,
    };
    let mut taken = Vec::new();
    source.walk_paths(top, |node, path| {
        let path = String::from_utf8_lossy(path);
        let depth = path.split('/').count();
        if depth > selection.strip && selection.takes(&path) {
            taken.push((node, depth - selection.strip));
        }
        Ok::<_, TreeError>(())
    })?;
    // Directories that are not taken themselves are there all the same where something in them is.
    for (node, depth) in taken {
        grafting.take(target, &mut source, node, depth)?;
    }
    Ok(grafting.taken)
}

struct Grafting {
    at: Vec<u16>,
    /// Where directories of the source are in the target.
    directories: HashMap<NodeId, NodeId>,
    /// Where files with several names are in the target, by their number in the source.
    links: HashMap<u32, NodeId>,
    taken: u64,
}

impl Grafting {
    /// Takes a name that is `depth` levels below where the source's tree goes.
    fn take(
        &mut self,
        target: &mut FileTree,
        source: &mut FileTree,
        node: NodeId,
        depth: usize,
    ) -> Result<(), TreeError> {
        self.taken += 1;
        let kind = source.kind(node);
        if kind.is_directory() {
            let directory = self.directory(target, source, node, depth)?;
            *target.metadata_mut(directory) = source.metadata(node).clone();
            if kind == NodeKind::OpaqueDirectory {
                target.set_opaque(directory, true);
            }
            target.set_short_name(directory, source.short_name(node).cloned());
            return Ok(());
        }
        let directory = self.directory(target, source, source.parent(node), depth - 1)?;
        let name = source.name(node).clone();
        if let Some(there) = target.child(directory, name.units()) {
            target.remove(there);
        }
        let number = source.file_number(node);
        let new = match self.links.get(&number) {
            Some(first) => target.link(directory, name, *first)?,
            None => target.add(directory, name, kind, std::mem::take(source.metadata_mut(node)))?,
        };
        self.links.insert(number, new);
        target.set_short_name(new, source.short_name(node).cloned());
        Ok(())
    }

    /// The directory in the target for one of the source that is `depth` levels below where the tree goes.
    fn directory(
        &mut self,
        target: &mut FileTree,
        source: &FileTree,
        node: NodeId,
        depth: usize,
    ) -> Result<NodeId, TreeError> {
        if depth == 0 {
            return target.directories(&self.at);
        }
        if let Some(there) = self.directories.get(&node) {
            return Ok(*there);
        }
        // The way up to the nearest that is there already; no tree is deeper than its paths are long.
        let mut way = vec![node];
        let mut above = source.parent(node);
        let mut directory = loop {
            if way.len() == depth {
                break target.directories(&self.at)?;
            }
            if let Some(there) = self.directories.get(&above) {
                break *there;
            }
            way.push(above);
            above = source.parent(above);
        };
        for node in way.into_iter().rev() {
            let name = source.name(node).clone();
            let is_new = target.child(directory, name.units()).is_none();
            directory = target.directory(directory, name)?;
            if is_new {
                *target.metadata_mut(directory) = source.metadata(node).clone();
            }
            self.directories.insert(node, directory);
        }
        Ok(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Metadata, Stream};
    use globset::{GlobBuilder, GlobSet};

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn tree(paths: &[&str]) -> FileTree {
        let mut tree = FileTree::new();
        for path in paths {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let folder = tree.directories(&units(folder)).unwrap();
            let metadata = Metadata {
                streams: vec![Stream::of(path.as_bytes())],
                ..Metadata::default()
            };
            tree.add(folder, name, NodeKind::File, metadata).unwrap();
        }
        tree
    }

    fn set(pattern: &str) -> GlobSet {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build().unwrap();
        GlobSet::new([glob]).unwrap()
    }

    fn paths(tree: &FileTree) -> Vec<String> {
        let files = tree
            .walk(FileTree::ROOT)
            .filter(|node| tree.kind(*node) == NodeKind::File);
        files.map(|node| String::from_utf8(tree.path(node)).unwrap()).collect()
    }

    #[test]
    fn a_part_of_a_tree_goes_where_it_should() {
        let mut source = tree(&["a/bin/x.exe", "a/bin/y.dll", "a/doc/z.txt", "top.txt"]);
        let file = source.find(&units("a/bin/x.exe")).unwrap();
        let folder = source.directories(&units("a/bin/deep/er")).unwrap();
        source.link(folder, "same.exe", file).unwrap();
        let mut target = tree(&["Apps/BIN/X.EXE", "Apps/kept"]);
        let selection = Selection {
            include: Some(set("a/bin/**")),
            exclude: set("**/*.dll"),
            strip: 1,
        };
        let taken = graft(&mut target, &units(r"Apps"), source.clone(), &selection).unwrap();
        assert_eq!(taken, 4);
        let expected = ["Apps/BIN/deep/er/same.exe", "Apps/BIN/x.exe", "Apps/kept"];
        assert_eq!(paths(&target), expected);
        let number = |path: &str| target.file_number(target.find(&units(path)).unwrap());
        assert_eq!(number("Apps/bin/x.exe"), number("Apps/bin/deep/er/same.exe"));
        let content = &target.metadata(target.find(&units("apps/bin/x.exe")).unwrap()).streams[0];
        assert_eq!(content.size, 11);

        let all = Selection::default();
        assert_eq!(graft(&mut target, &[], source, &all).unwrap(), 10);
        assert_eq!(paths(&target).len(), 8);
    }
}
