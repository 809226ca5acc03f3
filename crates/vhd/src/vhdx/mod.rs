//! VHDX, as \[MS-VHDX\] describes it.
//!
//! * [`Vhdx`] reads a file, with the log that a crash left behind replayed in memory.
//! * [`VhdxBuilder`] makes a new file, [`VhdxWriter`] fills it, or changes an existing one in place through its log.
//! * [`check`] lists every fault of a file, [`repair`] mends what needs no guessing.
//!
//! A chain of differencing files is put together by the caller, who opens each file, compares the identities and
//! attaches the parent:
//!
//! ```
//! use cv_disk::{MemoryDisk, ReadAt, WriteAt};
//! use cv_vhd::vhdx::{ParentReference, Vhdx, VhdxBuilder, VhdxIdentity, VhdxWriter};
//! use std::sync::Arc;
//! use uuid::Uuid;
//!
//! let identity = || VhdxIdentity {
//!     virtual_disk_id: Uuid::new_v4(),
//!     data_write_guid: Uuid::new_v4(),
//!     file_write_guid: Uuid::new_v4(),
//! };
//! let base_file = Arc::new(MemoryDisk::new(0));
//! let base = VhdxBuilder::new(1 << 30).identity(identity()).create(base_file.clone())?;
//! base.write_at(b"base", 0)?;
//! base.finish()?;
//! let base = Vhdx::open(base_file)?;
//!
//! let child_file = Arc::new(MemoryDisk::new(0));
//! let reference = ParentReference {
//!     parent_linkage: base.identity().data_write_guid,
//!     relative_path: Some(r".\base.vhdx".into()),
//!     ..ParentReference::default()
//! };
//! VhdxBuilder::new(base.len())
//!     .identity(identity())
//!     .parent(reference)
//!     .create(child_file.clone())?
//!     .finish()?;
//!
//! let mut child = VhdxWriter::open(child_file, Uuid::new_v4)?;
//! let reference = child.parent_reference().expect("it has a parent");
//! assert!(reference.matches(&base.identity()));
//! child.set_parent(Arc::new(base));
//! child.write_at(b"child", 512)?;
//! child.flush()?;
//!
//! let mut bytes = [0; 4];
//! child.read_at(&mut bytes, 0)?;
//! assert_eq!(&bytes, b"base");
//! child.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod allocation;
mod bat;
mod batch;
mod blocks;
mod builder;
mod check;
mod error;
mod header;
mod image;
mod info;
mod journal;
mod log;
mod metadata;
mod overlay;
mod parent_locator;
mod region_table;
mod relink;
mod repair;
mod resize;
mod space;
mod stability;
mod structures;
mod writer;

pub use builder::VhdxBuilder;
pub use check::check;
pub use error::OpenError;
pub use image::Vhdx;
pub use info::{VhdxIdentity, VhdxInfo, VhdxSubformat};
pub use log::LogState;
pub use metadata::OtherItem;
pub use parent_locator::{ParentPathKind, ParentReference};
pub use repair::repair;
pub use writer::VhdxWriter;

/// Gives a new GUID with each call.
type GuidSource = std::sync::Arc<dyn Fn() -> uuid::Uuid + Send + Sync>;
