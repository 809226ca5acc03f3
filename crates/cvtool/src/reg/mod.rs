//! `cvtool reg …`: registry hives, `.reg` files and Wine's registry files.

mod check;
mod diff;
mod edit;
mod export;
pub mod get;
mod list;
mod recover;
mod source;
mod value;

use crate::Outcome;
use clap::{Args, Subcommand};

/// The commands on registries.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    after_help = "A key is written in full, as HKLM\\SOFTWARE\\Vendor, or from the hive's root on, as Vendor; / separates names \
                  where there is no \\. A dirty hive is recovered in memory from the logs beside it. A file named as one of \
                  the commands is written ./get."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    list: Option<list::List>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one value
    Get(get::Arguments),
    /// Set a value of a hive, or add a key
    Set(edit::Set),
    /// Delete a value of a hive, or a key with everything below it
    Delete(edit::Delete),
    /// Do to a hive what a .reg file says
    Import(edit::Import),
    /// Look for faults in a hive; exit 1 if there are any
    Check(check::Arguments),
    /// Bring a dirty hive up to date from its transaction logs
    Recover(recover::Arguments),
    /// Compare two registries; exit 1 if they differ
    Diff(diff::Arguments),
}

impl Arguments {
    /// Does what the user asked.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        match (&self.command, &self.list) {
            (Some(Command::Get(arguments)), _) => arguments.run(),
            (Some(Command::Set(arguments)), _) => arguments.run(),
            (Some(Command::Delete(arguments)), _) => arguments.run(),
            (Some(Command::Import(arguments)), _) => arguments.run(),
            (Some(Command::Check(arguments)), _) => arguments.run(),
            (Some(Command::Recover(arguments)), _) => arguments.run(),
            (Some(Command::Diff(arguments)), _) => arguments.run(),
            (None, Some(arguments)) => arguments.run(),
            (None, None) => anyhow::bail!("no file is named"),
        }
    }
}
