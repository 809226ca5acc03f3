//! `cvtool mount`.

use super::{log, tell_scripts};
use crate::{Outcome, interrupt, print};
use anyhow::{Context, bail};
use clap::Args;
use layerfmt::sign::TrustFile;
use layerfs::events::EventLog;
use layerfs::facts::Owner;
use layerfs::integrity::Integrity;
use layerfs::sources::Allowed;
use layerfs::{MountOptions, Mounted};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What to mount, and where.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Arguments {
    /// What everything stands on: a folder, a Wine prefix, or a disk image with an NTFS volume
    #[arg(long, value_name = "DIR|IMAGE")]
    base: PathBuf,

    /// A layer in its disk image; each stands above those before it
    #[arg(long = "layer", value_name = "LAYER")]
    layers: Vec<PathBuf>,

    /// The folder that takes the writes, or a layer of kind `writable`, unpacked beside it until the mount ends; without it the
    /// view is read-only
    #[arg(long, value_name = "DIR|IMAGE")]
    writable: Option<PathBuf>,

    /// Where the view is to be seen: an empty folder
    mountpoint: PathBuf,

    /// Stay in the foreground until unmounted or interrupted
    #[arg(short, long)]
    foreground: bool,

    /// Take names that differ in case alone for different names
    #[arg(long)]
    case_sensitive: bool,

    /// Let other users look, as far as permissions allow
    #[arg(long)]
    allow_other: bool,

    /// The user whose the files of volumes are
    #[arg(long, value_name = "NUMBER")]
    uid: Option<u32>,

    /// The group whose the files of volumes are
    #[arg(long, value_name = "NUMBER")]
    gid: Option<u32>,

    /// The permissions that nobody has on files of volumes, in octal
    #[arg(long, value_name = "MODE", default_value = "022", value_parser = octal)]
    umask: u16,

    /// Threads that answer the kernel
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    /// Files that the kernel may know before it is asked to forget the oldest; each takes some 200 bytes of memory
    #[arg(long, value_name = "NUMBER")]
    known_files: Option<usize>,

    /// Have the kernel ask for every read and write of files in the writable folder
    #[arg(long)]
    no_passthrough: bool,

    /// Attach only layers that a key of this trust file signed, now and later
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,

    /// Hold all that is read from layers against the hashes of their indexes: what was changed gives an error
    #[arg(long)]
    verify_reads: bool,

    /// Run the scripts of layers when they are attached and detached, as the user who mounts; without it only where
    /// `attach` and `detach` ask for it
    #[arg(long)]
    run_scripts: bool,

    /// How long a script may run
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    script_limit: u32,

    /// The Wine prefix in which the scripts of Windows see the view
    #[arg(long, value_name = "PREFIX")]
    wine_prefix: Option<PathBuf>,

    /// Write in the base, a folder, what rules of layers exclude from layers and the writable folder
    #[arg(long)]
    base_writable: bool,

    /// Add what happens to this file, an event a line as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,

    /// Also open parents and extents in this folder and below; without it only those in the image's own folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,
}

fn octal(text: &str) -> Result<u16, String> {
    u16::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "expected an octal number up to 777".to_owned())
}

/// What the process in the background says once programs see the view.
const READY: &str = "ready";

/// Tells the process in the background that it is there.
const BACKGROUND: &str = "CVTOOL_MOUNT_IN_BACKGROUND";

impl Arguments {
    /// Mounts, and waits for the end where it stays in the foreground.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let is_background = std::env::var_os(BACKGROUND).is_some();
        if !self.foreground && !is_background {
            return run_in_background();
        }
        let defaults = MountOptions::new(&self.base);
        let options = MountOptions {
            layers: self.layers.clone(),
            writable: self.writable.clone(),
            allowed: Allowed {
                folders: self.allow.clone(),
            },
            case_sensitive: self.case_sensitive,
            allow_other: self.allow_other,
            owner: Owner {
                uid: self.uid.unwrap_or(defaults.owner.uid),
                gid: self.gid.unwrap_or(defaults.owner.gid),
                umask: self.umask,
            },
            threads: self.threads.unwrap_or(defaults.threads),
            known_kept: self.known_files.unwrap_or(defaults.known_kept),
            passthrough: !self.no_passthrough,
            integrity: self.integrity()?,
            run_scripts: self.run_scripts,
            script_limit: Duration::from_secs(u64::from(self.script_limit)),
            wine_prefix: self.wine_prefix.clone(),
            base_writable: self.base_writable,
            ..defaults
        };
        let mounted = Mounted::start(&self.mountpoint, &options)?;
        for (layer, run) in mounted.scripts() {
            if tell_scripts(std::slice::from_ref(run)) != Outcome::Done {
                print::warn(&print::printable(&format!("that is a script of {}", layer.display())));
            }
        }
        let stopper = mounted.stopper();
        interrupt::tell(move || stopper.stop());
        if is_background {
            let mut out = std::io::stdout();
            writeln!(out, "{READY}")?;
            out.flush()?;
        }
        mounted
            .wait()
            .with_context(|| format!("the mount at {} ended", self.mountpoint.display()))?;
        Ok(Outcome::Done)
    }
}

impl Arguments {
    /// What is asked of layers, and where events go.
    fn integrity(&self) -> anyhow::Result<Integrity> {
        let trust = self.trust.as_ref().map(|path| {
            let shown = || path.display().to_string();
            let text = std::fs::read_to_string(path).with_context(shown)?;
            anyhow::Ok(Arc::new(TrustFile::parse(&text).with_context(shown)?))
        });
        let output: Option<Box<dyn Write + Send>> = match &self.events {
            None => None,
            Some(path) if path.as_os_str() == "-" && !self.foreground => {
                bail!("--events - needs --foreground: in the background there is no standard output")
            }
            Some(path) if path.as_os_str() == "-" => Some(Box::new(std::io::stdout())),
            Some(path) => {
                let opened = std::fs::OpenOptions::new().append(true).create(true).open(path);
                Some(Box::new(opened.with_context(|| path.display().to_string())?))
            }
        };
        Ok(Integrity {
            trust: trust.transpose()?,
            verify_reads: self.verify_reads,
            events: Arc::new(EventLog::new(output)),
            ..Integrity::default()
        })
    }
}

/// Starts another process that mounts, and waits until it has.
fn run_in_background() -> anyhow::Result<Outcome> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env(BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Where it tells what happens it goes on when this process has ended.
        .stderr(if log::is_on() { Stdio::inherit() } else { Stdio::piped() })
        // Ctrl-C at this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .context("cannot start the process that serves the mount")?;
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut said)?;
    }
    if said.trim_end() == READY {
        return Ok(Outcome::Done);
    }
    let mut error = String::new();
    if let Some(mut err) = child.stderr.take() {
        err.read_to_string(&mut error)?;
    }
    child.wait()?;
    let error = error.trim_end();
    let error = error.strip_prefix("cvtool: ").unwrap_or(error);
    bail!(
        "{}",
        if error.is_empty() {
            "the process that serves the mount ended"
        } else {
            error
        }
    )
}
