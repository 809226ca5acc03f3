//! The temporary prefix, and Wine in it.

use super::{RunError, host};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often it is looked whether the program has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// Files of a prefix, besides its registry, that Wine looks at: templates for new users, and when it was brought up to date.
const FILES: [&str; 2] = ["userdef.reg", ".update-timestamp"];

/// Gives the prefix `to` the drives of `from`, but for C:, which leads to `drive`.
pub(super) fn copy_links(from: &Path, to: &Path, drive: &Path) -> Result<(), RunError> {
    let (devices, new) = (from.join("dosdevices"), to.join("dosdevices"));
    std::fs::create_dir(&new).map_err(host(&new))?;
    std::os::unix::fs::symlink(drive, new.join("c:")).map_err(host(&new))?;
    for entry in std::fs::read_dir(&devices).map_err(host(&devices))? {
        let entry = entry.map_err(host(&devices))?;
        // Links lead from where they stand.
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        if entry.file_name() == "c:" {
            continue;
        }
        let target = std::path::absolute(devices.join(target)).map_err(host(&devices))?;
        std::os::unix::fs::symlink(target, new.join(entry.file_name())).map_err(host(&new))?;
    }
    for name in FILES {
        let file = from.join(name);
        if file.is_file() {
            std::fs::copy(&file, to.join(name)).map_err(host(&file))?;
        }
    }
    Ok(())
}

/// A prefix in which programs run.
pub(super) struct Prefix<'a> {
    folder: &'a Path,
    loader: PathBuf,
}

/// Where Debian has the loader of 64 bits, which is in nobody's `PATH`.
const DEBIAN: &str = "/usr/lib/wine/wine64";

impl<'a> Prefix<'a> {
    pub(super) fn new(folder: &'a Path) -> Result<Self, RunError> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
        let in_path = |name: &str| {
            folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        };
        let debian = || Some(PathBuf::from(DEBIAN)).filter(|path| path.is_file());
        let loader = in_path("wine64").or_else(debian).or_else(|| in_path("wine"));
        let loader = loader.ok_or(RunError::NoWine)?;
        Ok(Self { folder, loader })
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("WINEPREFIX", self.folder).env("WINELOADER", &self.loader);
        let defaults = [
            ("WINEDEBUG", "-all"),
            // No menus and file types on the host's desktop, and no questions about packages that Wine would fetch.
            ("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml="),
        ];
        for (name, value) in defaults {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
    }

    /// Asks the server of the prefix for something.
    fn server(&self, argument: &str) -> Result<(), RunError> {
        let mut command = self.command("wineserver");
        let command = command.arg(argument).stdin(Stdio::null());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.map(drop).map_err(|source| RunError::Start {
            program: "wineserver",
            source,
        })
    }

    /// Runs `program`, whose first words are `command`, until nothing runs in the prefix and its registry is written.
    pub(super) fn run(
        &self,
        command: &[OsString],
        arguments: &[OsString],
        is_interrupted: &dyn Fn() -> bool,
    ) -> Result<ExitStatus, RunError> {
        // The server is to end with the last program, not seconds later.
        self.server("-p0")?;
        let failed = |source| RunError::Start {
            program: "Wine",
            source,
        };
        let mut loader = self.command(&self.loader);
        let child = loader.args(command).args(arguments).spawn().map_err(failed);
        let mut child = child.inspect_err(|_| {
            let _ = self.server("-k");
        })?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                break status;
            }
            if is_interrupted() {
                let _ = self.server("-k");
                let _ = child.kill();
                let _ = child.wait();
                let _ = self.server("-w");
                return Err(RunError::Interrupted);
            }
            std::thread::sleep(PAUSE);
        };
        // What the program left running goes on until it ends, or the user has enough.
        let mut waiting = self.command("wineserver");
        let waiting = waiting.arg("-w").stdin(Stdio::null()).stdout(Stdio::null());
        let server_failed = |source| RunError::Start {
            program: "wineserver",
            source,
        };
        let mut waiting = waiting.stderr(Stdio::null()).spawn().map_err(server_failed)?;
        while waiting.try_wait().map_err(server_failed)?.is_none() {
            if is_interrupted() {
                let _ = self.server("-k");
                let _ = waiting.wait();
                return Err(RunError::Interrupted);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(status)
    }
}
