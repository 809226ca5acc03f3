//! Layers: told of, verified, changed.

pub mod edit;
pub mod export;
pub mod import;
pub mod inspect;
pub mod output;
pub mod squash;
pub mod verify;
