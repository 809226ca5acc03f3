//! Rules against a matcher that tries every pattern by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_capture::rules::{Action, Platform, RuleFile, RuleSet, Subject};
use proptest::prelude::*;
use std::fmt::Write;

/// Whether `glob` stands for `name`, by trying everything.
fn fits(glob: &[char], name: &[char]) -> bool {
    match (glob.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => fits(rest, name) || (!name.is_empty() && fits(glob, &name[1..])),
        (Some(('?', rest)), Some((_, name))) => fits(rest, name),
        (Some((one, rest)), Some((other, name))) => one.eq_ignore_ascii_case(other) && fits(rest, name),
        _ => false,
    }
}

/// Whether a pattern holds for a path: it names the path, or a directory above it.
fn holds(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => true,
        Some((&"**", [])) => !path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|skipped| holds(rest, &path[skipped..])),
        Some((glob, rest)) => path.split_first().is_some_and(|(name, below)| {
            let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
            fits(&glob, &name) && holds(rest, below)
        }),
    }
}

fn rank(pattern: &[&str], action: Action) -> (usize, usize, Action) {
    let named = pattern.iter().filter(|name| **name != "**");
    let literal = named.clone().filter(|name| !name.contains(['*', '?'])).count();
    (named.count(), literal, action)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[abA]{1,3}", 1..6)
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![2 => "[abA]{1,2}", 2 => "[ab*?]{1,3}", 1 => Just("**".to_owned())];
    prop::collection::vec(name, 1..5).prop_filter("names something", |names| {
        // Two of these in a row mean what one means, and are counted as one.
        names.iter().any(|name| name != "**") && !names.windows(2).any(|two| two[0] == "**" && two[1] == "**")
    })
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Drop),
        Just(Action::Seed),
        Just(Action::Review),
        Just(Action::Keep)
    ]
}

