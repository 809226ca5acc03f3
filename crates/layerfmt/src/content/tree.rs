//! A tree of files in memory, which sources fill and edits change.

use super::origin::StreamContent;
use crate::Sha256Sum;
use crate::index::Blocks;
use cv_hive::Name;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::write::Times;
use cv_winname::{NameFault, UpcaseTable, check_stored_component, wtf8};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// A name in a [`FileTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A file, or a link with its reparse data.
    File,
    /// A directory, which is merged with those below it.
    Directory,
    /// A directory that hides everything below it.
    OpaqueDirectory,
    /// Nothing, and it hides what is below it.
    Whiteout,
}

impl NodeKind {
    /// Whether it may have entries of its own.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::OpaqueDirectory)
    }
}

/// A stream.
#[derive(Debug, Clone)]
pub struct Stream {
    /// The name; empty for the unnamed stream.
    pub name: Name,
    /// Its bytes.
    pub size: u64,
    /// Where they are.
    pub content: StreamContent,
    /// Where a sparse stream has data; the rest of it reads as zeros and is not stored.
    pub data: Option<Box<[Range<u64>]>>,
    /// Its SHA-256 and block hashes, where a layer that it comes from answers for them.
    pub known: Option<(Sha256Sum, Option<Blocks>)>,
}

impl Stream {
    /// The unnamed stream with these bytes.
    pub fn of(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self {
            name: Name::default(),
            size: bytes.len() as u64,
            content: StreamContent::Bytes(bytes),
            data: None,
            known: None,
        }
    }
}

/// A file or directory, apart from its names.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The attributes; those that follow from what a file holds do not count.
    pub attributes: FileAttributes,
    /// The times.
    pub times: Times,
    /// The self-relative security descriptor; `None` for that of the same place on drive C:.
    pub security: Option<Arc<[u8]>>,
    /// The streams; no two have the same name.
    pub streams: Vec<Stream>,
    /// The value of `$REPARSE_POINT`.
    pub reparse: Option<Box<[u8]>>,
    /// The extended attributes.
    pub extended_attributes: Vec<ExtendedAttribute>,
    /// The object id.
    pub object_id: Option<Uuid>,
}

#[derive(Debug, Clone)]
struct Node {
    parent: NodeId,
    name: Name,
    kind: NodeKind,
    /// Number of its metadata, which hard links share.
    file: u32,
    short_name: Option<Name>,
    /// By folded name.
    children: BTreeMap<Box<[u16]>, NodeId>,
}

/// Why a name could not be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// NTFS cannot store the name.
    #[error("{path}: {fault}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong with the name.
        fault: NameFault,
    },
    /// There is one of that name already.
    #[error("{0}: there already")]
    Exists(String),
    /// A directory is needed, and this is none.
    #[error("{0}: not a directory")]
    NotADirectory(String),
    /// There are too many names.
    #[error("more names than a volume can have")]
    Full,
}

/// A tree of files. Names are found without regard to case, by the `$UpCase` table.
#[derive(Debug, Clone)]
pub struct FileTree {
    nodes: Vec<Node>,
    files: Vec<Metadata>,
}

impl Default for FileTree {
    fn default() -> Self {
        Self::new()
    }
}

impl FileTree {
    /// The root.
    pub const ROOT: NodeId = NodeId(0);

    /// A tree with nothing below its root.
    pub fn new() -> Self {
        let root = Node {
            parent: Self::ROOT,
            name: Name::default(),
            kind: NodeKind::Directory,
            file: 0,
            short_name: None,
            children: BTreeMap::new(),
        };
        Self {
            nodes: vec![root],
            files: vec![Metadata::default()],
        }
    }

    /// What the name stands for.
    pub fn kind(&self, node: NodeId) -> NodeKind {
        self.nodes[node.0 as usize].kind
    }

    /// Makes a directory opaque, or plain.
    pub fn set_opaque(&mut self, node: NodeId, is_opaque: bool) {
        let node = &mut self.nodes[node.0 as usize];
        if node.kind.is_directory() {
            node.kind = if is_opaque {
                NodeKind::OpaqueDirectory
            } else {
                NodeKind::Directory
            };
        }
    }

