//! What a checker found.

use crate::error::Damage;
use std::fmt;

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Against the specification, yet every reader copes: a stale checksum in a spare copy.
    Note,
    /// Room is lost or a reader may stumble; no content is at risk.
    Warning,
    /// Content is lost, ambiguous or wrong.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One fault that a checker found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and where.
    pub damage: Damage,
    /// Whether a repair mends it without guessing.
    pub repairable: bool,
}

impl Fault {
    /// A fault that a repair cannot mend.
    pub fn new(severity: Severity, damage: Damage) -> Self {
        Self {
            severity,
            damage,
            repairable: false,
        }
    }

    /// The same fault, said to be mendable.
    #[must_use]
    pub fn repairable(self) -> Self {
        Self {
            repairable: true,
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.damage)
    }
}

/// The faults of one check, the first thousand in full: a hostile image may hold millions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    listed: Vec<Fault>,
    omitted: u64,
}

impl Faults {
    /// Faults listed in full at most.
    pub const LISTED: usize = 1000;

    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault, or counts it where the list is full.
    pub fn push(&mut self, fault: Fault) {
        if self.listed.len() < Self::LISTED {
            self.listed.push(fault);
        } else {
            self.omitted += 1;
        }
    }

    /// Counts `count` faults that were found and are not to be listed.
    pub fn omit(&mut self, count: u64) {
        self.omitted = self.omitted.saturating_add(count);
    }

    /// The listed faults, in the order they were found.
    pub fn listed(&self) -> &[Fault] {
        &self.listed
    }

    /// How many more were found.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.listed.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_counted() {
        let mut faults = Faults::new();
        faults.omit(3);
        for offset in 0..=Faults::LISTED as u64 {
            faults.push(Fault::new(Severity::Note, Damage::new("field", offset, "0", "1")));
        }
        assert_eq!(faults.listed().len(), Faults::LISTED);
        assert_eq!(faults.omitted(), 4);
    }
}