proptest! {
    #[test]
    fn the_deepest_pattern_decides(
        rules in prop::collection::vec((patterns(), actions()), 0..8),
        paths in prop::collection::vec(names(), 1..20),
    ) {
        let mut text = String::new();
        for (number, (pattern, action)) in rules.iter().enumerate() {
            let pattern = pattern.join(r"\");
            writeln!(text, "[[rule]]\nid = \"{number}\"\nkind = \"file\"\npattern = '\\{pattern}'\naction = \"{action}\"").unwrap();
        }
        let file = RuleFile::parse("test", &text).unwrap();
        let set = RuleSet::new(Platform::Windows, [&file]).unwrap();
        for path in &paths {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let expected = rules
                .iter()
                .map(|(pattern, action)| (pattern.iter().map(String::as_str).collect::<Vec<_>>(), *action))
                .filter(|(pattern, _)| holds(pattern, &path))
                .map(|(pattern, action)| rank(&pattern, action))
                .max();
            let decision = set.decide(&Subject::file(&format!(r"\{}", path.join(r"\"))));
            prop_assert_eq!(decision.action, expected.map_or(Action::Keep, |(_, _, action)| action));
            prop_assert_eq!(decision.rule.is_some(), expected.is_some());
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = RuleFile::parse("test", &text);
    }
}

fn rules(text: &str) -> RuleFile {
    RuleFile::parse("test", text).unwrap()
}

/// As sha256sum says.
#[test]
fn files_are_named_with_their_sums() {
    let set = RuleSet::new(Platform::Windows, [&rules("reset = true\n")]).unwrap();
    let sum = "48ec6322be5f19ee6aec7f68c68c56ce6bb6de79199324ada291af98460560e1";
    assert_eq!(set.files(), [format!("test (SHA-256 {sum})")]);
}

#[test]
fn files_of_users_add_to_those_before_or_take_their_place() {
    let path = Subject::file(r"\Windows\Temp\app\a.dll");
    let ours = rules(
        "[[rule]]\nid = 'temporary'\nkind = 'file'\npattern = '%Windir%\\Temp\\**'\naction = 'drop'\n\
         [[rule]]\nid = 'never'\nkind = 'file'\npattern = '\\pagefile.sys'\naction = 'drop'\ntier = 0\n",
    );
    let theirs = rules("[[rule]]\nid = 'mine'\nkind = 'file'\npattern = '\\Windows\\Temp\\**'\naction = 'keep'\n");
    let decide = |files: &[&RuleFile], subject: &Subject| {
        let set = RuleSet::new(Platform::Windows, files.iter().copied()).unwrap();
        let decision = set.decide(subject);
        (decision.action, decision.rule.map(|rule| rule.id.clone()))
    };
    assert_eq!(decide(&[&ours], &path).0, Action::Drop);
    // Equally deep: the later file counts.
    assert_eq!(decide(&[&ours, &theirs], &path).1.as_deref(), Some("mine"));
    let drop_it = rules("[[rule]]\nid = 'not'\nkind = 'file'\npattern = '\\Windows\\Temp\\**'\naction = 'drop'\n");
    assert_eq!(decide(&[&ours, &theirs, &drop_it], &path).0, Action::Drop);
    // What may never be in a layer is not kept by a rule of another tier.
    let keep = rules("[[rule]]\nid = 'keep'\nkind = 'file'\npattern = '\\pagefile.sys'\naction = 'keep'\n");
    let page_file = Subject::file(r"\pagefile.sys");
    assert_eq!(decide(&[&ours, &keep], &page_file).0, Action::Drop);
    let reset = RuleFile { reset: true, ..keep };
    assert_eq!(decide(&[&ours, &reset], &page_file).0, Action::Keep);
    assert_eq!(decide(&[&ours, &reset], &path), (Action::Keep, None));
}

#[test]
fn names_are_whole_and_views_are_one() {
    let set = RuleSet::shipped(Platform::Windows);
    let action = |text: &str| set.decide(&Subject::parse(text).unwrap()).action;
    assert_eq!(action(r"\Windows\Prefetcher\a"), Action::Keep);
    assert_eq!(action(r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Tracing\x"), Action::Drop);
    assert_eq!(action(r"HKLM\SOFTWARE\Microsoft\Tracings\x"), Action::Keep);
}

#[test]
fn classes_are_taken_whole() {
    let set = RuleSet::shipped(Platform::Windows);
    let whole = |text: &str| set.whole(&cv_hive::KeyPath::parse(text).unwrap());
    assert_eq!(whole(r"HKLM\SOFTWARE\Classes\CLSID\{0}\InprocServer32"), Some(5));
    assert_eq!(
        whole(r"HKLM\SOFTWARE\Classes\WOW6432Node\CLSID\{0}\InprocServer32"),
        Some(6)
    );
    assert_eq!(whole(r"HKLM\SOFTWARE\Classes\CLSID"), None);
    assert_eq!(whole(r"HKLM\SOFTWARE\Classes\App.Document\shell"), Some(4));
    assert_eq!(whole(r"HKLM\SOFTWARE\Classes\Installer\Products\0"), None);
    assert_eq!(whole(r"HKCU\Software\Classes\App.Document\shell"), Some(4));
    assert_eq!(whole(r"HKLM\SOFTWARE\App\CLSID\{0}"), None);
}

#[test]
fn mistakes_are_refused() {
    for (text, said) in [
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='Windows'\naction='drop'",
            "the pattern \"Windows\"",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern=[]\naction='drop'",
            "the pattern \"\"",
        ),
        (
            "[[rule]]\nid='a'\nkind='value'\npattern='HKLM\\A'\naction='drop'",
            "the pattern \"HKLM\\\\A\"",
        ),
        (
            "[[rule]]\nid='a'\nkind='registry'\npattern='SOFTWARE'\naction='drop'",
            "the pattern \"SOFTWARE\"",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='drop'\ntier=4",
            "the tier is 4",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='keep'\nwhole=true",
            "only rules for keys",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='burn'",
            "unknown variant",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='drop'\nwhy='x'",
            "unknown field",
        ),
        (
            "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='drop'\n[[rule]]\nid='a'\nkind='file'\npattern='\\b'\naction='drop'",
            "two rules",
        ),
    ] {
        let refused = RuleFile::parse("test", text).unwrap_err().to_string();
        assert!(refused.contains(said), "{text}: {refused}");
    }
}
