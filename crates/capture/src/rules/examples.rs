//! The examples of a rule file.

use super::file::{Action, Platform, RuleFile, RuleFileError};
use super::matcher::RuleSet;
use super::subject::Subject;
use std::fmt;

/// An example that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The rule whose example it is.
    pub rule: String,
    /// The example.
    pub example: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {:?}: {}: {}", self.rule, self.example, self.reason)
    }
}

/// Checks that the examples of `file` are decided as they say, together with the rules of the `files` before it (`file` itself
/// may be one of them). What a rule that drops says is dropped must be dropped by this very rule, and so for the others.
pub fn check_examples(platform: Platform, files: &[RuleFile], file: &RuleFile) -> Result<Vec<Failure>, RuleFileError> {
    let platform = file.platform.unwrap_or(platform);
    let is_there = files.contains(file);
    let all = files.iter().chain((!is_there).then_some(file));
    let set = RuleSet::new(platform, all)?;
    let mut failures = Vec::new();
    for rule in &file.rules {
        let dropped = rule.dropped.iter().map(|example| (example, true));
        let kept = rule.kept.iter().map(|example| (example, false));
        for (example, is_dropped) in dropped.chain(kept) {
            let mut fail = |reason: String| {
                failures.push(Failure {
                    rule: rule.id.clone(),
                    example: example.clone(),
                    reason,
                });
            };
            let Some(subject) = Subject::parse(example) else {
                fail(r"is neither a path that begins with \ nor a key that begins with a root".to_owned());
                continue;
            };
            let decision = set.decide(&subject);
            let by = decision.rule.map_or("no rule", |rule| rule.id.as_str());
            if (decision.action == Action::Drop) != is_dropped {
                fail(format!("the decision is {}, by {by}", decision.action));
            } else if (rule.action == Action::Drop) == is_dropped && by != rule.id {
                fail(format!("it is {by} that decides"));
            }
        }
    }
    Ok(failures)
}
