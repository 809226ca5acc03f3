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
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

impl Arguments {
    /// Runs the installer and makes the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let wine = Wine::new(&self.wine)?;
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        if !self.wine.join("system.reg").is_file() {
            wine.run(&["wineboot".into(), "-i".into()], deadline)?;
        }
        // What Wine does when it first starts is not the installer's.
        wine.settle(deadline)?;
        let opening = Opening::default();
        let before = Machine::open(&self.wine, &opening, threads())?;
        let installer = wine.install(&self.command, deadline)?;
        self.check(&installer)?;
        let after = Machine::open(&self.wine, &opening, threads())?;
        self.make_layer(&before, &after, readiness(&before.snapshot), installer)
    }
}

/// A Wine prefix and the programs that run in it.
struct Wine {
    prefix: PathBuf,
    loader: &'static str,
}

impl Wine {
    fn new(prefix: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(prefix).with_context(|| prefix.display().to_string())?;
        let is_there = |name: &&str| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
        };
        let loader = ["wine64", "wine"].into_iter().find(is_there);
        Ok(Self {
            prefix: prefix.canonicalize()?,
            loader: loader.ok_or_else(|| anyhow!("Wine is not installed: neither wine64 nor wine is in PATH"))?,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            // No menus and file types on the host's desktop, and no questions about packages that Wine would fetch.
            .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
            .stdin(Stdio::null());
        command
    }

    /// Waits until no program of the prefix runs any more and its registry is written.
    fn settle(&self, deadline: Instant) -> anyhow::Result<()> {
        let mut server = self.command("wineserver");
        let server = server.arg("-w").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = server.spawn().context("wineserver")?;
        self.wait(&mut child, deadline)?;
        Ok(())
    }

    /// Waits for a program; all of the prefix are ended when it takes too long.
    fn wait(&self, child: &mut Child, deadline: Instant) -> anyhow::Result<Option<i32>> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.code());
            }
            let is_late = Instant::now() >= deadline;
            if is_late || interrupt::asked() {
                let _ = self.command("wineserver").arg("-k").status();
                let _ = child.kill();
                child.wait()?;
                bail!("{}", if is_late { "the time is up" } else { "interrupted" });
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn run(&self, arguments: &[OsString], deadline: Instant) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = self.command(self.loader);
        let command = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context(self.loader)?;
        let output = Output::of(&mut child);
        let code = self.wait(&mut child, deadline)?;
        self.settle(deadline)?;
        Ok((code, output.text()))
    }

    /// Runs the installer, and what is to run after a restart where it wants one.
    fn install(&self, command: &[OsString], deadline: Instant) -> anyhow::Result<Installer> {
        // Windows Installer takes no path of the host.
        let all = words(command, |path| {
            let mut windows = OsString::from("Z:");
            windows.push(path.to_string_lossy().replace('/', r"\"));
            windows
        })?;
        let started = Instant::now();
        let (exit_code, output) = self.run(&all, deadline)?;
        let installer = Installer {
            command: command.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
            exit_code: exit_code.map(Installer::code_of_low_byte),
            seconds: started.elapsed().as_secs(),
            output,
        };
        if installer.wants_reboot() {
            let (code, told) = self.run(&["wineboot".into(), "-r".into()], deadline)?;
            if code != Some(0) {
                let code = code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
                bail!("Wine did not start again after the installer: {code}: {}", told.trim());
            }
        }
        Ok(installer)
    }
}
