//! `cvtool capture`: recording an install into a layer.

mod diff;
mod machine;
mod output;
mod rules;
mod state;
mod steps;
mod wine;

use crate::Outcome;
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a layer of what changed between two disk images, folders or Wine prefixes
    Diff(diff::Arguments),
    /// Run an installer in a Wine prefix and make a layer of what it changed
    Run(wine::Arguments),
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
