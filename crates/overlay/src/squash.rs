//! Making one layer of several.

use alloc::vec::Vec;
use core::fmt;

use crate::layer::{Kind, Layer};
use crate::listing::Entries;
use crate::path::NamePath;
use crate::stack::Stack;
use crate::standing::{Judge, Standing};

/// An entry of the one layer.
#[derive(Clone, Debug)]
pub struct Squashed<'s, E> {
    /// Its path, as the winning members spell it.
    pub path: &'s NamePath,
    /// The position of the member whose entry it is.
    pub position: usize,
    /// The member's entry.
    pub entry: E,
    /// What it is in the one layer: a whiteout stays where it may hide something below, and a directory is opaque where
    /// any of the layers ends the merging.
    pub kind: Kind,
}

/// The entries of the one layer that does, over anything, what the members of a stack do together: each directory before
/// its entries, names in ascending order.
///
/// The rules of manifests are not applied: they belong into the manifest of the new layer.
pub struct Squash<'s, L: Layer> {
    stack: &'s Stack<L>,
    path: NamePath,
    directories: Vec<Frame<'s, L>>,
    group: Vec<(usize, L::Entry)>,
    enter: Option<Merged<L::Entry>>,
}

struct Frame<'s, L: Layer + 's> {
    entries: Entries<'s, L>,
    /// Whether nothing below the layers is seen here.
    sealed: bool,
}

/// The directories that merge at one path.
struct Merged<E> {
    parts: Vec<(usize, E)>,
    sealed: bool,
}

impl<L: Layer> Stack<L> {
    /// Makes one layer of the members of this stack, all of which should be layers. Also says whether the root of the one
    /// layer is opaque.
    pub fn squash(&self) -> Result<(Squash<'_, L>, bool), L::Error> {
        let mut judge = Judge::new(0);
        let mut parts = Vec::new();
        for (position, member) in self.members().iter().enumerate() {
            if let Some(root) = member.layer.root()? {
                let kind = member.layer.kind(&root);
                if kind.is_directory() && judge.take(position, kind).hidden().is_none() {
                    parts.push((position, root));
                }
            }
        }
        let sealed = judge.is_closed();
        let squash = Squash {
            stack: self,
            path: NamePath::root(),
            directories: Vec::new(),
            group: Vec::new(),
            enter: Some(Merged { parts, sealed }),
        };
        Ok((squash, sealed))
    }
}

impl<L: Layer> Squash<'_, L> {
    /// The next entry; `None` at the end. After an error the rest of the directory where it happened is left out.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows the path")]
    pub fn next(&mut self) -> Result<Option<Squashed<'_, L::Entry>>, L::Error> {
        loop {
            if let Some(merged) = self.enter.take() {
                let parts = merged.parts.iter().map(|(position, entry)| (*position, entry));
                self.directories.push(Frame {
                    entries: Entries::new(self.stack, parts)?,
                    sealed: merged.sealed,
                });
            }
            let depth = self.directories.len();
            let Some(frame) = self.directories.last_mut() else {
                return Ok(None);
            };
            self.path.truncate(depth.saturating_sub(1));
            if let Err(error) = frame.entries.next_group(self.stack, &mut self.group) {
                self.directories.pop();
                return Err(error);
            }
            let Some((position, entry)) = self.group.first().cloned() else {
                self.directories.pop();
                continue;
            };
            let sealed = frame.sealed;
            let mut judge = Judge::new(depth);
            let mut parts = Vec::new();
            let mut winner = Kind::Whiteout;
            for (position, entry) in self.group.drain(..) {
                let Some(member) = self.stack.member(position) else {
                    continue;
                };
                let kind = member.layer.kind(&entry);
                match judge.take(position, kind) {
                    Standing::Wins => {
                        winner = kind;
                        parts.push((position, entry));
                    }
                    Standing::Merges => parts.push((position, entry)),
                    Standing::Cuts | Standing::Hidden(_) => {}
                }
            }
            if let Some(member) = self.stack.member(position) {
                self.path.push(member.layer.name(&entry));
            }
            let ends = judge.is_closed();
            let kind = match winner {
                Kind::Whiteout if sealed => continue,
                Kind::Directory | Kind::OpaqueDirectory if sealed || !ends => Kind::Directory,
                Kind::Directory | Kind::OpaqueDirectory => Kind::OpaqueDirectory,
                kind => kind,
            };
            if kind.is_directory() {
                let sealed = sealed || ends;
                self.enter = Some(Merged { parts, sealed });
            }
            return Ok(Some(Squashed {
                path: &self.path,
                position,
                entry,
                kind,
            }));
        }
    }
}

impl<L: Layer> fmt::Debug for Squash<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Squash")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
