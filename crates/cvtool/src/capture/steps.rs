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
use cv_capture::snapshot::{load, save};
use std::path::PathBuf;

/// The Windows that this runs on.
#[cfg(windows)]
mod live {
    use super::{Machine, threads};
    pub use cv_capture::snapshot::live_warnings as warnings;
    use cv_capture::snapshot::{Snapshot, journal_position};
    use std::path::Path;

    pub fn journal() -> Option<(u64, u64)> {
        journal_position().map(|position| (position.journal, position.next))
    }

    pub fn machine(state: &Path) -> anyhow::Result<Machine> {
        Machine::live(&[state.to_path_buf()], threads())
    }

    pub fn machine_since(before: &Snapshot, journal: Option<(u64, u64)>, state: &Path) -> anyhow::Result<Machine> {
        Machine::live_since(before, journal, &[state.to_path_buf()], threads())
    }
}

/// Elsewhere there is none.
#[cfg(not(windows))]
mod live {
    use super::Machine;
    use anyhow::bail;
    use cv_capture::snapshot::Snapshot;
    use std::path::Path;

    pub fn warnings() -> Vec<String> {
        Vec::new()
    }

    pub fn journal() -> Option<(u64, u64)> {
        None
    }

    pub fn machine(_: &Path) -> anyhow::Result<Machine> {
        bail!("this is no Windows whose state could be noted")
    }

    pub fn machine_since(_: &Snapshot, _: Option<(u64, u64)>, state: &Path) -> anyhow::Result<Machine> {
        bail!(
            "{}: it is of the Windows that it was taken on, and goes on there alone",
            state.display()
        )
    }
}

/// What to note.
#[derive(Debug, Args)]
pub struct Start {
    /// The machine: a disk image, a folder laid out as drive C:, or a Wine prefix; on Windows without one the machine that this
    /// runs on
    #[cfg_attr(not(windows), arg(required = true))]
    machine: Option<PathBuf>,

    /// The folder that keeps the state of the capture
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,

    #[command(flatten)]
    opening: Opening,
}

impl Start {
    /// Takes the snapshot.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let state = State::new(&self.state)?;
        let journal = self.machine.is_none().then(live::journal).flatten();
        let machine = match &self.machine {
            Some(path) => Machine::open(path, &self.opening, threads())?,
            None => live::machine(&self.state)?,
        };
        for problem in &machine.snapshot.problems {
            print::warn(&print::printable(&problem.to_string()));
        }
        let note = MachineNote {
            path: self.machine.as_ref().map(|path| path.canonicalize()).transpose()?,
            warnings: match self.machine {
                Some(_) => Vec::new(),
                None => live::warnings(),
            },
            journal,
            installer: None,
        };
        for warning in note.readiness(&machine.snapshot).warnings {
            print::warn(&warning);
        }
        save(&machine.snapshot, &state.before()).with_context(|| state.before().display().to_string())?;
        state.note_machine(&note)?;
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
        let after = match &note.path {
            Some(path) => Machine::open(path, &self.opening, threads())?,
            None => live::machine_since(&before, note.journal, &self.state)?,
        };
        let platform = after.snapshot.platform;
        let rules = self.output.rules(platform)?;
        let sides = Sides {
            before: &before,
            after: &after.snapshot,
            contents: None,
            storage: &after.storage,
        };
        let gathered = gather(&sides, &rules, threads());
        let readiness = note.readiness(&before);
        state.keep(&gathered, &readiness, platform)?;
        let options = LayerOptions {
            method: "finish".to_owned(),
            sources: note.installer.as_ref().map_or_else(Vec::new, |ran| ran.command.clone()),
            installer: note.installer,
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
