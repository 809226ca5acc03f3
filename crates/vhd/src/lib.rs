//! Microsoft's virtual hard disks: VHD ([`vhd`]) and VHDX ([`vhdx`]).
//!
//! Neither module opens a path by itself: the caller opens files, finds parents and attaches them.
//!
//! ```
//! use cv_disk::{MemoryDisk, ReadAt, WriteAt};
//! use cv_vhd::vhdx::{Vhdx, VhdxBuilder, VhdxIdentity};
//! use std::sync::Arc;
//! use uuid::Uuid;
//!
//! let file = Arc::new(MemoryDisk::new(0));
//! let identity = VhdxIdentity {
//!     virtual_disk_id: Uuid::new_v4(),
//!     data_write_guid: Uuid::new_v4(),
//!     file_write_guid: Uuid::new_v4(),
//! };
//! let disk = VhdxBuilder::new(10 << 30).identity(identity).create(file.clone())?;
//! disk.write_at(b"data", 5 << 30)?;
//! disk.finish()?;
//!
//! let disk = Vhdx::open(file)?;
//! let mut data = [0; 4];
//! disk.read_at(&mut data, 5 << 30)?;
//! assert_eq!(&data, b"data");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod vhd;
pub mod vhdx;
