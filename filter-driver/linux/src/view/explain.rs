//! Why a path shows what it shows: what every member has there, which rule holds, and where writes go.

use super::{State, View};
use crate::control::{Explained, ExplainedRule};
use cv_overlay::policy::{Action, Pattern, Reach, Rule, RuleRef};
use cv_overlay::{Hiding, NamePath};
use cv_winname::wtf8;
use rustix::io::Errno;
use std::path::PathBuf;

/// Everything about one path.
#[derive(Debug)]
pub struct PathExplained {
    /// What the members have there, the highest first.
    pub members: Vec<Explained>,
    /// The folder that takes the writes there.
    pub writes_to: Option<PathBuf>,
    /// The rule by which it does.
    pub rule: Option<ExplainedRule>,
}

impl State {
    /// A rule of the stack, in words.
    pub(crate) fn rule(&self, reference: RuleRef) -> Option<ExplainedRule> {
        rule_text(self, reference)
    }
}

fn rule_text(state: &State, reference: RuleRef) -> Option<ExplainedRule> {
    let rule = state.stack.rule(reference)?;
    let source = state.facts(reference.member).map(|facts| facts.source.clone());
    Some(rule_in_words(rule, "", source.unwrap_or_default()))
}

/// A rule of a layer in words; `top` stands before its path, as a root of the registry does.
pub(super) fn rule_in_words(rule: &Rule, top: &str, layer: PathBuf) -> ExplainedRule {
    let mut path = top.to_owned();
    for name in &rule.pattern {
        path.push('\\');
        match name {
            Pattern::Name(name) => path.push_str(&wtf8::display(name)),
            Pattern::Prefix(prefix) => {
                path.push_str(&wtf8::display(prefix));
                path.push('*');
            }
            Pattern::Any => path.push('*'),
        }
    }
    if rule.reach == Reach::Contents {
        path.push('\\');
    }
    let action = match rule.action {
        Action::Merge => "merge",
        Action::Override => "override",
        Action::Hide => "hide",
        Action::Isolate => "isolate",
        Action::Exclude => "exclude",
        Action::Discard => "discard-at-logoff",
    };
    ExplainedRule {
        layer,
        path,
        action: action.to_owned(),
    }
}

impl View {
    /// Says what every member has at a path, the highest first, and what rules do there.
    pub fn explain(&self, path: &NamePath) -> Result<PathExplained, Errno> {
        let state = self.read();
        let explanation = state.stack.explain(path).map_err(|error| error.errno())?;
        let members = explanation.claims.iter().map(|claim| {
            let hidden = claim.standing.hidden();
            Explained {
                member: state
                    .facts(claim.position)
                    .map(|facts| facts.source.clone())
                    .unwrap_or_default(),
                kind: claim.kind,
                standing: claim.standing,
                hidden_by: hidden
                    .and_then(|hidden| hidden.by)
                    .and_then(|by| state.facts(by))
                    .map(|facts| facts.source.clone()),
                rule: hidden.and_then(|hidden| match hidden.why {
                    Hiding::Rule(rule) => rule_text(&state, rule),
                    _ => None,
                }),
            }
        });
        Ok(PathExplained {
            members: members.collect(),
            writes_to: explanation
                .writes_to
                .filter(|position| state.upper(*position).is_some())
                .and_then(|position| state.facts(position))
                .map(|facts| facts.source.clone()),
            rule: explanation.rule.and_then(|rule| rule_text(&state, rule)),
        })
    }
}
