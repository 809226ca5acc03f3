//! The rules of a manifest as the stack knows them.

use crate::Manifest;
use crate::content::HiveName;
use crate::manifest::FileAction;
use cv_hive::KeyPath;
use cv_overlay::policy::{Action, Pattern, Reach, Rule};

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The path names nothing.
    #[error("the rule {0:?} is of no path")]
    Empty(String),
    /// The key is in no hive that a layer may have.
    #[error("the rule {0:?} is of a key in no hive of a layer")]
    NoHive(String),
    /// A `*` that is not at the end of a name.
    #[error("the rule {0:?} has a `*` that is not at the end of a name")]
    Star(String),
}

fn action(action: FileAction) -> Action {
    match action {
        FileAction::Merge => Action::Merge,
        FileAction::Override => Action::Override,
        FileAction::Hide => Action::Hide,
        FileAction::Isolate => Action::Isolate,
        FileAction::Exclude => Action::Exclude,
        FileAction::DiscardAtLogoff => Action::Discard,
    }
}

fn is_separator(unit: u16) -> bool {
    unit == u16::from(b'\\') || unit == u16::from(b'/')
}

/// The patterns between the separators, and how far the rule reaches.
fn pattern(text: &str, whole: &str) -> Result<(Vec<Pattern>, Reach), RuleError> {
    const STAR: u16 = b'*' as u16;
    let units: Vec<u16> = text.encode_utf16().collect();
    let reach = if units.last().is_some_and(|unit| is_separator(*unit)) {
        Reach::Contents
    } else {
        Reach::Tree
    };
    let names = units.split(|unit| is_separator(*unit)).filter(|name| !name.is_empty());
    let patterns = names.map(|name| match name.iter().position(|unit| *unit == STAR) {
        None => Ok(Pattern::Name(name.to_vec())),
        Some(0) if name.len() == 1 => Ok(Pattern::Any),
        Some(place) if place + 1 == name.len() => Ok(Pattern::Prefix(name[..place].to_vec())),
        Some(_) => Err(RuleError::Star(whole.to_owned())),
    });
    Ok((patterns.collect::<Result<_, _>>()?, reach))
}

/// Reads the path of a rule.
fn path_pattern(path: &str) -> Result<(Vec<Pattern>, Reach), RuleError> {
    let bytes = path.as_bytes();
    // A drive before the path changes nothing: there is one.
    let has_drive = bytes.get(1) == Some(&b':') && bytes.first().is_some_and(u8::is_ascii_alphabetic);
    match pattern(if has_drive { &path[2..] } else { path }, path) {
        Ok((pattern, Reach::Tree)) if pattern.is_empty() => Err(RuleError::Empty(path.to_owned())),
        read => read,
    }
}

/// Whether a rule may be of this path.
pub fn check_path(path: &str) -> Result<(), RuleError> {
    path_pattern(path).map(|_| ())
}

/// Whether a rule may be of this key.
pub fn check_key(key: &str) -> Result<(), RuleError> {
    let (_, below) = in_hive(key).ok_or_else(|| RuleError::NoHive(key.to_owned()))?;
    pattern(&below, key).map(|_| ())
}

/// The rules for paths, and those that cannot be read.
pub fn file_rules(manifest: &Manifest) -> (Vec<Rule>, Vec<RuleError>) {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for rule in &manifest.policy.files {
        match path_pattern(&rule.path) {
            Ok((pattern, reach)) => rules.push(Rule {
                pattern,
                reach,
                action: action(rule.action),
            }),
            Err(error) => errors.push(error),
        }
    }
    (rules, errors)
}

/// The rules for keys of one hive, and those that cannot be read or are of no hive at all.
pub fn key_rules(manifest: &Manifest, hive: HiveName) -> (Vec<Rule>, Vec<RuleError>) {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for rule in &manifest.policy.registry {
        let Some((owner, below)) = in_hive(&rule.key) else {
            errors.push(RuleError::NoHive(rule.key.clone()));
            continue;
        };
        if owner != hive {
            continue;
        }
        match pattern(&below, &rule.key) {
            Ok((pattern, reach)) => rules.push(Rule {
                pattern,
                reach,
                action: action(rule.action),
            }),
            Err(error) => errors.push(error),
        }
    }
    (rules, errors)
}

/// The hive that a key is in, and the names below its root, with a `\` at the end where the text has one.
pub fn in_hive(key: &str) -> Option<(HiveName, String)> {
    let path = KeyPath::parse(key).ok()?;
    HiveName::ALL.into_iter().find_map(|hive| {
        let top = KeyPath::parse(hive.root()).ok()?;
        let names: Vec<String> = path.below(&top)?.iter().map(ToString::to_string).collect();
        let mut below = names.join("\\");
        if key.ends_with('\\') {
            below.push('\\');
        }
        Some((hive, below))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::manifest::{FileRule, RegistryRule};

    #[test]
    fn patterns_and_hives() {
        let mut manifest = Manifest::new("n", "1", Kind::App);
        for path in [r"C:\ProgramData\App*\", "/Users/*/x", r"\a*b", ""] {
            manifest.policy.files.push(FileRule {
                path: path.to_owned(),
                action: FileAction::Isolate,
                reason: String::new(),
                other: serde_json::Map::new(),
            });
        }
        let (rules, errors) = file_rules(&manifest);
        let name = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        assert_eq!(
            rules[0].pattern,
            [Pattern::Name(name("ProgramData")), Pattern::Prefix(name("App"))]
        );
        assert_eq!((rules[0].reach, rules[1].reach), (Reach::Contents, Reach::Tree));
        assert_eq!(
            rules[1].pattern,
            [Pattern::Name(name("Users")), Pattern::Any, Pattern::Name(name("x"))]
        );
        assert_eq!(
            errors,
            [RuleError::Star(r"\a*b".to_owned()), RuleError::Empty(String::new())]
        );

        for key in [r"HKLM\SOFTWARE\App", r"HKCU\App", r"HKCR\.txt"] {
            manifest.policy.registry.push(RegistryRule {
                key: key.to_owned(),
                action: FileAction::Hide,
                reason: String::new(),
                other: serde_json::Map::new(),
            });
        }
        let (rules, errors) = key_rules(&manifest, HiveName::Software);
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].pattern, [Pattern::Name(name("App"))]);
        assert_eq!(errors, [RuleError::NoHive(r"HKCR\.txt".to_owned())]);
        assert_eq!(key_rules(&manifest, HiveName::User).0.len(), 1);
    }
}
