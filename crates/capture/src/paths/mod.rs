//! Paths as a layer has them: the packager's profile is that of the default user, and what a machine stores twice stands once.

mod leftovers;
mod template;

pub use leftovers::{Leftover, leftovers, leftovers_in_paths};
pub use template::Template;
