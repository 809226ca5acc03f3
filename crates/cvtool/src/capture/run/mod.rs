//! `cvtool capture run`: on Windows where it runs, elsewhere in a Wine prefix.

#[cfg(windows)]
mod here;
mod installer;
mod output;
#[cfg(not(windows))]
mod wine;

use super::output::LayerOutput;
use clap::Args;
use cv_capture::build::Installer;
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
}
