//! Differences of registries judged by what hivexregedit exports.

use crate::support::{open, options, write};
use cv_hive::{Key, Value, ValueType};
use cv_image::Format;
use layerfmt::content::{Content, HiveName};
use layerfmt::diff::{ChangeKind, DiffOptions, RegistryWhat, Side, diff};
use layerfmt::{Kind, Layer, Manifest};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

const TOP: &str = r"HKEY_LOCAL_MACHINE\SOFTWARE";

fn layer(folder: &Path, name: &str, software: Key) -> Layer {
    let mut content = Content::new(Manifest::new("n", "1", Kind::App));
    content.hives.insert(HiveName::Software, software);
    let path = folder.join(name);
    write(&content, &path, &options(Format::Raw));
    open(&path)
}

/// Keys, and values by key and name, as the tool writes them; `None` where it is not there.
fn exported(folder: &Path, layer: &Layer) -> Option<BTreeMap<(String, Option<String>), String>> {
    let path = folder.join("hive");
    std::fs::write(&path, layer.hive(HiveName::Software).unwrap()).unwrap();
    let output = Command::new("hivexregedit")
        .args(["--export", "--prefix", TOP])
        .args([path.to_str()?, "\\"])
        .output();
    assert!(
        output.is_ok() || std::env::var_os("CI").is_none(),
        "hivexregedit is not installed"
    );
    let text = String::from_utf8(output.ok()?.stdout).unwrap();
    let mut items = BTreeMap::new();
    let mut key = String::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            path.trim_end_matches('\\').clone_into(&mut key);
            items.insert((key.clone(), None), String::new());
        } else if let Some((name, data)) = line.split_once('=') {
            let name = name.trim_matches('"').trim_start_matches('@').to_owned();
            items.insert((key.clone(), Some(name)), data.to_owned());
        }
    }
    Some(items)
}

#[test]
fn changes_are_those_between_exports() {
    let folder = tempfile::tempdir().unwrap();
    let text = |text: &str| -> Vec<u8> { text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() };
    let mut before = Key::new("");
    for number in 0..40_u32 {
        let key = before
            .subkey_or_insert("Vendor")
            .subkey_or_insert(format!("Key{number}").as_str());
        for value in 0..number % 5 {
            let name = format!("Value{value}");
            key.values.push(Value::new(
                name.as_str(),
                ValueType::SZ,
                text(&format!("{number}.{value}")),
            ));
        }
        key.subkey_or_insert("Below")
            .values
            .push(Value::new("", ValueType::DWORD, number.to_le_bytes()));
    }
    let mut after = before.clone();
    let vendor = after.subkey_or_insert("Vendor");
    vendor.subkeys.remove(7);
    vendor.subkeys[3].values.clear();
    vendor
        .subkey_or_insert("New")
        .subkey_or_insert("Deep")
        .values
        .push(Value::new("x", ValueType::BINARY, [1, 2]));
    for key in vendor.subkeys.iter_mut().step_by(4) {
        for value in &mut key.values {
            value.data = text("changed").into_boxed_slice();
        }
        key.values.push(Value::new("Added", ValueType::QWORD, [0; 8]));
    }
    let (before, after) = (
        layer(folder.path(), "before.img", before),
        layer(folder.path(), "after.img", after),
    );
    let (Some(was), Some(is)) = (exported(folder.path(), &before), exported(folder.path(), &after)) else {
        eprintln!("skipped: hivexregedit is not installed");
        return;
    };
    assert!(was.len() > 100);
    let mut theirs = BTreeSet::new();
    for item in was.keys().chain(is.keys()) {
        match (was.get(item), is.get(item)) {
            (Some(_), None) => theirs.insert((item.clone(), "removed")),
            (None, Some(_)) => theirs.insert((item.clone(), "added")),
            (one, other) if one != other => theirs.insert((item.clone(), "changed")),
            _ => false,
        };
    }

    let (before, after) = (Side::of_layer(&before).unwrap(), Side::of_layer(&after).unwrap());
    let found = diff(&before, &after, &DiffOptions::semantic()).unwrap();
    let ours: BTreeSet<_> = found
        .registry
        .into_iter()
        .map(|change| {
            let kind = match change.change {
                ChangeKind::Added => "added",
                ChangeKind::Removed => "removed",
                _ => "changed",
            };
            let name = match change.what {
                RegistryWhat::Value { name, .. } => Some(name),
                _ => None,
            };
            ((change.key, name), kind)
        })
        .collect();
    assert_eq!(ours, theirs);
}
