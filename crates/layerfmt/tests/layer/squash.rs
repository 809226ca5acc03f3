//! One layer of several does over anything what they do together.

use crate::support::{add, file, open, options, units, write};
use cv_hive::{Key, KeyState, Value, ValueState, ValueType};
use cv_image::Format;
use cv_overlay::NamePath;
use layerfmt::content::{Content, FileTree, HiveName, Metadata, NodeKind};
use layerfmt::manifest::LayerReference;
use layerfmt::squash::{Part, SquashError, squash};
use layerfmt::stack::{Explained, LayerStack, Member};
use layerfmt::{Kind, Layer, Manifest};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// One thing that a layer has: where, and what.
type Thing = (Vec<u8>, u8);

fn name(number: u8) -> &'static str {
    ["a", "b", "C"][usize::from(number % 3)]
}

fn put(files: &mut FileTree, (path, what): &Thing, mark: &str) {
    let (last, above) = path.split_last().unwrap();
    let mut directory = FileTree::ROOT;
    for name in above.iter().map(|number| name(*number)) {
        directory = match files.child(directory, &units(name)) {
            Some(there) if files.kind(there).is_directory() => there,
            // Something else is in the way.
            Some(_) => return,
            None => files.directory(directory, name).unwrap(),
        };
    }
    if files.child(directory, &units(name(*last))).is_some() {
        return;
    }
    let (kind, metadata) = match what % 4 {
        0 => (NodeKind::Whiteout, Metadata::default()),
        1 => (NodeKind::Directory, Metadata::default()),
        2 => (NodeKind::OpaqueDirectory, Metadata::default()),
        _ => (NodeKind::File, file(format!("{mark} {path:?}").as_bytes())),
    };
    files.add(directory, name(*last), kind, metadata).unwrap();
}

fn put_key(root: &mut Key, (path, what): &Thing, mark: u8) {
    let key = path
        .iter()
        .fold(root, |key, number| key.subkey_or_insert(name(*number)));
    match what % 5 {
        0 => {
            key.subkeys.clear();
            key.values.clear();
            key.state = KeyState::Tombstone;
        }
        1 => key.state = KeyState::SupersedeTree,
        2 => key.state = KeyState::SupersedeLocal,
        _ if key.state == KeyState::Tombstone => {}
        3 => {
            let mut value = Value::new(name(*what), ValueType::NONE, Vec::new());
            value.state = ValueState::Tombstone;
            key.values.retain(|there| !there.name.matches(value.name.units()));
            key.values.push(value);
        }
        _ => {
            let value = Value::new(name(*what), ValueType::DWORD, [mark, *what, 0, 0]);
            key.values.retain(|there| !there.name.matches(value.name.units()));
            key.values.push(value);
        }
    }
}

/// A tombstone has nothing in it, whatever was put there later.
fn settle(key: &mut Key) {
    if key.state == KeyState::Tombstone {
        key.subkeys.clear();
        key.values.clear();
    }
    key.subkeys.iter_mut().for_each(settle);
}

fn layer(number: usize, (things, rules): &(Vec<Thing>, Vec<Thing>)) -> Content {
    let mut content = Content::new(Manifest::new(&format!("layer {number}"), "1.0", Kind::App));
    for (path, what) in rules {
        let action = ["hide", "override"][usize::from(what % 2)];
        let (path, policy) = (text(path), &mut content.manifest.policy);
        let rule = if what % 4 < 2 {
            let rule = serde_json::json!({ "path": format!("\\{path}"), "action": action });
            serde_json::from_value(rule).map(|rule| policy.files.push(rule))
        } else {
            let rule = serde_json::json!({ "key": format!(r"HKLM\SOFTWARE\{path}"), "action": action });
            serde_json::from_value(rule).map(|rule| policy.registry.push(rule))
        };
        rule.unwrap();
    }
    let mut root = Key::new("");
    for thing in things {
        put(&mut content.files, thing, &format!("{number}"));
        put_key(&mut root, thing, number as u8 + 1);
    }
    settle(&mut root);
    content.hives.insert(HiveName::Software, root);
    content
}

fn written(folder: &Path, content: &Content) -> Layer {
    let path = folder.join(format!("{}.img", content.manifest.name));
    write(content, &path, &options(Format::Raw));
    open(&path)
}

fn member(name: &str, layer: &Layer) -> Member {
    Member {
        name: name.to_owned(),
        manifest: layer.manifest().clone(),
        index: layer.index().unwrap().clone(),
        hives: layer
            .hives()
            .map(|hive| (hive, layer.hive_tree(hive).unwrap()))
            .collect(),
    }
}

/// What is seen: whether it is a directory, and the content.
fn seen(explained: &Explained) -> Option<(bool, Option<String>)> {
    let shown = explained.shown.as_ref()?;
    let claim = explained.claims.iter().find(|claim| claim.layer == *shown).unwrap();
    Some((claim.kind.contains("directory"), claim.content.clone()))
}

