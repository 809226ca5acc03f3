//! Putting two entries in each other's places.

use alloc::vec::Vec;

use super::{Data, Plan, PlanError, Refusal, Step};
use crate::layer::Layer;
use crate::path::NamePath;
use crate::stack::Stack;

impl<L: Layer> Stack<L> {
    /// Plans that two entries, whatever they are, take each other's places; the names stay as they are spelled.
    ///
    /// Directories of which lower members have a part are completed first, as for a rename.
    pub fn plan_exchange(&self, one: &NamePath, other: &NamePath) -> Result<Plan, PlanError<L::Error>> {
        let left = self.target(one)?;
        let left_is_directory = left.existing()?.is_directory();
        let right = self.target(other)?;
        let right_is_directory = right.existing()?.is_directory();
        let is_same_depth = one.depth() == other.depth();
        if !is_same_depth && (self.is_within(one, other) || self.is_within(other, one)) {
            return Err(PlanError::Refused(Refusal::IntoItself));
        }
        let mut plan = Plan {
            upper: left.upper,
            steps: Vec::new(),
        };
        if is_same_depth && self.is_within(one, other) {
            return Ok(plan);
        }
        let is_of_directories = left_is_directory || right_is_directory;
        let may_hold_rules = is_of_directories && (left.has_rules_below() || right.has_rules_below());
        if left.upper != right.upper || may_hold_rules {
            return Err(PlanError::Refused(Refusal::CrossesUppers));
        }
        self.copy_up(&left, Data::Whole, &mut plan.steps)?;
        // The other may be a hard link of the one, which came up with it.
        let came_up = |step: &Step| matches!(step, Step::Link { to, .. } if *to == right.path);
        if !plan.steps.iter().any(came_up) {
            self.copy_up(&right, Data::Whole, &mut plan.steps)?;
        }
        if left_is_directory {
            self.detach_from_below(&left, &right, &mut plan.steps)?;
        }
        if right_is_directory {
            self.detach_from_below(&right, &left, &mut plan.steps)?;
        }
        plan.steps.push(Step::Exchange {
            one: left.path,
            other: right.path,
        });
        Ok(plan)
    }
}
