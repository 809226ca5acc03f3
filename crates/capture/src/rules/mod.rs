//! Rules: which of the changes that an install made belong into the layer.
//!
//! A machine changes by itself while an install runs. [`RuleSet`] says of each changed file, key or value whether it is
//! kept, and which rule said so. Rules stand in TOML files ([`RuleFile`]); those of this crate are in its folder `rules`.
//!
//! ```
//! use cv_capture::rules::{Action, Platform, RuleSet, Subject};
//!
//! let rules = RuleSet::shipped(Platform::Windows);
//! let decision = rules.decide(&Subject::file(r"\Windows\Prefetch\SETUP.EXE-1234.pf"));
//! assert_eq!(decision.action, Action::Drop);
//! assert_eq!(decision.rule.map(|rule| rule.id.as_str()), Some("windows-prefetch"));
//!
//! let decision = rules.decide(&Subject::file(r"\Program Files\App\app.exe"));
//! assert_eq!(decision.action, Action::Keep);
//! ```

mod examples;
mod file;
mod glob;
mod matcher;
mod pattern;
mod shipped;
mod subject;

pub use examples::{Failure, check_examples};
pub use file::{Action, Kind, Platform, Rule, RuleFile, RuleFileError, Scope};
pub use matcher::{Decision, RuleSet};
pub use pattern::PatternError;
pub use shipped::shipped_files;
pub use subject::Subject;
