//! An installer in a Wine prefix.

use super::Arguments;
use super::installer::words;
use super::output::Output;
use crate::capture::machine::Machine;
use crate::image::source::Opening;
use crate::volume::source::threads;
use crate::{Outcome, interrupt};
use anyhow::{Context, anyhow, bail};
use cv_capture::build::Installer;
use cv_capture::snapshot::readiness;
use cv_wine::{Prefix, WineError};
use std::ffi::OsString;
use std::process::Stdio;
use std::time::{Duration, Instant};

impl Arguments {
    /// Runs the installer and makes the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let wine = Wine {
            prefix: self.prefix()?,
            deadline: Instant::now() + Duration::from_secs(self.timeout),
        };
        if !self.wine.join("system.reg").is_file() {
            wine.run(&["wineboot".into(), "-i".into()])?;
        }
        // What Wine does when it first starts is not the installer's.
        wine.settle()?;
        let opening = Opening::default();
        let before = Machine::open(&self.wine, &opening, threads())?;
        let installer = wine.install(&self.command)?;
        self.check(&installer)?;
        let after = Machine::open(&self.wine, &opening, threads())?;
        self.make_layer(&before, &after, readiness(&before.snapshot), installer)
    }

    fn prefix(&self) -> anyhow::Result<Prefix> {
        let folder = || self.wine.display().to_string();
        std::fs::create_dir_all(&self.wine).with_context(folder)?;
        Ok(Prefix::new(&self.wine.canonicalize().with_context(folder)?)?)
    }
}

/// A Wine prefix, and the time until which programs may run in it.
struct Wine {
    prefix: Prefix,
    deadline: Instant,
}

impl Wine {
    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    fn stopped(error: WineError) -> anyhow::Error {
        match error {
            WineError::Stopped if !interrupt::asked() => anyhow!("the time is up"),
            error => error.into(),
        }
    }

    fn settle(&self) -> anyhow::Result<()> {
        let settled = self.prefix.settle(&|| self.is_late() || interrupt::asked());
        settled.map_err(Self::stopped)
    }

    /// Runs a program to its end; gives its exit code and what it wrote.
    fn run(&self, words: &[OsString]) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = self.prefix.loader();
        command.args(words).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut output = Output::default();
        let ended = self.prefix.run(&mut command, |child| output = Output::of(child), &|| {
            self.is_late() || interrupt::asked()
        });
        let status = ended.map_err(Self::stopped)?;
        Ok((status.code(), output.text()))
    }

    /// Runs the installer, and what is to run after a restart where it wants one.
    fn install(&self, command: &[OsString]) -> anyhow::Result<Installer> {
        // Windows Installer takes no path of the host.
        let all = words(command, |path| {
            let mut windows = OsString::from("Z:");
            windows.push(path.to_string_lossy().replace('/', r"\"));
            windows
        })?;
        let started = Instant::now();
        let (exit_code, output) = self.run(&all)?;
        let installer = Installer {
            command: command.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
            exit_code: exit_code.map(Installer::code_of_low_byte),
            seconds: started.elapsed().as_secs(),
            output,
        };
        if installer.wants_reboot() {
            let (code, told) = self.run(&["wineboot".into(), "-r".into()])?;
            if code != Some(0) {
                let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
                bail!("Wine did not start again after the installer: {code}: {}", told.trim());
            }
        }
        Ok(installer)
    }
}
