//! The stack: its members in their effective order.

use alloc::vec::Vec;

use crate::names::Names;
use crate::order::{self, Attachment, Role};
use crate::policy::{Cursor, Rule, RuleRef, RuleTree, Scope};

/// Members over each other, and the rules of their manifests.
///
/// `L` is the caller's type of a member; for files it is a [`Layer`](crate::Layer), for the registry a
/// [`KeyLayer`](crate::registry::KeyLayer). A stack does not change: attaching and detaching make a new one, which is
/// cheap when `L` is a reference or an `Arc`.
#[derive(Clone, Debug)]
pub struct Stack<L> {
    names: Names,
    members: Vec<Attachment<L>>,
    rules: RuleTree,
}

impl<L> Stack<L> {
    /// A stack of members given in the order in which they were attached ([`order::sort`] says how they stand).
    pub fn new(names: Names, mut members: Vec<Attachment<L>>) -> Self {
        order::sort(&mut members);
        let rules = RuleTree::new(
            &names,
            members.iter().map(|member| (member.id, member.rules.as_slice())),
        );
        Self { names, members, rules }
    }

    /// The members, the highest first. A *position* is an index here.
    pub fn members(&self) -> &[Attachment<L>] {
        &self.members
    }

    /// How names compare.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The rule that an answer names.
    pub fn rule(&self, rule: RuleRef) -> Option<&Rule> {
        self.members.get(rule.member)?.rules.get(rule.index)
    }

    pub(crate) fn member(&self, position: usize) -> Option<&Attachment<L>> {
        self.members.get(position)
    }

    pub(crate) fn root_cursor(&self) -> Cursor {
        self.rules.root()
    }

    /// The cursor of the path of this depth that ends in `name`.
    pub(crate) fn descend(&self, cursor: &Cursor, name: &[u16], depth: usize) -> Cursor {
        cursor.descend(&self.rules, &self.names, name, depth)
    }

    pub(crate) fn scope(&self, cursor: &Cursor) -> Scope {
        self.rules.scope(cursor)
    }

    /// The position of the member that takes the writes.
    pub(crate) fn upper(&self, scope: &Scope) -> Option<usize> {
        self.members.iter().position(|member| scope.writes_to(member.role))
    }

    /// Whether a member is asked; if not, the rule by which it is not.
    pub(crate) fn asks(&self, scope: &Scope, position: usize) -> Result<(), Option<RuleRef>> {
        match self.members.get(position) {
            Some(member) => scope.asks(position, member.role),
            None => Err(None),
        }
    }

    /// Whether what stands above cannot take a member's entries out of all that is below a path, because a rule further
    /// down may ask that member alone.
    pub(crate) fn outlasts_cuts(&self, position: usize) -> bool {
        self.is_upper(position) || self.is_base(position)
    }

    pub(crate) fn is_base(&self, position: usize) -> bool {
        self.members
            .get(position)
            .is_some_and(|member| member.role == Role::Base)
    }

    pub(crate) fn is_upper(&self, position: usize) -> bool {
        self.members.get(position).is_some_and(|member| member.role.is_upper())
    }
}
