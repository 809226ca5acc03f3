//! How a layer behaves when it is attached: rules for paths and registry keys.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

/// What happens at the paths of a rule. The deepest rule that matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAction {
    /// Plain merging.
    Merge,
    /// What stands below this layer is not seen.
    Override,
    /// Neither what this layer has nor what stands below it is seen.
    Hide,
    /// What is written is seen only while this layer is attached.
    Isolate,
    /// Reads and writes go to the base.
    Exclude,
    /// What is written is forgotten at logoff.
    DiscardAtLogoff,
}

impl FileAction {
    /// What it is called in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Override => "override",
            Self::Hide => "hide",
            Self::Isolate => "isolate",
            Self::Exclude => "exclude",
            Self::DiscardAtLogoff => "discard-at-logoff",
        }
    }
}

/// What happens at the keys of a rule. The deepest rule that matches counts.
pub type RegistryAction = FileAction;

/// A rule for paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRule {
    /// A path as on drive C:, such as `\ProgramData\App\Cache`. A name may be `*` for any or end in `*`; a `\` at the end
    /// means what is in the directory and not the directory itself.
    pub path: String,
    /// What happens there.
    pub action: FileAction,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// A rule for registry keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryRule {
    /// A key such as `HKLM\SOFTWARE\App`, with `*` and a `\` at the end as in [`FileRule::path`].
    pub key: String,
    /// What happens there.
    pub action: RegistryAction,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// What a layer adds to an environment variable that is a list joined by semicolons, as `Path` is. As a value of a hive it
/// would take the place of what all others add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentAddition {
    /// The variable's name.
    pub name: String,
    /// What comes before the rest, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepend: Vec<String>,
    /// What comes behind the rest, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub append: Vec<String>,
    /// Whether it is the user's variable, not the machine's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_per_user: bool,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}

/// How a layer behaves when it is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Rules for paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRule>,
    /// Rules for registry keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub registry: Vec<RegistryRule>,
    /// What it adds to environment variables.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<EnvironmentAddition>,
    /// Members unknown here.
    #[serde(flatten)]
    pub other: Map<String, Json>,
}
