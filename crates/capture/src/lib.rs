//! Recording an install: what a machine looks like before and after, what changed, and which of that belongs into a layer.
//!
//! * [`rules`]: which changes are noise of the machine, and which rule says so.
//!
//! ```
//! use cv_capture::rules::{Action, Platform, RuleSet, Subject};
//!
//! let rules = RuleSet::shipped(Platform::Windows);
//! assert_eq!(rules.decide(&Subject::file(r"\pagefile.sys")).action, Action::Drop);
//! ```

pub mod build;
pub mod changes;
pub mod html;
pub mod paths;
pub mod rules;
pub mod snapshot;
