//! VMDK: every subformat read, the hosted ones, vmfs flat and streams created, all but streams written in place.
//!
//! | | read | create | write in place |
//! |---|---|---|---|
//! | `monolithicSparse`, `twoGbMaxExtentSparse` | yes | yes, also differencing | yes |
//! | `monolithicFlat`, `twoGbMaxExtentFlat`, `vmfs` | yes | yes | yes |
//! | `streamOptimized` | yes | yes, as ESX lays it out | |
//! | `vmfsSparse` (COWD), `seSparse` | yes | | |
//!
//! An image is a [`Descriptor`] and extents, which may be files of their own. This crate opens no path: [`ExtentFiles`] is
//! the caller's word on what a name in a descriptor may reach, and the caller opens the parents of a differencing image,
//! too.
//!
//! The source is VMware's "Virtual Disk Format 5.0"; for `seSparse`, which it leaves out, what QEMU and libvmdk know.
//!
//! ```
//! use cv_disk::{MemoryDisk, ReadAt, WriteAt};
//! use cv_vmdk::{NoExtentFiles, Subformat, Vmdk, VmdkBuilder};
//! use std::sync::Arc;
//!
//! let file = Arc::new(MemoryDisk::new(0));
//! let writer = VmdkBuilder::new(1 << 30)
//!     .subformat(Subformat::StreamOptimized)
//!     .name("layer")
//!     .create(file.clone(), &NoExtentFiles)?;
//! writer.write_at(b"boot", 65_536)?;
//! writer.finish()?;
//!
//! let image = Vmdk::open(file, &NoExtentFiles)?;
//! let mut start = [0; 4];
//! image.read_at(&mut start, 65_536)?;
//! assert_eq!(&start, b"boot");
//! assert_eq!(image.create_type().as_deref(), Some("streamOptimized"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod descriptor;
mod error;
mod extent_files;
mod image;
mod sparse;
mod structures;
mod write;

pub use check::{check, repair};
pub use descriptor::{Access, Descriptor, ExtentKindName, ExtentLine, NO_PARENT_CID};
pub use error::OpenError;
pub use extent_files::{ExtentFiles, NoExtentFiles};
pub use image::{ExtentInfo, Identity, ParentReference, SparseInfo, Vmdk, VmdkInfo, probe};
pub use write::{AdapterType, Subformat, VmdkBuilder, VmdkWriter};
