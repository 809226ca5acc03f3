//! Writing to what is there, and making what is not.

use alloc::vec::Vec;

use super::target::Target;
use super::{Data, Plan, PlanError, Refusal, Step};
use crate::layer::{Kind, Layer};
use crate::path::NamePath;
use crate::stack::Stack;

impl<L: Layer> Stack<L> {
    /// Plans what must be done before a file's data or anything's attributes are written: the copy-up.
    ///
    /// Names that are hard links of one file in the layer it comes from become hard links again. The plan is empty when
    /// the member that takes the writes has the file already.
    pub fn plan_copy_up(&self, path: &NamePath, data: Data) -> Result<Plan, PlanError<L::Error>> {
        if path.is_root() {
            // The member that takes the writes has a root.
            let scope = self.scope(&self.root_cursor());
            let upper = self.upper(&scope).ok_or(PlanError::Refused(Refusal::ReadOnly))?;
            return Ok(Plan {
                upper,
                steps: Vec::new(),
            });
        }
        let target = self.target(path)?;
        let mut steps = Vec::new();
        self.copy_up(&target, data, &mut steps)?;
        Ok(Plan {
            upper: target.upper,
            steps,
        })
    }

    /// Adds the steps after which the member that takes the writes has the target itself.
    pub(super) fn copy_up(
        &self,
        target: &Target<L::Entry>,
        data: Data,
        steps: &mut Vec<Step>,
    ) -> Result<(), PlanError<L::Error>> {
        let winner = target.existing()?.winner();
        if winner.position == target.upper {
            return Ok(());
        }
        if winner.kind.is_directory() {
            target.make_directory(winner.position, steps);
            return Ok(());
        }
        target.make_parents(steps);
        steps.push(Step::CopyUp {
            path: target.path.clone(),
            from: winner.position,
            data,
        });
        let Some(member) = self.member(winner.position) else {
            return Ok(());
        };
        for other in member.layer.other_links(&winner.entry)? {
            let Ok(other) = self.target(&other) else {
                // Hidden, or not to be written: that name stays with the file as it was.
                continue;
            };
            let is_seen = other
                .place
                .as_ref()
                .is_some_and(|place| place.winner().position == winner.position && !place.is_directory());
            if is_seen && other.upper == target.upper {
                other.make_parents(steps);
                steps.push(Step::Link {
                    from: target.path.clone(),
                    to: other.path,
                    over: other.occupant,
                });
            }
        }
        Ok(())
    }

    /// Plans a new file, directory or link.
    pub fn plan_create(&self, path: &NamePath, kind: Kind) -> Result<Plan, PlanError<L::Error>> {
        let target = self.target(path)?;
        if target.place.is_some() {
            return Err(PlanError::Refused(Refusal::Exists));
        }
        let mut steps = Vec::new();
        target.make_parents(&mut steps);
        // What the whiteout hid must not shine through the new directory.
        let kind = match (kind, target.occupant) {
            (Kind::Directory, Some(Kind::Whiteout)) => Kind::OpaqueDirectory,
            (kind, _) => kind,
        };
        steps.push(Step::Create {
            path: target.path,
            kind,
            over: target.occupant,
        });
        Ok(Plan {
            upper: target.upper,
            steps,
        })
    }

    /// Plans a further hard link `to` of the file `from`.
    pub fn plan_link(&self, from: &NamePath, to: &NamePath) -> Result<Plan, PlanError<L::Error>> {
        let source = self.target(from)?;
        if source.existing()?.is_directory() {
            return Err(PlanError::Refused(Refusal::IsADirectory));
        }
        let target = self.target(to)?;
        if target.place.is_some() {
            return Err(PlanError::Refused(Refusal::Exists));
        }
        if source.upper != target.upper {
            return Err(PlanError::Refused(Refusal::CrossesUppers));
        }
        let mut steps = Vec::new();
        self.copy_up(&source, Data::Whole, &mut steps)?;
        target.make_parents(&mut steps);
        steps.push(Step::Link {
            from: source.path,
            to: target.path,
            over: target.occupant,
        });
        Ok(Plan {
            upper: source.upper,
            steps,
        })
    }
}
