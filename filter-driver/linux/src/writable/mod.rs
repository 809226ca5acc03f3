//! A writable folder by itself, while nobody has it mounted.

mod check;
mod repair;

pub use check::{CheckError, Checked, Finding, Problem, check};
pub(crate) use repair::set_aside;
pub use repair::{RepairError, SET_ASIDE, repair};
