//! `cvtool capture run`: on Windows where it runs, elsewhere in a Wine prefix.

#[cfg(windows)]
mod here;
mod installer;
mod output;
#[cfg(not(windows))]
mod wine;

use super::machine::Machine;
use super::output::{LayerOutput, keep};
use crate::Outcome;
use crate::volume::source::threads;
use clap::Args;
use cv_capture::build::{Installer, LayerOptions, Sides, gather};
use cv_capture::snapshot::Readiness;
use std::ffi::OsString;
use std::path::PathBuf;

/// What to run, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The Wine prefix; one that is not there is made
    #[cfg(not(windows))]
    #[arg(long, value_name = "PREFIX")]
    wine: PathBuf,

    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,

    /// Further exit codes that mean success, besides 0, 3010 and 1641
    #[arg(long, value_name = "CODE")]
    accept: Vec<i32>,

    /// Keep everything that changed in this folder, for `capture rebuild`
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,

    #[command(flatten)]
    output: LayerOutput,

    /// The installer and its arguments; an .msi is installed quietly
    #[arg(last = true, required = true, value_name = "INSTALLER")]
    command: Vec<OsString>,
}

impl Arguments {
    /// An error, with the installer's output told, where it did not do what it should.
    fn check(&self, installer: &Installer) -> anyhow::Result<()> {
        if let Some(code) = installer.exit_code
            && !installer.succeeded()
            && !self.accept.contains(&code)
        {
            for line in installer.output.lines() {
                crate::print::warn(&crate::print::printable(line));
            }
            anyhow::bail!("the installer failed: its exit code is {code}");
        }
        Ok(())
    }

    /// Makes the layer of what the installer changed.
    fn make_layer(
        &self,
        before: &Machine,
        after: &Machine,
        readiness: Readiness,
        installer: Installer,
    ) -> anyhow::Result<Outcome> {
        let platform = after.snapshot.platform;
        let rules = self.output.rules(platform)?;
        let sides = Sides {
            before: &before.snapshot,
            after: &after.snapshot,
            contents: None,
            storage: &after.storage,
        };
        let gathered = gather(&sides, &rules, threads());
        keep(self.state.as_deref(), &gathered, &readiness, platform)?;
        let options = LayerOptions {
            method: "run".to_owned(),
            sources: installer.command.clone(),
            installer: Some(installer),
            ..LayerOptions::default()
        };
        self.output.write(gathered, &rules, readiness, options)
    }
}
