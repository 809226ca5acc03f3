//! Registries as text.
//!
//! * [`reg`]: `.reg` files, as regedit writes and imports them.
//! * [`wine`]: the files of a Wine prefix, `system.reg` and `user.reg`.

mod bytes;
mod error;
mod gather;
pub mod reg;
pub mod wine;

pub use error::TextError;
