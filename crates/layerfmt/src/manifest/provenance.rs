//! How a layer came to be captured.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// Something that was changed by the install and left out of the layer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dropped {
    /// The path or the registry key, with the value's name behind a `!` where a value is meant.
    pub path: String,
    /// The rule that said so.
    pub rule: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What the machine was like when the capture began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// Windows' version, as `10.0.19045`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Whether a restart was pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_reboot: Option<bool>,
    /// What was said about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// How a layer came to be captured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// How: `recipe`, `run`, `diff`, `edit`, `squash`, `import` and so on.
    pub method: String,
    /// What it was made of: commands, recipes, layers with their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The rule files that decided what is kept, with their SHA-256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What was left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<Dropped>,
    /// What the machine was like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}
