//! The reader.
//!
//! | module | what it does |
//! |---|---|
//! | [`volume`] | opens a volume, finds its parts |
//! | [`record`] | file records by number |
//! | [`attribute`] | a file's attributes, gathered from its records |
//! | [`clusters`] | bytes of a non-resident value |
//! | [`file`](mod@file), [`stream`] | a file, and its content with compression undone |
//! | [`summary`] | what a file's record says at a glance |
//! | [`index`], [`directory`] | B-trees, and directories |
//! | [`secure`] | security descriptors by number |
//! | [`scan`], [`listing`] | all records of a volume in one pass, and all its paths |

pub mod attribute;
pub mod clusters;
pub mod directory;
pub mod file;
pub mod index;
pub mod listing;
mod lznt1_stream;
pub mod record;
pub mod scan;
pub mod secure;
pub mod stream;
pub mod summary;
pub mod volume;
mod wof_stream;
