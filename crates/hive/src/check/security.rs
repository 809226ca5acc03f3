//! The ring of security descriptors, and how many keys use each.

use super::bins::CellMap;
use super::findings::Findings;
use crate::read::key::parse_security;
use crate::structure::{KeySecurity, NO_CELL, Structure, in_file, security_descriptor};
use cv_disk::{Damage, Severity};
use std::collections::BTreeMap;

/// How many keys name each item.
#[derive(Debug, Default)]
pub(super) struct Securities {
    references: BTreeMap<u32, u32>,
}

impl Securities {
    /// Counts a key that names the item at `offset`.
    pub fn count(&mut self, offset: u32) {
        if offset != NO_CELL {
            *self.references.entry(offset).or_default() += 1;
        }
    }

    /// Follows the ring from the first item that a key names, and compares.
    pub fn check(mut self, cells: &mut CellMap<'_>, findings: &mut Findings) {
        let mut ring = Vec::new();
        let mut next = self.references.keys().next().copied();
        while let Some(offset) = next.take() {
            match item(offset, cells, findings) {
                Ok(item) => {
                    ring.push((offset, item));
                    let is_closed = ring.first().is_some_and(|(first, _)| *first == item.flink);
                    if !is_closed {
                        next = Some(item.flink);
                    }
                }
                Err(damage) => findings.add(Severity::Error, damage),
            }
        }
        for (position, (offset, item)) in ring.iter().enumerate() {
            let previous = ring[(position + ring.len() - 1) % ring.len()].0;
            if item.blink != previous {
                let damage = damage(
                    *offset,
                    "blink",
                    8,
                    format!("{previous:#x}"),
                    format!("{:#x}", item.blink),
                );
                findings.add(Severity::Error, damage);
            }
            let references = self.references.remove(offset).unwrap_or_default();
            if item.reference_count != references {
                let expected = format!("{references}, as many as keys use it");
                let damage = damage(
                    *offset,
                    "reference count",
                    12,
                    expected,
                    item.reference_count.to_string(),
                );
                findings.add(Severity::Warning, damage);
            }
        }
        for (offset, references) in self.references {
            // Not in the ring, or the ring is broken before it.
            if !cells.is_claimed(offset)
                && let Err(damage) = item(offset, cells, findings)
            {
                findings.add(Severity::Error, damage);
            }
            let found = format!("an item outside it, used by {references} keys");
            let damage = damage(offset, "place", 4, "an item of the ring".into(), found);
            findings.add(Severity::Error, damage);
        }
    }
}

/// Takes the item at `offset` and looks at its descriptor.
fn item(offset: u32, cells: &mut CellMap<'_>, findings: &mut Findings) -> Result<KeySecurity, Damage> {
    let cell = cells.claim(offset, KeySecurity::NAME)?;
    let (item, descriptor) = parse_security(cell, offset)?;
    if let Err(found) = security_descriptor::check(descriptor) {
        let damage = damage(offset, "security descriptor", 20, "a valid one".into(), found);
        findings.add(Severity::Error, damage);
    }
    Ok(item)
}

fn damage(offset: u32, field: &str, at: u64, expected: String, found: String) -> Damage {
    let structure = format!("cell {offset:#x}: key security, {field}");
    Damage::new(structure, in_file(offset) + 4 + at, expected, found)
}
