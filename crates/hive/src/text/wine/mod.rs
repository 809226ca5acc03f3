//! The files in which Wine keeps a prefix's registry: `system.reg`, `user.reg` and `userdef.reg`.
//!
//! ```
//! use cv_hive::wine::{Architecture, WineRegistry};
//!
//! let text = "WINE REGISTRY Version 2\n\
//!             ;; All keys relative to REGISTRY\\\\Machine\n\
//!             \n#arch=win64\n\
//!             \n[Software\\\\Wine] 1700053336\n#time=1da17c3f54ba000\n\"Version\"=\"win10\"\n";
//! let registry = WineRegistry::parse(text.as_bytes())?;
//! assert_eq!(registry.architecture, Some(Architecture::Win64));
//! assert!(registry.root.subkey("software").is_some());
//!
//! let mut again = Vec::new();
//! registry.write(&mut again)?;
//! assert_eq!(again, text.as_bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the form has no place for: security, flags, the states of delta hives, and the times of keys that have subkeys and
//! nothing else.

mod grammar;
mod order;
mod text;
mod write;

use crate::text::TextError;
use crate::{Key, KeyPath};
use std::io;

/// What stands first in a file.
const HEADER: &str = "WINE REGISTRY Version 2";

/// What stands before the path of the root.
const RELATIVE: &str = ";; All keys relative to ";

/// Ticks of the registry's clock in a second.
const TICKS_PER_SECOND: u64 = 10_000_000;

/// Seconds from 1601 to 1970.
const SECONDS_TO_1970: u64 = 11_644_473_600;

/// The architecture that a prefix is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 32-bit programs only.
    Win32,
    /// 64-bit and 32-bit programs.
    Win64,
}

/// A file of a Wine prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WineRegistry {
    /// Where the root stands, as `REGISTRY\Machine`; empty where the file does not say.
    pub relative_to: KeyPath,
    /// The architecture, where the file says it.
    pub architecture: Option<Architecture>,
    /// The keys.
    pub root: Key,
}

impl WineRegistry {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        grammar::file(bytes).map_err(|error| TextError::new(bytes, error.rest, error.expected))
    }

    /// Whether `bytes` begin as a file does.
    pub fn is_wine(bytes: &[u8]) -> bool {
        bytes.starts_with(b"WINE REGISTRY")
    }

    /// Writes the file as Wine does, which sorts keys and values by their names in lower case. Keys that are tombstones, and
    /// values that are, are left out.
    pub fn write(&self, out: impl io::Write) -> io::Result<()> {
        write::write(self, out)
    }
}
