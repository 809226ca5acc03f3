//! Registry keys and values in a stack of hives.
//!
//! A stack has a base hive, whose keys all merge, and delta hives over it. Every key of a delta hive has a [`KeyState`],
//! every value a [`ValueState`]; they are the states of the layered keys of Windows (regf 1.6), and [`KeyFold`] is the rule
//! by which they make one key.
//!
//! Keys stand in a stack as directories do: [`Keys`] makes a hive a [`Layer`](crate::Layer), in which `Merge` and `SupersedeLocal` keys
//! are directories, `SupersedeTree` keys opaque directories and tombstones whiteouts. So a `Stack<Keys<_>>` finds keys by
//! [`resolve`](crate::Stack::resolve) and [`lookup`](crate::Stack::lookup), enumerates subkeys by
//! [`list`](crate::Stack::list), and knows the same rules of policy. What keys have beyond that is here: values, the class,
//! and plans in terms of the registry.

mod claims;
mod conflicts;
mod hive;
mod plan;
mod state;
mod values;

pub use claims::{KeyClaim, KeyExplanation, ValueClaim};
pub use conflicts::{RegistryConflict, RegistryConflicts};
pub use hive::{KeyLayer, Keys};
pub use plan::{KeyCompletion, KeyPlan, KeyStep};
pub use state::{KeyFold, KeyShare, KeyState, ValueState};
pub use values::MergedValue;
