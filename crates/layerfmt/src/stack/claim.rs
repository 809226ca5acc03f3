//! What a member has, and what becomes of it, for people and programs.

use super::LayerStack;
use cv_overlay::policy::{Action, Pattern, Reach, RuleRef};
use cv_overlay::registry::KeyState;
use cv_overlay::{Hiding, Kind, NamePath, Stack, Standing};
use cv_winname::wtf8;
use serde::Serialize;
use std::fmt;

/// What becomes of what a member has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "kebab-case")]
pub enum StandingReport {
    /// The view shows it; a whiteout or tombstone that wins shows nothing.
    Wins,
    /// It adds to the winner.
    Merges,
    /// It shows nothing itself and hides what is below it.
    Cuts,
    /// It is not seen.
    Hidden {
        /// By what: `higher-layer`, `type-change`, `whiteout`, `opaque-directory`, `key-tombstone`, `supersede-tree`,
        /// `supersede-local`, `value-tombstone`, `rule` or `other-upper`.
        why: &'static str,
        /// The member that hides it, or whose rule does.
        by: Option<String>,
        /// The path or key where it is hidden: itself, or one above it.
        at: String,
        /// The rule, as `hide \Users\*`.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
}

impl fmt::Display for StandingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Hidden { why, by, rule, .. } = self else {
            return f.write_str(match self {
                Self::Wins => "wins",
                Self::Merges => "merges",
                _ => "hides what is below",
            });
        };
        let what = match *why {
            "higher-layer" => "what stands above it",
            "type-change" => "something of another kind",
            "whiteout" => "a whiteout",
            "opaque-directory" => "an opaque directory",
            "key-tombstone" => "a tombstone of the key",
            "supersede-tree" => "a key that supersedes the tree",
            "supersede-local" => "a key that supersedes the values",
            "value-tombstone" => "a tombstone of the value",
            "rule" => "a rule",
            _ => "writes that go elsewhere",
        };
        write!(f, "hidden by {what}")?;
        if let Some(by) = by {
            write!(f, " in {by}")?;
        }
        if let Some(rule) = rule {
            write!(f, ": {rule}")?;
        }
        Ok(())
    }
}

/// What a member has at a path, key or value, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimReport {
    /// The member.
    pub layer: String,
    /// What it has: `file`, `directory`, `opaque-directory`, `symlink`, `junction`, `whiteout`; of keys `merge`, `tombstone`,
    /// `supersede-local`, `supersede-tree`; of values `value` or `tombstone`.
    pub kind: &'static str,
    /// Its content: of a file its size and SHA-256, of a value its type and data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// What becomes of it.
    #[serde(flatten)]
    pub standing: StandingReport,
}

pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::OpaqueDirectory => "opaque-directory",
        Kind::Symlink => "symlink",
        Kind::Junction => "junction",
        Kind::Whiteout => "whiteout",
    }
}

pub(super) fn state_name(state: KeyState) -> &'static str {
    match state {
        KeyState::Merge => "merge",
        KeyState::Tombstone => "tombstone",
        KeyState::SupersedeLocal => "supersede-local",
        KeyState::SupersedeTree => "supersede-tree",
    }
}

impl LayerStack<'_> {
    /// What becomes of a claim at `path`, in words. `top` stands before the path: a root of the registry, or nothing.
    pub(super) fn standing<L>(
        &self,
        stack: &Stack<L>,
        standing: Standing,
        top: &str,
        path: &NamePath,
    ) -> StandingReport {
        let hidden = match standing {
            Standing::Wins => return StandingReport::Wins,
            Standing::Merges => return StandingReport::Merges,
            Standing::Cuts => return StandingReport::Cuts,
            Standing::Hidden(hidden) => hidden,
        };
        let mut at = path.clone();
        at.truncate(hidden.depth);
        let (why, rule) = match hidden.why {
            Hiding::HigherLayer => ("higher-layer", None),
            Hiding::TypeChange => ("type-change", None),
            Hiding::Whiteout => ("whiteout", None),
            Hiding::OpaqueDirectory => ("opaque-directory", None),
            Hiding::KeyTombstone => ("key-tombstone", None),
            Hiding::SupersedeTree => ("supersede-tree", None),
            Hiding::SupersedeLocal => ("supersede-local", None),
            Hiding::ValueTombstone => ("value-tombstone", None),
            Hiding::Rule(rule) => ("rule", Some(rule)),
            Hiding::OtherUpper => ("other-upper", None),
        };
        StandingReport::Hidden {
            why,
            by: hidden.by.map(|position| self.member_at(stack, position)),
            at: shown_path(top, &at),
            rule: rule.and_then(|rule| rule_text(stack, rule, top)),
        }
    }

    /// The name of the member at a position of a stack.
    pub(super) fn member_at<L>(&self, stack: &Stack<L>, position: usize) -> String {
        let member = stack.members().get(position);
        member.map_or_else(String::new, |member| self.name(member.id).to_owned())
    }
}

/// A path below a root of the registry, or on drive C: where `top` is empty.
pub(super) fn shown_path(top: &str, path: &NamePath) -> String {
    if path.is_root() && !top.is_empty() {
        top.to_owned()
    } else {
        format!("{top}{path}")
    }
}

/// A rule as people write it.
pub(super) fn rule_text<L>(stack: &Stack<L>, rule: RuleRef, top: &str) -> Option<String> {
    let rule = stack.rule(rule)?;
    let action = match rule.action {
        Action::Merge => "merge",
        Action::Override => "override",
        Action::Hide => "hide",
        Action::Isolate => "isolate",
        Action::Exclude => "exclude",
        Action::Discard => "discard-at-logoff",
    };
    let mut text = format!("{action} {top}");
    for pattern in &rule.pattern {
        text.push('\\');
        match pattern {
            Pattern::Name(name) => text.push_str(&wtf8::display(name)),
            Pattern::Prefix(prefix) => {
                text.push_str(&wtf8::display(prefix));
                text.push('*');
            }
            Pattern::Any => text.push('*'),
        }
    }
    if rule.reach == Reach::Contents {
        text.push('\\');
    }
    Some(text)
}
