//! Files from a volume to a folder of the host.
//!
//! The volume is taken for an attacker's. Every file is made through the handle of its folder, folders are entered without
//! following links, and nothing that was there before is opened for writing: so nothing outside of the target is touched,
//! whatever names and links the volume holds, and whatever links lie in the target already.
//!
//! | on the volume | on the host |
//! |---|---|
//! | file, directory | file, folder; sparse ones stay sparse, compressed ones are unpacked |
//! | hard link | hard link |
//! | symbolic link, junction, WSL link | relative symbolic link where it stays inside, see [`Links`]; else kept as reparse data |
//! | named stream | extended attribute `user.NAME` or a file `name:stream`, see [`StreamPlace`] |
//! | times | modification and access time; all four in `ntfs_times` |
//! | security, attributes, and so on | extended attributes, see [`kept`](crate::kept) |

mod content;
mod folder;
mod link;
mod loss;
mod run;
mod selection;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use crate::path::find;
use cv_disk::{Cancelled, Progress, ReadError};
use cv_ntfs::{FileError, Listing, Volume};
pub use link::relative_target;
pub use loss::Loss;
use run::Run;
use selection::{Selection, selected};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(unix)]
use unix as host;
#[cfg(unix)]
pub use unix::{Naming, keep};
#[cfg(windows)]
use windows as host;

pub use host::{Folder, open_top};

/// What becomes of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Links {
    /// Symbolic links where they stay inside the volume and the host can say the same; reparse data otherwise.
    #[default]
    Inside,
    /// Reparse data on an empty file or folder, which packing turns into the same link again.
    Data,
    /// They are left out.
    Skip,
}

/// Where named streams go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StreamPlace {
    /// Into extended attributes `user.NAME`; those that the host has no room for into files, as [`Files`](Self::Files).
    #[default]
    Attributes,
    /// Into files `name:stream` beside their file.
    Files,
    /// They are left out.
    Nowhere,
}

/// What to extract, and how.
#[derive(Debug, Clone)]
pub struct ExtractOptions {
    /// The paths of files and directories to extract, with all that is below them; none means all. Folders above them are
    /// made as well.
    pub paths: Vec<Vec<u16>>,
    /// Whether what is already there is replaced; folders are shared in any case.
    pub overwrite: bool,
    /// What becomes of links.
    pub links: Links,
    /// Where named streams go.
    pub streams: StreamPlace,
    /// Whether security descriptors are kept.
    pub security: bool,
    /// Whether the volume's own files, such as `$MFT`, are extracted as well.
    pub system_files: bool,
    /// Threads that read and write, at least one.
    pub threads: usize,
}

impl Default for ExtractOptions {
    /// Everything but the volume's own files, and nothing replaced; as many threads as the machine has, up to four.
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            overwrite: false,
            links: Links::default(),
            streams: StreamPlace::default(),
            security: true,
            system_files: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(4),
        }
    }
}

/// What was extracted, and what was not.
#[derive(Debug, Default)]
pub struct ExtractOutcome {
    /// Files made, hard links not counted.
    pub files: u64,
    /// Directories made or found.
    pub directories: u64,
    /// Hard links made.
    pub hard_links: u64,
    /// Links made as symbolic links.
    pub links: u64,
    /// Links kept as reparse data because they lead out of the volume, and the first of them.
    pub links_kept: (u64, Option<Vec<u8>>),
    /// Files whose content lies elsewhere (offline, deduplicated), and the first of them.
    pub elsewhere: (u64, Option<Vec<u8>>),
    /// What the host could not keep besides content, and of how many files.
    pub lost: BTreeMap<Loss, u64>,
    /// What is missing, the first thousand in full.
    pub failures: Vec<Failure>,
    /// How much more is missing.
    pub omitted_failures: u64,
    /// Damage of file records, whose files may be missing.
    pub damage: Vec<String>,
    /// Names whose directory is gone; they were not extracted.
    pub orphans: u64,
}

impl ExtractOutcome {
    /// Whether everything that was asked for is there now, but for metadata that the host has no place for.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.damage.is_empty() && self.orphans == 0
    }
}

/// Something that was not extracted.
#[derive(Debug)]
pub struct Failure {
    /// Its path on the volume in WTF-8, with `:` and the stream where only that is missing.
    pub path: Vec<u8>,
    /// Why.
    pub reason: FailureReason,
}

/// Why something was not extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureReason {
    /// The volume is damaged there.
    #[error("cannot read it")]
    Volume(#[from] FileError),
    /// Its content cannot be read.
    #[error("cannot read its content")]
    Content(#[source] ReadError),
    /// The host refused.
    #[error("cannot write it")]
    Host(#[from] io::Error),
    /// The host cannot have such a name.
    #[error("{0}")]
    Name(&'static str),
    /// Nothing says why.
    #[error("its content is missing")]
    Unknown,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why nothing could be extracted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A path that was asked for is not there.
    #[error("cannot find what to extract")]
    Find(#[from] FileError),
    /// The target cannot be used.
    #[error("cannot use the target folder")]
    Target(#[source] io::Error),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Extracts files of `volume` into the folder `target`.
///
/// What fails alone is told in the outcome, and the rest is extracted.
pub fn extract(
    volume: &Volume,
    target: Folder,
    options: &ExtractOptions,
    progress: &dyn Progress,
) -> Result<ExtractOutcome, ExtractError> {
    let wanted = options
        .paths
        .iter()
        .map(|path| find(volume, path).map(|found| found.path()))
        .collect::<Result<Vec<_>, _>>()?;
    let selection = Selection { wanted };
    #[cfg(windows)]
    if options.security {
        // Without these, files keep those owners that the user may give.
        cv_windows::machine::restore_everything();
    }
    let listing = Listing::of(volume, options.threads);
    let mut total = 0;
    selected(volume, &listing, &selection, options.system_files, &mut |chosen| {
        if chosen.is_wanted && !chosen.listed.file.is_directory {
            total += chosen.listed.file.size;
        }
    });
    progress.begin(total);
    let run = Run {
        volume,
        #[cfg(unix)]
        naming: Naming::of(&target),
        top: Arc::new(target),
        options,
        progress,
        stop: AtomicBool::new(false),
        files: AtomicU64::new(0),
        told: Mutex::new(ExtractOutcome::default()),
    };
    let first_names = run.write_all(&listing, &selection);
    if !run.is_stopped() {
        run.finish_folders(&listing, &selection, &first_names);
    }
    if run.is_stopped() {
        return Err(Cancelled.into());
    }
    let mut outcome = run.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.files = run.files.into_inner();
    if selection.wanted.is_empty() {
        outcome.damage = listing.damage().iter().map(ToString::to_string).collect();
        outcome.orphans = listing.orphans(volume).len() as u64;
    }
    Ok(outcome)
}
