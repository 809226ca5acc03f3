//! Copying up all of a directory that is missing in the member that takes the writes.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{Data, PlanError, Refusal, Step};
use crate::layer::Layer;
use crate::path::NamePath;
use crate::stack::Stack;
use crate::walk::Walk;

/// The steps of a [`Step::CompleteTree`], one at a time: each is to be carried out before the next is asked for.
pub struct Completion<'s, L: Layer> {
    stack: &'s Stack<L>,
    upper: usize,
    walk: Walk<'s, L>,
    ready: VecDeque<Step>,
}

impl<L: Layer> Stack<L> {
    /// The steps that complete a directory in the member that takes its writes.
    pub fn complete(&self, path: &NamePath) -> Result<Completion<'_, L>, PlanError<L::Error>> {
        let target = self.target(path)?;
        let directory = target.existing()?.clone();
        if !directory.is_directory() {
            return Err(PlanError::Refused(Refusal::NotADirectory { depth: path.depth() }));
        }
        Ok(Completion {
            stack: self,
            upper: target.upper,
            walk: self.walk(directory, target.path),
            ready: VecDeque::new(),
        })
    }
}

impl<L: Layer> Completion<'_, L> {
    /// The next step; `None` when the directory is complete.
    #[expect(clippy::should_implement_trait, reason = "the pattern of Walk")]
    pub fn next(&mut self) -> Result<Option<Step>, PlanError<L::Error>> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            let Some((path, listed)) = self.walk.next()? else {
                return Ok(None);
            };
            let winner = listed.place.winner();
            if winner.position == self.upper {
                continue;
            }
            if listed.place.is_directory() {
                return Ok(Some(Step::CopyUpDirectories {
                    path: path.clone(),
                    present: path.depth().saturating_sub(1),
                    from: vec![winner.position],
                }));
            }
            let has_links = match self.stack.member(winner.position) {
                Some(member) => !member.layer.other_links(&winner.entry)?.is_empty(),
                None => false,
            };
            if !has_links {
                return Ok(Some(Step::CopyUp {
                    path: path.clone(),
                    from: winner.position,
                    data: Data::Whole,
                }));
            }
            // Another of its names may have brought it up already.
            let mut steps = Vec::new();
            let target = self.stack.target(path)?;
            self.stack.copy_up(&target, Data::Whole, &mut steps)?;
            self.ready.extend(steps);
        }
    }
}

impl<L: Layer> fmt::Debug for Completion<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("walk", &self.walk)
            .finish_non_exhaustive()
    }
}
