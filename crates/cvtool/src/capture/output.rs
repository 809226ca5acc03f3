//! The layer that a capture makes, and its report.

use super::state::State;
use crate::clock::source_date_epoch;
use crate::image::create::Output as Container;
use crate::volume::source::threads;
use crate::{Outcome, print, progress, whole_file};
use anyhow::Context;
use clap::Args;
use cv_capture::build::{Gathered, LayerOptions, Report, content, write_captured};
use cv_capture::html;
use cv_capture::rules::{Platform, RuleFile, RuleSet, shipped_files};
use cv_capture::snapshot::Readiness;
use layerfmt::WriteOptions;
use std::path::{Path, PathBuf};

/// Options of every command that makes a layer.
#[derive(Debug, Args)]
pub struct LayerOutput {
    /// The new layer; a file there is replaced
    #[arg(short = 'o', long = "output", value_name = "LAYER")]
    target: PathBuf,

    /// The layer's name; without it that of the application found in it
    #[arg(long)]
    name: Option<String>,

    /// The version of what was installed; without it that of the application found
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,

    /// Who made what was installed
    #[arg(long)]
    publisher: Option<String>,

    /// A rule file, besides the rules of cvtool; of several the last counts first
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,

    /// Let the layer delete what the install deleted; without it that is only noted
    #[arg(long)]
    deletions: bool,

    /// Also write what became of everything that changed, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Also write it as a page to look at
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    container: Container,
}

/// The rules of cvtool and of these files.
pub fn rules(files: &[PathBuf], platform: Platform) -> anyhow::Result<RuleSet> {
    let mut all = shipped_files().to_vec();
    for path in files {
        all.push(read_rules(path)?);
    }
    Ok(RuleSet::new(platform, &all)?)
}

/// Reads a rule file.
pub fn read_rules(path: &Path) -> anyhow::Result<RuleFile> {
    let name = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(name)?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    RuleFile::parse(&file_name, &text).with_context(name)
}

impl LayerOutput {
    /// Where the layer will be.
    #[cfg(windows)]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The rules that hold.
    pub fn rules(&self, platform: Platform) -> anyhow::Result<RuleSet> {
        rules(&self.rules, platform)
    }

    /// Makes the layer of what was gathered.
    pub fn write(
        &self,
        gathered: Gathered,
        rules: &RuleSet,
        readiness: Readiness,
        mut options: LayerOptions,
    ) -> anyhow::Result<Outcome> {
        let name = || self.target.display().to_string();
        let stem = self.target.file_stem().unwrap_or_default();
        options.name.clone_from(&self.name);
        options.version.clone_from(&self.app_version);
        options.publisher.clone_from(&self.publisher);
        options.otherwise = stem.to_string_lossy().into_owned();
        options.apply_deletions = self.deletions;
        let (mut content, mut report) = content(gathered, rules, readiness, options);
        let layout = self.container.layout(&self.target, None)?;
        let mut write = WriteOptions::new(layout.format);
        write.container = layout;
        write.created = source_date_epoch()?;
        write.threads = threads();
        let bar = progress::Bar::new("Writing");
        write_captured(&mut content, &mut report, &self.target, &write, &bar).with_context(name)?;
        drop(bar);
        if let Some(path) = &self.report {
            let bytes = serde_json::to_vec_pretty(&report)?;
            whole_file::write(path, &bytes).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.html {
            let page = html::page(&content.manifest, &report);
            whole_file::write(path, page.as_bytes()).with_context(|| path.display().to_string())?;
        }
        self.tell(&report)
    }

    fn tell(&self, report: &Report) -> anyhow::Result<Outcome> {
        for problem in &report.problems {
            print::warn(&print::printable(&problem.to_string()));
        }
        for warning in &report.warnings {
            print::warn(&print::printable(warning));
        }
        for leftover in &report.leftovers {
            let line = format!("{}: tells of the packager: {}", leftover.place, leftover.found);
            print::warn(&print::printable(&line));
        }
        if self.json {
            print::json(&serde_json::to_value(report)?)?;
        } else {
            let counts = &report.counts;
            println!(
                "{}: {} items kept ({} to look at), {} dropped, {} deletions{}",
                self.target.display(),
                counts.kept,
                counts.review,
                counts.dropped,
                counts.deleted,
                if self.deletions { "" } else { " noted" },
            );
        }
        Ok(if report.problems.is_empty() {
            Outcome::Done
        } else {
            Outcome::Incomplete
        })
    }
}

/// Keeps everything that was gathered, where a state folder is given.
pub fn keep(
    state: Option<&Path>,
    gathered: &Gathered,
    readiness: &Readiness,
    platform: Platform,
) -> anyhow::Result<()> {
    match state {
        Some(folder) => State::new(folder)?.keep(gathered, readiness, platform),
        None => Ok(()),
    }
}
