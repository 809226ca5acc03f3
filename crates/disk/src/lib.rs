//! Bytes at offsets: the floor that every disk format of this project stands on.
//!
//! * [`ReadAt`], [`WriteAt`] and [`Resize`]: random access without a cursor, shared between threads.
//! * [`Extent`] and [`Extents`]: which parts of a disk hold data and which read as zeros, so that nobody moves bytes
//!   that are not there.
//! * [`RawFile`], [`MemoryDisk`] and [`Slice`]: a file of the host, memory, and a part of another disk.
//! * [`DurableFile`]: an output that appears complete or not at all.
//! * [`copy`]: moves one disk into another, extents over bytes, on several threads.
//! * [`PagedTable`]: a large on-disk table read a page at a time in bounded memory.
//! * [`partition`]: GPT and MBR.
//! * [`Damage`] and [`Fault`]: what a reader or a checker found wrong, where, and what it expected.
//!
//! ```
//! use cv_disk::{ExtentKind, Extents, MemoryDisk, ReadAt, Slice, WriteAt};
//! use std::sync::Arc;
//!
//! let disk = Arc::new(MemoryDisk::new(1 << 20));
//! disk.write_at(b"boot", 65_536)?;
//!
//! let volume = Slice::new(disk.clone(), 65_536..131_072)?;
//! let mut start = [0; 4];
//! volume.read_at(&mut start, 0)?;
//! assert_eq!(&start, b"boot");
//!
//! let data: u64 = Extents::all(&*disk)
//!     .filter_map(Result::ok)
//!     .filter(|extent| extent.kind == ExtentKind::Data)
//!     .map(|extent| extent.length)
//!     .sum();
//! assert!(data < 1 << 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod copy;
mod durable;
mod error;
mod extent;
mod fault;
mod memory;
mod paged_table;
pub mod partition;
mod progress;
mod raw_file;
mod slice;
#[cfg(feature = "testing")]
pub mod testing;
mod zeros;

pub use access::{Differencing, ReadAt, Resize, Stored, WriteAt};
pub use copy::{CopyError, CopyOptions, CopyOutcome, CopyTarget, copy};
pub use durable::DurableFile;
pub use error::{Damage, ReadError, WriteError};
pub use extent::{Extent, ExtentKind, Extents};
pub use fault::{Fault, Faults, Severity};
pub use memory::MemoryDisk;
pub use paged_table::PagedTable;
pub use progress::{Cancelled, Progress, Quiet};
pub use raw_file::RawFile;
pub use slice::Slice;
pub use zeros::{data_runs, is_zero};
