//! The manifest, `layer.json`: what a layer is.
//!
//! UTF-8 JSON, one object. Unknown members are kept as they are and written again, so that a tool does not lose what a later
//! version added. A manifest of another major version of the schema is refused.

mod applications;
mod policy;
mod provenance;

pub use applications::{
    Application, Applications, ComClass, EnvironmentVariable, FileType, Font, Program, RunEntry, ScheduledTask,
    Service, Shortcut,
};
pub use policy::{EnvironmentAddition, FileAction, FileRule, Policy, RegistryAction, RegistryRule};
pub use provenance::{Dropped, Provenance, Readiness};

use crate::Sha256Sum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The schema that this crate writes.
pub const SCHEMA: &str = "cvlayer/1";

/// Bytes of a manifest at most.
pub const MAX_SIZE: u64 = 64 << 20;

/// What a layer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An operating system, or a part of one, that others stand on.
    Base,
    /// One or more applications.
    App,
    /// Files without an application.
    Data,
    /// What a user or a machine changed.
    Writable,
}

/// The processor that a layer's programs are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Any, or no programs.
    #[default]
    Neutral,
    /// 32-bit x86.
    X86,
    /// 64-bit x86.
    X64,
    /// 64-bit ARM.
    Arm64,
}

/// The Windows versions that a layer is for, as `10.0.19045`; both ends belong to the range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OsRange {
    /// The earliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<String>,
    /// The latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<String>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// Another layer that this one needs, or does not go with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LayerReference {
    /// Its name.
    pub name: String,
    /// Its id, where one build is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// Its versions: comparisons joined by commas, such as `>=1.2, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// How much there is in a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Files of the file tree; a file with several names counts once.
    pub files: u64,
    /// Directories, the root not counted.
    pub directories: u64,
    /// Symbolic links and junctions.
    pub links: u64,
    /// Whiteouts.
    pub whiteouts: u64,
    /// Opaque directories, `Files` itself among them. Where this is said and both are 0, nobody needs the index to know what
    /// the layer hides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque_directories: Option<u64>,
    /// Bytes of all streams.
    pub bytes: u64,
    /// Keys of all hives, their roots not counted.
    pub registry_keys: u64,
    /// Values of all hives.
    pub registry_values: u64,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

impl Counts {
    /// Whether the index may say that something is hidden.
    pub fn may_hide(&self) -> bool {
        self.whiteouts > 0 || self.opaque_directories != Some(0)
    }
}

/// A file that the manifest answers for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sealed {
    /// Its SHA-256.
    pub sha256: Sha256Sum,
    /// Its bytes.
    pub size: u64,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// A hive in `\Hives`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SealedHive {
    /// Its name: the file's name in `\Hives`, and where it belongs ([`crate::content::HiveName`]).
    pub name: String,
    /// Its SHA-256.
    pub sha256: Sha256Sum,
    /// Its bytes.
    pub size: u64,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// What a layer is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The schema and its version.
    pub schema: String,
    /// The identity of this build; equal contents built alike have the same.
    pub id: Uuid,
    /// The name, such as `7-Zip`.
    pub name: String,
    /// The version, such as `24.08`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Who made the application.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub publisher: String,
    /// A text for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it is for.
    pub kind: Kind,
    /// The processor its programs are for.
    #[serde(default)]
    pub architecture: Architecture,
    /// The Windows versions it is for.
    #[serde(default)]
    pub os: OsRange,
    /// When it was made, RFC 3339 in UTC; the time of `SOURCE_DATE_EPOCH` where that is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// The program that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub creator: String,
    /// How it was captured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// What was found in it.
    #[serde(default)]
    pub applications: Applications,
    /// Layers that must be attached with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<LayerReference>,
    /// Layers that must not be attached with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<LayerReference>,
    /// How it behaves when attached.
    #[serde(default)]
    pub policy: Policy,
    /// How much there is in it.
    #[serde(default)]
    pub counts: Counts,
    /// The index.
    #[serde(default)]
    pub index: Sealed,
    /// The block hashes of large streams, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Sealed>,
    /// The hives, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hives: Vec<SealedHive>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is longer than any manifest may be.
    #[error("the manifest has {size} bytes, more than the {MAX_SIZE} that are allowed")]
    TooLarge {
        /// Its bytes.
        size: u64,
    },
    /// It is no JSON, or a member is not what it must be.
    #[error("the manifest is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of a version that is not known here.
    #[error("the manifest's schema is {found:?}, expected {SCHEMA:?}")]
    Schema {
        /// What it says.
        found: String,
    },
}

impl Manifest {
    /// A manifest of a layer with nothing in it yet.
    pub fn new(name: &str, version: &str, kind: Kind) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            id: Uuid::nil(),
            name: name.to_owned(),
            version: version.to_owned(),
            publisher: String::new(),
            description: String::new(),
            kind,
            architecture: Architecture::default(),
            os: OsRange::default(),
            created: String::new(),
            creator: String::new(),
            provenance: None,
            applications: Applications::default(),
            requires: Vec::new(),
            conflicts: Vec::new(),
            policy: Policy::default(),
            counts: Counts::default(),
            index: Sealed::default(),
            blocks: None,
            hives: Vec::new(),
            other: Map::new(),
        }
    }

    /// Reads a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        if bytes.len() as u64 > MAX_SIZE {
            return Err(ManifestError::TooLarge {
                size: bytes.len() as u64,
            });
        }
        // The schema first: of another version anything may be different.
        let head: Head = serde_json::from_slice(bytes)?;
        if head.schema != SCHEMA {
            return Err(ManifestError::Schema { found: head.schema });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The manifest as it stands in the layer: indented JSON with a line end behind it.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Maps have text keys alone, so that nothing in a manifest can fail to be written.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// The identity that a layer without one gets: a version 8 UUID of its manifest with a nil id, byte for byte.
pub(crate) fn made_id(with_nil_id: &[u8]) -> Uuid {
    let sum: [u8; 32] = Sha256::digest(with_nil_id).into();
    Uuid::new_v8(sum.first_chunk().copied().unwrap_or_default())
}

/// Whether the id in a manifest is the one that was made for these bytes; `None` where somebody chose it, so that it says
/// nothing of them.
pub(crate) fn has_made_id(manifest: &Manifest, bytes: &[u8]) -> Option<bool> {
    if manifest.id.get_version_num() != 8 {
        return None;
    }
    let id = manifest.id.to_string();
    let text = std::str::from_utf8(bytes).ok()?;
    let with_nil_id = text.replacen(&id, &Uuid::nil().to_string(), 1);
    Some(made_id(with_nil_id.as_bytes()) == manifest.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_kept() -> Result<(), ManifestError> {
        let text =
            br#"{"schema": "cvlayer/1", "id": "00000000-0000-0000-0000-000000000001", "name": "n", "kind": "app",
            "new": {"a": [1]}, "counts": {"files": 3, "moons": 2}}"#;
        let manifest = Manifest::parse(text)?;
        assert_eq!(manifest.other["new"]["a"][0], 1);
        assert_eq!(manifest.counts.other["moons"], 2);
        assert_eq!(Manifest::parse(&manifest.to_bytes())?, manifest);
        Ok(())
    }

    #[test]
    fn other_schemas_are_refused() {
        let refused = Manifest::parse(br#"{"schema": "cvlayer/2", "kind": 7}"#);
        assert!(matches!(refused, Err(ManifestError::Schema { found }) if found == "cvlayer/2"));
    }
}
