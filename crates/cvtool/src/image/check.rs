//! `cvtool image check`.

use super::source::Opening;
use crate::{Outcome, print};
use anyhow::Context;
use clap::Args;
use cv_disk::{Fault, Severity};
use cv_image::{check, repair};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// What to check.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image
    image: PathBuf,

    /// Mend what can be mended without guessing, in place
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Checks, repairs if asked, and tells what remains. Notes alone do not count as faults.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.image.display().to_string();
        let options = self.opening.options(&self.image)?;
        let repaired = if self.repair {
            repair(&self.image, &options).with_context(name)?
        } else {
            Vec::new()
        };
        let report = check(&self.image, &options).with_context(name)?;
        let worst = report.faults.listed().iter().map(|fault| fault.severity).max();
        let is_sound = worst.is_none_or(|severity| severity == Severity::Note);
        if self.json {
            print::json(&json!({
                "file": name(),
                "format": report.format.name(),
                "sound": is_sound,
                "faults": report.faults.listed().iter().map(fault_to_json).collect::<Vec<_>>(),
                "faults_omitted": report.faults.omitted(),
                "repaired": repaired.iter().map(fault_to_json).collect::<Vec<_>>(),
            }))?;
        } else {
            let mut out = std::io::stdout().lock();
            for fault in &repaired {
                writeln!(out, "repaired: {}", print::printable(&fault.damage.to_string()))?;
            }
            for fault in report.faults.listed() {
                let hint = if fault.repairable { " (can be repaired)" } else { "" };
                writeln!(out, "{}{hint}", print::printable(&fault.to_string()))?;
            }
            if report.faults.omitted() > 0 {
                writeln!(out, "and {} more", report.faults.omitted())?;
            }
            if report.faults.is_empty() {
                writeln!(out, "{}: no faults found ({})", name(), report.format)?;
            }
        }
        Ok(if is_sound { Outcome::Done } else { Outcome::Found })
    }
}

fn fault_to_json(fault: &Fault) -> serde_json::Value {
    json!({
        "severity": fault.severity.to_string(),
        "structure": fault.damage.structure,
        "offset": fault.damage.offset,
        "expected": fault.damage.expected,
        "found": fault.damage.found,
        "repairable": fault.repairable,
    })
}