    /// The name; that of the root is empty.
    pub fn name(&self, node: NodeId) -> &Name {
        &self.nodes[node.0 as usize].name
    }

    /// The directory that the name is in; the root is in itself.
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.nodes[node.0 as usize].parent
    }

    /// The 8.3 name.
    pub fn short_name(&self, node: NodeId) -> Option<&Name> {
        self.nodes[node.0 as usize].short_name.as_ref()
    }

    /// Gives the name an 8.3 name.
    pub fn set_short_name(&mut self, node: NodeId, short_name: Option<Name>) {
        self.nodes[node.0 as usize].short_name = short_name;
    }

    /// The file's metadata.
    pub fn metadata(&self, node: NodeId) -> &Metadata {
        &self.files[self.nodes[node.0 as usize].file as usize]
    }

    /// The file's metadata, to change them for all its names.
    pub fn metadata_mut(&mut self, node: NodeId) -> &mut Metadata {
        &mut self.files[self.nodes[node.0 as usize].file as usize]
    }

    /// A number that all names of one file share, and no others.
    pub fn file_number(&self, node: NodeId) -> u32 {
        self.nodes[node.0 as usize].file
    }

    /// The entries of a directory, by folded name.
    pub fn children(&self, directory: NodeId) -> impl ExactSizeIterator<Item = NodeId> + '_ {
        self.nodes[directory.0 as usize].children.values().copied()
    }

    /// The entry of this name.
    pub fn child(&self, directory: NodeId, name: &[u16]) -> Option<NodeId> {
        let folded = UpcaseTable::windows().fold(name).into_boxed_slice();
        self.nodes[directory.0 as usize].children.get(&folded).copied()
    }

    /// What a path below the root leads to; `/` and `\` separate names.
    pub fn find(&self, path: &[u16]) -> Option<NodeId> {
        names(path).try_fold(Self::ROOT, |directory, name| self.child(directory, name))
    }

    /// The path from the root, names separated by `/`, in WTF-8.
    pub fn path(&self, node: NodeId) -> Vec<u8> {
        let mut way = Vec::new();
        let mut current = node;
        while current != Self::ROOT {
            way.push(current);
            current = self.parent(current);
        }
        let mut path = Vec::new();
        for node in way.into_iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            wtf8::encode_into(self.name(node).units(), &mut path);
        }
        path
    }

    /// Every name below `top`, a directory before what is in it, each directory's by folded name.
    pub fn walk(&self, top: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut pending: Vec<NodeId> = self.children(top).collect();
        pending.reverse();
        std::iter::from_fn(move || {
            let node = pending.pop()?;
            let before = pending.len();
            pending.extend(self.children(node));
            pending[before..].reverse();
            Some(node)
        })
    }

    /// Shows `visit` every name below `top`, in the order of [`walk`](Self::walk), with its path from `top`, names separated by
    /// `/`, in WTF-8; until one is refused.
    pub fn walk_paths<E>(&self, top: NodeId, mut visit: impl FnMut(NodeId, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut path = Vec::new();
        // For each directory that the walk is in, the bytes of its path.
        let mut above = vec![(top, 0)];
        for node in self.walk(top) {
            while let Some((directory, length)) = above.last() {
                if *directory == self.parent(node) {
                    path.truncate(*length);
                    break;
                }
                above.pop();
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            wtf8::encode_into(self.name(node).units(), &mut path);
            visit(node, &path)?;
            if self.kind(node).is_directory() {
                above.push((node, path.len()));
            }
        }
        Ok(())
    }

    /// Adds a name with its own metadata.
    pub fn add(
        &mut self,
        directory: NodeId,
        name: impl Into<Name>,
        kind: NodeKind,
        metadata: Metadata,
    ) -> Result<NodeId, TreeError> {
        let file = u32::try_from(self.files.len()).map_err(|_| TreeError::Full)?;
        let node = self.insert(directory, name.into(), kind, file)?;
        self.files.push(metadata);
        Ok(node)
    }

    /// Adds another name for a file.
    pub fn link(&mut self, directory: NodeId, name: impl Into<Name>, file: NodeId) -> Result<NodeId, TreeError> {
        let (kind, file) = (self.kind(file), self.file_number(file));
        self.insert(directory, name.into(), kind, file)
    }

    /// The directory of this name, added where there is none. What is no directory there makes way for it.
    pub fn directory(&mut self, parent: NodeId, name: impl Into<Name>) -> Result<NodeId, TreeError> {
        let name = name.into();
        match self.child(parent, name.units()) {
            Some(node) if self.kind(node).is_directory() => return Ok(node),
            Some(node) => self.remove(node),
            None => {}
        }
        self.add(parent, name, NodeKind::Directory, Metadata::default())
    }

    /// The directory at a path below the root, with those above it; `/` and `\` separate names.
    pub fn directories(&mut self, path: &[u16]) -> Result<NodeId, TreeError> {
        let mut directory = Self::ROOT;
        for name in names(path) {
            directory = self.directory(directory, name)?;
        }
        Ok(directory)
    }

    /// Removes a name and everything below it. The root stays, without what is below it.
    pub fn remove(&mut self, node: NodeId) {
        if node == Self::ROOT {
            self.nodes[0].children.clear();
            return;
        }
        let folded = UpcaseTable::windows().fold(self.name(node).units()).into_boxed_slice();
        let parent = self.parent(node);
        self.nodes[parent.0 as usize].children.remove(&folded);
    }

    fn insert(&mut self, parent: NodeId, name: Name, kind: NodeKind, file: u32) -> Result<NodeId, TreeError> {
        let path = |name: &Name| {
            let mut path = self.path(parent);
            if !path.is_empty() {
                path.push(b'/');
            }
            wtf8::encode_into(name.units(), &mut path);
            String::from_utf8_lossy(&path).into_owned()
        };
        check_stored_component(name.units()).map_err(|fault| TreeError::Name {
            path: path(&name),
            fault,
        })?;
        if !self.kind(parent).is_directory() {
            return Err(TreeError::NotADirectory(path(&Name::default())));
        }
        let folded = UpcaseTable::windows().fold(name.units()).into_boxed_slice();
        if self.nodes[parent.0 as usize].children.contains_key(&folded) {
            return Err(TreeError::Exists(path(&name)));
        }
        let node = NodeId(u32::try_from(self.nodes.len()).map_err(|_| TreeError::Full)?);
        self.nodes.push(Node {
            parent,
            name,
            kind,
            file,
            short_name: None,
            children: BTreeMap::new(),
        });
        self.nodes[parent.0 as usize].children.insert(folded, node);
        Ok(node)
    }
}

fn names(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    path.split(|unit| *unit == u16::from(b'/') || *unit == u16::from(b'\\'))
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn names_are_found_and_replaced() -> Result<(), TreeError> {
        let mut tree = FileTree::new();
        let app = tree.directories(&units(r"Program Files\App"))?;
        let file = tree.add(app, "a.txt", NodeKind::File, Metadata::default())?;
        tree.link(app, "B.txt", file)?;
        assert_eq!(tree.find(&units("program files/APP/A.TXT")), Some(file));
        assert!(matches!(
            tree.add(app, "A.txt", NodeKind::File, Metadata::default()),
            Err(TreeError::Exists(path)) if path == "Program Files/App/A.txt"
        ));
        let walked: Vec<_> = tree.walk(FileTree::ROOT).map(|node| tree.path(node)).collect();
        let expected = [
            "Program Files",
            "Program Files/App",
            "Program Files/App/a.txt",
            "Program Files/App/B.txt",
        ];
        assert_eq!(walked, expected.map(|path| path.as_bytes().to_vec()));
        let mut below = Vec::new();
        tree.walk_paths(tree.parent(app), |node, path| {
            below.push((node, path.to_vec()));
            Ok::<_, TreeError>(())
        })?;
        let expected = ["App", "App/a.txt", "App/B.txt"].map(|path| path.as_bytes().to_vec());
        assert_eq!(below.iter().map(|(_, path)| path.clone()).collect::<Vec<_>>(), expected);
        assert_eq!(below[1].0, file);
        tree.remove(file);
        assert_eq!(tree.walk(FileTree::ROOT).count(), 3);
        Ok(())
    }
}
