//! Commands on layers.

pub mod inspect;
pub mod verify;
