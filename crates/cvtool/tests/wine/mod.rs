//! Wine: prefixes, and cvtool.exe in them.

mod exe;
mod prefix;

pub use exe::{Exe, exe};
pub use prefix::{Prefix, cvtool, record, succeed};
