//! The marks of a layer's index: whiteouts, and directories that are opaque.

use cv_overlay::{Kind, Names};
use layerfmt::index::{EntryKind, Index};
use std::cmp::Ordering;

/// The whiteouts and opaque directories of a layer, as a tree of the directories that lead to them.
#[derive(Debug)]
pub struct Marks {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    mark: Option<Kind>,
    /// Names and nodes, in the order of the names.
    children: Vec<(Box<[u16]>, u32)>,
}

/// A directory of the tree of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedDirectory(u32);

impl Marks {
    /// No marks.
    pub fn none() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }

    /// Those of an index. Paths in it begin with the directory of the file tree.
    pub fn of(index: &Index, names: &Names) -> Self {
        let mut marks = Self::none();
        for entry in &index.entries {
            let mark = match entry.kind {
                EntryKind::Whiteout => Kind::Whiteout,
                EntryKind::OpaqueDirectory => Kind::OpaqueDirectory,
                _ => continue,
            };
            let mut parts = entry.path.split(|byte| *byte == b'/');
            if parts.next() != Some(layerfmt::FILES_DIRECTORY.as_bytes()) {
                continue;
            }
            let Ok(path) = parts.map(cv_winname::wtf8::decode).collect::<Result<Vec<_>, _>>() else {
                continue;
            };
            marks.add(&path, mark, names);
        }
        marks
    }

    fn add(&mut self, path: &[Vec<u16>], mark: Kind, names: &Names) {
        let mut at = 0_usize;
        for name in path {
            let found = self.nodes[at]
                .children
                .binary_search_by(|(other, _)| names.compare(other, name));
            at = match found {
                Ok(index) => self.nodes[at].children[index].1 as usize,
                Err(index) => {
                    let new = self.nodes.len();
                    let Ok(number) = u32::try_from(new) else { return };
                    self.nodes[at].children.insert(index, (name.as_slice().into(), number));
                    self.nodes.push(Node::default());
                    new
                }
            };
        }
        self.nodes[at].mark = Some(mark);
    }

    /// The root of the file tree.
    pub fn root(&self) -> MarkedDirectory {
        MarkedDirectory(0)
    }

    /// What is marked at this directory itself.
    pub fn mark(&self, directory: MarkedDirectory) -> Option<Kind> {
        self.nodes.get(directory.0 as usize)?.mark
    }

    /// What leads on, or is marked, under this name.
    pub fn child(&self, directory: MarkedDirectory, name: &[u16], names: &Names) -> Option<MarkedDirectory> {
        let children = &self.nodes.get(directory.0 as usize)?.children;
        let index = children
            .binary_search_by(|(other, _)| names.compare(other, name))
            .ok()?;
        Some(MarkedDirectory(children[index].1))
    }

    /// The names of the whiteouts in a directory, in their order.
    pub fn whiteouts(&self, directory: MarkedDirectory) -> impl Iterator<Item = &[u16]> {
        let children = self
            .nodes
            .get(directory.0 as usize)
            .map_or(&[][..], |node| &node.children);
        children
            .iter()
            .filter(|(_, node)| self.mark(MarkedDirectory(*node)) == Some(Kind::Whiteout))
            .map(|(name, _)| &**name)
    }

    /// Merges two sorted lists of names; of equal ones the first list's stays.
    pub(super) fn merged<T>(first: Vec<T>, second: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
        if second.is_empty() {
            return first;
        }
        let mut merged = Vec::with_capacity(first.len() + second.len());
        let (mut left, mut right) = (first.into_iter().peekable(), second.into_iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (Some(one), Some(other)) => compare(one, other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return merged,
            };
            if order == Ordering::Equal {
                right.next();
            }
            merged.extend(if order == Ordering::Greater {
                right.next()
            } else {
                left.next()
            });
        }
    }
}
