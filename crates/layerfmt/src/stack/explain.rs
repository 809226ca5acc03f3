//! Why a path, key or value shows what it shows.

use super::LayerStack;
use super::claim::{ClaimReport, rule_text, shown_path};
use super::rules::in_hive;
use crate::content::HiveName;
use cv_overlay::NamePath;
use cv_overlay::Stack;
use cv_overlay::policy::RuleRef;
use serde::Serialize;

/// Where writes at a path go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WritesTo {
    /// The member; `None` where no member of the stack takes writes there.
    pub layer: Option<String>,
    /// The rule that decided that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// Everything that the layers have at a path, key or value, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The path as on drive C:, or the key.
    pub path: String,
    /// The name of a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The member whose file, key or value the view shows; `None` where it shows nothing.
    pub shown: Option<String>,
    /// What the members have, the highest first.
    pub claims: Vec<ClaimReport>,
    /// Where writes go.
    pub writes: WritesTo,
}

impl LayerStack<'_> {
    /// Explains a path as on drive C:.
    pub fn explain_path(&self, path: &NamePath) -> Explained {
        let Ok(explanation) = self.files.explain(path);
        let shown = explanation.shown().map(|claim| claim.position);
        Explained {
            path: path.to_string(),
            value: None,
            shown: shown.map(|position| self.member_at(&self.files, position)),
            claims: explanation
                .claims
                .iter()
                .map(|claim| self.file_claim(claim, path))
                .collect(),
            writes: self.writes(&self.files, explanation.writes_to, explanation.rule, ""),
        }
    }

    /// Explains a key, or a value of it; `None` where the key is in no hive that a layer may have.
    pub fn explain_key(&self, key: &str, value: Option<&str>) -> Option<Explained> {
        let (hive, below) = in_hive(key)?;
        let path = NamePath::from(below.as_str());
        let mut explained = Explained {
            path: shown_path(hive.root(), &path),
            value: value.map(ToOwned::to_owned),
            shown: None,
            claims: Vec::new(),
            writes: WritesTo {
                layer: None,
                rule: None,
            },
        };
        let Some((_, stack)) = self.hives.iter().find(|(name, _)| *name == hive) else {
            return Some(explained);
        };
        let Ok(explanation) = stack.explain_key(&path);
        explained.writes = self.writes(stack, explanation.writes_to, explanation.rule, hive.root());
        if let Some(value) = value {
            let units: Vec<u16> = value.encode_utf16().collect();
            let Ok(claims) = stack.explain_value(&path, &units);
            let shown = claims.iter().find(|claim| claim.is_shown());
            explained.shown = shown.map(|claim| self.member_at(stack, claim.position));
            explained.claims = claims
                .iter()
                .map(|claim| self.value_claim(hive, stack, claim, &path))
                .collect();
        } else {
            explained.shown = explanation.shown().map(|claim| self.member_at(stack, claim.position));
            let claims = explanation.claims.iter();
            explained.claims = claims.map(|claim| self.key_claim(hive, stack, claim, &path)).collect();
        }
        Some(explained)
    }

    /// Whether a text is that of a key: it begins with a root of the registry.
    pub fn is_key(text: &str) -> bool {
        let is_root = |root: &str| {
            let first = text.split(['\\', '/']).next().unwrap_or_default();
            first.eq_ignore_ascii_case(root)
        };
        let roots = HiveName::ALL.iter().filter_map(|hive| hive.root().split('\\').next());
        roots.chain(["HKLM", "HKCU"]).any(is_root)
    }

    fn writes<L>(&self, stack: &Stack<L>, to: Option<usize>, rule: Option<RuleRef>, top: &str) -> WritesTo {
        WritesTo {
            layer: to.map(|position| self.member_at(stack, position)),
            rule: rule.and_then(|rule| rule_text(stack, rule, top)),
        }
    }
}
