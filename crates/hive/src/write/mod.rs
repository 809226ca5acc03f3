//! The writer: from a tree of keys to a compact hive, the same bytes for the same tree.
//!
//! [`Plan::new`] looks at the tree once, checks what a hive cannot hold, and gives every cell its place without touching
//! data; [`Plan::write`] then puts out the bytes in one pass, in ascending order. Keys lie near what belongs to them: the
//! key nodes of siblings next to each other behind their parent's values.

mod emit;
mod error;
pub(crate) mod form;
mod layout;
mod options;
mod place;
mod plan;

pub use error::WriteError;
pub use options::{Version, WriteOptions};
pub use plan::Plan;

use crate::tree::Key;

/// The hive of this tree, in memory.
pub fn write_to_vec(root: &Key, options: &WriteOptions) -> Result<Vec<u8>, WriteError> {
    let mut plan = Plan::new(root, options)?;
    let mut bytes = Vec::with_capacity(plan.len() as usize);
    plan.write(&mut bytes)?;
    Ok(bytes)
}
