//! Removing, and hiding what is below.

use alloc::vec;
use alloc::vec::Vec;

use super::target::Target;
use super::{Plan, PlanError, Refusal, Step};
use crate::layer::{Kind, Layer};
use crate::path::NamePath;
use crate::stack::Stack;

impl<L: Layer> Stack<L> {
    /// Plans the removal of a file or link.
    pub fn plan_remove_file(&self, path: &NamePath) -> Result<Plan, PlanError<L::Error>> {
        let target = self.target(path)?;
        if target.existing()?.is_directory() {
            return Err(PlanError::Refused(Refusal::IsADirectory));
        }
        self.remove(target)
    }

    /// Plans the removal of a directory in which the view shows nothing.
    pub fn plan_remove_directory(&self, path: &NamePath) -> Result<Plan, PlanError<L::Error>> {
        let target = self.target(path)?;
        let place = target.existing()?;
        if !place.is_directory() {
            return Err(PlanError::Refused(Refusal::NotADirectory { depth: path.depth() }));
        }
        if !self.is_empty(place)? {
            return Err(PlanError::Refused(Refusal::NotEmpty));
        }
        self.remove(target)
    }

    fn remove(&self, target: Target<L::Entry>) -> Result<Plan, PlanError<L::Error>> {
        let shines_through = self.below(&target)?.is_some();
        let mut steps = Vec::new();
        match target.occupant {
            Some(kind) if !shines_through => steps.push(Step::Remove {
                path: target.path,
                kind,
            }),
            over => {
                target.make_parents(&mut steps);
                steps.push(Step::Whiteout {
                    path: target.path,
                    over,
                });
            }
        }
        Ok(Plan {
            upper: target.upper,
            steps,
        })
    }

    /// Plans that a directory hides everything below it: afterwards it shows what the member that takes the writes has
    /// there, and nothing else.
    pub fn plan_make_opaque(&self, path: &NamePath) -> Result<Plan, PlanError<L::Error>> {
        let target = self.target(path)?;
        let place = target.existing()?;
        if !place.is_directory() {
            return Err(PlanError::Refused(Refusal::NotADirectory { depth: path.depth() }));
        }
        if target.occupant == Some(Kind::OpaqueDirectory) {
            return Ok(Plan {
                upper: target.upper,
                steps: vec![],
            });
        }
        let mut steps = Vec::new();
        target.make_directory(place.winner().position, &mut steps);
        steps.push(Step::MakeOpaque { path: target.path });
        Ok(Plan {
            upper: target.upper,
            steps,
        })
    }
}
