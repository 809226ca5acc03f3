//! The listing of a merged directory.

use alloc::vec::Vec;
use core::fmt;

use crate::layer::{Kind, Layer};
use crate::lookup::Gather;
use crate::names::Names;
use crate::place::Place;
use crate::sorted_merge::{Named, SortedMerge};
use crate::stack::Stack;
use crate::standing::Standing;

/// What one member has under a name, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Claim<E> {
    /// The position of the member.
    pub position: usize,
    /// Its entry.
    pub entry: E,
    /// What the entry is.
    pub kind: Kind,
    /// What becomes of it.
    pub standing: Standing,
}

/// One name of a merged directory.
#[derive(Clone, Debug)]
pub struct Listed<E> {
    /// What the view shows under the name.
    pub place: Place<E>,
    /// What else the members have there that is not part of it.
    pub others: Vec<Claim<E>>,
}

/// The names of a merged directory in ascending order, each once.
///
/// Keeps one entry of each member in memory, so that a directory may be of any size. Ends after an error.
pub struct Listing<'s, L: Layer> {
    stack: &'s Stack<L>,
    directory: Place<L::Entry>,
    /// The positions of members that are hidden for the whole tree.
    cut: Vec<usize>,
    entries: Entries<'s, L>,
    group: Vec<(usize, L::Entry)>,
    failed: bool,
}

impl<L: Layer> Stack<L> {
    /// Lists a directory of the view. What is no directory has no entries.
    pub fn list(&self, directory: &Place<L::Entry>) -> Result<Listing<'_, L>, L::Error> {
        let directory = directory.clone();
        let rules_below = directory.cursor.has_rules_below();
        let entries = Entries::new(
            self,
            directory
                .parts()
                .filter(|part| part.kind.is_directory() && (part.asked || rules_below))
                .map(|part| (part.position, &part.entry)),
        )?;
        Ok(Listing {
            stack: self,
            cut: directory
                .parts()
                .filter(|part| part.cut)
                .map(|part| part.position)
                .collect(),
            directory,
            entries,
            group: Vec::new(),
            failed: false,
        })
    }

    /// Whether the view shows nothing in a directory.
    pub fn is_empty(&self, directory: &Place<L::Entry>) -> Result<bool, L::Error> {
        Ok(self.list(directory)?.next().transpose()?.is_none())
    }
}

impl<L: Layer> Iterator for Listing<'_, L> {
    type Item = Result<Listed<L::Entry>, L::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Err(error) = self.entries.next_group(self.stack, &mut self.group) {
                self.failed = true;
                return Some(Err(error));
            }
            let (first, entry) = self.group.first()?;
            let member = self.stack.member(*first)?;
            let depth = self.directory.depth.saturating_add(1);
            let cursor = self
                .stack
                .descend(&self.directory.cursor, member.layer.name(entry), depth);
            let scope = self.stack.scope(&cursor);
            let mut gather = Gather::new(depth);
            let mut others = Vec::new();
            for (position, entry) in self.group.drain(..) {
                let Some(member) = self.stack.member(position) else {
                    continue;
                };
                let kind = member.layer.kind(&entry);
                let cut = self.cut.contains(&position);
                if let Some((entry, standing)) = gather.take(self.stack, (&scope, &cursor), position, cut, entry, kind)
                {
                    others.push(Claim {
                        position,
                        entry,
                        kind,
                        standing,
                    });
                }
            }
            if let Some(place) = gather.parts.finish(scope, cursor, depth) {
                return Some(Ok(Listed { place, others }));
            }
        }
        None
    }
}

impl<L: Layer> fmt::Debug for Listing<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

/// The entries of one directory in several members, grouped by name, the highest member first in each group.
pub(crate) struct Entries<'s, L: Layer + 's> {
    positions: Vec<usize>,
    merge: SortedMerge<L::Listing<'s>, L::Entry>,
}

impl<'s, L: Layer> Entries<'s, L> {
    pub(crate) fn new<'e>(
        stack: &'s Stack<L>,
        directories: impl Iterator<Item = (usize, &'e L::Entry)>,
    ) -> Result<Self, L::Error>
    where
        L::Entry: 'e,
    {
        let mut positions = Vec::new();
        let mut listings = Vec::new();
        for (position, directory) in directories {
            if let Some(member) = stack.member(position) {
                listings.push(member.layer.list(directory)?);
                positions.push(position);
            }
        }
        let merge = SortedMerge::new(
            listings.into_iter().map(Ok),
            &EntryNames {
                stack,
                positions: &positions,
            },
        )?;
        Ok(Self { positions, merge })
    }

    /// Puts what the members have under the next name into `group`, with the members' positions; nothing at the end.
    pub(crate) fn next_group(&mut self, stack: &Stack<L>, group: &mut Vec<(usize, L::Entry)>) -> Result<(), L::Error> {
        self.merge.next_group(
            group,
            &EntryNames {
                stack,
                positions: &self.positions,
            },
        )?;
        for (number, _) in group {
            *number = self.positions.get(*number).copied().unwrap_or(usize::MAX);
        }
        Ok(())
    }
}

/// Names the entries of the members at these positions.
struct EntryNames<'a, L> {
    stack: &'a Stack<L>,
    positions: &'a [usize],
}

impl<L: Layer> Named<L::Entry> for EntryNames<'_, L> {
    fn names(&self) -> &Names {
        self.stack.names()
    }

    fn name<'n>(&'n self, source: usize, entry: &'n L::Entry) -> &'n [u16] {
        self.positions
            .get(source)
            .and_then(|position| self.stack.member(*position))
            .map_or(&[], |member| member.layer.name(entry))
    }
}
