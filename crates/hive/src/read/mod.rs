//! The reader: everything in a hive, straight from its bytes.
//!
//! [`Hive::open`] looks at the base block alone; what follows is read when it is asked for, and nothing is copied but data
//! that lies in several cells. A fault costs only the part it is in: an iterator gives it in place of that part and goes
//! on. Faults are [`Damage`](cv_disk::Damage) whose offset counts from the start of the file.

mod hive;
pub(crate) mod key;
mod load;
pub(crate) mod name;
pub(crate) mod subkeys;
mod value;
mod walk;

pub use hive::{Hive, MAX_HIVE_SIZE, OpenError, read_to_memory};
pub use key::{KeyRef, Values};
pub use name::NameRef;
pub use subkeys::{Leaf, Subkeys};
pub use value::ValueRef;
pub use walk::{CellSet, Walk};
