//! `cvtool reg recover`.

use crate::{Outcome, print, whole_file};
use anyhow::{Context, bail};
use clap::Args;
use cv_hive::file::{Content, HiveState, LogFile, RegistryFile, logs_beside};
use std::io::Write;
use std::path::PathBuf;

/// What to recover.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The hive
    file: PathBuf,

    /// A transaction log; without any, FILE.LOG1, FILE.LOG2 and FILE.LOG
    #[arg(long = "log", value_name = "LOG")]
    logs: Vec<PathBuf>,

    /// Where to write the hive; without it, the hive itself is replaced
    #[arg(short, long, value_name = "OUT")]
    out: Option<PathBuf>,
}

impl Arguments {
    /// Recovers; a clean hive is only written where another file is to hold it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.file.display().to_string();
        let bytes = std::fs::read(&self.file).with_context(name)?;
        let logs = if self.logs.is_empty() {
            logs_beside(&self.file).with_context(name)?
        } else {
            let read = |path: &PathBuf| -> anyhow::Result<LogFile> {
                let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
                let path = path.clone();
                Ok(LogFile { path, bytes })
            };
            self.logs.iter().map(read).collect::<Result<_, _>>()?
        };
        let file = RegistryFile::from_bytes(bytes, "", logs).with_context(name)?;
        let Content::Hive(bytes) = &file.content else {
            bail!("{}: it is no hive", name());
        };
        let mut out = std::io::stdout().lock();
        let is_changed = match file.state {
            HiveState::Clean => {
                writeln!(out, "{}: it is clean", name())?;
                false
            }
            HiveState::Dirty(error) => return Err(error).with_context(name),
            HiveState::Recovered(ref recovered) => {
                for place in &recovered.logs {
                    if let Some(log) = file.logs.get(*place) {
                        writeln!(out, "applied: {}", log.path.display())?;
                    }
                }
                writeln!(out, "{} entries, {} bytes", recovered.entries, recovered.written)?;
                if let Some((place, damage)) = &recovered.stopped {
                    let log = file
                        .logs
                        .get(*place)
                        .map(|log| log.path.display().to_string())
                        .unwrap_or_default();
                    print::warn(&format!(
                        "{log}: the rest is not applied: {}",
                        print::printable(&damage.to_string())
                    ));
                }
                true
            }
        };
        if is_changed || self.out.is_some() {
            let target = self.out.as_ref().unwrap_or(&self.file);
            whole_file::write(target, bytes).with_context(|| target.display().to_string())?;
        }
        Ok(Outcome::Done)
    }
}
