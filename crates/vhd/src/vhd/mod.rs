//! VHD, as the "Virtual Hard Disk Image Format Specification" 1.0 describes it.
//!
//! ```
//! use cv_disk::{MemoryDisk, ReadAt, WriteAt};
//! use cv_vhd::vhd::{ParentReference, Vhd, VhdBuilder};
//! use std::sync::Arc;
//! use uuid::Uuid;
//!
//! let base_file = Arc::new(MemoryDisk::new(0));
//! let base = VhdBuilder::new(64 << 20).identity(Uuid::from_u128(1)).create(base_file.clone())?;
//! base.write_at(b"base", 0)?;
//! base.finish()?;
//!
//! let parent = ParentReference::new(Uuid::from_u128(1)).relative(r".\base.vhd");
//! let mut child = VhdBuilder::new(64 << 20).parent(parent).create(Arc::new(MemoryDisk::new(0)))?;
//! child.set_parent(Arc::new(Vhd::open(base_file)?));
//! child.write_at(b"!", 4)?;
//! let mut start = [0; 6];
//! child.read_at(&mut start, 0)?;
//! assert_eq!(&start, b"base!\0");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The file
//!
//! | type | content |
//! |---|---|
//! | fixed | the disk, then the footer |
//! | dynamic | copy of the footer, dynamic disk header, BAT, blocks, footer |
//! | differencing | copy of the footer, dynamic disk header, the parent's paths, BAT, blocks, footer |
//!
//! The BAT has an entry for each block of the disk: the sector where it begins in the file, or all ones. A block is a
//! bitmap, a bit for each of its sectors, and then its content. Everything is big-endian but the parent's paths.
//!
//! Reading goes from `footer_copies` through `layout` to `read`, writing adds `occupancy` and `write`, and `check` looks
//! at the same structures without trusting them.

mod check;
mod create;
mod dynamic_header;
mod error;
mod footer;
mod footer_copies;
mod geometry;
mod info;
mod layout;
mod occupancy;
mod parent;
mod read;
mod relink;
mod repair;
mod resize;
mod sector_bitmap;
mod write;

pub use check::check;
pub use create::VhdBuilder;
pub use error::OpenError;
pub use footer::DiskType;
pub use footer_copies::{FooterPlace, FooterState};
pub use geometry::Geometry;
pub use info::{BlockInfo, VhdInfo};
pub use parent::{ParentPath, ParentReference, PathKind};
pub use read::Vhd;
pub use repair::repair;
pub use write::VhdWriter;
