//! Hives judged by other tools: what we read against what they read, and what they read of hives that we wrote or edited.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_hive::edit::Editor;
use cv_hive::{Hive, Key, KeyPath, Name, Value, ValueType, Version, WriteOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use support::hivexml;

const TOOLS: [&str; 3] = ["hivexml", "reglookup", "regfexport"];

/// What a tool prints of a hive, without what says where something is; `None` where it fails.
fn printed(tool: &str, path: &Path) -> Option<String> {
    let mut command = Command::new(tool);
    if tool == "reglookup" {
        command.args(["-s", "-i"]);
    }
    let output = support::try_run(command.arg(path)).ok()?;
    let mut text = String::from_utf8_lossy(&output).into_owned();
    if tool == "hivexml" {
        let mut parts = text.split("<byte_runs>");
        let mut without = parts.next().unwrap().to_string();
        for part in parts {
            without.push_str(part.split_once("</byte_runs>").unwrap().1);
        }
        // When the hive was last written.
        text = match without.split_once("<hive><mtime>") {
            Some((before, after)) => format!("{before}<hive>{}", after.split_once("</mtime>").unwrap().1),
            None => without,
        };
    }
    Some(text)
}

fn version(hive: &Hive<'_>) -> Version {
    match hive.minor_version() {
        3 => Version::V1_3,
        5 => Version::V1_5,
        _ => Version::V1_6,
    }
}

fn options(version: Version) -> WriteOptions {
    WriteOptions {
        version: Some(version),
        ..WriteOptions::default()
    }
}

#[test]
fn other_tools_read_the_same_of_a_hive_of_windows_and_of_the_one_we_write() {
    if !support::have(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in support::SOUND {
        let Some(bytes) = support::corpus(name) else { return };
        let hive = Hive::open(&bytes).unwrap();
        let tree = hive.to_tree().unwrap();
        let (original, again) = (folder.path().join(name), folder.path().join("again"));
        std::fs::write(&original, &bytes).unwrap();
        std::fs::write(&again, cv_hive::write_to_vec(&tree, &options(version(&hive))).unwrap()).unwrap();
        for tool in TOOLS {
            // hivex refuses the values that delete others.
            let fails = tool == "hivexml" && name == "System_Delta";
            let expected = printed(tool, &original);
            assert_eq!(expected.is_none(), fails, "{tool} {name}");
            if name == "yarp-WrongOrderHive" {
                // We write in the right order.
                assert_eq!(sorted(expected), sorted(printed(tool, &again)), "{tool} {name}");
            } else {
                assert!(expected == printed(tool, &again), "{tool} {name}");
            }
        }
    }
}

fn sorted(text: Option<String>) -> Vec<String> {
    let text = text
        .unwrap_or_default()
        .replace("<node", "\n<node")
        .replace("</node>", "")
        .replace("</hive>", "");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn we_read_what_hivex_reads() {
    if !support::have(&["hivexml"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in support::SOUND {
        // hivex fails at lone surrogates or replaces them, and at values that delete others.
        if ["yarp-PairHive", "System_Delta"].contains(&name) {
            continue;
        }
        let Some(bytes) = support::corpus(name) else { return };
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        compare(&path, &bytes, name);
    }
}

fn compare(path: &Path, bytes: &[u8], name: &str) {
    let theirs = hivexml::parse(&printed("hivexml", path).unwrap());
    let mut ours = hivexml::of(&Hive::open(bytes).unwrap());
    // hivex gives the subkeys behind the values, as we do, but those of a list in its order, as we do too.
    assert_eq!(ours.len(), theirs.len(), "{name}");
    for (ours, theirs) in ours.drain(..).zip(theirs) {
        assert_eq!(ours, theirs, "{name}");
    }
}

/// A hive with what the format has, in text that all tools can print.
fn everything() -> Key {
    let mut root = Key::new("root");
    let key = root.subkey_or_insert("Key with values");
    key.class = Some(Name::from("a class"));
    let text: Vec<u8> = "text \u{65E5}\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for length in [0, 1, 2, 3, 4, 5, 100, 16343, 16344, 16345, 40_000, 100_000] {
        let data = support::random(length as u64, length);
        key.values
            .push(Value::new(&*format!("{length} bytes"), ValueType::BINARY, data));
    }
    key.values.push(Value::new("", ValueType::SZ, text.clone()));
    key.values
        .push(Value::new("\u{65E5}\u{672C}", ValueType::EXPAND_SZ, text.clone()));
    key.values.push(Value::new("number", ValueType::DWORD, [1, 2, 3, 0x84]));
    key.values
        .push(Value::new("large number", ValueType::QWORD, [1, 2, 3, 4, 5, 6, 7, 8]));
    key.values.push(Value::new(
        "texts",
        ValueType::MULTI_SZ,
        [&*text, &*text, &[0, 0]].concat(),
    ));
    for (number, name) in ["\u{65E5}\u{672C}", "\u{DF}\u{E4}\u{FF}", "with / and ' and \" and <&>"]
        .into_iter()
        .enumerate()
    {
        root.subkey_or_insert(name).security = Some(support::trees::security(number as u8));
    }
    let many = root.subkey_or_insert("Many");
    for number in 0..2000 {
        many.subkey_or_insert(&*format!("Subkey {number:05}")).last_written = 0x01D0_0000_0000_0000 + number;
    }
    root
}

#[test]
fn other_tools_read_everything_that_we_write() {
    if !support::have(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    for version in [Version::V1_3, Version::V1_5, Version::V1_6] {
        let mut tree = everything();
        if version == Version::V1_3 {
            let values = &mut tree.subkey_or_insert("Key with values").values;
            values.retain(|value| value.data.len() < 1 << 20);
        }
        let bytes = cv_hive::write_to_vec(&tree, &options(version)).unwrap();
        support::assert_sound(&bytes);
        std::fs::write(&path, &bytes).unwrap();
        compare(&path, &bytes, &format!("{version:?}"));
        for tool in ["reglookup", "regfexport"] {
            let text = printed(tool, &path).unwrap();
            assert_eq!(
                text.matches("Subkey 0").count(),
                if tool == "reglookup" { 2000 } else { 4000 },
                "{tool}"
            );
        }
    }
}

/// 100,000 subkeys in one key, and values in number.
#[test]
fn other_tools_read_large_keys() {
    if !support::have(&TOOLS) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let mut root = Key::new("root");
    let key = |number: u32| Key::new(&*format!("Subkey {number:06}"));
    for version in [Version::V1_3, Version::V1_5] {
        root.subkeys = (0..100_000).map(key).collect();
        std::fs::write(&path, cv_hive::write_to_vec(&root, &options(version)).unwrap()).unwrap();
        assert_eq!(printed("reglookup", &path).unwrap().lines().count(), 100_002);
        // hivex takes 70,000 subkeys at most.
        root.subkeys = (0..70_000).map(key).collect();
        std::fs::write(&path, cv_hive::write_to_vec(&root, &options(version)).unwrap()).unwrap();
        assert_eq!(printed("hivexml", &path).unwrap().matches("<node ").count(), 70_001);
    }
    let mut root = Key::new("root");
    let value = |number: u32| Value::new(&*format!("Value {number}"), ValueType::DWORD, number.to_le_bytes());
    root.values = (0..50_000).map(value).collect();
    std::fs::write(&path, cv_hive::write_to_vec(&root, &options(Version::V1_5)).unwrap()).unwrap();
    assert_eq!(printed("hivexml", &path).unwrap().matches("<value ").count(), 50_000);
    assert_eq!(printed("reglookup", &path).unwrap().lines().count(), 50_002);
}

fn hivexsh(path: &Path, script: &str) {
    let mut child = Command::new("hivexsh")
        .args(["-w", path.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_hive_edited_here_is_then_edited_by_hivex_and_here_again() {
    if !support::have(&["hivexsh", "hivexml"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let path_of = |text: &str| KeyPath::parse(text).unwrap();
    for start in [
        cv_hive::write_to_vec(&everything(), &options(Version::V1_5)).unwrap(),
        support::corpus("NTUSER.DAT").unwrap_or_default(),
        support::corpus("SYSTEM").unwrap_or_default(),
    ] {
        if start.is_empty() {
            continue;
        }
        let mut editor = Editor::open(start, 0x01D9_0000_0000_0000).unwrap();
        let vendor = path_of(r"Software\Vendor");
        editor.add_key(vendor.names()).unwrap();
        for number in 0..200_u32 {
            let data = support::random(u64::from(number), number as usize * 200);
            let value = Value::new(&*format!("Value {number}"), ValueType::BINARY, data);
            editor.set_value(vendor.names(), &value).unwrap();
            editor
                .add_key(path_of(&format!(r"Software\Vendor\Key {number}")).names())
                .unwrap();
        }
        for number in (0..200).step_by(3) {
            let name = Name::from(&*format!("Value {number}"));
            assert!(editor.delete_value(vendor.names(), &name).unwrap());
            assert!(
                editor
                    .delete_key(path_of(&format!(r"Software\Vendor\Key {number}")).names())
                    .unwrap()
            );
        }
        editor.commit();
        std::fs::write(&path, editor.bytes()).unwrap();
        let xml = printed("hivexml", &path).unwrap();
        assert!(xml.contains("<node name=\"Key 199\"") && !xml.contains("<node name=\"Key 198\""));

        let script = "cd \\Software\\Vendor\nadd New\ncd New\nsetval 2\n@\nstring:abcd\nNumber\ndword:7\ncd \\Software\\Vendor\\Key 1\ndel\ncommit\n";
        hivexsh(&path, script);
        let bytes = std::fs::read(&path).unwrap();
        let errors: Vec<String> = cv_hive::check::check(&bytes)
            .unwrap()
            .into_iter()
            .filter(|fault| fault.severity == cv_disk::Severity::Error)
            .map(|fault| fault.to_string())
            .collect();
        assert_eq!(errors, [] as [String; 0]);
        let hive = Hive::open(&bytes).unwrap();
        let new = hive.key(r"Software\Vendor\New").unwrap().unwrap();
        assert_eq!(new.value("number").unwrap().unwrap().data().unwrap()[..], [7, 0, 0, 0]);
        assert!(hive.key(r"Software\Vendor\Key 1").unwrap().is_none());

        let mut editor = Editor::open(bytes, 0).unwrap();
        assert!(editor.delete_key(vendor.names()).unwrap());
        editor.commit();
        std::fs::write(&path, editor.bytes()).unwrap();
        assert!(!printed("hivexml", &path).unwrap().contains("\"Vendor\""));
    }
}
