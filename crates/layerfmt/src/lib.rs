//! The layer: one read-only disk image that holds an application as it was captured.
//!
//! An image holds one NTFS volume labelled [`VOLUME_LABEL`]:
//!
//! ```text
//! \layer.json   the manifest: what the layer is, and the SHA-256 of the index and of every hive ([`Manifest`])
//! \layer.idx    the index: every entry of the file tree, and the SHA-256 of every stream ([`Index`])
//! \layer.sig    a detached signature of the manifest ([`sign`])
//! \Files        the file tree, laid out as on drive C:
//! \Hives        delta hives, one for each root of the registry
//! \Scripts      what runs when the layer is attached and detached
//! ```
//!
//! The manifest answers for the index and the hives, the index for every stream; so the signature covers every byte.
//! `docs/layer-format.md` specifies all of it.
//!
//! ```
//! use layerfmt::{Kind, Manifest};
//!
//! let manifest = Manifest::new("7-Zip", "24.08", Kind::App);
//! let text = manifest.to_bytes();
//! assert_eq!(Manifest::parse(&text)?, manifest);
//! # Ok::<(), layerfmt::ManifestError>(())
//! ```

pub mod applications;
mod bytes;
pub mod content;
pub mod diff;
mod digest;
pub mod edit;
pub mod index;
pub mod manifest;
pub mod oci;
pub mod pe;
pub mod read;
pub mod recipe;
pub mod registration;
pub mod shell_link;
pub mod sign;
pub mod source;
pub mod squash;
pub mod stack;
pub mod verify;
pub mod write;

pub use content::Content;
pub use digest::Sha256Sum;
pub use index::{Index, IndexError};
pub use manifest::{Kind, Manifest, ManifestError};
pub use read::{Layer, OpenError};
pub use write::{WriteError, WriteOptions, Written, write};

/// The label of a layer's volume.
pub const VOLUME_LABEL: &str = "CVLAYER";

/// The name of the manifest in the root directory.
pub const MANIFEST_NAME: &str = "layer.json";

/// The name of the index in the root directory.
pub const INDEX_NAME: &str = "layer.idx";

/// The name of the signature in the root directory.
pub const SIGNATURE_NAME: &str = "layer.sig";

/// The name of the block hashes of large streams in the root directory.
pub const BLOCKS_NAME: &str = "layer.blk";

/// The directory of the file tree.
pub const FILES_DIRECTORY: &str = "Files";

/// The directory of the hives.
pub const HIVES_DIRECTORY: &str = "Hives";

/// The directory of the scripts.
pub const SCRIPTS_DIRECTORY: &str = "Scripts";