fn paths(things: &[(Vec<Thing>, Vec<Thing>)]) -> BTreeSet<Vec<u8>> {
    let all = things.iter().flat_map(|(things, _)| things);
    all.flat_map(|(path, _)| (1..=path.len()).map(|end| path[..end].to_vec()))
        .collect()
}

fn text(path: &[u8]) -> String {
    path.iter().map(|number| name(*number)).collect::<Vec<_>>().join("\\")
}

fn some(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Thing>> {
    prop::collection::vec((prop::collection::vec(0_u8..3, 1..4), any::<u8>()), count)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_one_layer_shows_over_a_base_what_all_of_them_show(
        mut things in prop::collection::vec((some(0..12), some(0..2)), 2..5),
    ) {
        // What it is over has no rules.
        things[0].1.clear();
        let folder = tempfile::tempdir().unwrap();
        let layers: Vec<Layer> = things
            .iter()
            .enumerate()
            .map(|(number, things)| written(folder.path(), &layer(number, things)))
            .collect();
        // The lowest stands for what the others are over.
        let parts: Vec<Part> = layers[1..]
            .iter()
            .map(|layer| Part { name: layer.manifest().name.clone(), layer: layer.clone() })
            .collect();
        let squashed = squash(&parts).unwrap();
        let mut one = squashed.content;
        one.manifest.name = "one".to_owned();
        let one = written(folder.path(), &one);

        let all: Vec<Member> = layers
            .iter()
            .enumerate()
            .map(|(number, layer)| member(&number.to_string(), layer))
            .collect();
        let two = [member("0", &layers[0]), member("one", &one)];
        let (all, two) = (LayerStack::new(&all), LayerStack::new(&two));
        if !squashed.warnings.is_empty() {
            return Ok(());
        }
        for path in paths(&things) {
            let path = text(&path);
            let [expected, found] = [&all, &two].map(|stack| seen(&stack.explain_path(&NamePath::from(path.as_str()))));
            prop_assert_eq!(expected, found, "the path {}", path);
            let key = format!(r"HKLM\SOFTWARE\{path}");
            for value in [None, Some("a"), Some("b"), Some("C")] {
                let [expected, found] = [&all, &two].map(|stack| {
                    let explained = stack.explain_key(&key, value).unwrap();
                    // Of keys it counts that they are there, of values the data.
                    seen(&explained).map(|(_, content)| value.and(content))
                });
                prop_assert_eq!(expected, found, "the key {} {:?}", &key, value);
            }
        }
    }
}

#[test]
fn links_streams_and_what_manifests_say_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut low = crate::support::everything();
    low.manifest.name = "low".to_owned();
    low.manifest.requires.push(LayerReference {
        name: "runtime".to_owned(),
        ..LayerReference::default()
    });
    let mut high = Content::new(Manifest::new("high", "2.0", Kind::App));
    add(&mut high.files, "Program Files/App/small.txt", file(b"larger"));
    high.scripts
        .insert("On-Attach.cmd".to_owned(), b"@echo off\r\n".to_vec());
    high.manifest.requires.push(LayerReference {
        name: "low".to_owned(),
        ..LayerReference::default()
    });
    let part = |content: &Content| Part {
        name: content.manifest.name.clone(),
        layer: written(folder.path(), content),
    };
    let parts = [part(&low), part(&high)];
    let squashed = squash(&parts).unwrap();
    assert!(squashed.warnings.is_empty());
    let mut content = squashed.content;
    assert_eq!((&*content.manifest.name, &*content.manifest.version), ("high", "2.0"));
    // What one of them needs and the other is is needed no more.
    let needed: Vec<&str> = content.manifest.requires.iter().map(|other| &*other.name).collect();
    assert_eq!(needed, ["runtime"]);
    let number = |path: &str| content.files.file_number(content.files.find(&units(path)).unwrap());
    assert_eq!(
        number("Program Files/App/app.exe"),
        number("Program Files/App/same.exe")
    );
    assert_eq!(content.scripts.len(), 1);

    content.manifest.name = "one".to_owned();
    let one = written(folder.path(), &content);
    let lower = parts[0].layer.index().unwrap();
    for entry in lower.below(b"Files") {
        let there = one.index().unwrap().entry(&entry.path);
        if entry.path.ends_with(b"/small.txt") {
            assert_eq!(there.unwrap().streams[0].size, 6);
        } else {
            let there = there.unwrap();
            assert_eq!(
                (there.kind, &there.streams),
                (entry.kind, &entry.streams),
                "{:?}",
                entry.path
            );
        }
    }

    high.scripts.insert("On-Attach.cmd".to_owned(), b"other".to_vec());
    let error = squash(&[parts[0].clone(), part(&high)]).unwrap_err();
    assert!(matches!(error, SquashError::Script { lower, upper, .. } if lower == "low" && upper == "high"));
}
