//! NTFS 3.1: one set of on-disk structures ([`structure`]) for the reader ([`Volume`]), the writer
//! ([`write`](mod@write)) and the checker ([`check`]).
//!
//! ```no_run
//! use cv_disk::{RawFile, ReadAt};
//! use cv_ntfs::Volume;
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! let volume = Volume::open(Arc::new(RawFile::open(Path::new("volume.img"))?))?;
//! for entry in volume.open_str(r"\Files\Program Files")?.directory()?.entries() {
//!     println!("{}", cv_winname::wtf8::display(entry?.name()));
//! }
//!
//! let content = volume.open_str(r"\layer.json")?.content()?;
//! let mut text = vec![0; usize::try_from(content.len())?];
//! content.read_at(&mut text, 0)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every thread may read through the same [`Volume`], [`File`] and [`Stream`]. A damaged part of a volume costs only that part;
//! its error names the file record and the place.

pub mod check;
pub mod compress;
mod error;
pub mod read;
pub mod structure;
pub mod write;

pub use error::{FileError, OpenError};
pub use read::directory::{Directory, DirectoryEntry};
pub use read::file::{File, StreamInfo};
pub use read::listing::{FileSummary, Listed, Listing, NamedStream, Order};
pub use read::stream::Stream;
pub use read::summary::Glance;
pub use read::volume::{OpenReport, Volume};
