//! The registry of the merged view: the base's, under the delta hives of layers and of the writable folder.
//!
//! | module | what it does |
//! |---|---|
//! | [`deltas`] | reads the delta hives of a stack, and keeps those of the writable folder |
//! | [`environment`] | joins what layers add to lists such as `Path` |
//! | [`trees`] | what hives have in common, whatever the form of their files: deltas laid over them, and made of them |
//! | [`stack`] | lays what all members say over a registry, by the rules, and takes changes back |
//! | [`file`](mod@file) | a registry file of a base, a hive or one of Wine |
//! | [`wine`] | the registry of a Wine prefix |
//! | [`served`] | which paths of a view are those of the registry |
//! | [`pending`] | registry files that programs write |

pub mod deltas;
pub mod environment;
pub mod file;
pub mod pending;
pub mod served;
pub mod stack;
pub mod trees;
pub mod wine;
