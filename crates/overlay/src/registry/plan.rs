//! What a write to the registry means: steps in the hive that takes the writes.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::{KeyLayer, KeyState, Keys, ValueState};
use crate::layer::Kind;
use crate::path::NamePath;
use crate::place::Place;
use crate::plan::{Data, Plan, PlanError, Refusal, Replace, Step};
use crate::stack::Stack;
use crate::walk::Walk;

/// Steps in one hive, in the order in which to carry them out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    /// The position of the member in which they are carried out.
    pub upper: usize,
    /// The steps; none when nothing needs to be done.
    pub steps: Vec<KeyStep>,
}

/// One step, in the hive that takes the writes. As with files, only the last step that touches a key changes what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyStep {
    /// Makes the keys of `path` from the depth `present` on (the first `present` are there), without values and in the
    /// state [`Merge`](KeyState::Merge), each with the class, security and time of the view's key, whose winner `from`
    /// gives by position. Tombstones in their place are replaced; keys that are there already stay.
    CopyUpKeys {
        /// The deepest key.
        path: NamePath,
        /// How many of them are there.
        present: usize,
        /// Where each of the others is copied from.
        from: Vec<usize>,
    },
    /// Copies a value from another hive.
    CopyUpValue {
        /// The key.
        path: NamePath,
        /// The value's name.
        name: Vec<u16>,
        /// The position of the member that has it.
        from: usize,
    },
    /// Gives the key the class of another hive's key, which it inherited, as its own.
    CopyUpClass {
        /// The key.
        path: NamePath,
        /// The position of the member that has it.
        from: usize,
    },
    /// Makes the new key.
    CreateKey {
        /// Its path.
        path: NamePath,
        /// Its state.
        state: KeyState,
        /// Whether it replaces a tombstone.
        over_tombstone: bool,
    },
    /// Puts a tombstone in the place of the key, if there is one, and everything in it.
    TombstoneKey {
        /// The key.
        path: NamePath,
    },
    /// Removes the key with everything in it.
    RemoveKey {
        /// The key.
        path: NamePath,
    },
    /// Puts the key into the state [`SupersedeTree`](KeyState::SupersedeTree).
    SupersedeTree {
        /// The key.
        path: NamePath,
    },
    /// Copies up everything that the view shows in a key and below it and this hive does not have:
    /// [`Stack::complete_keys`](crate::Stack::complete_keys) gives the steps. The view stays the same.
    CompleteTree {
        /// The key; this hive has it.
        path: NamePath,
    },
    /// Renames or moves the key with everything in it, in place of what this hive has at `to` (a tombstone, or a key in
    /// which the view shows nothing).
    RenameKey {
        /// The path before.
        from: NamePath,
        /// The path after.
        to: NamePath,
        /// Whether a tombstone takes its place, in the same moment.
        leave_tombstone: bool,
    },
    /// Puts a tombstone in the place of the value, if there is one.
    TombstoneValue {
        /// The key.
        path: NamePath,
        /// The value's name.
        name: Vec<u16>,
    },
    /// Removes the value.
    RemoveValue {
        /// The key.
        path: NamePath,
        /// The value's name.
        name: Vec<u16>,
    },
}

type Planned<E> = Result<KeyPlan, PlanError<E>>;

impl<H: KeyLayer> Stack<Keys<H>> {
    /// Plans what must be done before a value is set, or the security or class of a key: the copy-up of the key. Setting
    /// the value in the hive that takes the writes is then all that is left.
    pub fn plan_write_key(&self, path: &NamePath) -> Planned<H::Error> {
        Ok(in_terms_of_keys(self.plan_copy_up(path, Data::Whole)?))
    }

    /// Plans a new key. Its parent is there.
    pub fn plan_create_key(&self, path: &NamePath) -> Planned<H::Error> {
        Ok(in_terms_of_keys(self.plan_create(path, Kind::Directory)?))
    }

    /// Plans the deletion of a key in which the view shows no subkeys.
    pub fn plan_delete_key(&self, path: &NamePath) -> Planned<H::Error> {
        Ok(in_terms_of_keys(self.plan_remove_directory(path)?))
    }

    /// Plans another name, or place, for a key with everything in it. Nothing has the new name.
    pub fn plan_rename_key(&self, from: &NamePath, to: &NamePath) -> Planned<H::Error> {
        Ok(in_terms_of_keys(self.plan_rename(from, to, Replace::Never)?))
    }

