//! Layers over each other.

use crate::support::{add, file, open, options, units, write};
use cv_hive::{Key, KeyState, Value, ValueType};
use cv_image::Format;
use cv_overlay::NamePath;
use layerfmt::content::{Content, HiveName, Metadata, NodeKind};
use layerfmt::manifest::{FileAction, FileRule, LayerReference};
use layerfmt::stack::{ConflictReport, LayerStack, Member, StandingReport, unmet};
use layerfmt::{Kind, Manifest};
use std::path::Path;

fn content(name: &str, version: &str) -> Content {
    Content::new(Manifest::new(name, version, Kind::App))
}

fn member(folder: &Path, content: &Content) -> Member {
    let path = folder.join(format!("{}.img", content.manifest.name));
    write(content, &path, &options(Format::Raw));
    let layer = open(&path);
    Member {
        name: content.manifest.name.clone(),
        manifest: layer.manifest().clone(),
        index: layer.index().unwrap().clone(),
        hives: layer
            .hives()
            .map(|name| (name, layer.hive_tree(name).unwrap()))
            .collect(),
    }
}

fn members(folder: &Path) -> [Member; 2] {
    let mut low = content("low", "1.0");
    add(&mut low.files, "App/same.txt", file(b"same"));
    add(&mut low.files, "App/other.txt", file(b"one"));
    add(&mut low.files, "App/deleted.txt", file(b"deleted"));
    add(&mut low.files, "Hidden/below.txt", file(b"below"));
    add(&mut low.files, "Only/low.txt", file(b"low"));
    let mut software = Key::new("");
    let app = software.subkey_or_insert("App");
    app.values.push(Value::new("Version", ValueType::DWORD, [1, 0, 0, 0]));
    app.values.push(Value::new("Same", ValueType::DWORD, [1, 0, 0, 0]));
    software.subkey_or_insert("Gone").subkey_or_insert("Deep");
    low.hives.insert(HiveName::Software, software);

    let mut high = content("high", "2.0");
    add(&mut high.files, "app/Same.txt", file(b"same"));
    add(&mut high.files, "App/other.txt", file(b"two"));
    let app = high.files.directories(&units("App")).unwrap();
    high.files
        .add(app, "deleted.txt", NodeKind::Whiteout, Metadata::default())
        .unwrap();
    high.manifest.policy.files.push(FileRule {
        path: r"\Hidden".to_owned(),
        action: FileAction::Hide,
        reason: String::new(),
        other: serde_json::Map::new(),
    });
    let mut software = Key::new("");
    let app = software.subkey_or_insert("App");
    app.values.push(Value::new("version", ValueType::DWORD, [2, 0, 0, 0]));
    app.values.push(Value::new("Same", ValueType::DWORD, [1, 0, 0, 0]));
    software.subkey_or_insert("Gone").state = KeyState::Tombstone;
    high.hives.insert(HiveName::Software, software);
    let reference = |name: &str, version: &str| LayerReference {
        name: name.to_owned(),
        version: Some(version.to_owned()),
        ..LayerReference::default()
    };
    high.manifest.requires = vec![reference("LOW", ">=1, <2"), reference("runtime", "")];
    high.manifest.conflicts = vec![reference("low", "<0.9"), reference("low", "1.0")];
    [member(folder, &low), member(folder, &high)]
}

#[test]
fn conflicts_say_who_wins_and_whether_it_matters() {
    let folder = tempfile::tempdir().unwrap();
    let members = members(folder.path());
    let stack = LayerStack::new(&members);
    assert_eq!(stack.order(), ["high", "low"]);
    let mut reports: Vec<ConflictReport> = Vec::new();
    stack.conflicts(&mut |report| reports.push(report));
    let told: Vec<(String, &str)> = reports
        .iter()
        .map(|report| {
            let value = report
                .value
                .as_ref()
                .map(|value| format!("!{value}"))
                .unwrap_or_default();
            (format!("{}{value}", report.path), report.content)
        })
        .collect();
    let expected = [
        (r"\app\deleted.txt", "different"),
        (r"\app\other.txt", "different"),
        (r"\app\Same.txt", "same"),
        (r"HKEY_LOCAL_MACHINE\SOFTWARE\App!Same", "same"),
        (r"HKEY_LOCAL_MACHINE\SOFTWARE\App!version", "different"),
        (r"HKEY_LOCAL_MACHINE\SOFTWARE\Gone", "different"),
    ];
    for (path, content) in expected {
        assert!(
            told.iter()
                .any(|(told, same)| told.eq_ignore_ascii_case(path) && *same == content),
            "{path}: {told:#?}"
        );
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn paths_keys_and_values_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let members = members(folder.path());
    let stack = LayerStack::new(&members);
    let path = |text: &str| stack.explain_path(&NamePath::from(text));
    assert_eq!(path(r"\only\LOW.txt").shown.as_deref(), Some("low"));
    assert_eq!(path(r"\nothing").claims, []);
    let hidden = path(r"\Hidden\below.txt");
    assert_eq!(hidden.shown, None);
    assert_eq!(
        hidden.claims[0].standing.to_string(),
        r"hidden by a rule in high: hide \Hidden"
    );
    let deleted = path(r"\App\deleted.txt");
    assert_eq!(deleted.shown, None);
    assert!(
        matches!(&deleted.claims[1].standing, StandingReport::Hidden { why: "whiteout", by, .. } if by.as_deref() == Some("high"))
    );

    let key = |text: &str, value| stack.explain_key(text, value).unwrap();
    assert_eq!(
        key(r"HKLM\SOFTWARE\app", Some("VERSION")).shown.as_deref(),
        Some("high")
    );
    assert_eq!(key(r"HKLM\SOFTWARE\Gone\Deep", None).shown, None);
    assert_eq!(key(r"HKLM\SYSTEM\Select", None).claims, []);
    assert!(stack.explain_key(r"HKCR\.txt", None).is_none());
    assert!(LayerStack::is_key(r"hklm\SOFTWARE") && !LayerStack::is_key(r"\HKLM"));
}

#[test]
fn references_that_do_not_hold_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let told: Vec<_> = unmet(&members(folder.path()))
        .into_iter()
        .map(|unmet| (unmet.member, unmet.reference))
        .collect();
    assert_eq!(
        told,
        [("requires", "runtime ".to_owned()), ("conflicts", "low 1.0".to_owned())]
    );
}
