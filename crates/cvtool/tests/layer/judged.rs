//! A layer of two programs, in each container, as other tools see it.

use super::programs::{CMAKE, NINJA, files, shelf};
use super::run::{done, missing, text, tool, try_tool};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const RECIPE: &str = r#"
[layer]
name = "CMake and Ninja"
version = "3.31.6"

[[source]]
wheel = "${WHEELS}/cmake-3.31.6-py3-none-win_amd64.whl"
into = 'C:\Program Files\CMake'

[[source]]
wheel = "${WHEELS}/ninja-1.11.1.4-py3-none-win_amd64.whl"
into = 'C:\Program Files\Ninja'

[[registry]]
file = "programs.reg"

[[registry]]
key = 'HKCU\Software\Kitware'
values.Recent = ["C:\\one", "C:\\two"]

[[service]]
name = "NinjaWatch"
image = 'C:\Program Files\Ninja\watch.exe'
start = "manual"

[[shortcut]]
name = "CMake"
folder = "Kitware"
target = 'C:\Program Files\CMake\cmake\data\bin\cmake-gui.exe'
arguments = "-S ."

[[shortcut]]
name = "Ninja"
place = "desktop"
target = 'C:\Program Files\Ninja\ninja-1.11.1.4.data\scripts\ninja.exe'
"#;

const REGISTRY: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware]

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware\CMake]
@="the default"
"InstallDir"="C:\\Program Files\\CMake"
"Major"=dword:00000003
"Bytes"=hex:00,ff,10
"Path"=hex(2):25,00,50,00,41,00,54,00,48,00,25,00,00,00
"Big"=hex(b):00,00,00,00,01,00,00,00

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware\CMake\Below]
"Empty"=""
"#;

/// The same as hivexregedit writes it, which knows no backslash in a text.
const EXPORTED: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware]

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware\CMake]
@=str(1):"the default"
"Big"=hex(b):00,00,00,00,01,00,00,00
"Bytes"=hex(3):00,ff,10
"InstallDir"=str(1):"C:\Program Files\CMake"
"Major"=dword:00000003
"Path"=str(2):"%PATH%"

[HKEY_LOCAL_MACHINE\SOFTWARE\Kitware\CMake\Below]
"Empty"=str(1):""
"#;

/// Every file of the layer's tree as unzip unpacks the wheels, by its path in the volume; what the recipe makes has no file.
fn expected(folder: &Path) -> Option<BTreeMap<String, Option<PathBuf>>> {
    let mut expected = BTreeMap::new();
    for (wheel, name) in [(CMAKE, "CMake"), (NINJA, "Ninja")] {
        for (path, file) in files(&wheel.unpacked(folder, name)?) {
            expected.insert(format!("Files/Program Files/{name}/{path}"), Some(file));
        }
    }
    assert!(expected.len() > 3800);
    for shortcut in [MENU, DESKTOP] {
        expected.insert(shortcut.to_owned(), None);
    }
    Some(expected)
}

const MENU: &str = "Files/ProgramData/Microsoft/Windows/Start Menu/Programs/Kitware/CMake.lnk";
const DESKTOP: &str = "Files/Users/Public/Desktop/Ninja.lnk";

fn judge(container: &str) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let Some(expected) = expected(folder) else { return };
    fs::write(folder.join("programs.toml"), RECIPE).unwrap();
    fs::write(folder.join("programs.reg"), REGISTRY).unwrap();
    let (layer, wheels) = (format!("layer.{container}"), shelf());
    let wheels = wheels.to_str().unwrap();
    let set = format!("WHEELS={wheels}");
    done(
        folder,
        &["build", "programs.toml", "-o", &layer, "--allow", wheels, "--set", &set],
    );
    let said = text(&done(folder, &["verify", &layer]));
    assert!(said.contains("sound"), "{said}");

    manifest_tells(folder, &layer);
    seven_zip_lists(folder, &layer, &expected);
    if tool(folder, "qemu-img", &["convert", "-O", "raw", &layer, "layer.raw"]).is_none() {
        return;
    }
    seven_zip_lists(folder, "layer.raw", &expected);
    let Some(mount) = Mount::new(folder, "layer.raw") else {
        return;
    };
    let seen = files(&mount.path.join("Files"));
    let seen: BTreeMap<String, PathBuf> = seen
        .into_iter()
        .map(|(path, file)| (format!("Files/{path}"), file))
        .collect();
    assert!(seen.keys().eq(expected.keys()), "the mount has other names");
    for (path, unpacked) in &expected {
        if let Some(unpacked) = unpacked {
            assert!(
                fs::read(unpacked).unwrap() == fs::read(&seen[path]).unwrap(),
                "{path} differs"
            );
        }
    }
    hives_open(&mount.path.join("Hives"));
    shortcuts_open(&mount.path);
}

#[test]
fn in_a_vhd_other_tools_see_the_programs() {
    judge("vhd");
}

#[test]
fn in_a_vhdx_other_tools_see_the_programs() {
    judge("vhdx");
}

#[test]
fn in_a_vmdk_other_tools_see_the_programs() {
    judge("vmdk");
}

