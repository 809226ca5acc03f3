//! What was found so far.

use crate::structure::within;
use cv_disk::{Damage, Fault, Faults, Severity};
use std::collections::HashMap;

/// A fault and the record in which it shows.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    severity: Severity,
    record: Option<u64>,
    damage: Damage,
}

/// Faults of one kind that are kept.
const OF_ONE_KIND: usize = 200;

/// The faults of one piece of the work, in the order they were found. Of each severity the first [`Faults::LISTED`] are
/// kept, and of each kind the first [`OF_ONE_KIND`], so that neither millions take memory nor many of one kind hide another.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    counts: [usize; 3],
    kinds: HashMap<(Severity, String), usize>,
    omitted: u64,
}

/// What a structure is called, without the names in it.
fn kind(structure: &str) -> String {
    let parts: Vec<&str> = structure.split('`').step_by(2).collect();
    parts.join("`")
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
        if self.counts[severity as usize] == Faults::LISTED {
            self.omitted += 1;
            return;
        }
        let of_kind = self.kinds.entry((severity, kind(&damage.structure))).or_default();
        if *of_kind == OF_ONE_KIND {
            self.omitted += 1;
            return;
        }
        *of_kind += 1;
        self.counts[severity as usize] += 1;
        self.kept.push(Finding {
            severity,
            record,
            damage,
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_kind_hide_no_other() {
        let mut findings = Findings::default();
        let damage = |structure: String| Damage::new(structure, 0, "0", "1");
        for number in 0..5000 {
            findings.volume(Severity::Note, damage(format!("entry `{number}`, size")));
            findings.record(Severity::Warning, number, damage("order".into()));
        }
        findings.record(Severity::Error, 7, damage("signature".into()));
        let faults = findings.into_faults(|record| Some(format!("\\file {record}")));
        assert_eq!(faults.listed().len(), 1 + 2 * OF_ONE_KIND);
        assert_eq!(faults.omitted(), 2 * (5000 - OF_ONE_KIND as u64));
        assert_eq!(faults.listed()[0].damage.structure, "record 7 (\\file 7): signature");
        assert_eq!(faults.listed()[1].severity, Severity::Warning);
    }
}
