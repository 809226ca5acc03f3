//! What the members of a stack say of the registry: their deltas, rules and additions, laid over the base's registry, and
//! changes of it taken back into the folders that take the writes.

use super::deltas::{self, DeltaError, Deltas, LayerRegistry};
use super::environment::Additions;
use super::trees::{CURRENT, HiveTrees};
use crate::view::NewMember;
use cv_hive::{Key, Name};
use cv_overlay::policy::{Pattern, Rule};
use cv_overlay::registry::Keys;
use cv_overlay::{Attachment, LayerId, Names, Role, Stack, order};
use layerfmt::content::HiveName;
use layerfmt::stack::{HiveLayer, merged_tree, split_by_writes};
use std::path::PathBuf;
use std::sync::Arc;

/// What one member says.
#[derive(Debug)]
struct Part {
    id: LayerId,
    role: Role,
    priority: i32,
    source: PathBuf,
    deltas: Arc<Deltas>,
    layer: Option<Arc<LayerRegistry>>,
}

impl Part {
    fn delta(&self, hive: HiveName) -> Option<&Key> {
        self.deltas.iter().find(|(name, _)| *name == hive).map(|(_, key)| key)
    }

    fn rules(&self, hive: HiveName) -> Vec<Rule> {
        self.layer.as_ref().map_or_else(Vec::new, |layer| layer.rules(hive))
    }
}

/// What a stack says of the registry, the lowest member first.
#[derive(Debug)]
pub struct RegistryStack {
    parts: Vec<Part>,
    additions: Additions,
}

/// What became of changes.
#[derive(Debug, Default)]
pub struct Kept {
    /// The hives and folders that took them.
    pub hives: Vec<(PathBuf, HiveName)>,
    /// Whether some were of keys that a rule leaves to the base, or that nothing takes.
    pub has_refused: bool,
}

impl RegistryStack {
    /// That of the members of a view, given in the order in which they were attached. What folders hold is read now.
    pub fn of(members: &[NewMember]) -> Result<Self, DeltaError> {
        let attached = members.iter().map(|member| Attachment {
            priority: member.facts.priority,
            ..Attachment::new(member.facts.id, member.facts.role, member)
        });
        let mut attached: Vec<_> = attached.collect();
        order::sort(&mut attached);
        let mut stack = Self {
            parts: Vec::new(),
            additions: Additions::default(),
        };
        for attachment in attached.into_iter().rev().filter(|member| member.role != Role::Base) {
            let member = attachment.layer;
            let deltas = match &member.registry {
                Some(layer) => layer.deltas()?,
                None if attachment.role.is_upper() => Arc::new(deltas::of_writable(&member.facts.source)?),
                None => Arc::default(),
            };
            if let Some(layer) = &member.registry {
                stack.additions.extend(layer.environment().to_vec());
            }
            stack.parts.push(Part {
                id: attachment.id,
                role: attachment.role,
                priority: attachment.priority,
                source: member.facts.source.clone(),
                deltas,
                layer: member.registry.clone(),
            });
        }
        Ok(stack)
    }

    /// Whether nothing is said of a hive.
    pub fn is_silent(&self, hive: HiveName) -> bool {
        let is_silent = |part: &Part| part.delta(hive).is_none() && part.rules(hive).is_empty();
        self.parts.iter().all(is_silent) && !self.additions.touch(hive)
    }

    /// What is added to environment variables.
    pub fn additions(&self) -> &Additions {
        &self.additions
    }

    fn is_ruled(&self, hive: HiveName) -> bool {
        self.parts.iter().any(|part| !part.rules(hive).is_empty())
    }

    /// Lays the deltas over the registry of the base, by the rules, without additions to environment variables.
    pub fn lay_over(&self, trees: &mut impl HiveTrees) {
        for hive in HiveName::ALL {
            if !self.is_ruled(hive) {
                let plain = |part: &&Part| matches!(part.role, Role::Layer | Role::Writable);
                for part in self.parts.iter().filter(plain) {
                    if let Some(delta) = part.delta(hive) {
                        trees.lay_over(hive, delta);
                    }
                }
                continue;
            }
            let deltas = self.localized(trees, hive);
            let Some(tree) = trees.tree_mut(hive) else { continue };
            let name = tree.name.clone();
            let base = std::mem::replace(tree, Key::new(name.clone()));
            let set = trees.current_set();
            let merged = merged_tree(&self.stack(hive, &base, &deltas, set.as_ref()));
            if let (Some(merged), Some(tree)) = (merged, trees.tree_mut(hive)) {
                *tree = Key { name, ..merged };
            }
        }
    }

