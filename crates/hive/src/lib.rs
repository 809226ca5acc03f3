//! Registry hives (regf): read, written, edited in place, checked, recovered; `.reg` files and Wine's registry text.
//!
//! * [`Key`], [`Value`]: registry data in memory, what every form here is read into and written from.
//! * [`Hive`]: a hive read where it stands; [`write_to_vec`], [`write::Plan`]: a tree written as a hive.
//! * [`check`]: what is wrong with a hive, and its repair.
//! * [`recover()`]: what transaction logs hold and the hive does not.
//! * [`edit`]: edits of a hive in place.
//! * [`mod@file`]: registry data in files of the host, whatever its form.
//! * [`text`]: `.reg` files and Wine's registry files.
//! * [`Visitor`]: is told what a tree or a hive holds, key by key.
//! * [`merge()`]: one tree laid over another; [`resolve`]: a stack of delta hives made one tree.
//! * [`diff`]: what differs between two trees.
//!
//! ```
//! use cv_hive::{Key, Value, ValueType};
//!
//! let mut software = Key::new("Software");
//! software.values.push(Value::new("Version", ValueType::SZ, b"1\0\0\0".to_vec()));
//! assert_eq!(software.value("VERSION").map(|value| value.value_type), Some(ValueType::SZ));
//! ```

pub mod check;
mod data;
pub mod diff;
pub mod edit;
pub mod file;
mod merge;
mod name;
mod path;
pub mod read;
pub mod recover;
pub mod structure;
pub mod text;
mod tree;
mod visit;
pub mod write;

pub use cv_overlay::registry::{KeyState, ValueState};
pub use data::{Data, DataError, UnknownType};
pub use merge::{Deletions, merge, resolve};
pub use name::Name;
pub use path::{KeyPath, PathError};
pub use read::{Hive, KeyRef, NameRef, OpenError, ValueRef};
pub use recover::{RecoverError, Recovered, recover};
pub use text::{TextError, reg, wine};
pub use tree::{Key, KeyFlags, MAX_DEPTH, Value, ValueType};
pub use visit::{AnyName, Next, VisitedKey, VisitedValue, Visitor};
pub use write::{Version, WriteError, WriteOptions, write_to_vec};
