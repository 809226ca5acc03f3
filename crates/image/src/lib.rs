//! Disk images by their path, whatever their container: VHD, VHDX, VMDK or raw.
//!
//! * [`Image`] opens any of them for reading, recognised by content, with its chain of parents; a [`Gate`] decides which
//!   other files it may have opened.
//! * [`create`], [`create_child`] and [`convert`] make new ones, which appear complete or not at all.
//! * [`WritableImage`], [`resize`], [`rebase`], [`relink`], [`commit`], [`flatten`] and [`compact`] change existing ones.
//! * [`check`] and [`repair`] look for faults and mend them.
//!
//! ```
//! use cv_disk::{Quiet, ReadAt};
//! use cv_image::{Format, Gate, Image, Layout, OpenOptions, Origin, convert, create};
//!
//! let folder = tempfile::tempdir()?;
//! let (vhdx, vmdk) = (folder.path().join("disk.vhdx"), folder.path().join("disk.vmdk"));
//! create(&vhdx, 64 << 20, &Layout::new(Format::Vhdx, Origin::now()))?;
//!
//! let image = Image::open(&vhdx, &OpenOptions::new(Gate::beside(&vhdx)?))?;
//! assert_eq!((image.format(), image.len()), (Format::Vhdx, 64 << 20));
//! convert(&image, &vmdk, &Layout::new(Format::Vmdk, Origin::now()), None, &Quiet)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod change;
mod check;
mod commit;
mod compact;
mod compare;
mod container;
mod convert;
mod describe;
mod extents;
mod facts;
mod format;
mod gate;
mod layout;
mod map;
mod new_image;
mod open;
mod own;
mod parent_note;
mod parent_path;
mod rebase;
mod writer;

pub use change::{ChangeError, WritableImage, resize};
pub use check::{CheckReport, check, repair};
pub use commit::commit;
pub use compact::{CompactOutcome, compact};
pub use compare::{CompareError, first_difference};
pub use convert::{convert, create, create_child, flatten};
pub use describe::ChainFacts;
pub use facts::{Facts, Value};
pub use format::{ForeignContainer, Format, UnknownFormat};
pub use gate::{Gate, Refused};
pub use layout::{Layout, LayoutError, Origin};
pub use map::Piece;
pub use new_image::NewImage;
pub use open::{Image, OpenError, OpenOptions};
pub use rebase::{rebase, relink};