    /// The deltas of a hive in the terms of the trees, by part.
    pub fn localized(&self, trees: &impl HiveTrees, hive: HiveName) -> Vec<Option<Key>> {
        let deltas = self.parts.iter().map(|part| part.delta(hive));
        deltas
            .map(|delta| delta.map(|delta| trees.localized(hive, delta)))
            .collect()
    }

    /// The hives of the members as a stack of the engine, over the base's.
    pub fn stack<'k>(
        &self,
        hive: HiveName,
        base: &'k Key,
        deltas: &'k [Option<Key>],
        set: Option<&Name>,
    ) -> Stack<Keys<HiveLayer<'k>>> {
        let base = Attachment::new(LayerId(0), Role::Base, Keys(HiveLayer::new(base)));
        let members = self.parts.iter().zip(deltas).map(|(part, delta)| {
            let layer = delta.as_ref().map_or_else(HiveLayer::none, HiveLayer::new);
            let mut rules = part.rules(hive);
            if let Some(set) = set.filter(|_| hive == HiveName::System) {
                for rule in &mut rules {
                    rename_set(rule, set);
                }
            }
            Attachment {
                priority: part.priority,
                rules,
                ..Attachment::new(part.id, part.role, Keys(layer))
            }
        });
        Stack::new(Names::windows(), std::iter::once(base).chain(members).collect())
    }

    /// Keeps what makes `after` of `before` in the folders that take the writes. Additions to variables are not among that.
    pub fn keep<T: HiveTrees>(&self, before: &T, after: &mut T) -> Result<Kept, DeltaError> {
        self.additions.part(before, before, after);
        self.keep_changes(before, before.changes(after))
    }

    /// Keeps changes of `before`, as delta hives.
    pub fn keep_changes(&self, before: &impl HiveTrees, changes: Deltas) -> Result<Kept, DeltaError> {
        let mut kept = Kept::default();
        let mut by_part: Vec<Deltas> = self.parts.iter().map(|_| Vec::new()).collect();
        let empty = Key::new("");
        for (hive, change) in changes {
            if !self.is_ruled(hive) {
                match self.parts.iter().position(|part| part.role == Role::Writable) {
                    Some(index) => by_part[index].push((hive, change)),
                    None => kept.has_refused = true,
                }
                continue;
            }
            // Which rules hold depends on what is seen; the deltas' control set has no number, so the base's needs none.
            let mut base = before.tree(hive).unwrap_or(&empty).clone();
            if let Some(set) = before.current_set().filter(|_| hive == HiveName::System)
                && let Ok(place) = base.position(set.units())
            {
                let mut numbered = base.subkeys.remove(place);
                numbered.name = Name::from(CURRENT);
                if let Err(place) = base.position(numbered.name.units()) {
                    base.subkeys.insert(place, numbered);
                }
            }
            let none = vec![None; self.parts.len()];
            let stack = self.stack(hive, &base, &none, None);
            for (position, change) in split_by_writes(&stack, &change) {
                let id = position
                    .and_then(|position| stack.members().get(position))
                    .map(|member| member.id);
                match self.parts.iter().position(|part| Some(part.id) == id) {
                    Some(index) => by_part[index].push((hive, change)),
                    // A key on the way that says nothing is no loss.
                    None => kept.has_refused |= !says_nothing(&change),
                }
            }
        }
        for (part, changes) in self.parts.iter().zip(by_part) {
            if changes.is_empty() {
                continue;
            }
            kept.hives
                .extend(changes.iter().map(|(hive, _)| (part.source.clone(), *hive)));
            deltas::keep(&part.source, (*part.deltas).clone(), changes)?;
        }
        Ok(kept)
    }

    /// Where a member came from.
    pub fn source(&self, id: LayerId) -> Option<&PathBuf> {
        self.parts.iter().find(|part| part.id == id).map(|part| &part.source)
    }

    /// The deltas of one hive, as [`stack`](Self::stack) takes them.
    pub fn deltas(&self, hive: HiveName) -> Vec<Option<Key>> {
        self.parts.iter().map(|part| part.delta(hive).cloned()).collect()
    }
}

fn says_nothing(key: &Key) -> bool {
    key.values.is_empty()
        && key.inherits_class
        && key.security.is_none()
        && key.state == cv_hive::KeyState::Merge
        && key.subkeys.iter().all(says_nothing)
}

/// Gives a rule of the control set in use the name that this has.
fn rename_set(rule: &mut Rule, set: &Name) {
    if let Some(Pattern::Name(first)) = rule.pattern.first_mut()
        && Name::from(CURRENT).matches(first)
    {
        *first = set.units().to_vec();
    }
}
