//! Following the rules down a path, a name at a time.

use alloc::vec::Vec;

use super::{Action, Pattern, Reach, Rule, RuleRef};
use crate::names::Names;
use crate::order::{LayerId, Role};

/// The rules of a stack, as a tree of their patterns.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleTree {
    rules: Vec<Stacked>,
    /// The first is the root; empty when there are no rules.
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Stacked {
    rule: RuleRef,
    action: Action,
    owner: LayerId,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// In the order of the names.
    names: Vec<(Vec<u16>, usize)>,
    prefixes: Vec<(Vec<u16>, usize)>,
    any: Option<usize>,
    /// Rules, by their number, that match what the node names.
    tree: Vec<usize>,
    /// Rules that match what is below it.
    contents: Vec<usize>,
}

/// Which rules match a path, and which may match below it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    live: Vec<usize>,
    matched: Vec<Match>,
}

/// The rule of one owner that counts.
#[derive(Clone, Copy, Debug)]
struct Match {
    owner: usize,
    depth: usize,
    reach: Reach,
    number: usize,
}

impl Match {
    fn rank(&self) -> (usize, bool) {
        (self.depth, self.reach == Reach::Contents)
    }
}

impl RuleTree {
    /// The rules of the members, by position in the stack.
    pub(crate) fn new<'r>(names: &Names, owners: impl Iterator<Item = (LayerId, &'r [Rule])>) -> Self {
        let mut tree = Self::default();
        for (member, (owner, rules)) in owners.enumerate() {
            for (index, rule) in rules.iter().enumerate() {
                if tree.nodes.is_empty() {
                    tree.nodes.push(Node::default());
                }
                let number = tree.rules.len();
                tree.rules.push(Stacked {
                    rule: RuleRef { member, index },
                    action: rule.action,
                    owner,
                });
                let mut at = 0;
                for pattern in &rule.pattern {
                    at = tree.child(names, at, pattern);
                }
                if let Some(node) = tree.nodes.get_mut(at) {
                    match rule.reach {
                        Reach::Tree => node.tree.push(number),
                        Reach::Contents => node.contents.push(number),
                    }
                }
            }
        }
        tree
    }

    fn child(&mut self, names: &Names, parent: usize, pattern: &Pattern) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(parent) else {
            return parent;
        };
        let child = match pattern {
            Pattern::Name(name) => match node.names.binary_search_by(|(other, _)| names.compare(other, name)) {
                Ok(position) => node.names.get(position).map_or(new, |(_, child)| *child),
                Err(position) => {
                    node.names.insert(position, (name.clone(), new));
                    new
                }
            },
            Pattern::Prefix(prefix) => {
                let known = node.prefixes.iter().find(|(other, _)| names.equal(other, prefix));
                if let Some((_, child)) = known {
                    *child
                } else {
                    node.prefixes.push((prefix.clone(), new));
                    new
                }
            }
            Pattern::Any => *node.any.get_or_insert(new),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// At the root of the view.
    pub(crate) fn root(&self) -> Cursor {
        let mut cursor = Cursor::default();
        if !self.nodes.is_empty() {
            cursor.arrive(self, 0, 0);
        }
        cursor
    }

    /// What holds where the cursor stands.
    pub(crate) fn scope(&self, cursor: &Cursor) -> Scope {
        let mut scope = Scope::default();
        let mut deciding: Option<&Match> = None;
        for matched in &cursor.matched {
            let Some(stacked) = self.rules.get(matched.number) else {
                continue;
            };
            // The matches stand in no order of owners: the higher owner is the one of the lower position.
            let decides = deciding.is_none_or(|other| {
                matched.rank() > other.rank() || (matched.rank() == other.rank() && matched.owner < other.owner)
            });
            if decides {
                deciding = Some(matched);
                scope.rule = Some(stacked.rule);
                scope.placement = match stacked.action {
                    Action::Merge | Action::Override | Action::Hide => Placement::Writable,
                    Action::Isolate => Placement::Area(stacked.owner),
                    Action::Exclude => Placement::Base,
                    Action::Discard => Placement::Session,
                };
            }
            let from = match stacked.action {
                Action::Override => matched.owner.saturating_add(1),
                Action::Hide => matched.owner,
                Action::Merge | Action::Isolate | Action::Exclude | Action::Discard => continue,
            };
            if scope.hidden_from.is_none_or(|(other, _)| from < other) {
                scope.hidden_from = Some((from, stacked.rule));
            }
        }
        if scope.placement == Placement::Base {
            scope.hidden_from = None;
        }
        scope
    }
}

