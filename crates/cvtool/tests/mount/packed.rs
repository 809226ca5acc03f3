//! Writable folders as layers, and back.

use super::support::{Lab, can_mount};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// All that a view shows: of each path the kind, content or target, and the attributes, each by its name.
fn shown(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let facts = entry.metadata().unwrap();
            let (kind, content) = if facts.is_dir() {
                waiting.push(path.clone());
                ('d', Vec::new())
            } else if facts.is_symlink() {
                ('l', fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes())
            } else {
                ('f', fs::read(&path).unwrap())
            };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(format!("{name} {kind}"), content);
            if kind != 'l' {
                let mut names = vec![0_u8; 65536];
                let length = rustix::fs::listxattr(&path, &mut names[..]).unwrap();
                for attribute in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                    let mut value = vec![0_u8; 65536];
                    let length = rustix::fs::getxattr(&path, attribute, &mut value[..]).unwrap();
                    // Access and change are the host's.
                    let length = if attribute == b"system.ntfs_times" { 16 } else { length };
                    let attribute = String::from_utf8_lossy(attribute);
                    found.insert(format!("{name} {attribute}"), value[..length].to_vec());
                }
            }
        }
    }
    found
}

/// What differs between two views.
fn differences(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let all = before.keys().chain(after.keys());
    let mut differing: Vec<String> = all
        .filter(|name| before.get(*name) != after.get(*name))
        // What had no security of its own has that of its place in a layer.
        .filter(|name| before.contains_key(*name) || !name.ends_with(" system.ntfs_acl"))
        .cloned()
        .collect();
    differing.dedup();
    differing
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// A layer, and a mount over which all was done that leaves a mark in a writable folder.
fn changed() -> Lab {
    let mut lab = Lab::new();
    for name in ["gone", "kept", "Dir/lower", "Whole/lower", "Hidden/lower"] {
        lab.put(&format!("base/{name}"), b"base");
    }
    lab.put("l/Dir/layer", &vec![7; 100_000]);
    lab.pack("l", "l.vhdx");
    lab.mount(&["--base", "base", "--layer", "l.vhdx", "--writable", "writable"]);
    let mnt = lab.mnt();
    fs::remove_file(mnt.join("gone")).unwrap();
    fs::remove_dir_all(mnt.join("Whole")).unwrap();
    fs::create_dir(mnt.join("Whole")).unwrap();
    fs::write(mnt.join("Whole/new"), b"new").unwrap();
    fs::write(mnt.join("kept"), b"changed").unwrap();
    set(&mnt.join("kept"), "user.Zone.Identifier", b"[ZoneTransfer]");
    set(&mnt.join("kept"), "user.DOSATTRIB", b"0x23");
    set(&mnt.join("Dir/layer"), "user.stream", b"of a copy");
    fs::hard_link(mnt.join("kept"), mnt.join("second")).unwrap();
    std::os::unix::fs::symlink("Dir/lower", mnt.join("link")).unwrap();
    fs::rename(mnt.join("Hidden"), mnt.join("Moved")).unwrap();
    lab.unmount();
    fs::create_dir_all(lab.path("writable/.cvlayer/Hives")).unwrap();
    let hive = "writable/.cvlayer/Hives/SOFTWARE";
    lab.put(
        "hive.toml",
        b"[layer]\nname = \"h\"\n[[registry]]\nkey = 'HKLM\\SOFTWARE\\Mine'\nvalues = { x = 1 }\n",
    );
    lab.done(&["build", "hive.toml", "-o", "hive.img"]);
    lab.done(&["extract", "hive.img", "Hives", "-C", "hives"]);
    fs::copy(lab.path("hives/Hives/SOFTWARE"), lab.path(hive)).unwrap();
    lab
}

fn pack(lab: &Lab, folder: &str, image: &str) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(["writable", "pack", folder, "--name", "Changes", "-o", image])
        .current_dir(lab.path(""))
        .env("SOURCE_DATE_EPOCH", "1735689600")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read(lab.path(image)).unwrap()
}

#[test]
fn a_writable_folder_goes_into_a_layer_and_comes_back() {
    if !can_mount() {
        return;
    }
    let mut lab = changed();
    let stack = ["--base", "base", "--layer", "l.vhdx", "--writable"];
    lab.mount(&[&stack[..], &["writable"]].concat());
    let before = shown(&lab.mnt());
    let busy = lab.refused(&["writable", "pack", "writable", "-o", "busy.vhdx"]);
    assert!(busy.contains("another mount has it"), "{busy}");
    lab.unmount();

    // Packed, unpacked and packed again it is the same, byte for byte, and a sound layer.
    let image = pack(&lab, "writable", "w.vhdx");
    lab.done(&["verify", "w.vhdx"]);
    let told = lab.done(&["inspect", "w.vhdx"]);
    assert!(told.contains("writable"), "{told}");
    lab.done(&["writable", "unpack", "w.vhdx", "again"]);
    assert!(pack(&lab, "again", "w2.vhdx") == image, "the second image is another");
    lab.mount(&[&stack[..], &["again"]].concat());
    assert_eq!(differences(&before, &shown(&lab.mnt())), Vec::<String>::new());
    lab.unmount();
    assert!(
        lab.refused(&["writable", "unpack", "w.vhdx", "again"])
            .contains("again")
    );
    lab.put("plain.toml", b"[layer]\nname = \"Plain\"\n");
    lab.done(&["build", "plain.toml", "-o", "plain.vhdx"]);
    assert!(
        lab.refused(&["writable", "unpack", "plain.vhdx", "other"])
            .contains("expected writable")
    );

    // A mount takes the image itself; killed, it goes on with what was written.
    lab.mount(&[&stack[..], &["w.vhdx"]].concat());
    assert_eq!(differences(&before, &shown(&lab.mnt())), Vec::<String>::new());
    fs::write(lab.mnt().join("late"), b"late").unwrap();
    lab.kill();
    assert!(lab.path("w.vhdx.writable").is_dir());
    lab.mount(&[&stack[..], &["w.vhdx"]].concat());
    assert_eq!(fs::read(lab.mnt().join("late")).unwrap(), b"late");
    lab.unmount();
    assert!(!lab.path("w.vhdx.writable").exists());
    assert_eq!(lab.done(&["cat", "w.vhdx", "/Files/late"]), "late");
}
