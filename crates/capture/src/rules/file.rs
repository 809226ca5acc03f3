//! Rule files.

use super::pattern::{Pattern, PatternError};
use layerfmt::Sha256Sum;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt;

/// Bytes of a rule file at most.
const MAX_SIZE: usize = 16 << 20;

/// What rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Files and directories.
    File,
    /// Keys of the registry, with their values.
    Registry,
    /// Single values.
    Value,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is left out, and noted in the report.
    Drop,
    /// It is in the layer as what a user begins with: what the user has already stays.
    Seed,
    /// It is in the layer, and the report asks for a look at it.
    Review,
    /// It is in the layer.
    Keep,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Seed => "seed",
            Self::Review => "review",
            Self::Keep => "keep",
        })
    }
}

/// Whose files and keys a rule holds for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    #[default]
    Any,
    /// What is the machine's: all but the next.
    Machine,
    /// What is a user's: profiles, and `HKEY_CURRENT_USER`.
    User,
}

/// Where an install ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// On Windows.
    Windows,
    /// In a Wine prefix.
    Wine,
}

/// One pattern or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Patterns {
    One(String),
    Several(Vec<String>),
}

impl From<Patterns> for Vec<String> {
    fn from(patterns: Patterns) -> Self {
        match patterns {
            Patterns::One(pattern) => vec![pattern],
            Patterns::Several(patterns) => patterns,
        }
    }
}

fn patterns<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Patterns::deserialize(deserializer).map(Into::into)
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, which no other rule of its file has.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// Whose files and keys it holds for.
    #[serde(default)]
    pub scope: Scope,
    /// What it holds for; `docs/rules.md` says how patterns are written.
    #[serde(rename = "pattern", deserialize_with = "patterns")]
    pub patterns: Vec<String>,
    /// What becomes of it.
    pub action: Action,
    /// 0: never in a layer, whatever other rules say. 1: noise of the machine. 2: depends on the application. 3: caches of
    /// applications.
    #[serde(default = "usual_tier")]
    pub tier: u8,
    /// Whether a change anywhere in a key that the pattern names takes the key with all it holds.
    #[serde(default)]
    pub whole: Option<bool>,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Examples of what is left out.
    #[serde(default)]
    pub dropped: Vec<String>,
    /// Examples of what is in the layer.
    #[serde(default)]
    pub kept: Vec<String>,
}

fn usual_tier() -> u8 {
    1
}

/// A file of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Where it came from, for reports.
    #[serde(skip)]
    pub name: String,
    /// Of its text.
    #[serde(skip)]
    pub sha256: Sha256Sum,
    /// Where installs must have run for its rules to hold; anywhere without.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Whether the rules of the files before it do not hold.
    #[serde(default)]
    pub reset: bool,
    /// The rules.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// Why a rule file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleFileError {
    /// It is longer than any rule file may be.
    #[error("a rule file of {size} bytes, at most {MAX_SIZE} are read")]
    TooLarge {
        /// Its bytes.
        size: usize,
    },
    /// It is not valid TOML, or a member is not what it must be.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// Two rules have one name.
    #[error("two rules have the id {0:?}")]
    RepeatedId(String),
    /// A tier that is not known.
    #[error("rule {id:?}: the tier is {found}, expected 0 to 3")]
    Tier {
        /// The rule.
        id: String,
        /// What it says.
        found: u8,
    },
    /// A rule for files that takes keys whole.
    #[error("rule {0:?}: only rules for keys may say `whole`")]
    Whole(String),
    /// A pattern that is not valid, or a rule without one.
    #[error("rule {id:?}: the pattern {pattern:?}")]
    Pattern {
        /// The rule.
        id: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
}

impl RuleFile {
    /// Reads a rule file.
    pub fn parse(name: &str, text: &str) -> Result<Self, RuleFileError> {
        if text.len() > MAX_SIZE {
            return Err(RuleFileError::TooLarge { size: text.len() });
        }
        let mut file: Self = toml::from_str(text)?;
        name.clone_into(&mut file.name);
        file.sha256 = Sha256Sum(Sha256::digest(text).into());
        let mut ids = HashSet::new();
        for rule in &file.rules {
            if !ids.insert(&rule.id) {
                return Err(RuleFileError::RepeatedId(rule.id.clone()));
            }
            if rule.tier > 3 {
                return Err(RuleFileError::Tier {
                    id: rule.id.clone(),
                    found: rule.tier,
                });
            }
            if rule.whole.is_some() && rule.kind != Kind::Registry {
                return Err(RuleFileError::Whole(rule.id.clone()));
            }
            rule.compile()?;
        }
        Ok(file)
    }
}

impl Rule {
    /// Its patterns, taken apart.
    pub(super) fn compile(&self) -> Result<Vec<Pattern>, RuleFileError> {
        let error = |pattern: &str, source| RuleFileError::Pattern {
            id: self.id.clone(),
            pattern: pattern.to_owned(),
            source,
        };
        if self.patterns.is_empty() {
            return Err(error("", PatternError::Empty));
        }
        let mut compiled = Vec::new();
        for pattern in &self.patterns {
            compiled.extend(Pattern::parse(self.kind, pattern).map_err(|source| error(pattern, source))?);
        }
        Ok(compiled)
    }
}
