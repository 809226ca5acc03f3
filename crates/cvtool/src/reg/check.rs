//! `cvtool reg check`.

use crate::{Outcome, print, whole_file};
use anyhow::{Context, bail};
use clap::Args;
use cv_disk::{Fault, Severity};
use cv_hive::check::{check, repair};
use cv_hive::file::{HiveState, RegistryFile};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// What to check.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The hive
    file: PathBuf,

    /// Drop what Windows would drop, and mend the rest, in place
    #[arg(long)]
    repair: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Checks, repairs if asked, and tells what remains. Notes alone do not count as faults. The file is checked as it stands:
    /// a dirty hive is a fault of its own, and is recovered before it is repaired.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.file.display().to_string();
        let mut bytes = std::fs::read(&self.file).with_context(name)?;
        let mut dropped = Vec::new();
        if self.repair {
            let file = RegistryFile::open(&self.file).with_context(name)?;
            if let HiveState::Recovered(_) = file.state {
                bail!("{}: it is dirty; recover it first, so that nothing is lost", name());
            }
            let repaired = repair(&bytes).with_context(name)?;
            if repaired
                .faults
                .listed()
                .iter()
                .any(|fault| fault.severity > Severity::Note)
            {
                whole_file::write(&self.file, &repaired.bytes).with_context(name)?;
                dropped = repaired.dropped.into_iter().collect();
                bytes = repaired.bytes;
            }
        }
        let faults = check(&bytes).with_context(name)?;
        let worst = faults.listed().iter().map(|fault| fault.severity).max();
        let is_sound = worst.is_none_or(|severity| severity == Severity::Note);
        if self.json {
            print::json(&json!({
                "file": name(),
                "sound": is_sound,
                "faults": faults.listed().iter().map(fault_to_json).collect::<Vec<_>>(),
                "faults_omitted": faults.omitted(),
                "dropped": dropped.iter().map(fault_to_json).collect::<Vec<_>>(),
            }))?;
        } else {
            let mut out = std::io::stdout().lock();
            for fault in &dropped {
                writeln!(out, "dropped: {}", print::printable(&fault.damage.to_string()))?;
            }
            for fault in faults.listed() {
                writeln!(out, "{}", print::printable(&fault.to_string()))?;
            }
            if faults.omitted() > 0 {
                writeln!(out, "and {} more", faults.omitted())?;
            }
            if faults.is_empty() {
                writeln!(out, "{}: no faults found", name())?;
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
    })
}
