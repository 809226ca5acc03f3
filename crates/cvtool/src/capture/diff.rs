//! `cvtool capture diff`.

use super::machine::Machine;
use super::output::{LayerOutput, keep};
use crate::Outcome;
use crate::image::source::Opening;
use crate::volume::source::threads;
use clap::Args;
use cv_capture::build::{LayerOptions, Sides, gather};
use cv_capture::snapshot::readiness;
use std::path::PathBuf;

/// What to compare.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The machine before the install: a disk image, a folder laid out as drive C:, or a Wine prefix
    #[arg(long, value_name = "MACHINE")]
    before: PathBuf,

    /// The machine after the install
    #[arg(long, value_name = "MACHINE")]
    after: PathBuf,

    /// Keep everything that changed in this folder, for `capture rebuild`
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,

    #[command(flatten)]
    output: LayerOutput,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Makes the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let before = Machine::open(&self.before, &self.opening, threads())?;
        let after = Machine::open(&self.after, &self.opening, threads())?;
        let platform = after.snapshot.platform;
        let rules = self.output.rules(platform)?;
        let contents = Machine::contents(&before, &after)?;
        let sides = Sides {
            before: &before.snapshot,
            after: &after.snapshot,
            contents: Some(&contents),
            storage: &after.storage,
        };
        let gathered = gather(&sides, &rules, threads());
        let readiness = readiness(&before.snapshot);
        keep(self.state.as_deref(), &gathered, &readiness, platform)?;
        let options = LayerOptions {
            method: "diff".to_owned(),
            ..LayerOptions::default()
        };
        self.output.write(gathered, &rules, readiness, options)
    }
}
