//! `cvtool completions` and `cvtool man`: what shells and `man` know of the command, made from its own description.

use crate::{Outcome, command};
use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use std::io;
use std::path::PathBuf;

/// Which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Where to write them.
#[derive(Debug, Args)]
pub struct Man {
    /// The folder of the pages; `man -l` shows one of them
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
}

impl Completions {
    /// Prints the script that completes the command's words.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "cvtool", &mut script);
        io::Write::write_all(&mut io::stdout().lock(), &script)?;
        Ok(Outcome::Done)
    }
}

impl Man {
    /// Writes the pages of all commands.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.output.display().to_string();
        std::fs::create_dir_all(&self.output).with_context(name)?;
        clap_mangen::generate_to(command(), &self.output).with_context(name)?;
        Ok(Outcome::Done)
    }
}
