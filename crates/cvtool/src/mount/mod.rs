//! The merged view: `mount`, `run`, `attach`, `detach`, `order`, `status`, `explain` on a live stack.

pub mod attach;
pub mod detach;
pub mod log;
pub mod order;
pub mod run;
pub mod start;
pub mod status;
pub mod writable;

use crate::{Outcome, print};
use anyhow::bail;
use layerfs::control::{self, Reply, Request};
use layerfs::scripts::ScriptRun;
use std::path::Path;

/// Asks a mount; what it could not do is an error.
fn ask(mountpoint: &Path, request: &Request) -> anyhow::Result<Reply> {
    match control::ask(mountpoint, request)? {
        Reply::Failed { message } => bail!(message),
        reply => Ok(reply),
    }
}

/// Tells which scripts did not do well.
fn tell_scripts(runs: &[ScriptRun]) -> Outcome {
    for run in runs.iter().filter(|run| !run.is_good()) {
        let why = match (run.exit_code, run.signal, &run.not_run) {
            _ if run.timed_out => "took too long and was ended".to_owned(),
            (Some(code), ..) => format!("ended with exit code {code}"),
            (_, Some(signal), _) => format!("was ended by signal {signal}"),
            (_, _, Some(why)) => format!("did not run: {why}"),
            _ => "did not run".to_owned(),
        };
        let said = run.output.trim_end();
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(": {said}")
        };
        print::warn(&print::printable(&format!("the script {} {why}{said}", run.name)));
    }
    if runs.iter().all(ScriptRun::is_good) {
        Outcome::Done
    } else {
        Outcome::Found
    }
}
