//! Why a key or value shows what it shows.

use alloc::vec::Vec;

use super::{KeyLayer, KeyState, Keys, ValueState};
use crate::listing::Claim;
use crate::path::NamePath;
use crate::policy::RuleRef;
use crate::stack::Stack;
use crate::standing::{Hidden, Hiding, Standing};

/// What one member has at the path of a key, and what becomes of it.
#[derive(Clone, Debug)]
pub struct KeyClaim<K> {
    /// The position of the member.
    pub position: usize,
    /// Its key.
    pub key: K,
    /// The key's state.
    pub state: KeyState,
    /// What becomes of it.
    pub standing: Standing,
}

/// What one member has under the name of a value, and what becomes of it.
#[derive(Clone, Debug)]
pub struct ValueClaim<V> {
    /// The position of the member.
    pub position: usize,
    /// Its value.
    pub value: V,
    /// The value's state.
    pub state: ValueState,
    /// What becomes of it; a tombstone that wins shows nothing.
    pub standing: Standing,
}

impl<V> ValueClaim<V> {
    /// Whether the view shows this value.
    pub fn is_shown(&self) -> bool {
        self.standing == Standing::Wins && self.state.is_present()
    }
}

/// Everything that the members have at the path of a key, and why the view shows what it shows.
#[derive(Clone, Debug)]
pub struct KeyExplanation<K> {
    /// What each member has there, the highest first.
    pub claims: Vec<KeyClaim<K>>,
    /// The position of the member that takes the writes there.
    pub writes_to: Option<usize>,
    /// The rule that decided that, if any.
    pub rule: Option<RuleRef>,
}

impl<K> KeyExplanation<K> {
    /// The claim that gives the key its name and security, when the view shows it.
    pub fn shown(&self) -> Option<&KeyClaim<K>> {
        self.claims
            .iter()
            .find(|claim| claim.standing == Standing::Wins && claim.state.is_present())
    }
}

impl<H: KeyLayer> Stack<Keys<H>> {
    /// Explains a key, whether the view shows it or not.
    pub fn explain_key(&self, path: &NamePath) -> Result<KeyExplanation<H::Key>, H::Error> {
        let explanation = self.explain(path)?;
        Ok(KeyExplanation {
            claims: self.key_claims(explanation.claims),
            writes_to: explanation.writes_to,
            rule: explanation.rule,
        })
    }

    /// Explains a value: what each member has under its name, the highest first, and with what it is hidden.
    pub fn explain_value(&self, path: &NamePath, name: &[u16]) -> Result<Vec<ValueClaim<H::Value>>, H::Error> {
        let mut judge = ValueJudge::new(path.depth());
        let mut values = Vec::new();
        for claim in self.explain_key(path)?.claims {
            let Some(member) = self.member(claim.position) else {
                continue;
            };
            let share = judge.enter(&claim);
            if let Some(value) = member.layer.0.value(&claim.key, name)? {
                let state = member.layer.0.value_state(&value);
                values.push(ValueClaim {
                    position: claim.position,
                    value,
                    state,
                    standing: judge.take(share, claim.position, state),
                });
            }
        }
        Ok(values)
    }

    /// Claims of directories as claims of the keys that they stand for.
    pub(super) fn key_claims(&self, claims: Vec<Claim<H::Key>>) -> Vec<KeyClaim<H::Key>> {
        let key_claims = claims.into_iter().filter_map(|claim| {
            Some(KeyClaim {
                position: claim.position,
                state: self.member(claim.position)?.layer.0.key_state(&claim.entry),
                key: claim.entry,
                standing: match claim.standing {
                    Standing::Hidden(hidden) => Standing::Hidden(Hidden {
                        why: match hidden.why {
                            Hiding::Whiteout => Hiding::KeyTombstone,
                            Hiding::OpaqueDirectory => Hiding::SupersedeTree,
                            why => why,
                        },
                        ..hidden
                    }),
                    standing => standing,
                },
            })
        });
        key_claims.collect()
    }
}

/// Judges the values of one name, told the key's claims and the values, the highest first.
#[derive(Clone, Debug)]
pub(super) struct ValueJudge {
    depth: usize,
    superseded: Option<usize>,
    winner: Option<(usize, ValueState)>,
}

impl ValueJudge {
    pub(super) fn new(depth: usize) -> Self {
        Self {
            depth,
            superseded: None,
            winner: None,
        }
    }

    /// The next key; says what hides its values.
    pub(super) fn enter<K>(&mut self, claim: &KeyClaim<K>) -> Option<Hidden> {
        let by = |by: usize, why| Hidden {
            by: Some(by),
            depth: self.depth,
            why,
        };
        let hidden = match (claim.standing, claim.state, self.superseded) {
            (Standing::Hidden(hidden), _, _) => Some(hidden),
            // A tombstone has no values; what a hive keeps there counts for nothing.
            (_, KeyState::Tombstone, _) => Some(by(claim.position, Hiding::KeyTombstone)),
            (_, _, Some(position)) => Some(by(position, Hiding::SupersedeLocal)),
            _ => None,
        };
        if hidden.is_none() && claim.state.hides_values_below() {
            self.superseded = Some(claim.position);
        }
        hidden
    }

    /// A value of the key that was told last.
    pub(super) fn take(&mut self, hidden: Option<Hidden>, position: usize, state: ValueState) -> Standing {
        match (hidden, self.winner) {
            (Some(hidden), _) => Standing::Hidden(hidden),
            (None, None) => {
                self.winner = Some((position, state));
                Standing::Wins
            }
            (None, Some((by, winner))) => Standing::Hidden(Hidden {
                by: Some(by),
                depth: self.depth,
                why: match winner {
                    ValueState::Present => Hiding::HigherLayer,
                    ValueState::Tombstone => Hiding::ValueTombstone,
                },
            }),
        }
    }
}