    /// Plans the deletion of a value.
    pub fn plan_delete_value(&self, path: &NamePath, name: &[u16]) -> Planned<H::Error> {
        let KeyPlan { upper, mut steps } = self.plan_write_key(path)?;
        let not_found = PlanError::Refused(Refusal::NotFound { depth: path.depth() });
        let Some(key) = self.resolve(path)?.found() else {
            return Err(not_found);
        };
        if self.value(&key, name)?.is_none() {
            return Err(not_found);
        }
        let (path, name) = (path.clone(), name.to_vec());
        if self.value_below(&key, &name, Some(upper))?.is_some() {
            steps.push(KeyStep::TombstoneValue { path, name });
        } else {
            steps = vec![KeyStep::RemoveValue { path, name }];
        }
        Ok(KeyPlan { upper, steps })
    }

    /// The steps that complete a key in the hive that takes its writes.
    pub fn complete_keys(&self, path: &NamePath) -> Result<KeyCompletion<'_, H>, PlanError<H::Error>> {
        let not_found = PlanError::Refused(Refusal::NotFound { depth: path.depth() });
        let key = self.resolve(path)?.found().ok_or(not_found)?;
        let upper = self.plan_write_key(path)?.upper;
        Ok(KeyCompletion {
            stack: self,
            upper,
            walk: self.walk(key.clone(), path.clone()),
            ready: self.missing(upper, path, &key)?,
        })
    }

    /// What of one key is missing in the hive that takes the writes.
    fn missing(&self, upper: usize, path: &NamePath, key: &Place<H::Key>) -> Result<VecDeque<KeyStep>, H::Error> {
        let mut steps = VecDeque::new();
        let winner = key.winner().position;
        let class = self.class_part(key).position;
        if winner != upper {
            steps.push_back(KeyStep::CopyUpKeys {
                path: path.clone(),
                present: path.depth().saturating_sub(1),
                from: vec![winner],
            });
        } else if class != upper {
            steps.push_back(KeyStep::CopyUpClass {
                path: path.clone(),
                from: class,
            });
        }
        for value in self.values(key)? {
            if value.position != upper
                && let Some(member) = self.member(value.position)
            {
                steps.push_back(KeyStep::CopyUpValue {
                    path: path.clone(),
                    name: member.layer.0.value_name(&value.value).to_vec(),
                    from: value.position,
                });
            }
        }
        Ok(steps)
    }
}

/// The steps of a [`KeyStep::CompleteTree`], one at a time: each is to be carried out before the next is asked for.
pub struct KeyCompletion<'s, H: KeyLayer> {
    stack: &'s Stack<Keys<H>>,
    upper: usize,
    walk: Walk<'s, Keys<H>>,
    ready: VecDeque<KeyStep>,
}

impl<H: KeyLayer> KeyCompletion<'_, H> {
    /// The next step; `None` when the key is complete.
    #[expect(clippy::should_implement_trait, reason = "the pattern of Walk")]
    pub fn next(&mut self) -> Result<Option<KeyStep>, H::Error> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            let Some((path, listed)) = self.walk.next()? else {
                return Ok(None);
            };
            self.ready = self.stack.missing(self.upper, path, &listed.place)?;
        }
    }
}

impl<H: KeyLayer> fmt::Debug for KeyCompletion<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCompletion")
            .field("walk", &self.walk)
            .finish_non_exhaustive()
    }
}

/// A plan for directories as a plan for the keys that they stand for.
fn in_terms_of_keys(plan: Plan) -> KeyPlan {
    let steps = plan.steps.into_iter().filter_map(|step| {
        Some(match step {
            Step::CopyUpDirectories { path, present, from } => KeyStep::CopyUpKeys { path, present, from },
            Step::Create { path, kind, over } => KeyStep::CreateKey {
                path,
                state: match kind {
                    Kind::OpaqueDirectory => KeyState::SupersedeTree,
                    _ => KeyState::Merge,
                },
                over_tombstone: over.is_some(),
            },
            Step::Rename {
                from,
                to,
                leave_whiteout,
                ..
            } => KeyStep::RenameKey {
                from,
                to,
                leave_tombstone: leave_whiteout,
            },
            Step::Whiteout { path, .. } => KeyStep::TombstoneKey { path },
            Step::Remove { path, .. } => KeyStep::RemoveKey { path },
            Step::MakeOpaque { path } => KeyStep::SupersedeTree { path },
            Step::CompleteTree { path } => KeyStep::CompleteTree { path },
            // Keys are directories: no plan for one has these.
            Step::CopyUp { .. } | Step::Link { .. } | Step::Exchange { .. } => return None,
        })
    });
    KeyPlan {
        upper: plan.upper,
        steps: steps.collect(),
    }
}

impl ValueState {
    /// Whether the value is there.
    pub const fn is_present(self) -> bool {
        matches!(self, Self::Present)
    }
}
