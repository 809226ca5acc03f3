//! The merged view of base, layers and writable volume as a FUSE file system, with layers attached and detached while it is
//! mounted.
//!
//! ```no_run
//! use layerfs::{MountOptions, Mounted};
//! use std::path::Path;
//!
//! let mut options = MountOptions::new("windows.vhdx");
//! options.layers.push("app.vhdx".into());
//! options.writable = Some("changes".into());
//! let mounted = Mounted::start(Path::new("mnt"), &options)?;
//! mounted.running().attach(&layerfs::control::AttachRequest::of("other.vhdx"))?;
//! mounted.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`sources`] | opens folders, volumes and layers by their paths |
//! | [`member`] | makes them answer the merge engine |
//! | [`nodes`] | the kernel's inodes: their numbers and paths |
//! | [`view`] | the merged view by inodes: looking, reading, changing, attaching |
//! | [`upper`] | carries out what the engine planned, in the writable folder |
//! | [`fuse`] | the kernel's requests |
//! | [`registry`] | delta hives over the registry of the base, and what programs changed of it |
//! | [`run`] | a Windows program under Wine on the merged view |
//! | [`integrity`] | judges signatures, and verifies what is read from layers |
//! | [`scripts`] | runs the lifecycle scripts of layers |
//! | [`events`] | takes down what happens |
//! | [`areas`] | the folders that rules send writes to |
//! | [`writable`] | checks and repairs a writable folder that is not mounted |
//! | [`mount`], [`control`] | the mount as a whole, and the socket by which it is changed |

pub mod areas;
mod around;
mod attach;
pub mod control;
pub mod events;
pub mod facts;
pub mod fuse;
pub mod integrity;
pub mod member;
pub mod mount;
pub mod nodes;
pub mod registry;
pub mod run;
pub mod scripts;
pub mod sources;
pub mod upper;
pub mod view;
pub mod writable;

pub use mount::{MountError, MountOptions, Mounted, Running, Stopper};
