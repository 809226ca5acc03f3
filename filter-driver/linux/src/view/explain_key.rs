//! Why a key or value of the registry shows what it shows.

use super::explain::rule_in_words;
use super::{State, View};
use crate::control::{ExplainedMember, ExplainedRule, because, standing_text};
use crate::member::Site;
use crate::registry::deltas::DeltaError;
use crate::registry::served;
use crate::registry::stack::RegistryStack;
use crate::registry::trees::HiveTrees;
use cv_hive::{Key, KeyState, ValueState};
use cv_overlay::policy::RuleRef;
use cv_overlay::registry::Keys;
use cv_overlay::{Hiding, LayerId, NamePath, Role, Stack, Standing};
use layerfmt::content::HiveName;
use layerfmt::diff::value_summary;
use layerfmt::stack::{HiveLayer, in_hive};
use std::path::PathBuf;

/// Everything about one key or value.
#[derive(Debug)]
pub struct KeyExplained {
    /// The key, in full.
    pub key: String,
    /// What the members have there, the highest first.
    pub members: Vec<ExplainedMember>,
    /// The folder that takes the writes there.
    pub writes_to: Option<PathBuf>,
    /// The rule by which it does.
    pub rule: Option<ExplainedRule>,
}

/// Why a key could not be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyExplainError {
    /// Layers cannot have it.
    #[error("the key is in no hive that a layer may have")]
    NoHive,
    /// The hives of a member cannot be read.
    #[error(transparent)]
    Delta(#[from] DeltaError),
}

/// The stack of one hive, and whose its members are.
struct HiveStack<'k> {
    hive: HiveName,
    stack: Stack<Keys<HiveLayer<'k>>>,
    registry: &'k RegistryStack,
    base: PathBuf,
}

impl HiveStack<'_> {
    fn source(&self, position: usize) -> PathBuf {
        let member = self.stack.members().get(position);
        let id = member.map_or(LayerId(0), |member| member.id);
        self.registry.source(id).unwrap_or(&self.base).clone()
    }

    fn rule(&self, rule: RuleRef) -> Option<ExplainedRule> {
        let found = self.stack.rule(rule)?;
        Some(rule_in_words(found, self.hive.root(), self.source(rule.member)))
    }

    fn member(&self, position: usize, kind: &str, content: Option<String>, standing: Standing) -> ExplainedMember {
        let hidden = standing.hidden();
        ExplainedMember {
            member: self.source(position),
            kind: kind.to_owned(),
            content,
            standing: standing_text(standing).to_owned(),
            because: because(standing),
            hidden_by: hidden.and_then(|hidden| hidden.by).map(|by| self.source(by)),
            rule: hidden.and_then(|hidden| match hidden.why {
                Hiding::Rule(rule) => self.rule(rule),
                _ => None,
            }),
        }
    }

    fn explain(&self, path: &NamePath, value: Option<&str>) -> KeyExplained {
        let Ok(explanation) = self.stack.explain_key(path);
        let members = if let Some(value) = value {
            let units: Vec<u16> = value.encode_utf16().collect();
            let Ok(claims) = self.stack.explain_value(path, &units);
            let members = claims.iter().map(|claim| {
                let is_there = claim.state == ValueState::Present;
                let summary = value_summary(claim.value);
                let content = is_there.then(|| format!("{} {}", summary.value_type, summary.text));
                let kind = if is_there { "value" } else { "tombstone" };
                self.member(claim.position, kind, content, claim.standing)
            });
            members.collect()
        } else {
            let claims = explanation.claims.iter();
            let members = claims.map(|claim| {
                let kind = match claim.state {
                    KeyState::Merge => "key",
                    KeyState::Tombstone => "tombstone",
                    KeyState::SupersedeLocal => "supersede-local",
                    KeyState::SupersedeTree => "supersede-tree",
                };
                self.member(claim.position, kind, None, claim.standing)
            });
            members.collect()
        };
        let upper = explanation.writes_to.and_then(|position| {
            let member = self.stack.members().get(position)?;
            (member.role != Role::Base).then(|| self.source(position))
        });
        let is_key_alone = path.is_root();
        KeyExplained {
            key: if is_key_alone {
                self.hive.root().to_owned()
            } else {
                format!("{}{path}", self.hive.root())
            },
            members,
            writes_to: upper,
            rule: explanation.rule.and_then(|rule| self.rule(rule)),
        }
    }
}

impl State {
    /// The rules for keys of a member, as its manifest writes them.
    pub(crate) fn key_rules(&self, position: usize) -> Vec<ExplainedRule> {
        let member = self.stack.members().get(position);
        let found = member.and_then(|found| self.members.iter().find(|member| member.facts.id == found.id));
        let Some(found) = found else { return Vec::new() };
        let rules = found.registry.iter().flat_map(|registry| registry.written_rules());
        let rules = rules.map(|rule| ExplainedRule {
            layer: found.facts.source.clone(),
            path: rule.key.clone(),
            action: rule.action.name().to_owned(),
        });
        rules.collect()
    }
}

impl View {
    /// Says what every member has at a key, or under the name of a value of it, the highest first, and what rules do there.
    /// The base's hives of users are not asked: there may be many.
    pub fn explain_key(&self, key: &str, value: Option<&str>) -> Result<KeyExplained, KeyExplainError> {
        let (hive, below) = in_hive(key).ok_or(KeyExplainError::NoHive)?;
        let state = self.read();
        let registry = RegistryStack::of(&state.members)?;
        let tree = served::path_of(hive, self.site() == Site::Prefix)
            .and_then(|(at, form)| Self::base_tree(&state, &at, form).ok());
        let empty = Key::new("");
        let set = tree.as_ref().and_then(HiveTrees::current_set);
        let base = tree.as_ref().and_then(|tree| tree.tree(hive)).unwrap_or(&empty);
        let deltas = match &tree {
            Some(tree) => registry.localized(tree, hive),
            None => registry.deltas(hive),
        };
        let names = match &tree {
            Some(tree) => tree.names(hive, &below),
            None => below.split('\\').map(Into::into).collect(),
        };
        let path: NamePath = names
            .iter()
            .map(cv_hive::Name::units)
            .filter(|name| !name.is_empty())
            .collect();
        let bases = state.members.iter().find(|member| member.facts.role == Role::Base);
        let stack = HiveStack {
            hive,
            stack: registry.stack(hive, base, &deltas, set.as_ref()),
            registry: &registry,
            base: bases.map(|member| member.facts.source.clone()).unwrap_or_default(),
        };
        Ok(stack.explain(&path, value))
    }
}
