//! `.reg` files: "Windows Registry Editor Version 5.00" and "REGEDIT4".
//!
//! A file is read as a [`Patch`], as it may delete as well as set; keys are written by an [`Exporter`], where tombstones of a
//! delta hive become deletions.
//!
//! ```
//! use cv_hive::reg::{Exporter, Form, Patch};
//! use cv_hive::{Deletions, Key, KeyPath};
//!
//! let text = concat!(
//!     "Windows Registry Editor Version 5.00\r\n\r\n",
//!     "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine]\r\n\"Version\"=\"9\"\r\n\"Old\"=-\r\n\r\n"
//! );
//! let patch = Patch::parse(text.as_bytes())?;
//!
//! let software = KeyPath::parse(r"HKLM\SOFTWARE")?;
//! let mut root = Key::new("");
//! patch.apply(&mut root, &software, Deletions::Remove, 0)?;
//! assert!(root.subkey("wine").is_some_and(|wine| wine.value("version").is_some()));
//!
//! let mut exporter = Exporter::new(Vec::new(), Form::Version5Utf8, &KeyPath::parse(r"HKLM\SOFTWARE\Wine")?)?;
//! root.subkeys[0].visit(&mut exporter)?;
//! let (bytes, omitted) = exporter.finish()?;
//! assert!(bytes.ends_with(b"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine]\r\n\"Version\"=\"9\"\r\n\r\n"));
//! assert!(omitted.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod delta;
mod encoding;
mod export;
mod grammar;
mod omitted;
mod patch;

pub use encoding::Form;
pub use export::Exporter;
pub use omitted::{Omission, Omitted, Reason};
pub use patch::{ApplyError, KeyAction, KeyChange, Patch};

/// What stands first in a file of version 5.
const VERSION_5: &str = "Windows Registry Editor Version 5.00";

/// What stands first in a file of version 4.
const VERSION_4: &str = "REGEDIT4";
