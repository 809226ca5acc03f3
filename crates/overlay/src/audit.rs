//! Judging everything that the members have, the hidden too.

use alloc::vec::Vec;

use crate::layer::{Kind, Layer};
use crate::listing::Claim;
use crate::policy::{Cursor, Scope};
use crate::stack::Stack;
use crate::standing::{Hidden, Judge, Standing};

/// What all members have under one name, and what becomes of it.
pub(crate) struct Audit<E> {
    pub(crate) claims: Vec<Claim<E>>,
    /// For each claim, what hides the entries below it.
    cuts: Vec<Option<Hidden>>,
    pub(crate) cursor: Cursor,
    pub(crate) scope: Scope,
    /// Whether the view shows a directory there.
    pub(crate) leads_on: bool,
}

impl<E: Clone> Audit<E> {
    /// The directories among the claims, each with what hides its entries.
    pub(crate) fn directories(&self) -> impl Iterator<Item = (usize, &E, Option<Hidden>)> {
        self.claims
            .iter()
            .zip(&self.cuts)
            .filter(|(claim, _)| claim.kind.is_directory())
            .map(|(claim, cut)| (claim.position, &claim.entry, *cut))
    }
}

impl<L: Layer> Stack<L> {
    /// Judges the entries of one path, given by position with what hides them already, the highest first. What is
    /// not `reachable` lies below no directory of the view.
    pub(crate) fn audit(
        &self,
        cursor: Cursor,
        depth: usize,
        reachable: bool,
        entries: impl Iterator<Item = (usize, L::Entry, Option<Hidden>)>,
    ) -> Audit<L::Entry> {
        let scope = self.scope(&cursor);
        let mut judge = Judge::new(depth);
        let mut claims = Vec::new();
        let mut cuts = Vec::new();
        let mut leads_on = false;
        for (position, entry, inherited) in entries {
            let Some(member) = self.member(position) else {
                continue;
            };
            let kind = member.layer.kind(&entry);
            let (standing, cut) = match inherited {
                Some(hidden) if !reachable => (Standing::Hidden(hidden), inherited),
                _ => self.judge(&mut judge, &scope, position, inherited, kind),
            };
            leads_on |= standing == Standing::Wins && kind.is_directory();
            claims.push(Claim {
                position,
                entry,
                kind,
                standing,
            });
            cuts.push(cut);
        }
        if !leads_on {
            // Nothing leads further down in the view, so whatever is there is hidden by what hides its directory here.
            for (claim, cut) in claims.iter().zip(&mut cuts) {
                *cut = cut.or(claim.standing.hidden());
            }
        }
        Audit {
            claims,
            cuts,
            cursor,
            scope,
            leads_on,
        }
    }

    /// Judges the roots.
    pub(crate) fn audit_root(&self) -> Result<Audit<L::Entry>, L::Error> {
        let mut roots = Vec::new();
        for (position, member) in self.members().iter().enumerate() {
            if let Some(root) = member.layer.root()?
                && member.layer.kind(&root).is_directory()
            {
                roots.push((position, root, None));
            }
        }
        Ok(self.audit(self.root_cursor(), 0, true, roots.into_iter()))
    }
}

impl<E> Claim<E> {
    /// Whether the view shows this entry as the winner.
    pub fn is_shown(&self) -> bool {
        self.standing == Standing::Wins && self.kind != Kind::Whiteout
    }
}
