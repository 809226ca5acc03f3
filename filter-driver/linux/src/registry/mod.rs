//! The registry of the merged view: the base's, under the delta hives of layers and of the writable folder.
//!
//! | module | what it does |
//! |---|---|
//! | [`deltas`] | reads the delta hives of a stack, and keeps those of the writable folder |
//! | [`environment`] | joins what layers add to lists such as `Path` |
//! | [`wine`] | lays them over the registry of a Wine prefix, and takes back what programs changed |

pub mod deltas;
pub mod environment;
pub mod wine;
