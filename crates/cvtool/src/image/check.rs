//! `cvtool image check`.

use super::source::Opening;
use crate::{Outcome, print, progress};
use anyhow::Context;
use clap::Args;
use cv_disk::{Fault, Faults, ReadAt, Severity, partition};
use cv_image::{OpenOptions, WritableImage, check, repair};
use cv_volume::{Checked, Part};
use serde_json::{Value as Json, json};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// What to check.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image
    image: PathBuf,

    /// Mend what can be mended without guessing, in place
    #[arg(long)]
    repair: bool,

    /// Only the container, not the partition table and the NTFS volumes in it
    #[arg(long)]
    container: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

/// The faults of one part of an image.
struct Section {
    /// `None` for the container.
    part: Option<Part>,
    faults: Faults,
}

/// A fault that was mended, and in which part.
type Repaired = (Option<Part>, Fault);

impl Arguments {
    /// Checks, repairs if asked, and tells what remains. Notes alone do not count as faults.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.image.display().to_string();
        let options = self.opening.options(&self.image)?;
        let mut repaired: Vec<Repaired> = Vec::new();
        if self.repair {
            let mended = repair(&self.image, &options).with_context(name)?;
            repaired.extend(mended.into_iter().map(|fault| (None, fault)));
        }
        let report = check(&self.image, &options).with_context(name)?;
        let mut sections = vec![Section {
            part: None,
            faults: report.faults,
        }];
        // A container with errors may show anything as its disk, if it opens at all.
        if !self.container && worst(&sections) != Some(Severity::Error) {
            let mut inside = self.inside()?;
            let is_mendable = |checked: &Checked| {
                checked.part == Part::PartitionTable && checked.faults.listed().iter().any(|fault| fault.repairable)
            };
            if self.repair && inside.iter().any(is_mendable) {
                repaired.extend(self.repair_table(&options).with_context(name)?);
                inside = self.inside()?;
            }
            sections.extend(inside.into_iter().map(|checked| Section {
                part: Some(checked.part),
                faults: checked.faults,
            }));
        }
        let is_sound = worst(&sections).is_none_or(|severity| severity == Severity::Note);
        if self.json {
            print::json(&json!({
                "file": name(),
                "format": report.format.name(),
                "sound": is_sound,
                "volumes": sections.iter().filter_map(|section| volume_of(section.part)).collect::<Vec<_>>(),
                "faults": sections.iter().flat_map(section_to_json).collect::<Vec<_>>(),
                "faults_omitted": sections.iter().map(|section| section.faults.omitted()).sum::<u64>(),
                "repaired": repaired.iter().map(|(part, fault)| fault_to_json(*part, fault)).collect::<Vec<_>>(),
            }))?;
        } else {
            let sound = format!("{}: no faults found ({}{})", name(), report.format, volumes(&sections));
            print_sections(&sections, &repaired, &sound)?;
        }
        Ok(if is_sound { Outcome::Done } else { Outcome::Found })
    }

    fn inside(&self) -> anyhow::Result<Vec<Checked>> {
        let disk: Arc<dyn ReadAt> = Arc::new(self.opening.open(&self.image)?);
        cv_volume::check(&disk, &mut |_| Box::new(progress::Bar::new("Checking")))
            .with_context(|| self.image.display().to_string())
    }

    fn repair_table(&self, options: &OpenOptions) -> anyhow::Result<Vec<Repaired>> {
        let image = WritableImage::open(&self.image, options)?;
        let found = partition::repair(image.disk(), None)?;
        image.close()?;
        let mended = found.into_iter().filter(|fault| fault.repairable);
        Ok(mended.map(|fault| (Some(Part::PartitionTable), fault)).collect())
    }
}

fn worst(sections: &[Section]) -> Option<Severity> {
    let faults = sections.iter().flat_map(|section| section.faults.listed());
    faults.map(|fault| fault.severity).max()
}

/// For JSON: a partition's number, 0 for a volume that is the whole disk.
fn volume_of(part: Option<Part>) -> Option<u32> {
    match part {
        Some(Part::Volume(number)) => Some(number.unwrap_or(0)),
        None | Some(Part::PartitionTable) => None,
    }
}

/// What stands behind the format where nothing is wrong.
fn volumes(sections: &[Section]) -> String {
    let count = sections
        .iter()
        .filter(|section| volume_of(section.part).is_some())
        .count();
    match count {
        0 => String::new(),
        1 => ", with an NTFS volume".to_owned(),
        count => format!(", with {count} NTFS volumes"),
    }
}

/// What stands before a fault's line.
fn place(part: Option<Part>) -> String {
    match part {
        None => String::new(),
        Some(Part::PartitionTable) => "partition table: ".to_owned(),
        Some(Part::Volume(None)) => "volume: ".to_owned(),
        Some(Part::Volume(Some(number))) => format!("volume {number}: "),
    }
}

/// Prints every fault, and `sound` where there is none.
fn print_sections(sections: &[Section], repaired: &[Repaired], sound: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (part, fault) in repaired {
        let (place, fault) = (place(*part), print::printable(&fault.damage.to_string()));
        writeln!(out, "repaired: {place}{fault}")?;
    }
    for section in sections {
        let place = place(section.part);
        for fault in section.faults.listed() {
            let hint = if fault.repairable { " (can be repaired)" } else { "" };
            writeln!(out, "{place}{}{hint}", print::printable(&fault.to_string()))?;
        }
        if section.faults.omitted() > 0 {
            writeln!(out, "{place}and {} more", section.faults.omitted())?;
        }
    }
    if sections.iter().all(|section| section.faults.is_empty()) {
        writeln!(out, "{sound}")?;
    }
    Ok(())
}

fn section_to_json(section: &Section) -> Vec<Json> {
    let faults = section.faults.listed().iter();
    faults.map(|fault| fault_to_json(section.part, fault)).collect()
}

fn fault_to_json(part: Option<Part>, fault: &Fault) -> Json {
    let name = match part {
        None => "container",
        Some(Part::PartitionTable) => "partition table",
        Some(Part::Volume(_)) => "volume",
    };
    json!({
        "part": name,
        "volume": volume_of(part),
        "severity": fault.severity.to_string(),
        "structure": fault.damage.structure,
        "offset": fault.damage.offset,
        "expected": fault.damage.expected,
        "found": fault.damage.found,
        "repairable": fault.repairable,
    })
}
