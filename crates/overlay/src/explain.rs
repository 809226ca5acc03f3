//! Why a path shows what it shows.

use alloc::vec::Vec;

use crate::layer::Layer;
use crate::listing::Claim;
use crate::path::NamePath;
use crate::policy::RuleRef;
use crate::stack::Stack;

/// Everything that the members have at a path, and why the view shows what it shows.
#[derive(Clone, Debug)]
pub struct Explanation<E> {
    /// What each member has there, the highest first. Members that have nothing there are left out; what hides it in
    /// another place, such as a whiteout of a directory above, stands in the claim that it hides.
    pub claims: Vec<Claim<E>>,
    /// The position of the member that takes the writes there.
    pub writes_to: Option<usize>,
    /// The rule that decided that, if any.
    pub rule: Option<RuleRef>,
}

impl<E> Explanation<E> {
    /// What the view shows.
    pub fn shown(&self) -> Option<&Claim<E>> {
        self.claims.iter().find(|claim| claim.is_shown())
    }
}

impl<L: Layer> Stack<L> {
    /// Explains a path, whether the view shows something there or not.
    pub fn explain(&self, path: &NamePath) -> Result<Explanation<L::Entry>, L::Error> {
        let mut audit = self.audit_root()?;
        for (depth, name) in path.names().enumerate() {
            let depth = depth.saturating_add(1);
            let mut entries = Vec::new();
            for (position, directory, cut) in audit.directories() {
                if let Some(member) = self.member(position)
                    && let Some(entry) = member.layer.lookup(directory, name)?
                {
                    entries.push((position, entry, cut));
                }
            }
            let cursor = self.descend(&audit.cursor, name, depth);
            audit = self.audit(cursor, depth, audit.leads_on, entries.into_iter());
        }
        Ok(Explanation {
            writes_to: self
                .upper(&audit.scope)
                .filter(|upper| self.asks(&audit.scope, *upper).is_ok()),
            rule: audit.scope.rule,
            claims: audit.claims,
        })
    }
}
