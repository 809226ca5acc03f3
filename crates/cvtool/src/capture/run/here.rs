//! An installer on the Windows that this runs on.

use super::Arguments;
use super::installer::words;
use super::output::Output;
use crate::capture::machine::Machine;
use crate::capture::state::{MachineNote, State};
use crate::volume::source::threads;
use crate::{Outcome, interrupt, print};
use anyhow::{Context, bail};
use cv_capture::build::Installer;
use cv_capture::snapshot::{journal_position, live_warnings, save};
use cv_windows::{Ended, Job};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

impl Arguments {
    /// Runs the installer and makes the layer. Where the installer wants a restart, what is known so far is kept for
    /// `capture finish`.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let folder = self.state.clone().unwrap_or_else(|| beside(self.output.target()));
        let is_own = self.state.is_none() && !folder.exists();
        let mut goes_on = false;
        let result = self.run_with(&folder, &mut goes_on);
        if is_own && !goes_on {
            let _ = std::fs::remove_dir_all(&folder);
        }
        result
    }

    fn run_with(&self, folder: &Path, goes_on: &mut bool) -> anyhow::Result<Outcome> {
        let state = State::new(folder)?;
        let left_out = [folder.to_path_buf()];
        // What happens while the snapshot is taken counts as well.
        let journal = journal_position().map(|position| (position.journal, position.next));
        let before = Machine::live(&left_out, threads())?;
        let mut note = MachineNote {
            path: None,
            warnings: live_warnings(),
            journal,
            installer: None,
        };
        let readiness = note.readiness(&before.snapshot);
        // An installer may restart the machine by itself.
        save(&before.snapshot, &state.before()).with_context(|| state.before().display().to_string())?;
        state.note_machine(&note)?;
        let installer = self.install()?;
        self.check(&installer)?;
        if installer.wants_reboot() {
            *goes_on = true;
            note.installer = Some(installer);
            state.note_machine(&note)?;
            print::warn(&format!(
                "the installer wants a restart: restart Windows, then run `cvtool capture finish --state {} -o {}`",
                folder.display(),
                self.output.target().display()
            ));
            return Ok(Outcome::Incomplete);
        }
        let after = Machine::live_since(&before.snapshot, journal, &left_out, threads())?;
        self.make_layer(&before, &after, readiness, installer)
    }

    /// Runs the installer and all that it starts to its end.
    fn install(&self) -> anyhow::Result<Installer> {
        const ELEVATION_REQUIRED: i32 = 740;
        let words = words(&self.command, |path| path.as_os_str().to_owned())?;
        let name = || words[0].to_string_lossy().into_owned();
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut job = match Job::start(&mut command) {
            Ok(job) => job,
            Err(error) if error.raw_os_error() == Some(ELEVATION_REQUIRED) => {
                bail!("{}: it must be run as administrator, and so must cvtool", name())
            }
            Err(error) => return Err(error).with_context(name),
        };
        let output = Output::of(job.child());
        let deadline = started + Duration::from_secs(self.timeout);
        let mut reason = None;
        let ended = job.wait(&mut || {
            let is_late = Instant::now() >= deadline;
            if is_late || interrupt::asked() {
                reason = Some(if is_late { "the time is up" } else { "interrupted" });
            }
            reason.is_some()
        })?;
        let exit_code = match ended {
            Ended::ByItself(code) => code,
            Ended::Stopped => bail!("{}", reason.unwrap_or("interrupted")),
        };
        let shown = |word: &OsString| word.to_string_lossy().into_owned();
        Ok(Installer {
            command: self.command.iter().map(shown).collect(),
            exit_code: Some(exit_code),
            seconds: started.elapsed().as_secs(),
            output: output.text(),
        })
    }
}

/// The folder for the state of a capture that nobody wants to keep, unless a restart comes between.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".state");
    name.into()
}
