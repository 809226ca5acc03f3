//! `cvtool run`.

use crate::{Outcome, interrupt};
use clap::Args;
use layerfs::run::{RunOptions, run};
use layerfs::sources::Allowed;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

/// What to run, and on what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The Wine prefix that everything stands on; it is not written
    #[arg(long, visible_alias = "base", value_name = "PREFIX")]
    prefix: PathBuf,

    /// A layer in its disk image; each stands above those before it
    #[arg(long = "layer", value_name = "LAYER")]
    layers: Vec<PathBuf>,

    /// The folder that takes what the program writes, files and registry; without it that is thrown away
    #[arg(long, value_name = "DIR")]
    writable: Option<PathBuf>,

    /// Also open parents and extents in this folder and below; without it only those in the image's own folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,

    /// The program, as a path on drive C: or a name in PATH, and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

impl Arguments {
    /// Runs the program, and gives the exit status that it gave.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let mut words = self.command.iter().cloned();
        let options = RunOptions {
            prefix: self.prefix.clone(),
            layers: self.layers.clone(),
            writable: self.writable.clone(),
            allowed: Allowed {
                folders: self.allow.clone(),
            },
            program: words.next().unwrap_or_default(),
            arguments: words.collect(),
        };
        let status = run(&options, &interrupt::asked)?;
        // As shells say it of programs that a signal ended.
        let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
        Ok(Outcome::Program(u8::try_from(code.unwrap_or(2)).unwrap_or(2)))
    }
}
