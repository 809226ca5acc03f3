//! VHD, as the "Virtual Hard Disk Image Format Specification" 1.0 describes it.

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
