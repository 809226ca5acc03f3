//! Where a write goes: the path in the view, and what the member that takes the writes has there.

use alloc::vec::Vec;

use super::{PlanError, Refusal, Step};
use crate::layer::{Kind, Layer};
use crate::path::NamePath;
use crate::place::Place;
use crate::policy::{Cursor, Scope};
use crate::stack::Stack;

/// A path that a write is about. Its parent directory is in the view.
pub(super) struct Target<E> {
    /// The path, as the view spells it; the last name as asked for where nothing is there.
    pub(super) path: NamePath,
    /// The winners of the directories on the way, by position.
    winners: Vec<usize>,
    parent: Place<E>,
    /// What the view shows there.
    pub(super) place: Option<Place<E>>,
    scope: Scope,
    cursor: Cursor,
    /// The member that takes the writes.
    pub(super) upper: usize,
    /// How many directories of the path that member has.
    present: usize,
    /// What that member has there itself.
    pub(super) occupant: Option<Kind>,
}

impl<E> Target<E> {
    /// What the view shows there, or that nothing is.
    pub(super) fn existing<X>(&self) -> Result<&Place<E>, PlanError<X>> {
        self.place.as_ref().ok_or(PlanError::Refused(Refusal::NotFound {
            depth: self.path.depth().saturating_sub(1),
        }))
    }

    /// Whether rules hold somewhere below.
    pub(super) fn has_rules_below(&self) -> bool {
        self.cursor.has_rules_below()
    }

    /// The step that makes the directories on the way, if any is missing.
    pub(super) fn make_parents(&self, steps: &mut Vec<Step>) {
        copy_up_directories(self.path.parent(), self.present, &self.winners, steps);
    }

    /// The step that makes the directories on the way and the directory itself, won by the member at `winner`.
    pub(super) fn make_directory(&self, winner: usize, steps: &mut Vec<Step>) {
        let has_itself = self.occupant.is_some_and(Kind::is_directory);
        if !has_itself {
            let mut from = self.winners.clone();
            from.push(winner);
            copy_up_directories(self.path.clone(), self.present, &from, steps);
        }
    }
}

fn copy_up_directories(path: NamePath, present: usize, winners: &[usize], steps: &mut Vec<Step>) {
    if let Some(from) = winners.get(present..).filter(|from| !from.is_empty()) {
        steps.push(Step::CopyUpDirectories {
            path,
            present,
            from: from.to_vec(),
        });
    }
}

impl<L: Layer> Stack<L> {
    /// Finds where a write to `path` goes.
    pub(super) fn target(&self, path: &NamePath) -> Result<Target<L::Entry>, PlanError<L::Error>> {
        let Some(last) = path.last() else {
            return Err(PlanError::Refused(Refusal::Root));
        };
        let mut parent = self.root()?.ok_or(PlanError::Refused(Refusal::NotFound { depth: 0 }))?;
        let mut spelled = NamePath::root();
        let mut winners = Vec::new();
        let depth = path.depth().saturating_sub(1);
        for (depth, name) in path.names().take(depth).enumerate() {
            parent = match self.lookup(&parent, name)? {
                Some(place) if place.is_directory() => place,
                Some(_) => {
                    return Err(PlanError::Refused(Refusal::NotADirectory {
                        depth: depth.saturating_add(1),
                    }));
                }
                None => return Err(PlanError::Refused(Refusal::NotFound { depth })),
            };
            spelled.push(self.name(&parent));
            winners.push(parent.winner().position);
        }
        let place = self.lookup(&parent, last)?;
        spelled.push(place.as_ref().map_or(last, |place| self.name(place)));
        let cursor = self.descend(&parent.cursor, last, path.depth());
        let scope = self.scope(&cursor);
        let upper = self.upper(&scope).ok_or(PlanError::Refused(Refusal::ReadOnly))?;
        if let Err(rule) = self.asks(&scope, upper) {
            return Err(PlanError::Refused(
                rule.map_or(Refusal::ReadOnly, Refusal::HiddenByRule),
            ));
        }
        let (present, occupant) = self.in_upper(upper, &spelled)?;
        Ok(Target {
            path: spelled,
            winners,
            parent,
            place,
            scope,
            cursor,
            upper,
            present,
            occupant,
        })
    }

    /// How many directories on the way to a path a member has, and what it has there.
    pub(super) fn in_upper(&self, upper: usize, path: &NamePath) -> Result<(usize, Option<Kind>), PlanError<L::Error>> {
        let member = self.member(upper).ok_or(PlanError::Refused(Refusal::ReadOnly))?;
        let mut directory = member.layer.root()?.ok_or(PlanError::Refused(Refusal::ReadOnly))?;
        let parents = path.depth().saturating_sub(1);
        for (depth, name) in path.names().enumerate() {
            let entry = member.layer.lookup(&directory, name)?;
            let kind = entry.as_ref().map(|entry| member.layer.kind(entry));
            if depth == parents {
                return Ok((depth, kind));
            }
            match (entry, kind) {
                (None, _) | (_, None | Some(Kind::Whiteout)) => return Ok((depth, None)),
                (Some(entry), Some(kind)) if kind.is_directory() => directory = entry,
                _ => return Err(PlanError::Refused(Refusal::Obstructed { depth })),
            }
        }
        Ok((0, None))
    }

    /// What the view would show at the target if the member that takes the writes had nothing there.
    pub(super) fn below(&self, target: &Target<L::Entry>) -> Result<Option<Kind>, L::Error> {
        let Some(name) = target.path.last() else {
            return Ok(None);
        };
        for part in target.parent.parts() {
            let hidden = part.cut && !target.scope.is_base_alone();
            if part.position == target.upper || hidden || self.asks(&target.scope, part.position).is_err() {
                continue;
            }
            let Some(member) = self.member(part.position) else {
                continue;
            };
            if let Some(entry) = member.layer.lookup(&part.entry, name)? {
                let kind = member.layer.kind(&entry);
                return Ok(Some(kind).filter(|kind| *kind != Kind::Whiteout));
            }
        }
        Ok(None)
    }
}
