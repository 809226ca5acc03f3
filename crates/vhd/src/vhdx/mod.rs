//! VHDX, as \[MS-VHDX\] describes it.

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
