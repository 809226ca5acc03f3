//! Windows names: what NTFS and the registry accept, how they compare, and how a Unix host writes them down.
//!
//! * [`wtf8`]: names are any 16-bit units, lone surrogates included; WTF-8 keeps them all in bytes.
//! * [`UpcaseTable`]: the `$UpCase` table, by which names compare without case.
//! * [`ShortNames`]: the 8.3 names that Windows would give, and [`is_short_name`]: whether a name is one already.
//! * [`check_component`], [`check_path`]: which names Windows cannot use, and why.
//!
//! ```
//! use cv_winname::{ShortNames, UpcaseTable, check_component, wtf8};
//! use core::cmp::Ordering;
//!
//! let name = wtf8::decode("Résumé for 2024.docx".as_bytes())?;
//! let same = wtf8::decode("RÉSUMÉ FOR 2024.DOCX".as_bytes())?;
//! assert_eq!(UpcaseTable::windows().compare(&name, &same), Ordering::Equal);
//! assert!(check_component(&name).is_ok());
//!
//! let short = ShortNames::of(&name).next().ok_or("no short name")?;
//! assert_eq!(wtf8::encode(&short), b"RSUMFO~1.DOC");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Names are slices of `u16` throughout, as they stand on disk. `no_std`; only `alloc` is needed.

#![no_std]

extern crate alloc;

mod component;
mod path;
mod reserved;
mod short_name;
mod upcase;
mod upcase_ranges;
pub mod wtf8;

pub use component::{MAX_COMPONENT, NameFault, check_component, check_stored_component};
pub use path::{MAX_PATH, PathFault, check_path, components};
pub use reserved::is_reserved;
pub use short_name::{ShortNames, is_short_name};
pub use upcase::UpcaseTable;
