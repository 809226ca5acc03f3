//! What differs between two trees, as changes that make the first one the second.
//!
//! ```
//! use cv_hive::diff::{DiffOptions, What, diff};
//! use cv_hive::{Key, Value, ValueType};
//!
//! let before = Key::new("root");
//! let mut after = before.clone();
//! after.subkey_or_insert("Software").values.push(Value::new("Version", ValueType::DWORD, [7, 0, 0, 0]));
//!
//! let changes = diff(&before, &after, &DiffOptions::default());
//! assert!(matches!(&changes[..], [change] if matches!(change.what, What::KeyAdded(_))));
//! let mut tree = before;
//! cv_hive::diff::apply(&mut tree, &changes)?;
//! assert_eq!(tree, after);
//! # Ok::<(), cv_hive::diff::Mismatch>(())
//! ```

mod apply;
mod compare;
mod delta;
mod patch;

pub use apply::{Mismatch, apply};
pub use compare::diff;
pub use delta::delta;
pub use patch::to_patch;

use crate::{Key, KeyFlags, KeyPath, KeyState, Name, Value};
use std::sync::Arc;

/// What counts as a difference, besides keys, values, classes, security, links, flags and states.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiffOptions {
    /// When keys were last written.
    pub times: bool,
    /// The case of names.
    pub case: bool,
    /// The order of values.
    pub value_order: bool,
}

impl DiffOptions {
    /// Everything counts: applied to the first tree, the changes give exactly the second.
    pub fn strict() -> Self {
        Self {
            times: true,
            case: true,
            value_order: true,
        }
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The names that lead from the root to the key.
    pub key: KeyPath,
    /// What is other than it was.
    pub what: What,
}

/// What is other than it was; the second tree's side, and for values the first tree's too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The key is new, with everything in it.
    KeyAdded(Key),
    /// The key is gone, with everything that was in it.
    KeyRemoved,
    /// The name has another case.
    Renamed(Name),
    /// The class.
    Class(Option<Name>),
    /// The security descriptor.
    Security(Option<Arc<[u8]>>),
    /// When the key was last written, in 100 ns since 1601-01-01 UTC.
    LastWritten(u64),
    /// Whether the key is a symbolic link.
    Link(bool),
    /// What else is noted of the key.
    Flags(KeyFlags),
    /// What the key says of the one below it, and whether its class is that one's.
    State {
        /// The state.
        state: KeyState,
        /// Whether the class is inherited.
        inherits_class: bool,
    },
    /// The value is new.
    ValueAdded(Value),
    /// The value is gone.
    ValueRemoved(Value),
    /// The value has another type, other data or another state, or a name in another case.
    ValueChanged {
        /// As it was.
        from: Value,
        /// As it is.
        to: Value,
    },
    /// The values are in another order: their names in it.
    ValueOrder(Vec<Name>),
}
