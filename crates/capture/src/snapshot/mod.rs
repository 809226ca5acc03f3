//! Snapshots: what a machine looks like, without the content of its files.
//!
//! [`Snapshot::of_volume`] takes that of an offline disk, [`Snapshot::of_folder`] that of a folder laid out as drive C: or of a
//! Wine prefix. [`save`] and [`load`] keep one between two runs.
//!
//! ```
//! use cv_capture::snapshot::{Snapshot, load, save};
//!
//! let folder = tempfile::tempdir()?;
//! let machine = folder.path().join("machine");
//! std::fs::create_dir_all(machine.join("Program Files/App"))?;
//! std::fs::write(machine.join("Program Files/App/app.ini"), "[App]")?;
//!
//! let snapshot = Snapshot::of_folder(&machine, 2)?;
//! let state = folder.path().join("before.cvstate");
//! save(&snapshot, &state)?;
//! let again = load(&state)?;
//! assert!(again.files.find(b"program files/app/APP.INI").is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod files;
mod folder;
mod journal;
#[cfg(windows)]
mod live;
mod machine;
mod profile;
mod readiness;
mod registry;
mod state;
mod storage;
mod volume;

pub(crate) use files::folded;
pub use files::{Entry, EntryId, EntryKind, Files, FilesBuilder, NamedStream};
pub use journal::apply_journal;
#[cfg(windows)]
pub use live::{journal_position, journal_since, warnings as live_warnings};
pub use machine::{Problem, Snapshot, SnapshotError};
pub use profile::{ProfileName, profile_of};
pub use readiness::{Readiness, readiness};
pub(crate) use registry::in_parallel;
pub use registry::{Registry, UserHive};
pub use state::{LoadError, SaveError, from_bytes, load, save, to_bytes};
pub use storage::{ContentError, LiveDrive, Storage};
pub(crate) use volume::record_of;
