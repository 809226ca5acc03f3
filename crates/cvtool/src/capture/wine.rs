//! `cvtool capture run --wine`.

use super::machine::Machine;
use super::output::{LayerOutput, keep};
use crate::image::source::Opening;
use crate::volume::source::threads;
use crate::{Outcome, interrupt, print};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use cv_capture::build::{Installer, LayerOptions, Sides, gather};
use cv_capture::snapshot::readiness;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bytes of an installer's output that are kept.
const MOST_OUTPUT: usize = 64 << 10;

/// What to run, and where.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The Wine prefix; one that is not there is made
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
        if let Some(code) = installer.exit_code
            && !installer.succeeded()
            && !self.accept.contains(&code)
        {
            for line in installer.output.lines() {
                print::warn(&print::printable(line));
            }
            bail!("the installer failed: its exit code is {code}");
        }
        let after = Machine::open(&self.wine, &opening, threads())?;
        let platform = after.snapshot.platform;
        let rules = self.output.rules(platform)?;
        let sides = Sides {
            before: &before.snapshot,
            after: &after.snapshot,
            contents: None,
            storage: &after.storage,
        };
        let gathered = gather(&sides, &rules, threads());
        let readiness = readiness(&before.snapshot);
        keep(self.state.as_deref(), &gathered, &readiness, platform)?;
        let options = LayerOptions {
            method: "run".to_owned(),
            sources: installer.command.clone(),
            installer: Some(installer),
            ..LayerOptions::default()
        };
        self.output.write(gathered, &rules, readiness, options)
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
        // Programs that go on in the background hold the pipes open: their output is taken as it comes.
        let output = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let pipes = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for mut pipe in pipes.into_iter().flatten() {
            let output = output.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                    let mut output = output.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    output.extend_from_slice(&buffer[..length]);
                    let excess = output.len().saturating_sub(MOST_OUTPUT);
                    output.drain(..excess);
                }
            });
        }
        let code = self.wait(&mut child, deadline)?;
        self.settle(deadline)?;
        let output = output.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((code, String::from_utf8_lossy(&output).into_owned()))
    }

    /// Runs the installer, and what is to run after a restart where it wants one.
    fn install(&self, command: &[OsString], deadline: Instant) -> anyhow::Result<Installer> {
        let (program, arguments) = command.split_first().context("no installer is given")?;
        let path = Path::new(program);
        let program = if path.is_file() {
            path.canonicalize()?.into_os_string()
        } else {
            program.clone()
        };
        let mut all: Vec<OsString> = Vec::new();
        if path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case(OsStr::new("msi")))
        {
            // Windows Installer takes no path of the host.
            let mut windows = OsString::from("Z:");
            windows.push(program.to_string_lossy().replace('/', r"\"));
            all.extend(["msiexec".into(), "/i".into(), windows]);
            if !arguments
                .iter()
                .any(|argument| argument.to_string_lossy().to_lowercase().starts_with("/q"))
            {
                all.push("/qn".into());
            }
            all.push("/norestart".into());
        } else {
            all.push(program);
        }
        all.extend_from_slice(arguments);
        let started = Instant::now();
        let (exit_code, output) = self.run(&all, deadline)?;
        let installer = Installer {
            command: command.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
            exit_code: exit_code.map(Installer::code_of_low_byte),
            seconds: started.elapsed().as_secs(),
            output,
        };
        if installer.wants_reboot() {
            self.run(&["wineboot".into(), "-r".into()], deadline)?;
        }
        Ok(installer)
    }
}
