//! Making volumes: a description of what they hold becomes a complete layout, and the layout is written in one pass.
//!
//! * [`Tree`] describes the content: entries, their streams and everything attached to them. Anyone can build one: of a host's
//!   folder, of a layer, of another volume.
//! * [`plan()`] lays it out: files in one piece each, the MFT and the directories' B-trees built in bulk. It reads no data.
//! * [`write()`] moves each stream once, from its [`Source`] to its place in any [`WriteAt`](cv_disk::WriteAt), and hashes it on
//!   the way if wanted.
//!
//! A volume's clusters, in ascending order: `$Boot`, `$MFTMirr`, `$AttrDef`, `$UpCase`, `$Secure`; the streams in the order of
//! their files' records; late streams; compressed streams; indexes and the few attributes that do not fit into records; `$MFT`
//! and its bitmap; `$LogFile`; `$Bitmap`. What follows the compressed streams is placed when their sizes are known.

mod b_tree;
mod compressed;
mod core;
mod directory_index;
mod error;
mod large;
mod layout;
mod mft;
mod names;
mod options;
mod ordered;
mod parts;
mod plan;
mod record;
mod residency;
mod security_file;
mod side_by_side;
mod source;
mod streams;
mod system_files;
mod tree;
pub mod tree_hash;
mod view_indexes;
mod volume;

pub use error::{CaseConflict, NameProblem, PlanError, PopulateError, TreeError};
pub use options::{CaseConflicts, NameRule, PlanOptions, WriteOptions, default_security};
pub use plan::{Plan, plan};
pub use source::{FileFrom, Hashes, NoSource, OpenStream, Sha256Sum, Source, SourceError};
pub use streams::SMALL_STREAM;
pub use tree::{Compression, FileId, Metadata, SecurityId, StreamContent, StreamId, Times, Tree, TreeName};
pub use volume::{Outcome, write};