impl Cursor {
    /// Whether a rule may match somewhere below.
    pub(crate) fn has_rules_below(&self) -> bool {
        !self.live.is_empty()
    }

    /// One name further down, at the depth of the path with that name.
    pub(crate) fn descend(&self, tree: &RuleTree, names: &Names, name: &[u16], depth: usize) -> Self {
        let mut below = Self {
            live: Vec::new(),
            matched: self.matched.clone(),
        };
        for number in &self.live {
            let Some(node) = tree.nodes.get(*number) else {
                continue;
            };
            for rule in &node.contents {
                below.consider(tree, *rule, depth.saturating_sub(1), Reach::Contents);
            }
            if let Ok(position) = node.names.binary_search_by(|(other, _)| names.compare(other, name))
                && let Some((_, child)) = node.names.get(position)
            {
                below.arrive(tree, *child, depth);
            }
            for (prefix, child) in &node.prefixes {
                if names.starts_with(name, prefix) {
                    below.arrive(tree, *child, depth);
                }
            }
            if let Some(child) = node.any {
                below.arrive(tree, child, depth);
            }
        }
        below
    }

    fn arrive(&mut self, tree: &RuleTree, number: usize, depth: usize) {
        let Some(node) = tree.nodes.get(number) else {
            return;
        };
        for rule in &node.tree {
            self.consider(tree, *rule, depth, Reach::Tree);
        }
        if !(node.names.is_empty() && node.prefixes.is_empty() && node.any.is_none() && node.contents.is_empty()) {
            self.live.push(number);
        }
    }

    fn consider(&mut self, tree: &RuleTree, number: usize, depth: usize, reach: Reach) {
        let Some(stacked) = tree.rules.get(number) else {
            return;
        };
        let new = Match {
            owner: stacked.rule.member,
            depth,
            reach,
            number,
        };
        match self.matched.iter_mut().find(|matched| matched.owner == new.owner) {
            Some(matched) => {
                if (new.rank(), new.number) > (matched.rank(), matched.number) {
                    *matched = new;
                }
            }
            None => self.matched.push(new),
        }
    }
}

/// What the rules say at one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) placement: Placement,
    /// The rule that decided the placement.
    pub(crate) rule: Option<RuleRef>,
    /// The first member that a rule hides, and the rule.
    hidden_from: Option<(usize, RuleRef)>,
}

/// Which member takes the writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Placement {
    #[default]
    Writable,
    Session,
    Area(LayerId),
    Base,
}

impl Scope {
    /// Whether a member takes the writes.
    pub(crate) fn writes_to(&self, role: Role) -> bool {
        match self.placement {
            Placement::Writable => role == Role::Writable,
            Placement::Session => role == Role::Session,
            Placement::Area(layer) => role == Role::Area(layer),
            Placement::Base => role == Role::Base,
        }
    }

    /// Whether reads and writes go to the base alone.
    pub(crate) fn is_base_alone(&self) -> bool {
        self.placement == Placement::Base
    }

    /// Whether a member is asked; if not, the rule by which it is not.
    pub(crate) fn asks(&self, member: usize, role: Role) -> Result<(), Option<RuleRef>> {
        let asked = match role {
            Role::Session | Role::Area(_) | Role::Writable => self.writes_to(role),
            Role::Layer => self.placement != Placement::Base,
            Role::Base => true,
        };
        match self.hidden_from {
            _ if !asked => Err(self.rule),
            Some((from, rule)) if member >= from => Err(Some(rule)),
            _ => Ok(()),
        }
    }
}
