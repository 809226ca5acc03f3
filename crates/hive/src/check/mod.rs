//! The checker: looks at everything in a hive and changes nothing; and the repair.
//!
//! ```
//! # let root = cv_hive::Key::new("root");
//! # let bytes = cv_hive::write_to_vec(&root, &cv_hive::WriteOptions::default())?;
//! for fault in cv_hive::check::check(&bytes)? {
//!     println!("{fault}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It holds a hive to what Windows' own loader and its own hives show:
//!
//! | what | rules |
//! |---|---|
//! | base block | checksum, sequence numbers, version, type, size |
//! | bins and cells | signature, offset, size; cells fill them without gaps, free neighbours are one cell |
//! | keys | signature, size, name, parent, class, depth, bounds of names and data |
//! | lists of subkeys | kind, counts, order by the `$UpCase` table, hints and hashes |
//! | values | list, signature, name, data, big data |
//! | security | valid descriptors, a ring, reference counts |
//! | all cells | each in use has one owner, and none has no owner |
//!
//! Offsets are bytes of the file; the cell is named too. An error is what Windows refuses, drops or cannot find; a warning is
//! what it copes with; a note is what it leaves behind itself. A hostile hive takes time and memory in proportion to its size.

mod base_block;
mod bins;
mod findings;
mod key;
mod repair;
mod security;
mod subkeys;
mod tree;
mod values;

pub use repair::{RepairError, Repaired, repair};

use crate::read::{Hive, OpenError};
use cv_disk::Faults;
use findings::Findings;

/// Checks the hive that is `bytes`, and says what is wrong with it, the worst first. Of each severity a thousand faults are
/// kept, the others counted.
///
/// Fails where the bytes are no hive at all.
pub fn check(bytes: &[u8]) -> Result<Faults, OpenError> {
    let hive = Hive::open(bytes)?;
    let mut findings = Findings::default();
    base_block::check(&hive, &mut findings);
    let cells = bins::check(&hive, &mut findings);
    tree::check(&hive, cells, &mut findings);
    Ok(findings.into_faults())
}
