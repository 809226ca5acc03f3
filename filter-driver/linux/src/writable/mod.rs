//! A writable folder by itself, while nobody has it mounted.

mod check;
mod image;
mod pack;
mod repair;

pub use check::{CheckError, Checked, Finding, Problem, check};
pub use image::WritableImage;
pub use pack::{PackError, Unmounted, unpack};
pub(crate) use repair::set_aside;
pub use repair::{RepairError, SET_ASIDE, repair};
