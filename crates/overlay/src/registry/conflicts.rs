//! What more than one hive has.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use super::claims::ValueJudge;
use super::{KeyClaim, KeyLayer, Keys, ValueClaim};
use crate::conflicts::{Agreement, Conflicts};
use crate::path::NamePath;
use crate::stack::Stack;
use crate::standing::{Hidden, Standing};

/// A key or value that more than one member has, with something hidden.
#[derive(Clone, Debug)]
pub enum RegistryConflict<K, V> {
    /// A key that one member hides from another, with everything in it.
    Key {
        /// Its path.
        path: NamePath,
        /// What the members have there, the highest first.
        claims: Vec<KeyClaim<K>>,
    },
    /// A value.
    Value {
        /// The path of its key.
        path: NamePath,
        /// Its name, as the highest member that has it spells it.
        name: Vec<u16>,
        /// What the members have there, the highest first.
        claims: Vec<ValueClaim<V>>,
        /// Whether they have the same.
        agreement: Agreement,
    },
}

/// All conflicts of a stack of hives: each key before its values, then its subkeys, names in ascending order.
///
/// What only one member has is not walked; the values of one key are held in memory at a time.
pub struct RegistryConflicts<'s, H: KeyLayer> {
    stack: &'s Stack<Keys<H>>,
    keys: Conflicts<'s, Keys<H>>,
    ready: VecDeque<RegistryConflict<H::Key, H::Value>>,
}

/// A value, and what hides all values of its key.
struct Held<V> {
    claim: ValueClaim<V>,
    hidden: Option<Hidden>,
}

impl<H: KeyLayer> Stack<Keys<H>> {
    /// Finds all keys and values that more than one member has and of which something is hidden.
    pub fn registry_conflicts(&self) -> Result<RegistryConflicts<'_, H>, H::Error> {
        let mut conflicts = RegistryConflicts {
            stack: self,
            keys: self.conflicts()?,
            ready: VecDeque::new(),
        };
        let root = self.explain_key(&NamePath::root())?;
        conflicts.add_values(&NamePath::root(), &root.claims)?;
        Ok(conflicts)
    }
}

impl<H: KeyLayer> RegistryConflicts<'_, H> {
    /// The next conflict; `None` at the end.
    #[expect(
        clippy::should_implement_trait,
        clippy::type_complexity,
        reason = "the pattern of Conflicts"
    )]
    pub fn next(&mut self) -> Result<Option<RegistryConflict<H::Key, H::Value>>, H::Error> {
        loop {
            if let Some(conflict) = self.ready.pop_front() {
                return Ok(Some(conflict));
            }
            let Some(shared) = self.keys.next_shared()? else {
                return Ok(None);
            };
            let path = shared.path.clone();
            let claims = self.stack.key_claims(shared.claims);
            let hides = claims
                .iter()
                .any(|claim| matches!(claim.standing, Standing::Hidden(_) | Standing::Cuts));
            if hides {
                self.ready.push_back(RegistryConflict::Key {
                    path: path.clone(),
                    claims: claims.clone(),
                });
            }
            self.add_values(&path, &claims)?;
        }
    }

    fn add_values(&mut self, path: &NamePath, claims: &[KeyClaim<H::Key>]) -> Result<(), H::Error> {
        let mut judge = ValueJudge::new(path.depth());
        let mut all = Vec::new();
        for claim in claims {
            let hidden = judge.enter(claim);
            let Some(member) = self.stack.member(claim.position) else {
                continue;
            };
            for value in member.layer.0.values(&claim.key)? {
                let value = value?;
                all.push(Held {
                    claim: ValueClaim {
                        position: claim.position,
                        state: member.layer.0.value_state(&value),
                        value,
                        standing: Standing::Wins,
                    },
                    hidden,
                });
            }
        }
        let stack = self.stack;
        let name = |held: &Held<H::Value>| match stack.member(held.claim.position) {
            Some(member) => member.layer.0.value_name(&held.claim.value).to_vec(),
            None => Vec::new(),
        };
        // The sort is stable, so the values of one name stay in the order of the members.
        all.sort_by(|left, right| stack.compare_claims(&left.claim, &right.claim));
        let mut rest = all.into_iter().peekable();
        while let Some(first) = rest.next() {
            let name = name(&first);
            let mut group = Vec::from([first]);
            while let Some(next) = rest.next_if(|next| {
                group
                    .first()
                    .is_some_and(|first| stack.compare_claims(&first.claim, &next.claim).is_eq())
            }) {
                group.push(next);
            }
            if group.len() < 2 {
                continue;
            }
            let mut judge = judge.clone();
            let claims: Vec<_> = group
                .into_iter()
                .map(|held| ValueClaim {
                    standing: judge.take(held.hidden, held.claim.position, held.claim.state),
                    ..held.claim
                })
                .collect();
            self.ready.push_back(RegistryConflict::Value {
                path: path.clone(),
                name,
                agreement: stack.value_agreement(&claims),
                claims,
            });
        }
        Ok(())
    }
}

impl<H: KeyLayer> Stack<Keys<H>> {
    fn compare_claims(&self, left: &ValueClaim<H::Value>, right: &ValueClaim<H::Value>) -> core::cmp::Ordering {
        match (self.member(left.position), self.member(right.position)) {
            (Some(a), Some(b)) => self
                .names()
                .compare(a.layer.0.value_name(&left.value), b.layer.0.value_name(&right.value)),
            _ => core::cmp::Ordering::Equal,
        }
    }

    fn value_agreement(&self, claims: &[ValueClaim<H::Value>]) -> Agreement {
        let Some(shown) = claims.iter().find(|claim| claim.is_shown()) else {
            // Tombstones that agree hide nothing of each other.
            let all_delete = claims.iter().all(|claim| !claim.state.is_present());
            return if all_delete {
                Agreement::Same
            } else {
                Agreement::Different
            };
        };
        let same = |claim: &ValueClaim<H::Value>| {
            let (shower, other) = (self.member(shown.position)?, self.member(claim.position)?);
            let same = shower.layer.0.same_value(&shown.value, &other.layer.0, &claim.value);
            Some(same)
        };
        let all_same = claims
            .iter()
            .filter(|claim| claim.standing.hidden().is_some() && claim.state.is_present())
            .all(|claim| same(claim).unwrap_or(false));
        if all_same {
            Agreement::Same
        } else {
            Agreement::Different
        }
    }
}

impl<H: KeyLayer> fmt::Debug for RegistryConflicts<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryConflicts")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
