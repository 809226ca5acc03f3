//! `cvtool capture start`, `finish` and `rebuild`.

use super::machine::Machine;
use super::output::LayerOutput;
use super::state::{MachineNote, State};
use crate::image::source::Opening;
use crate::volume::source::threads;
use crate::{Outcome, print};
use anyhow::Context;
use clap::Args;
use cv_capture::build::{LayerOptions, Sides, gather};
use cv_capture::snapshot::{load, readiness, save};
use std::path::PathBuf;

/// What to note.
#[derive(Debug, Args)]
pub struct Start {
    /// The machine: a disk image, a folder laid out as drive C:, or a Wine prefix
    machine: PathBuf,

    /// The folder that keeps the state of the capture
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,

    #[command(flatten)]
    opening: Opening,
}

impl Start {
    /// Takes the snapshot.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let machine = Machine::open(&self.machine, &self.opening, threads())?;
        for problem in &machine.snapshot.problems {
            print::warn(&print::printable(&problem.to_string()));
        }
        for warning in readiness(&machine.snapshot).warnings {
            print::warn(&warning);
        }
        let state = State::new(&self.state)?;
        let path = self.machine.canonicalize()?;
        save(&machine.snapshot, &state.before()).with_context(|| state.before().display().to_string())?;
        state.note_machine(&MachineNote { path })?;
        println!(
            "{}: {} files noted",
            self.state.display(),
            machine.snapshot.files.len() - 1
        );
        Ok(Outcome::Done)
    }
}

/// What to finish.
#[derive(Debug, Args)]
pub struct Finish {
    /// The folder that keeps the state of the capture
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,

    #[command(flatten)]
    output: LayerOutput,

    #[command(flatten)]
    opening: Opening,
}

impl Finish {
    /// Makes the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let state = State::new(&self.state)?;
        let note = state.machine()?;
        let before = load(&state.before()).with_context(|| state.before().display().to_string())?;
        let after = Machine::open(&note.path, &self.opening, threads())?;
        let platform = after.snapshot.platform;
        let rules = self.output.rules(platform)?;
        let sides = Sides {
            before: &before,
            after: &after.snapshot,
            contents: None,
            storage: &after.storage,
        };
        let gathered = gather(&sides, &rules, threads());
        let readiness = readiness(&before);
        state.keep(&gathered, &readiness, platform)?;
        let options = LayerOptions {
            method: "finish".to_owned(),
            ..LayerOptions::default()
        };
        self.output.write(gathered, &rules, readiness, options)
    }
}

/// What to make again.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// The folder that keeps the state of the capture
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,

    #[command(flatten)]
    output: LayerOutput,
}

impl Rebuild {
    /// Makes the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let kept = State::new(&self.state)?.kept()?;
        let rules = self.output.rules(kept.platform)?;
        let options = LayerOptions {
            method: "rebuild".to_owned(),
            ..LayerOptions::default()
        };
        self.output.write(kept.gathered, &rules, kept.readiness, options)
    }
}
