//! What was found so far.

use crate::structure::within;
use cv_disk::{Damage, Fault, Faults, Severity};

/// A fault and the record in which it shows.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    severity: Severity,
    record: Option<u64>,
    damage: Damage,
}

/// The faults of one piece of the work, in the order they were found. Of each severity the first [`Faults::LISTED`] are
/// kept, so that neither millions take memory nor notes hide an error.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: [usize; 3],
    omitted: u64,
}

impl Findings {
    /// Adds one that concerns the volume as a whole.
    pub fn volume(&mut self, severity: Severity, damage: Damage) {
        self.add(severity, None, damage);
    }

    /// Adds one that concerns the file whose record is `record`.
    pub fn record(&mut self, severity: Severity, record: u64, damage: Damage) {
        self.add(severity, Some(record), damage);
    }

    fn add(&mut self, severity: Severity, record: Option<u64>, damage: Damage) {
        if self.is_full(severity) {
            self.omitted += 1;
            return;
        }
        self.counts[severity as usize] += 1;
        self.kept.push(Finding {
            severity,
            record,
            damage,
        });
    }

    /// Whether another fault so bad would be counted only.
    pub fn is_full(&self, severity: Severity) -> bool {
        self.counts[severity as usize] >= Faults::LISTED
    }

    /// Counts one that is not to be listed.
    pub fn omit(&mut self) {
        self.omitted += 1;
    }

    /// Takes over what another piece of the work found.
    pub fn absorb(&mut self, others: Self) {
        self.omitted += others.omitted;
        for finding in others.kept {
            self.add(finding.severity, finding.record, finding.damage);
        }
    }

    /// The faults, the worst first. `path` names a record's file for people.
    pub fn into_faults(mut self, path: impl Fn(u64) -> Option<String>) -> Faults {
        let mut faults = Faults::new();
        faults.omit(self.omitted);
        self.kept.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let mut named: Option<(u64, String)> = None;
        for finding in self.kept {
            let is_listed = faults.listed().len() < Faults::LISTED;
            let damage = match finding.record {
                Some(record) if is_listed => {
                    let name = match named.take() {
                        Some((last, name)) if last == record => name,
                        _ => path(record).map_or_else(
                            || format!("record {record}"),
                            |path| format!("record {record} ({path})"),
                        ),
                    };
                    let damage = within(finding.damage, &name);
                    named = Some((record, name));
                    damage
                }
                _ => finding.damage,
            };
            faults.push(Fault::new(finding.severity, damage));
        }
        faults
    }
}
