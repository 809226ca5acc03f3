//! What the view is, in two other ways: trees copied on top of each other, and the rules of policy taken one path at a
//! time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cv_overlay::policy::{Action, Pattern, Reach, Rule};
use cv_overlay::{Attachment, Kind, Role, Stack};

use super::model::{Named, Plain, Shared, fold};
use super::tree::{Node, Tree};

/// Copies the trees on top of each other, the lowest first. Knows no rules.
pub fn copied<'t>(trees: impl DoubleEndedIterator<Item = &'t Tree>) -> Plain {
    let mut view = Plain::Directory(0, BTreeMap::new());
    for tree in trees.rev() {
        copy(&tree.root, &mut view);
    }
    view
}

fn copy(node: &Node, onto: &mut Plain) {
    let keep = node.kind.get() == Kind::Directory;
    let mut entries = match onto {
        Plain::Directory(_, entries) if keep => std::mem::take(entries),
        _ => BTreeMap::new(),
    };
    for child in node.children.borrow().iter() {
        let name = fold(&child.name);
        match child.kind.get() {
            Kind::Whiteout => {
                entries.remove(&name);
            }
            Kind::Directory | Kind::OpaqueDirectory => {
                let mut plain = entries
                    .remove(&name)
                    .map_or(Plain::Directory(0, BTreeMap::new()), |named| named.plain);
                copy(child, &mut plain);
                entries.insert(
                    name,
                    Named {
                        spelled: child.name.clone(),
                        plain,
                    },
                );
            }
            kind => {
                let plain = Plain::File(kind, Shared(Rc::clone(&child.content)));
                entries.insert(
                    name,
                    Named {
                        spelled: child.name.clone(),
                        plain,
                    },
                );
            }
        }
    }
    *onto = Plain::Directory(node.content.0.get(), entries);
}

/// A directory that a member has, and whether it is hidden for good.
type Below = Vec<Option<(Rc<Node>, bool)>>;

/// Works the view out a path at a time, matching every rule against every path.
pub fn by_rules(stack: &Stack<&Tree>) -> Option<Plain> {
    let members = stack.members();
    let roots = members
        .iter()
        .map(|member| Some((Rc::clone(&member.layer.root), false)))
        .collect();
    let (winner, below) = fold_path(members, &mut Vec::new(), roots)?;
    Some(directory(members, &mut Vec::new(), &winner, &below))
}

fn directory(members: &[Attachment<&Tree>], path: &mut Vec<Vec<u16>>, winner: &Node, below: &Below) -> Plain {
    let names: BTreeSet<Vec<u16>> = below
        .iter()
        .flatten()
        .flat_map(|(node, _)| {
            let children = node.children.borrow();
            children.iter().map(|child| fold(&child.name)).collect::<Vec<_>>()
        })
        .collect();
    let mut entries = BTreeMap::new();
    for name in names {
        path.push(name.clone());
        let children = below
            .iter()
            .map(|part| part.as_ref().and_then(|(node, cut)| Some((node.child(&name)?, *cut))))
            .collect();
        if let Some((winner, below)) = fold_path(members, path, children) {
            let plain = match winner.kind.get() {
                Kind::Directory | Kind::OpaqueDirectory => Some(directory(members, path, &winner, &below)),
                Kind::Whiteout => None,
                kind => Some(Plain::File(kind, Shared(Rc::clone(&winner.content)))),
            };
            if let Some(plain) = plain {
                let spelled = winner.name.clone();
                entries.insert(name, Named { spelled, plain });
            }
        }
        path.pop();
    }
    Plain::Directory(winner.content.0.get(), entries)
}

fn fold_path(members: &[Attachment<&Tree>], path: &mut [Vec<u16>], nodes: Below) -> Option<(Rc<Node>, Below)> {
    let scope = Scope::of(members, path);
    let mut winner = None;
    let mut closed = false;
    let mut below = Below::new();
    for (position, part) in nodes.into_iter().enumerate() {
        let Some((node, cut)) = part else {
            below.push(None);
            continue;
        };
        let kind = node.kind.get();
        let role = members[position].role;
        let asked = scope.asks(position, role) && (!cut || scope.base_alone);
        let was_closed = closed;
        if asked && !closed {
            winner.get_or_insert_with(|| Rc::clone(&node));
            closed = kind != Kind::Directory;
        }
        let lasts = role == Role::Base || (role.is_upper() && !asked);
        let cut = cut || was_closed;
        below.push((kind.is_directory() && (!was_closed || lasts)).then_some((node, cut && !role.is_upper())));
    }
    Some((winner?, below))
}

/// What the rules say at one path.
struct Scope {
    base_alone: bool,
    upper: fn(Role, Option<cv_overlay::LayerId>) -> bool,
    area: Option<cv_overlay::LayerId>,
    hidden_from: usize,
}

impl Scope {
    fn of(members: &[Attachment<&Tree>], path: &[Vec<u16>]) -> Self {
        let mut own: Vec<(usize, usize, bool, Action)> = Vec::new();
        for (owner, member) in members.iter().enumerate() {
            let best = member
                .rules
                .iter()
                .enumerate()
                .filter(|(_, rule)| matches(rule, path))
                .max_by_key(|(index, rule)| (rule.pattern.len(), rule.reach == Reach::Contents, *index));
            if let Some((_, rule)) = best {
                own.push((owner, rule.pattern.len(), rule.reach == Reach::Contents, rule.action));
            }
        }
        let deciding = own
            .iter()
            .max_by_key(|(owner, depth, contents, _)| (*depth, *contents, std::cmp::Reverse(*owner)));
        let action = deciding.map_or(Action::Merge, |(_, _, _, action)| *action);
        let hidden_from = own
            .iter()
            .filter_map(|(owner, _, _, action)| match action {
                Action::Override => Some(owner + 1),
                Action::Hide => Some(*owner),
                _ => None,
            })
            .min()
            .unwrap_or(usize::MAX);
        Self {
            base_alone: action == Action::Exclude,
            upper: match action {
                Action::Isolate => |role, area| area.is_some_and(|id| role == Role::Area(id)),
                Action::Discard => |role, _| role == Role::Session,
                Action::Exclude => |_, _| false,
                _ => |role, _| role == Role::Writable,
            },
            area: deciding.map(|(owner, ..)| members[*owner].id),
            hidden_from,
        }
    }

    fn asks(&self, position: usize, role: Role) -> bool {
        if self.base_alone {
            return role == Role::Base;
        }
        position < self.hidden_from && (!role.is_upper() || (self.upper)(role, self.area))
    }
}

pub fn matches(rule: &Rule, path: &[Vec<u16>]) -> bool {
    let least = rule.pattern.len() + usize::from(rule.reach == Reach::Contents);
    path.len() >= least
        && rule.pattern.iter().zip(path).all(|(pattern, name)| match pattern {
            Pattern::Name(other) => fold(other) == fold(name),
            Pattern::Prefix(prefix) => fold(name).starts_with(&fold(prefix)),
            Pattern::Any => true,
        })
}
