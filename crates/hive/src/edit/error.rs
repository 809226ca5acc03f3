//! What can go wrong while editing a hive.

use crate::path::KeyPath;
use crate::read::OpenError;
use cv_disk::{Damage, WriteError};
use std::io;

/// Why a hive could not be edited. It is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// It is none.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The hive has errors, of which this is one.
    #[error("the hive has errors, and has to be recovered or repaired first")]
    Unsound(#[source] Damage),
    /// Something cannot be read.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// There is no such key.
    #[error("there is no key `{0}`")]
    NoSuchKey(KeyPath),
    /// The root can be neither deleted nor renamed.
    #[error("the root can be neither deleted nor renamed")]
    Root,
    /// Another key has the new name.
    #[error("there is a key `{0}` already")]
    Exists(KeyPath),
    /// A name is longer than a hive can hold, or a key has none.
    #[error("{what} has {units} UTF-16 units, {least} to {limit} are allowed")]
    Name {
        /// Which name.
        what: &'static str,
        /// Its units.
        units: usize,
        /// Units that it must have.
        least: usize,
        /// Units that it may have.
        limit: usize,
    },
    /// The key would be deeper than the registry allows.
    #[error("a key would be deeper than {limit} levels")]
    TooDeep {
        /// Levels that there may be.
        limit: usize,
    },
    /// Data is larger than the hive's version allows.
    #[error("the value has {size} bytes, at most {limit} are allowed")]
    DataTooLarge {
        /// Bytes of the data.
        size: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// The hive's version cannot hold the states of layered keys.
    #[error("the states of layered keys need a hive of version 1.6, not 1.{minor}")]
    NeedsLayers {
        /// The minor version.
        minor: u32,
    },
    /// A security descriptor is not valid.
    #[error("the security descriptor is invalid: {found}")]
    Security {
        /// What is wrong.
        found: String,
    },
    /// The hive would be larger than a hive can be.
    #[error("the hive would have more than 2 GiB")]
    TooLarge,
    /// The output could not be written.
    #[error("cannot write the hive")]
    Disk(#[from] WriteError),
    /// The output could not take its file's place.
    #[error("cannot replace the hive")]
    Commit(#[from] io::Error),
}
