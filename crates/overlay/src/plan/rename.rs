//! Renaming files and directories, wherever in the stack they are.

use alloc::vec::Vec;

use super::target::Target;
use super::{Data, Plan, PlanError, Refusal, Step};
use crate::layer::{Kind, Layer};
use crate::path::NamePath;
use crate::stack::Stack;

/// What a rename does when something has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Replace {
    /// It fails.
    Never,
    /// A file replaces a file, a directory a directory in which the view shows nothing.
    Existing,
}

impl<L: Layer> Stack<L> {
    /// Plans a rename.
    ///
    /// A directory of which lower members have a part is first completed in the member that takes the writes, so that it
    /// can move as a whole; it takes as long as copying what is missing there. A caller for whom that is too much refuses
    /// when the plan has a [`Step::CompleteTree`], as between volumes.
    pub fn plan_rename(&self, from: &NamePath, to: &NamePath, replace: Replace) -> Result<Plan, PlanError<L::Error>> {
        let source = self.target(from)?;
        let is_directory = source.existing()?.is_directory();
        if is_directory && self.is_within(to, from) && to.depth() > from.depth() {
            return Err(PlanError::Refused(Refusal::IntoItself));
        }
        let target = self.target(to)?;
        let may_hold_rules = is_directory && (source.has_rules_below() || target.has_rules_below());
        if source.upper != target.upper || may_hold_rules {
            return Err(PlanError::Refused(Refusal::CrossesUppers));
        }
        let mut steps = Vec::new();
        let mut renamed = target.path.parent();
        renamed.push(to.last().unwrap_or_default());
        if to.depth() == from.depth() && self.is_within(to, from) {
            // Another spelling of the same name.
            if renamed != source.path {
                self.copy_up(&source, Data::Whole, &mut steps)?;
                steps.push(Step::Rename {
                    from: source.path,
                    to: renamed,
                    leave_whiteout: false,
                    over: None,
                });
            }
            return Ok(Plan {
                upper: source.upper,
                steps,
            });
        }
        if let Some(place) = &target.place {
            match (is_directory, place.is_directory()) {
                _ if replace == Replace::Never => return Err(PlanError::Refused(Refusal::Exists)),
                (false, true) => return Err(PlanError::Refused(Refusal::IsADirectory)),
                (true, false) => {
                    return Err(PlanError::Refused(Refusal::NotADirectory { depth: to.depth() }));
                }
                (true, true) if !self.is_empty(place)? => return Err(PlanError::Refused(Refusal::NotEmpty)),
                _ => {}
            }
        }
        self.copy_up(&source, Data::Whole, &mut steps)?;
        if is_directory {
            self.detach_from_below(&source, &target, &mut steps)?;
        }
        target.make_parents(&mut steps);
        // The new name may be a hard link of the same file, which came up with it.
        let came_up = steps
            .iter()
            .any(|step| matches!(step, Step::Link { to, .. } if *to == target.path));
        let over = match &target.place {
            Some(place) if came_up => Some(place.kind()),
            _ => target.occupant,
        };
        steps.push(Step::Rename {
            leave_whiteout: self.below(&source)?.is_some(),
            from: source.path,
            to: renamed,
            over,
        });
        Ok(Plan {
            upper: source.upper,
            steps,
        })
    }

    /// Adds the steps after which a directory shows the same without the directories below it, and will not merge with
    /// those that are below its new place.
    pub(super) fn detach_from_below(
        &self,
        source: &Target<L::Entry>,
        target: &Target<L::Entry>,
        steps: &mut Vec<Step>,
    ) -> Result<(), PlanError<L::Error>> {
        let merges = source.existing()?.merged().any(|part| part.position != source.upper);
        if merges {
            steps.push(Step::CompleteTree {
                path: source.path.clone(),
            });
        }
        let is_opaque = source.occupant == Some(Kind::OpaqueDirectory);
        if merges || (!is_opaque && self.below(target)?.is_some_and(Kind::is_directory)) {
            steps.push(Step::MakeOpaque {
                path: source.path.clone(),
            });
        }
        Ok(())
    }

    /// Whether the first names of `path` are those of `directory`.
    pub(super) fn is_within(&self, path: &NamePath, directory: &NamePath) -> bool {
        path.depth() >= directory.depth()
            && path
                .names()
                .zip(directory.names())
                .all(|(name, other)| self.names().equal(name, other))
    }
}
