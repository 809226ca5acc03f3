//! `cvtool inspect`.

use crate::image::source::Opening;
use crate::{Outcome, print};
use anyhow::Context;
use clap::Args;
use cv_disk::ReadAt;
use layerfmt::manifest::{Applications, OsRange, Policy};
use layerfmt::sign::Signature;
use layerfmt::{Layer, Manifest};
use serde_json::json;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// What to look at.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layer
    layer: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Tells what the manifest says.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.layer.display().to_string();
        let image = self.opening.open(&self.layer)?;
        let format = image.format();
        let disk: Arc<dyn ReadAt> = Arc::new(image);
        let layer = Layer::open(&disk).with_context(name)?;
        let signature = layer.signature_bytes().with_context(name)?;
        let signature = signature.as_deref().map(Signature::from_file_bytes).transpose();
        let key_id = match &signature {
            Ok(Some(Some(signature))) => Some(signature.key_id().to_string()),
            Ok(_) => None,
            Err(error) => Some(format!("a damaged signature: {error}")),
        };
        if self.json {
            print::json(&json!({
                "file": name(),
                "format": format.name(),
                "disk_size": disk.len(),
                "signed_by": key_id,
                "manifest": layer.manifest(),
            }))?;
            return Ok(Outcome::Done);
        }
        let mut out = io::stdout().lock();
        let disk = format!("{format}, {} bytes", disk.len());
        let signed = key_id.unwrap_or_else(|| "by nobody".to_owned());
        let scripts = layer
            .scripts()
            .with_context(name)?
            .into_keys()
            .collect::<Vec<_>>()
            .join(", ");
        show(&mut out, layer.manifest(), [&disk, &signed, &scripts])?;
        Ok(Outcome::Done)
    }
}

fn show(out: &mut dyn Write, manifest: &Manifest, [disk, signed, scripts]: [&str; 3]) -> io::Result<()> {
    let counts = &manifest.counts;
    let found = &manifest.applications;
    let kind = serde_json::to_value(manifest.kind).unwrap_or_default();
    let architecture = serde_json::to_value(manifest.architecture).unwrap_or_default();
    let hives: Vec<&str> = manifest.hives.iter().map(|hive| hive.name.as_str()).collect();
    let lines = [
        ("name", manifest.name.clone()),
        ("version", manifest.version.clone()),
        ("publisher", manifest.publisher.clone()),
        ("description", manifest.description.clone()),
        ("kind", kind.as_str().unwrap_or_default().to_owned()),
        ("architecture", architecture.as_str().unwrap_or_default().to_owned()),
        ("windows", windows(&manifest.os)),
        ("id", manifest.id.to_string()),
        ("created", manifest.created.clone()),
        ("creator", manifest.creator.clone()),
        ("disk", disk.to_owned()),
        ("signed", signed.to_owned()),
        (
            "files",
            format!(
                "{} in {} directories, {} bytes",
                counts.files, counts.directories, counts.bytes
            ),
        ),
        ("links", counts.links.to_string()),
        ("whiteouts", counts.whiteouts.to_string()),
        (
            "registry",
            format!("{} keys, {} values", counts.registry_keys, counts.registry_values),
        ),
        ("hives", hives.join(", ")),
        ("scripts", scripts.to_owned()),
        ("programs", found.programs.len().to_string()),
        ("COM classes", found.com_classes.len().to_string()),
        ("requires", references(&manifest.requires)),
        ("conflicts", references(&manifest.conflicts)),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty() && value != "0") {
        writeln!(out, "{name:<13}{}", print::printable(value))?;
    }
    applications(out, found)?;
    policy(out, &manifest.policy)
}

/// The versions of Windows that a layer is for.
fn windows(range: &OsRange) -> String {
    match (&range.minimum, &range.maximum) {
        (None, None) => String::new(),
        (Some(minimum), None) => format!("{minimum} or later"),
        (None, Some(maximum)) => format!("up to {maximum}"),
        (Some(minimum), Some(maximum)) => format!("{minimum} to {maximum}"),
    }
}

fn policy(out: &mut dyn Write, policy: &Policy) -> io::Result<()> {
    if policy.files.is_empty() && policy.registry.is_empty() {
        return Ok(());
    }
    writeln!(out, "policy")?;
    let mut line = |text: &str| writeln!(out, "  {}", print::printable(text));
    let files = policy.files.iter().map(|rule| (&rule.path, rule.action));
    let registry = policy.registry.iter().map(|rule| (&rule.key, rule.action));
    for (place, action) in files.chain(registry) {
        let action = serde_json::to_value(action).unwrap_or_default();
        line(&format!("{}  {place}", action.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn references(list: &[layerfmt::manifest::LayerReference]) -> String {
    let shown: Vec<String> = list
        .iter()
        .map(|reference| {
            let version = reference.version.as_deref().unwrap_or_default();
            format!("{} {version}", reference.name).trim_end().to_owned()
        })
        .collect();
    shown.join(", ")
}

fn applications(out: &mut dyn Write, found: &Applications) -> io::Result<()> {
    let mut list = |title: &str, lines: Vec<String>| -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(out, "{title}")?;
        lines
            .iter()
            .try_for_each(|line| writeln!(out, "  {}", print::printable(line.trim())))
    };
    list(
        "applications",
        found
            .installed
            .iter()
            .map(|one| format!("{} {}  {}", one.name, one.version, one.publisher))
            .collect(),
    )?;
    list(
        "shortcuts",
        found
            .shortcuts
            .iter()
            .map(|one| format!("{} -> {} {}", one.path, one.target, one.arguments))
            .collect(),
    )?;
    list(
        "services",
        found
            .services
            .iter()
            .map(|one| {
                let driver = if one.is_driver { "  (a driver)" } else { "" };
                format!("{}  {}  {}{driver}", one.name, one.start, one.image)
            })
            .collect(),
    )?;
    list(
        "file types",
        found
            .file_types
            .iter()
            .map(|one| format!("{}{}  {}", one.extension, one.protocol, one.command))
            .collect(),
    )?;
    list(
        "fonts",
        found
            .fonts
            .iter()
            .map(|one| format!("{}  {}", one.name, one.file))
            .collect(),
    )?;
    list(
        "starts by itself",
        found
            .run
            .iter()
            .map(|one| format!("{}  {}", one.name, one.command))
            .collect(),
    )?;
    list(
        "scheduled",
        found
            .tasks
            .iter()
            .map(|one| format!("{}  {}", one.path, one.command))
            .collect(),
    )?;
    list(
        "environment",
        found
            .environment
            .iter()
            .map(|one| format!("{}={}", one.name, one.value))
            .collect(),
    )
}
