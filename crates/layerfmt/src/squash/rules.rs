//! The rules of several layers as those of one.

use crate::manifest::{FileAction, FileRule, RegistryRule};
use crate::stack::Member;

/// The rules for paths and for keys. Of two for one place the higher layer's counts.
pub(super) fn joined(members: &[Member]) -> (Vec<FileRule>, Vec<RegistryRule>) {
    let (mut files, mut keys): (Vec<FileRule>, Vec<RegistryRule>) = (Vec::new(), Vec::new());
    for (number, member) in members.iter().enumerate() {
        let is_top = number + 1 == members.len();
        let policy = &member.manifest.policy;
        for rule in &policy.files {
            files.retain(|there| !there.path.eq_ignore_ascii_case(&rule.path));
            files.push(FileRule {
                action: action(rule.action, is_top),
                ..rule.clone()
            });
        }
        for rule in &policy.registry {
            keys.retain(|there| !there.key.eq_ignore_ascii_case(&rule.key));
            keys.push(RegistryRule {
                action: action(rule.action, is_top),
                ..rule.clone()
            });
        }
    }
    (files, keys)
}

/// What the rule of a layer becomes. Of what it hides of the layers nothing is left; what those above have there is seen.
fn action(action: FileAction, is_top: bool) -> FileAction {
    match action {
        FileAction::Hide if !is_top => FileAction::Override,
        action => action,
    }
}

fn hides(action: FileAction) -> bool {
    matches!(action, FileAction::Hide | FileAction::Override)
}

/// Rules of different layers, one of them hiding something, where one is for a place in the other's: of the rules of one layer the
/// deeper decides alone.
pub(super) fn warnings(members: &[Member]) -> Vec<String> {
    let all: Vec<(usize, &str, FileAction)> = members
        .iter()
        .enumerate()
        .flat_map(|(number, member)| {
            let policy = &member.manifest.policy;
            let files = policy.files.iter().map(|rule| (rule.path.as_str(), rule.action));
            let keys = policy.registry.iter().map(|rule| (rule.key.as_str(), rule.action));
            files.chain(keys).map(move |(place, action)| (number, place, action))
        })
        .collect();
    let mut warnings = Vec::new();
    for (number, place, action) in all.iter().filter(|(_, _, action)| hides(*action)) {
        let meets = |(other, there, what): &&(usize, &str, FileAction)| {
            // Two that hide the same place become one that does.
            let is_same = hides(*what) && there.eq_ignore_ascii_case(place);
            other != number && !is_same && is_within(place, there)
        };
        for (other, there, what) in all.iter().filter(meets) {
            warnings.push(format!(
                "{} of {place} by {} and {} of {there} by {} stand in one layer now, where the deeper decides alone",
                action.name(),
                members[*number].name,
                what.name(),
                members[*other].name
            ));
        }
    }
    warnings
}

/// Whether one place may be in the other, or the same.
fn is_within(one: &str, other: &str) -> bool {
    let names = |place: &str| -> Vec<String> {
        let names = place
            .split(['\\', '/'])
            .filter(|name| !name.is_empty() && !name.ends_with(':'));
        names.map(str::to_lowercase).collect()
    };
    let is_alike = |(one, other): (&String, &String)| one == other || one.contains('*') || other.contains('*');
    names(one).iter().zip(&names(other)).all(is_alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use crate::{Kind, Manifest};

    fn member(name: &str, rules: &[(&str, &str)]) -> Member {
        let mut manifest = Manifest::new(name, "1.0", Kind::App);
        for (path, action) in rules {
            let rule = serde_json::json!({ "path": path, "action": action });
            manifest.policy.files.push(serde_json::from_value(rule).unwrap());
        }
        Member {
            name: name.to_owned(),
            manifest,
            index: Index::default(),
            hives: Vec::new(),
        }
    }

    #[test]
    fn rules_that_are_for_places_in_each_other_are_warned_of() {
        let warned = |low: (&str, &str), high: (&str, &str)| {
            let members = [member("low", &[low]), member("high", &[high])];
            !warnings(&members).is_empty()
        };
        assert!(warned((r"\App", "hide"), (r"C:\APP\Cache", "isolate")));
        assert!(warned((r"\App\Cache", "merge"), (r"\App", "override")));
        assert!(warned((r"\App*", "hide"), (r"\Application\Data", "override")));
        assert!(warned((r"\App", "override"), (r"\App", "isolate")));
        assert!(!warned((r"\App", "override"), (r"\app", "hide")));
        assert!(!warned((r"\App", "hide"), (r"\Other", "hide")));
        assert!(!warned((r"\App", "isolate"), (r"\App\Cache", "exclude")));
        // Of one layer's own rules the deeper decides anyway.
        assert!(warnings(&[member("one", &[(r"\App", "hide"), (r"\App\Kept", "merge")])]).is_empty());
    }

    #[test]
    fn what_is_hidden_below_the_top_overrides() {
        let members = [
            member("low", &[(r"\Low", "hide"), (r"\Both", "isolate")]),
            member("high", &[(r"\High", "hide"), (r"\both", "override")]),
        ];
        let (files, _) = joined(&members);
        let found: Vec<(&str, FileAction)> = files.iter().map(|rule| (&*rule.path, rule.action)).collect();
        let expected = [
            (r"\Low", FileAction::Override),
            (r"\High", FileAction::Hide),
            (r"\both", FileAction::Override),
        ];
        assert_eq!(found, expected);
    }
}
