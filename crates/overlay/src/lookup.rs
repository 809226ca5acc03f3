//! Finding paths in the view.

use crate::layer::{Kind, Layer};
use crate::path::NamePath;
use crate::place::{Gathering, Part, Place};
use crate::policy::{Cursor, Scope};
use crate::stack::Stack;
use crate::standing::{Judge, Standing};

/// What a path leads to.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "what is found is used at once; boxing it would cost an allocation"
)]
pub enum Resolved<E> {
    /// Something is there.
    Found {
        /// What it is.
        place: Place<E>,
        /// The path as the winning members spell it.
        spelled: NamePath,
    },
    /// There is nothing of the name at this depth, counted from 0.
    Missing {
        /// The depth of the name.
        depth: usize,
    },
    /// What the names up to this depth lead to is no directory.
    NotADirectory {
        /// How many names lead there.
        depth: usize,
    },
}

impl<E> Resolved<E> {
    /// What was found, if anything.
    pub fn found(self) -> Option<Place<E>> {
        match self {
            Self::Found { place, .. } => Some(place),
            Self::Missing { .. } | Self::NotADirectory { .. } => None,
        }
    }
}

impl<L: Layer> Stack<L> {
    /// The root directory of the view; `None` when no member that is asked has one.
    pub fn root(&self) -> Result<Option<Place<L::Entry>>, L::Error> {
        let cursor = self.root_cursor();
        let scope = self.scope(&cursor);
        let mut gather = Gather::new(0);
        for (position, member) in self.members().iter().enumerate() {
            if let Some(entry) = member.layer.root()? {
                let kind = member.layer.kind(&entry);
                if kind.is_directory() {
                    gather.take(self, (&scope, &cursor), position, false, entry, kind);
                }
            }
        }
        Ok(gather.parts.finish(scope, cursor, 0))
    }

    /// What the view shows under this name in a directory; `None` when it shows nothing or `directory` is none.
    pub fn lookup(&self, directory: &Place<L::Entry>, name: &[u16]) -> Result<Option<Place<L::Entry>>, L::Error> {
        let depth = directory.depth.saturating_add(1);
        let cursor = self.descend(&directory.cursor, name, depth);
        let scope = self.scope(&cursor);
        let mut gather = Gather::new(depth);
        if directory.is_directory() {
            for part in directory.parts() {
                if !gather.wants(self, &scope, &cursor, part.position, part.cut) {
                    continue;
                }
                let Some(member) = self.member(part.position) else {
                    continue;
                };
                if let Some(entry) = member.layer.lookup(&part.entry, name)? {
                    let kind = member.layer.kind(&entry);
                    gather.take(self, (&scope, &cursor), part.position, part.cut, entry, kind);
                }
            }
        }
        Ok(gather.parts.finish(scope, cursor, depth))
    }

    /// Follows a path from the root, a name at a time.
    pub fn resolve(&self, path: &NamePath) -> Result<Resolved<L::Entry>, L::Error> {
        let Some(mut place) = self.root()? else {
            return Ok(Resolved::Missing { depth: 0 });
        };
        let mut spelled = NamePath::root();
        for (depth, name) in path.names().enumerate() {
            if !place.is_directory() {
                return Ok(Resolved::NotADirectory { depth });
            }
            let Some(below) = self.lookup(&place, name)? else {
                return Ok(Resolved::Missing { depth });
            };
            place = below;
            spelled.push(self.name(&place));
        }
        Ok(Resolved::Found { place, spelled })
    }

    /// The position of the member that takes the writes at a place; `None` when nothing is written there.
    pub fn writes_to(&self, place: &Place<L::Entry>) -> Option<usize> {
        self.upper(&place.scope)
            .filter(|upper| self.asks(&place.scope, *upper).is_ok())
    }

    /// The last name of a place as its winner spells it; empty for the root.
    pub fn name<'p>(&'p self, place: &'p Place<L::Entry>) -> &'p [u16] {
        match self.member(place.winner().position) {
            Some(member) if place.depth > 0 => member.layer.name(&place.winner().entry),
            _ => &[],
        }
    }
}

/// Makes a place of the entries of one name, the highest first.
pub(crate) struct Gather<E> {
    judge: Judge,
    pub(crate) parts: Gathering<E>,
}

impl<E> Gather<E> {
    pub(crate) const fn new(depth: usize) -> Self {
        Self {
            judge: Judge::new(depth),
            parts: Gathering::new(),
        }
    }

    /// Whether the answer of this member could change anything; `cut` says that it is hidden already.
    pub(crate) fn wants<L>(
        &self,
        stack: &Stack<L>,
        scope: &Scope,
        cursor: &Cursor,
        position: usize,
        cut: bool,
    ) -> bool {
        let asked = (!cut || scope.is_base_alone()) && stack.asks(scope, position).is_ok();
        if asked && !self.judge.is_closed() {
            return true;
        }
        cursor.has_rules_below() && (!self.judge.is_closed() || stack.outlasts_cuts(position))
    }

    /// Takes an entry; says what becomes of it, and gives it back where it is no part of the place.
    pub(crate) fn take<L>(
        &mut self,
        stack: &Stack<L>,
        at: (&Scope, &Cursor),
        position: usize,
        cut: bool,
        entry: E,
        kind: Kind,
    ) -> Option<(E, Standing)> {
        let (scope, cursor) = at;
        let keeps = kind.is_directory() && cursor.has_rules_below();
        if cut && !scope.is_base_alone() {
            if keeps {
                self.parts.add(Part {
                    position,
                    entry,
                    kind,
                    asked: false,
                    cut,
                });
            }
            return None;
        }
        let (standing, hides) = stack.judge(&mut self.judge, scope, position, None, kind);
        let asked = matches!(standing, Standing::Wins | Standing::Merges);
        let carried = keeps && standing.hidden().is_some() && (hides.is_none() || stack.is_base(position));
        if asked || carried {
            self.parts.add(Part {
                position,
                entry,
                kind,
                asked,
                cut: cut || hides.is_some(),
            });
            None
        } else {
            Some((entry, standing))
        }
    }
}