/// The manifest says what was found in the programs.
fn manifest_tells(folder: &Path, layer: &str) {
    let manifest: Json = serde_json::from_slice(&done(folder, &["cat", layer, "/layer.json"])).unwrap();
    assert_eq!(manifest["architecture"], "x64");
    assert_eq!(manifest["created"], "2025-02-19T21:20:00Z");
    let all = |list: &str, member: &str| -> Vec<String> {
        let entries = manifest["applications"][list].as_array().unwrap().iter();
        entries
            .map(|entry| entry[member].as_str().unwrap().to_owned())
            .collect()
    };
    let ninja = r"\Program Files\Ninja\ninja-1.11.1.4.data\scripts\ninja.exe";
    assert!(all("programs", "path").contains(&ninja.to_owned()));
    assert_eq!(all("shortcuts", "target").len(), 2);
    assert_eq!(all("services", "name"), ["NinjaWatch"]);
}

/// 7-Zip lists the same files with the same sizes, through whatever the volume is in.
fn seven_zip_lists(folder: &Path, image: &str, expected: &BTreeMap<String, Option<PathBuf>>) {
    // Debian's 7zip has the one name, p7zip the other.
    let is_7zz = Command::new("7zz").output().is_ok();
    let Some(listing) = tool(folder, if is_7zz { "7zz" } else { "7z" }, &["l", "-slt", image]) else {
        return;
    };
    let mut listed = BTreeMap::new();
    for block in listing.split("\n\n") {
        let field = |name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
        };
        let (Some(path), Some("-"), Some(size)) = (field("Path"), field("Folder"), field("Size")) else {
            continue;
        };
        if path.starts_with("Files/") {
            listed.insert(path.to_owned(), size.parse::<u64>().unwrap());
        }
    }
    assert!(listed.keys().eq(expected.keys()), "7-Zip lists other names in {image}");
    for (path, unpacked) in expected {
        if let Some(unpacked) = unpacked {
            assert_eq!(listed[path], unpacked.metadata().unwrap().len(), "{path} in {image}");
        }
    }
}

/// The volume in the first partition of a raw disk, mounted by ntfs-3g from a loop device; undone at the end.
struct Mount {
    path: PathBuf,
    device: String,
}

impl Mount {
    /// `None` where this machine cannot mount, which fails in CI.
    fn new(folder: &Path, image: &str) -> Option<Self> {
        let first = (1 << 20).to_string();
        let losetup = ["--find", "--show", "--read-only", "--offset", &first, image];
        let device = try_tool(folder, "losetup", &losetup)?;
        if !device.status.success() {
            missing(&format!("a loop device: {}", text(&device.stderr)));
            return None;
        }
        let mount = Self {
            path: folder.join("mount"),
            device: text(&device.stdout).trim().to_owned(),
        };
        fs::create_dir(&mount.path).unwrap();
        let mounted = try_tool(folder, "ntfs-3g", &["-o", "ro", &mount.device, "mount"])?;
        if !mounted.status.success() {
            missing(&format!("ntfs-3g: {}", text(&mounted.stderr)));
            return None;
        }
        Some(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.path).status();
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// hivex opens every hive, and exports what the recipe says.
fn hives_open(hives: &Path) {
    let names: BTreeSet<String> = files(hives).into_keys().collect();
    assert!(names.iter().eq(["SOFTWARE", "SYSTEM", "USER"]), "{names:?}");
    for name in &names {
        if let Some(xml) = tool(hives, "hivexml", &[name]) {
            assert!(xml.contains("<node"), "{xml}");
        }
    }
    let exported = |hive: &str, root: &str, key: &str| {
        let arguments = ["--export", "--unsafe-printable-strings", "--prefix", root, hive, key];
        tool(hives, "hivexregedit", &arguments)
    };
    let Some(software) = exported("SOFTWARE", r"HKEY_LOCAL_MACHINE\SOFTWARE", r"\Kitware") else {
        return;
    };
    assert_eq!(software.trim_end(), EXPORTED.trim_end());
    let user = exported("USER", "HKEY_CURRENT_USER", r"\Software\Kitware").unwrap();
    assert!(
        user.contains("\"Recent\"=hex(7):43,00,3a,00,5c,00,6f,00,6e,00,65,00,00,00,43,00"),
        "{user}"
    );
    let system = exported(
        "SYSTEM",
        r"HKEY_LOCAL_MACHINE\SYSTEM",
        r"\CurrentControlSet\Services\NinjaWatch",
    )
    .unwrap();
    assert!(system.contains("\"Start\"=dword:00000003"), "{system}");
}

fn shortcuts_open(volume: &Path) {
    for (path, target) in [
        (MENU, r"C:\Program Files\CMake\cmake\data\bin\cmake-gui.exe"),
        (DESKTOP, r"C:\Program Files\Ninja\ninja-1.11.1.4.data\scripts\ninja.exe"),
    ] {
        if let Some(read) = tool(volume, "lnkinfo", &[path]) {
            assert!(read.contains(target), "{read}");
        }
    }
}
