//! Registry keys and values in a stack of hives.
//!
//! A stack has a base hive, whose keys all merge, and delta hives over it. Every key of a delta hive has a [`KeyState`],
//! every value a [`ValueState`]; they are the states of the layered keys of Windows (regf 1.6).

mod state;

pub use state::{KeyFold, KeyShare, KeyState, ValueState};
