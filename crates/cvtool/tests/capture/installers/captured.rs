//! What a layer holds, as hivexregedit and the extracted files tell it, against what an installer was told to put there.

use super::application::{Data, Installed, Root, Setting};
use crate::wine::succeed;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What stands at a path, key or value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    Directory,
    /// A file by its hash.
    File(String),
    Key,
    /// A value by its type and bytes.
    Value(u32, Vec<u8>),
    /// What comes behind a list of the environment.
    Appended(Vec<String>),
    /// Whatever it is.
    Any,
}

/// The place of what is added to a variable of all users.
fn addition(name: &str) -> String {
    format!("environment!{}", name.to_lowercase())
}

/// Everything by its place: a path as on drive C:, a key, a value behind its key and a `!`, or what is added to a variable.
/// Places are in lower case.
pub type Things = BTreeMap<String, Thing>;

fn hash(path: &Path) -> String {
    format!("{:x}", Sha256::digest(std::fs::read(path).unwrap()))
}

/// What a layer holds.
pub fn of_layer(folder: &Path, layer: &str) -> Things {
    let to = format!("{layer}.extracted");
    succeed(
        folder,
        ["extract", layer, "-C", &to, "--links", "skip", "--no-security"],
    );
    let top = folder.join(to);
    let mut things = Things::new();
    let files = top.join("Files");
    if files.is_dir() {
        add_folder(&files, "c:", &mut things);
    }
    for (name, root) in [
        ("SOFTWARE", r"hklm\software"),
        ("SYSTEM", r"hklm\system"),
        ("USER", "hkcu"),
    ] {
        let hive = top.join("Hives").join(name);
        if hive.is_file() {
            add_hive(&hive, root, &mut things);
        }
    }
    let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(top.join("layer.json")).unwrap()).unwrap();
    for added in manifest["policy"]["environment"].as_array().into_iter().flatten() {
        assert!(
            added.get("prepend").is_none() && added.get("is_per_user").is_none(),
            "{added}"
        );
        let append = serde_json::from_value(added["append"].clone()).unwrap();
        things.insert(addition(added["name"].as_str().unwrap()), Thing::Appended(append));
    }
    things
}

fn add_folder(folder: &Path, path: &str, things: &mut Things) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!(r"{path}\{}", entry.file_name().to_str().unwrap().to_lowercase());
        if entry.path().is_dir() {
            things.insert(path.clone(), Thing::Directory);
            add_folder(&entry.path(), &path, things);
        } else {
            things.insert(path, Thing::File(hash(&entry.path())));
        }
    }
}

fn add_hive(hive: &Path, root: &str, things: &mut Things) {
    let output = Command::new("hivexregedit")
        .args(["--export", "--prefix", root])
        .arg(hive)
        .arg(r"\")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut key = String::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        // It writes names in UTF-8 only where Latin-1 does not have them.
        let line =
            String::from_utf8(line.to_vec()).unwrap_or_else(|_| line.iter().map(|byte| char::from(*byte)).collect());
        let line = line.as_str();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            key = name.to_lowercase();
            // The root of the hive ends with what separates names.
            if !key.ends_with('\\') {
                things.insert(key.clone(), Thing::Key);
            }
            continue;
        }
        let (name, data) = match line.strip_prefix("@=") {
            Some(data) => ("", data),
            // A name may hold what ends it elsewhere; types never do.
            None => match line.strip_prefix('"').and_then(|line| line.rsplit_once("\"=")) {
                Some(found) => found,
                None => continue,
            },
        };
        let value = if let Some(number) = data.strip_prefix("dword:") {
            (4, u32::from_str_radix(number, 16).unwrap().to_le_bytes().to_vec())
        } else {
            let (kind, bytes) = data.strip_prefix("hex(").unwrap().split_once("):").unwrap();
            let bytes = bytes.split(',').filter(|byte| !byte.is_empty());
            let bytes = bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            (u32::from_str_radix(kind, 16).unwrap(), bytes)
        };
        things.insert(format!("{key}!{}", name.to_lowercase()), Thing::Value(value.0, value.1));
    }
}

fn units(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// What a setting leaves behind.
fn value(data: &Data) -> Thing {
    match data {
        Data::Text(text) => Thing::Value(1, units(text)),
        Data::Expand(text) => Thing::Value(2, units(text)),
        Data::Number(number) => Thing::Value(4, number.to_le_bytes().to_vec()),
        Data::Bytes(bytes) => Thing::Value(3, bytes.clone()),
        Data::Texts(texts) => {
            let mut bytes: Vec<u8> = texts.iter().flat_map(|text| units(text)).collect();
            bytes.extend([0, 0]);
            Thing::Value(7, bytes)
        }
        // Whose profile it is must not be in the layer.
        Data::InProfile(below) => Thing::Value(2, units(&format!(r"%USERPROFILE%\{below}"))),
        Data::Appended(more) => Thing::Appended(vec![more.trim_start_matches(';').to_owned()]),
        Data::Unknown => Thing::Any,
    }
}

/// What a layer must hold of an installer that copies these files and sets these values.
pub fn expected(files: &[Installed], settings: &[Setting], more: &[&str]) -> Things {
    let mut things = Things::new();
    for file in files {
        let place = format!(r"C:\Program Files\CMake\{}", file.to);
        things.insert(place.to_lowercase(), Thing::File(hash(&file.source)));
    }
    things.extend(more.iter().map(|place| (place.to_lowercase(), Thing::Any)));
    for setting in settings {
        let key = setting.key.to_lowercase();
        let key = match (setting.root, key.strip_prefix(r"software\")) {
            (Root::User, _) => format!(r"hkcu\{key}"),
            (Root::Machine32, Some(below)) => format!(r"hklm\software\wow6432node\{below}"),
            _ => format!(r"hklm\{key}"),
        };
        let thing = value(&setting.data);
        if matches!(thing, Thing::Appended(_)) {
            things.insert(addition(&setting.name), thing);
            continue;
        }
        // Installers write the current control set by its alias.
        things.insert(format!("{key}!{}", setting.name.to_lowercase()), thing);
        things.insert(key, Thing::Key);
    }
    let above: BTreeSet<(String, Thing)> = things
        .keys()
        .flat_map(|place| {
            let place = place.split('!').next().unwrap_or(place);
            let kind = if place.starts_with("c:") {
                Thing::Directory
            } else {
                Thing::Key
            };
            let hives = [r"hklm", r"hklm\software", r"hklm\system", "hkcu", "c:"];
            place
                .match_indices('\\')
                .map(|(end, _)| place[..end].to_owned())
                .filter(move |above| !hives.contains(&above.as_str()))
                .map(move |above| (above, kind.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    for (place, kind) in above {
        things.entry(place).or_insert(kind);
    }
    things
}

/// Where a layer is not as expected, a line each.
pub fn differences(expected: &Things, found: &Things) -> Vec<String> {
    let mut lines = Vec::new();
    for (place, wanted) in expected {
        match found.get(place) {
            None => lines.push(format!("missing: {place}")),
            Some(thing) if wanted != &Thing::Any && thing != wanted => {
                lines.push(format!("{place}: {thing:?} instead of {wanted:?}"));
            }
            Some(_) => {}
        }
    }
    lines.extend(
        found
            .keys()
            .filter(|place| !expected.contains_key(*place))
            .map(|place| format!("not the installer's: {place}")),
    );
    lines
}
