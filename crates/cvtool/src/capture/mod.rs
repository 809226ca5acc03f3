//! `cvtool capture`: recording an install into a layer.

mod diff;
mod machine;
mod output;
mod rules;
mod run;
mod state;
mod steps;

use crate::Outcome;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a layer of what changed between two disk images, folders or Wine prefixes
    Diff(diff::Arguments),
    /// Run an installer and make a layer of what it changed: on Windows where this runs, elsewhere in a Wine prefix
    Run(run::Arguments),
    /// Note what a machine looks like before an install
    Start(steps::Start),
    /// Make a layer of what changed since `capture start`
    Finish(steps::Finish),
    /// Make the layer of a capture again with other rules, without installing again
    Rebuild(steps::Rebuild),
    /// Work on rule files
    #[command(subcommand)]
    Rules(rules::Command),
}

impl Command {
    /// Does it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        match self {
            Self::Diff(arguments) => arguments.run(),
            Self::Run(arguments) => arguments.run(),
            Self::Start(arguments) => arguments.run(),
            Self::Finish(arguments) => arguments.run(),
            Self::Rebuild(arguments) => arguments.run(),
            Self::Rules(command) => command.run(),
        }
    }
}
