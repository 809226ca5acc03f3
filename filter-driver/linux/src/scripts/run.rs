//! Running one script: beside its fellows in a folder of their own, in the view, for so long and no longer.

use super::{Moment, ScriptSet};
use crate::view::{MemberFacts, lock};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes of what a script says that are kept.
const SAID: usize = 64 << 10;

/// How long after a script's end is waited for what it said, where a process that it left behind holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How a script went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScriptRun {
    /// When it ran.
    pub moment: Moment,
    /// Its name in `\Scripts`.
    pub name: String,
    /// Its exit code; `None` where a signal ended it or it did not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signal: Option<i32>,
    /// Whether it was ended because its time was up.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub timed_out: bool,
    /// Why it did not run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_run: Option<String>,
    /// What it said on both outputs, up to 64 KiB.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub output: String,
    /// How long it ran, in microseconds.
    pub took_us: u64,
}

impl ScriptRun {
    /// Whether it ran and said that all is well.
    pub fn is_good(&self) -> bool {
        self.exit_code == Some(0)
    }
}

/// How scripts run in a mount.
#[derive(Debug, Clone)]
pub struct Runner {
    /// Where the view is.
    pub mountpoint: PathBuf,
    /// How long a script may run.
    pub limit: Duration,
    /// The prefix for scripts of Windows; without one it is the view where that is one, or is the drive of one.
    pub wine_prefix: Option<PathBuf>,
}

/// What runs a script.
enum Interpreter {
    Itself,
    Shell,
    Wine(&'static [&'static str]),
}

fn interpreter(name: &str, content: &[u8]) -> Option<Interpreter> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if content.starts_with(b"#!") || content.starts_with(b"\x7fELF") {
        return Some(Interpreter::Itself);
    }
    match &*extension.to_ascii_lowercase() {
        "sh" => Some(Interpreter::Shell),
        "cmd" | "bat" => Some(Interpreter::Wine(&["cmd", "/c"])),
        "exe" | "com" => Some(Interpreter::Wine(&[])),
        "ps1" => Some(Interpreter::Wine(&[
            "powershell",
            "-NoProfile",
            "-ExecutionPolicy",
            "Bypass",
            "-File",
        ])),
        "vbs" | "js" => Some(Interpreter::Wine(&["cscript", "//nologo"])),
        _ => None,
    }
}

impl Runner {
    /// Runs the script of a layer for a moment; `None` where it has none.
    pub fn run(&self, scripts: &ScriptSet, moment: Moment, layer: &MemberFacts) -> Option<ScriptRun> {
        let name = scripts.script(moment)?;
        let begun = Instant::now();
        let mut run = ScriptRun {
            moment,
            name: name.to_owned(),
            exit_code: None,
            signal: None,
            timed_out: false,
            not_run: None,
            output: String::new(),
            took_us: 0,
        };
        match self.start(scripts, name, moment, layer) {
            Ok((folder, child)) => {
                self.wait(child, begun, &mut run);
                drop(folder);
            }
            Err(error) => run.not_run = Some(error.to_string()),
        }
        run.took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        Some(run)
    }

    fn start(
        &self,
        scripts: &ScriptSet,
        name: &str,
        moment: Moment,
        layer: &MemberFacts,
    ) -> io::Result<(tempfile::TempDir, Child)> {
        let content = scripts.files.iter().find(|(other, _)| other == name);
        let content = content.map_or(&[][..], |(_, content)| content);
        let interpreter =
            interpreter(name, content).ok_or_else(|| io::Error::other("nothing here runs scripts of this kind"))?;
        let prefix = match interpreter {
            Interpreter::Wine(_) => Some(
                self.prefix()
                    .ok_or_else(|| io::Error::other("a script of Windows, and no Wine prefix is known"))?,
            ),
            _ => None,
        };
        let folder = tempfile::Builder::new().prefix("cvtool-scripts-").tempdir()?;
        for (name, content) in &scripts.files {
            let path = folder.path().join(name);
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        let script = folder.path().join(name);
        let mut command = match interpreter {
            Interpreter::Itself => Command::new(&script),
            Interpreter::Shell => {
                let mut shell = Command::new("/bin/sh");
                shell.arg(&script);
                shell
            }
            Interpreter::Wine(arguments) => {
                let mut wine = Command::new("wine");
                wine.args(arguments).arg(windows_path(&script));
                wine
            }
        };
        if let Some(prefix) = prefix {
            command.env("WINEPREFIX", prefix);
        }
        command
            .current_dir(&self.mountpoint)
            .env("CVTOOL_EVENT", moment.name())
            .env("CVTOOL_MOUNT", &self.mountpoint)
            .env("CVTOOL_LAYER", &layer.source)
            .env("CVTOOL_LAYER_ID", uuid::Uuid::from_bytes(layer.uuid).to_string())
            .env("CVTOOL_LAYER_NAME", layer.name.as_deref().unwrap_or_default())
            .env("CVTOOL_SCRIPTS", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what it started ends with it.
            .process_group(0);
        Ok((folder, command.spawn()?))
    }

    /// The prefix in which scripts of Windows see the view.
    fn prefix(&self) -> Option<PathBuf> {
        let is_prefix = |folder: &Path| folder.join("system.reg").is_file() && folder.join("drive_c").is_dir();
        if let Some(prefix) = &self.wine_prefix {
            return Some(prefix.clone());
        }
        if is_prefix(&self.mountpoint) {
            return Some(self.mountpoint.clone());
        }
        let above = self.mountpoint.parent()?;
        (self.mountpoint.file_name() == Some("drive_c".as_ref()) && is_prefix(above)).then(|| above.to_path_buf())
    }

    fn wait(&self, mut child: Child, begun: Instant, run: &mut ScriptRun) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let readers = [
            child.stdout.take().map(|pipe| listen(pipe, &said)),
            child.stderr.take().map(|pipe| listen(pipe, &said)),
        ];
        let mut pause = Duration::from_millis(1);
        let ended: io::Result<ExitStatus> = loop {
            match child.try_wait() {
                Ok(None) if begun.elapsed() >= self.limit => {
                    run.timed_out = true;
                    end_group(&child);
                    break child.wait();
                }
                Ok(None) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(error),
            }
        };
        let ended_at = Instant::now();
        while ended_at.elapsed() < LAST_WORDS && readers.iter().flatten().any(|reader| !reader.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
        }
        run.output = String::from_utf8_lossy(&lock(&said)).into_owned();
        match ended {
            Ok(status) => (run.exit_code, run.signal) = (status.code(), status.signal()),
            Err(error) => run.not_run = Some(error.to_string()),
        }
    }
}

/// Ends a script and what it started.
fn end_group(child: &Child) {
    let group = rustix::process::Pid::from_child(child);
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
}

/// Reads a pipe to its end and keeps the beginning.
fn listen(mut pipe: impl Read + Send + 'static, said: &Arc<Mutex<Vec<u8>>>) -> std::thread::JoinHandle<()> {
    let said = said.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let mut said = lock(&said);
            let room = SAID.saturating_sub(said.len()).min(count);
            said.extend_from_slice(&buffer[..room]);
        }
    })
}

/// A path of the host as programs under Wine have it.
fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}
