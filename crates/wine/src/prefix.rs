//! A prefix, and Wine in it.

use crate::watch::Watch;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often it is looked whether a program has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Where Debian has the loader of 64 bits, which is in nobody's `PATH`.
const DEBIAN: &str = "/usr/lib/wine/wine64";

/// What starts programs, for messages.
const LOADER: &str = "Wine";

/// What ends and tells of all that runs in a prefix.
pub(crate) const SERVER: &str = "wineserver";

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WineError {
    /// Wine is missing.
    #[error("Wine is not installed: neither wine64 nor wine is in PATH")]
    NotInstalled,
    /// A program of Wine, or what watches over it, could not be started or waited for.
    #[error("cannot run {program}")]
    Start {
        /// Which.
        program: &'static str,
        /// What failed.
        source: io::Error,
    },
    /// The caller wanted it to end before it did; all that ran in the prefix has ended.
    #[error("interrupted")]
    Stopped,
}

/// A prefix in which programs run.
#[derive(Debug)]
pub struct Prefix {
    folder: PathBuf,
    loader: PathBuf,
}

impl Prefix {
    /// The prefix in `folder`, by its whole path; nothing in it is looked at.
    pub fn new(folder: &Path) -> Result<Self, WineError> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
        let in_path = |name: &str| {
            let mut there = folders.iter().map(|folder| folder.join(name));
            there.find(|path| path.is_file())
        };
        let debian = || Some(PathBuf::from(DEBIAN)).filter(|path| path.is_file());
        let loader = in_path("wine64").or_else(debian).or_else(|| in_path("wine"));
        Ok(Self {
            folder: folder.to_path_buf(),
            loader: loader.ok_or(WineError::NotInstalled)?,
        })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that runs the program of Windows in its arguments. Messages of Wine itself, menus on the host's desktop and
    /// packages that Wine would ask for are off, unless the environment says otherwise.
    pub fn loader(&self) -> Command {
        self.command(&self.loader)
    }

    /// A program of the host that finds the prefix by its environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("WINEPREFIX", &self.folder).env("WINELOADER", &self.loader);
        let defaults = [
            ("WINEDEBUG", "-all"),
            ("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml="),
        ];
        for (name, value) in defaults {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }

    fn server(&self, argument: &str) -> Result<Child, WineError> {
        let mut command = self.command(SERVER);
        let command = command.arg(argument).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map_err(failed(SERVER))
    }

    /// Ends all that runs in the prefix.
    fn end(&self) {
        if let Ok(mut server) = self.server("-k") {
            let _ = server.wait();
        }
        if let Ok(mut server) = self.server("-w") {
            let _ = server.wait();
        }
    }

    /// Waits until nothing runs in the prefix and its registry is written. `is_stopped` is asked from time to time whether all
    /// shall be ended at once.
    pub fn settle(&self, is_stopped: &dyn Fn() -> bool) -> Result<(), WineError> {
        let settled = wait(self.server("-w")?, SERVER, is_stopped).map(drop);
        if settled.is_err() {
            self.end();
        }
        settled
    }

    /// Runs what `command`, a [`loader`](Self::loader), runs, and waits until that and all that it started have ended and the
    /// registry is written. `started` gets the process at first. `is_stopped` as for [`settle`](Self::settle).
    pub fn run(
        &self,
        command: &mut Command,
        started: impl FnOnce(&mut Child),
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<ExitStatus, WineError> {
        let watch = Watch::start(self).map_err(failed("sh"))?;
        // The server is to end with the last program, not seconds later.
        let _ = self.server("-p0")?.wait();
        let result = command.spawn().map_err(failed(LOADER)).and_then(|mut child| {
            started(&mut child);
            let status = wait(child, LOADER, is_stopped)?;
            wait(self.server("-w")?, SERVER, is_stopped)?;
            Ok(status)
        });
        if result.is_err() {
            self.end();
        }
        watch.dismiss();
        result
    }
}

fn wait(mut child: Child, program: &'static str, is_stopped: &dyn Fn() -> bool) -> Result<ExitStatus, WineError> {
    loop {
        if let Some(status) = child.try_wait().map_err(failed(program))? {
            return Ok(status);
        }
        if is_stopped() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(WineError::Stopped);
        }
        std::thread::sleep(PAUSE);
    }
}

fn failed(program: &'static str) -> impl FnOnce(io::Error) -> WineError {
    move |source| WineError::Start { program, source }
}
