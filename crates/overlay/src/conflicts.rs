//! What more than one member has.

use alloc::vec::Vec;
use core::fmt;

use crate::audit::Audit;
use crate::layer::{Kind, Layer};
use crate::listing::{Claim, Entries};
use crate::path::NamePath;
use crate::policy::Cursor;
use crate::stack::Stack;
use crate::standing::{Hidden, Standing};

/// Whether what is hidden is the same as what hides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// All have the same content.
    Same,
    /// Something hidden has another content or is of another kind than what the view shows.
    Different,
    /// A member does not know what its content is.
    Unknown,
}

/// A path that more than one member has, with something hidden.
#[derive(Clone, Debug)]
pub struct Conflict<'c, E> {
    /// The path, as the highest member that has it spells it.
    pub path: &'c NamePath,
    /// What the members have there, the highest first.
    pub claims: Vec<Claim<E>>,
    /// Whether they have the same.
    pub agreement: Agreement,
}

/// A path that more than one member has.
pub(crate) struct Shared<'c, E> {
    pub(crate) path: &'c NamePath,
    pub(crate) claims: Vec<Claim<E>>,
}

/// All conflicts of a stack, each directory before its entries, names in ascending order.
///
/// The members' sorted listings are merged; what only one member has is not walked. Directories that merge are no conflict
/// by themselves.
pub struct Conflicts<'s, L: Layer> {
    stack: &'s Stack<L>,
    path: NamePath,
    directories: Vec<Frame<'s, L>>,
    group: Vec<(usize, L::Entry)>,
    /// What was given last, whose entries come next.
    enter: Option<Audit<L::Entry>>,
}

struct Frame<'s, L: Layer + 's> {
    cursor: Cursor,
    /// Whether the view shows the directory.
    leads_on: bool,
    /// For each member, what hides its entries.
    cuts: Vec<(usize, Option<Hidden>)>,
    entries: Entries<'s, L>,
}

impl<L: Layer> Stack<L> {
    /// Finds everything that more than one member has and of which something is hidden.
    pub fn conflicts(&self) -> Result<Conflicts<'_, L>, L::Error> {
        Ok(Conflicts {
            stack: self,
            path: NamePath::root(),
            directories: Vec::new(),
            group: Vec::new(),
            enter: Some(self.audit_root()?),
        })
    }

    fn content<'c>(&'c self, claim: &'c Claim<L::Entry>) -> Option<&'c [u8]> {
        self.member(claim.position)?.layer.content(&claim.entry)
    }

    fn agreement(&self, claims: &[Claim<L::Entry>]) -> Agreement {
        let Some(shown) = claims.iter().find(|claim| claim.is_shown()) else {
            // Whiteouts that agree hide nothing of each other.
            let all_delete = claims.iter().all(|claim| claim.kind == Kind::Whiteout);
            return if all_delete {
                Agreement::Same
            } else {
                Agreement::Different
            };
        };
        let known = self.content(shown);
        let mut agreement = Agreement::Same;
        for claim in claims {
            if claim.standing.hidden().is_none() || claim.kind == Kind::Whiteout {
                continue;
            }
            if claim.kind.is_directory() != shown.kind.is_directory() {
                return Agreement::Different;
            }
            match (known, self.content(claim)) {
                (Some(known), Some(other)) if known == other && claim.kind == shown.kind => {}
                (Some(_), Some(_)) => return Agreement::Different,
                _ => agreement = Agreement::Unknown,
            }
        }
        agreement
    }
}

impl<L: Layer> Conflicts<'_, L> {
    /// The next conflict; `None` at the end. After an error the rest of the directory where it happened is left out.
    #[expect(clippy::should_implement_trait, reason = "what it gives borrows the path")]
    pub fn next(&mut self) -> Result<Option<Conflict<'_, L::Entry>>, L::Error> {
        loop {
            let Some(Shared { claims, .. }) = self.next_shared()? else {
                return Ok(None);
            };
            let hides = claims
                .iter()
                .any(|claim| matches!(claim.standing, Standing::Hidden(_) | Standing::Cuts));
            if hides {
                return Ok(Some(Conflict {
                    agreement: self.stack.agreement(&claims),
                    path: &self.path,
                    claims,
                }));
            }
        }
    }

    /// The next path that more than one member has, whether something is hidden or not.
    pub(crate) fn next_shared(&mut self) -> Result<Option<Shared<'_, L::Entry>>, L::Error> {
        loop {
            if let Some(audit) = self.enter.take() {
                self.descend(&audit)?;
            }
            let depth = self.directories.len();
            self.path.truncate(depth.saturating_sub(1));
            let Some(frame) = self.directories.last_mut() else {
                return Ok(None);
            };
            if let Err(error) = frame.entries.next_group(self.stack, &mut self.group) {
                self.directories.pop();
                return Err(error);
            }
            let Some((position, first)) = self.group.first() else {
                self.directories.pop();
                continue;
            };
            if self.group.len() < 2 {
                continue;
            }
            if let Some(member) = self.stack.member(*position) {
                self.path.push(member.layer.name(first));
            }
            let cursor = self
                .stack
                .descend(&frame.cursor, self.path.last().unwrap_or_default(), depth);
            let cuts = &frame.cuts;
            let audit = self.stack.audit(
                cursor,
                depth,
                frame.leads_on,
                self.group.drain(..).map(|(position, entry)| {
                    let cut = cuts.iter().find(|(member, _)| *member == position);
                    (position, entry, cut.and_then(|(_, cut)| *cut))
                }),
            );
            let claims = audit.claims.clone();
            self.enter = Some(audit);
            return Ok(Some(Shared {
                path: &self.path,
                claims,
            }));
        }
    }

    fn descend(&mut self, audit: &Audit<L::Entry>) -> Result<(), L::Error> {
        if audit.directories().nth(1).is_some() {
            self.directories.push(Frame {
                cursor: audit.cursor.clone(),
                leads_on: audit.leads_on,
                cuts: audit.directories().map(|(position, _, cut)| (position, cut)).collect(),
                entries: Entries::new(
                    self.stack,
                    audit.directories().map(|(position, entry, _)| (position, entry)),
                )?,
            });
        }
        Ok(())
    }
}

impl<L: Layer> fmt::Debug for Conflicts<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conflicts")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
