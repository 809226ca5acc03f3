//! What was found so far.

use cv_disk::{Damage, Fault, Faults, Severity};

/// Faults in the order they were found, of each severity the first [`Faults::LISTED`].
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Fault>,
    counts: [usize; 3],
    omitted: u64,
}

impl Findings {
    /// What a repair mends, by dropping it where it must.
    pub fn add(&mut self, severity: Severity, damage: Damage) {
        self.push(Fault::new(severity, damage).repairable());
    }

    /// What no repair mends.
    pub fn add_fatal(&mut self, damage: Damage) {
        self.push(Fault::new(Severity::Error, damage));
    }

    fn push(&mut self, fault: Fault) {
        let count = &mut self.counts[fault.severity as usize];
        if *count == Faults::LISTED {
            self.omitted += 1;
        } else {
            *count += 1;
            self.kept.push(fault);
        }
    }

    /// The faults, the worst first.
    pub fn into_faults(mut self) -> Faults {
        let mut faults = Faults::new();
        faults.omit(self.omitted);
        self.kept.sort_by_key(|fault| std::cmp::Reverse(fault.severity));
        self.kept.into_iter().for_each(|fault| faults.push(fault));
        faults
    }
}
