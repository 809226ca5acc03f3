//! What can go wrong while writing a hive.

use super::options::Version;
use std::io;

/// Why a tree could not be written as a hive. Keys are named by their path below the root.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A key has no name.
    #[error("a subkey of `{parent}` has no name")]
    NoName {
        /// The key above.
        parent: String,
    },
    /// A name is longer than a hive can hold.
    #[error("{what} of `{path}` has {units} UTF-16 units, at most {limit} are allowed")]
    NameTooLong {
        /// The key.
        path: String,
        /// Which name of it.
        what: &'static str,
        /// Units of the name.
        units: usize,
        /// Units that it may have.
        limit: usize,
    },
    /// Subkeys are not in ascending order by the `$UpCase` table.
    #[error("subkey `{name}` of `{path}` is not behind the one before it")]
    Order {
        /// The key.
        path: String,
        /// The subkey.
        name: String,
    },
    /// Two values have the same name.
    #[error("`{path}` has two values of the name `{name}`")]
    RepeatedValue {
        /// The key.
        path: String,
        /// The name.
        name: String,
    },
    /// Data is larger than the version allows.
    #[error("value `{name}` of `{path}` has {size} bytes, at most {limit} are allowed")]
    DataTooLarge {
        /// The key.
        path: String,
        /// The value.
        name: String,
        /// Bytes of the data.
        size: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// A security descriptor is not valid.
    #[error("the security descriptor of `{path}` is invalid: {found}")]
    Security {
        /// The key.
        path: String,
        /// What is wrong.
        found: String,
    },
    /// The tree is deeper than the registry allows.
    #[error("`{path}` is deeper than {limit} levels")]
    TooDeep {
        /// The key.
        path: String,
        /// Levels that there may be.
        limit: usize,
    },
    /// The tree says something that the version cannot hold.
    #[error("`{path}` has the state of a layered key, which needs version 1.6, not {version:?}")]
    NeedsLayers {
        /// The key.
        path: String,
        /// The version asked for.
        version: Version,
    },
    /// The hive would be larger than a hive can be.
    #[error("the hive would have more than 2 GiB")]
    TooLarge,
    /// The output could not be written.
    #[error("cannot write the hive")]
    Io(#[from] io::Error),
    /// The output could not be written.
    #[error("cannot write the hive")]
    Disk(#[from] cv_disk::WriteError),
}
