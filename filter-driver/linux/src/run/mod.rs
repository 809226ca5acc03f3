//! A Windows program under Wine on the merged view: of a prefix, layers and a writable folder, files and registry.
//!
//! The program runs in a temporary prefix: its drive C: is a mount of the view, its registry that of the prefix under the
//! delta hives of the stack. What it changes of the registry becomes delta hives of the writable folder.

mod left_behind;
mod prefix;
mod program;

use crate::mount::{MountError, MountOptions, Mounted};
use crate::registry::deltas::DeltaError;
use crate::registry::stack::RegistryStack;
use crate::registry::trees::HiveTrees;
use crate::registry::wine::{PrefixRegistry, WineError};
use crate::sources::Allowed;
use cv_wine::Prefix;
use prefix::copy_links;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// What is to be run, and on what.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The Wine prefix that everything stands on. It is not written.
    pub prefix: PathBuf,
    /// Layers in their images, the lowest first.
    pub layers: Vec<PathBuf>,
    /// The folder that takes the writes; without it they are thrown away.
    pub writable: Option<PathBuf>,
    /// Where images may be found that others need.
    pub allowed: Allowed,
    /// A path on a drive of Windows, a name that is looked up in the view's `PATH`, or a file of the host.
    pub program: OsString,
    /// What the program is given.
    pub arguments: Vec<OsString>,
}

/// Why a program was not run, or what it changed was not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The prefix is none.
    #[error("{} is no Wine prefix: it has no drive_c", .0.display())]
    NoPrefix(PathBuf),
    /// The registry of the prefix.
    #[error(transparent)]
    Wine(#[from] WineError),
    /// Delta hives.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The view.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The temporary prefix.
    #[error("cannot use {}", path.display())]
    Host {
        /// The file or folder.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The program did not run to its end: Wine is missing, or the user asked to stop.
    #[error(transparent)]
    Program(#[from] cv_wine::WineError),
    /// There is no such program in the view.
    #[error("there is no program {} in the view", .0.display())]
    NoProgram(PathBuf),
}

fn host(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    let path = path.to_path_buf();
    move |source| RunError::Host { path, source }
}

/// Runs the program and waits until it and all that it started have ended. `is_interrupted` is asked from time to time
/// whether all of them shall be ended at once.
pub fn run(options: &RunOptions, is_interrupted: &dyn Fn() -> bool) -> Result<ExitStatus, RunError> {
    let drive = options.prefix.join("drive_c");
    if !drive.is_dir() {
        return Err(RunError::NoPrefix(options.prefix.clone()));
    }
    left_behind::remove();
    let base = PrefixRegistry::read(&options.prefix)?;
    let temporary = std::env::temp_dir();
    let lab = tempfile::Builder::new().prefix(left_behind::NAME).tempdir();
    let lab = lab.map_err(host(&temporary))?;
    let make = |name: &str| {
        let path = lab.path().join(name);
        std::fs::create_dir(&path).map_err(host(&path))?;
        Ok::<_, RunError>(path)
    };
    let (mountpoint, folder) = (make(left_behind::MOUNT)?, make("prefix")?);
    let writable = match &options.writable {
        Some(writable) => writable.clone(),
        None => make("changes")?,
    };
    let mounted = Mounted::start(
        &mountpoint,
        &MountOptions {
            layers: options.layers.clone(),
            writable: Some(writable.clone()),
            allowed: options.allowed.clone(),
            ..MountOptions::new(drive)
        },
    )?;
    // From here on the writable folder is this mount's alone.
    let registry = mounted.running().view().registry();
    let session = registry.map(|registry| Session {
        options,
        registry,
        mountpoint: &mountpoint,
        folder: &folder,
    });
    let ran = session
        .map_err(RunError::from)
        .and_then(|session| session.run(base, is_interrupted));
    mounted.stopper().stop();
    let unmounted = mounted.wait().map_err(host(&mountpoint));
    let status = ran?;
    unmounted?;
    lab.close().map_err(host(&temporary))?;
    Ok(status)
}

/// A program on a view that is mounted.
struct Session<'a> {
    options: &'a RunOptions,
    registry: RegistryStack,
    mountpoint: &'a Path,
    folder: &'a Path,
}

impl Session<'_> {
    fn run(&self, mut own: PrefixRegistry, is_interrupted: &dyn Fn() -> bool) -> Result<ExitStatus, RunError> {
        self.registry.lay_over(&mut own);
        let mut joined = own.clone();
        self.registry.additions().join(&mut joined);
        let command = program::command(&self.options.program, &joined, self.mountpoint)?;
        copy_links(&self.options.prefix, self.folder, self.mountpoint)?;
        joined.write(self.folder)?;
        let wine = Prefix::new(self.folder)?;
        let mut loader = wine.loader();
        loader.args(&command).args(&self.options.arguments);
        let status = wine.run(&mut loader, |_| (), is_interrupted)?;
        if self.options.writable.is_some() {
            let mut after = PrefixRegistry::read(self.folder)?;
            self.registry.additions().part(&own, &joined, &mut after);
            self.registry.keep_changes(&own, own.changes(&after))?;
        }
        Ok(status)
    }
}
