//! The rules of this crate.

use super::file::RuleFile;
use std::sync::OnceLock;

/// The rule files and their names.
pub(super) const TEXTS: [(&str, &str); 5] = [
    ("machine-files", include_str!("../../rules/machine-files.toml")),
    ("user-files", include_str!("../../rules/user-files.toml")),
    ("machine-registry", include_str!("../../rules/machine-registry.toml")),
    ("user-registry", include_str!("../../rules/user-registry.toml")),
    ("wine", include_str!("../../rules/wine.toml")),
];

/// The rule files of this crate.
pub fn shipped_files() -> &'static [RuleFile] {
    static FILES: OnceLock<Vec<RuleFile>> = OnceLock::new();
    // Tests read them all.
    FILES.get_or_init(|| {
        TEXTS
            .iter()
            .filter_map(|(name, text)| RuleFile::parse(name, text).ok())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Platform, check_examples};

    #[test]
    fn every_rule_has_a_reason_and_its_examples_hold() {
        for (name, text) in TEXTS {
            let file = RuleFile::parse(name, text).unwrap_or_else(|error| panic!("{name}: {error}: {error:?}"));
            for rule in &file.rules {
                assert!(!rule.reason.is_empty(), "{name}: {} has no reason", rule.id);
                let examples = rule.dropped.len() + rule.kept.len();
                assert!(examples > 0, "{name}: {} has no examples", rule.id);
            }
            let platform = file.platform.unwrap_or(Platform::Windows);
            let failures = check_examples(platform, shipped_files(), &file).unwrap();
            assert!(failures.is_empty(), "{name}: {failures:#?}");
        }
        assert_eq!(shipped_files().len(), TEXTS.len());
    }
}
