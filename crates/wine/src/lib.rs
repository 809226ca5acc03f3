//! Programs for Windows in a Wine prefix.
//!
//! A program is started, and waited for with all that it starts. Whatever it started ends when whoever waits is interrupted,
//! and when that process is killed: a [`Prefix`] in which something runs is watched from outside.
//!
//! ```no_run
//! use cv_wine::Prefix;
//! use std::process::Stdio;
//!
//! let prefix = Prefix::new("/home/user/.wine".as_ref())?;
//! let mut command = prefix.loader();
//! command.args(["cmd", "/c", "ver"]).stdin(Stdio::null());
//! let status = prefix.run(&mut command, |_child| (), &|| false)?;
//! assert!(status.success());
//! # Ok::<(), cv_wine::WineError>(())
//! ```
#![cfg(unix)]

mod prefix;
mod watch;

pub use prefix::{Prefix, WineError};
