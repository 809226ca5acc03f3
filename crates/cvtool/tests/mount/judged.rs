//! Others' view of the same: ntfs-3g on the same volume, and the overlay file system of Linux on the same folders.

use super::support::{Lab, can_mount, has_tool};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

type Seen = BTreeMap<String, (bool, u64, i64, Vec<u8>, Vec<(String, Vec<u8>)>)>;

const ATTRIBUTES: [&str; 5] = [
    "system.ntfs_attrib",
    "system.ntfs_times",
    "system.ntfs_acl",
    "system.ntfs_dos_name",
    "user.Zone.Identifier",
];

fn look(root: &Path, below: &str, attributes: &[&str], seen: &mut Seen) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if path == "System Volume Information" || path == ".cvlayer" {
            continue;
        }
        let host = root.join(&path);
        let facts = fs::symlink_metadata(&host).unwrap();
        let content = if facts.is_file() {
            fs::read(&host).unwrap()
        } else {
            Vec::new()
        };
        let values = attributes.iter().filter_map(|attribute| {
            let mut value = vec![0_u8; 64 << 10];
            let length = rustix::fs::lgetxattr(&host, *attribute, &mut value[..]).ok()?;
            value.truncate(length);
            Some(((*attribute).to_owned(), value))
        });
        let size = if facts.is_file() { facts.len() } else { 0 };
        seen.insert(
            path.clone(),
            (facts.is_dir(), size, facts.mtime(), content, values.collect()),
        );
        if facts.is_dir() {
            look(root, &path, attributes, seen);
        }
    }
}

fn seen(root: &Path, attributes: &[&str]) -> Seen {
    let mut found = Seen::new();
    look(root, "", attributes, &mut found);
    found
}

#[test]
fn a_volume_is_seen_as_ntfs_3g_sees_it() {
    if !can_mount() || !has_tool("ntfs-3g") {
        return;
    }
    let mut lab = Lab::new();
    for number in 0..300 {
        lab.put(
            &format!("tree/Dir {}/File name {number}.txt", number % 7),
            vec![number as u8; number * 37].as_slice(),
        );
    }
    lab.put(
        "tree/big.bin",
        &(0..3_000_000_u32).map(|at| (at * 7 % 251) as u8).collect::<Vec<_>>(),
    );
    lab.put("tree/ümlaut/日本.txt", b"names");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(
        lab.path("tree/big.bin"),
        "user.Zone.Identifier",
        b"[ZoneTransfer]",
        flags,
    )
    .unwrap();
    rustix::fs::setxattr(
        lab.path("tree/big.bin"),
        "user.ntfs_attrib",
        &0x23_u32.to_le_bytes(),
        flags,
    )
    .unwrap();
    lab.done(&["image", "pack", "tree", "-o", "volume.img"]);
    // ntfs-3g takes a volume, not a disk.
    let disk = fs::read(lab.path("volume.img")).unwrap();
    let start = disk
        .windows(11)
        .position(|bytes| bytes == b"\xEB\x52\x90NTFS    ")
        .unwrap();
    fs::write(lab.path("bare.img"), &disk[start..]).unwrap();
    fs::create_dir(lab.path("theirs")).unwrap();
    let status = Command::new("ntfs-3g")
        .args(["-o", "ro,streams_interface=xattr"])
        .args([lab.path("bare.img"), lab.path("theirs")])
        .status()
        .unwrap();
    assert!(status.success());
    let theirs = seen(&lab.path("theirs"), &ATTRIBUTES);
    Command::new("umount")
        .arg("-l")
        .arg(lab.path("theirs"))
        .status()
        .unwrap();
    lab.mount(&["--base", "volume.img"]);
    let ours = seen(&lab.mnt(), &ATTRIBUTES);
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (path, own) in &ours {
        assert_eq!(own, &theirs[path], "{path}");
    }
    assert!(ours.len() > 300);
    lab.unmount();
}

#[test]
fn linux_mounts_the_writable_folder_over_the_same_base() {
    if !can_mount() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting an overlay takes root");
        return;
    }
    let mut lab = Lab::new();
    for path in ["a/one", "a/two", "b/c/deep", "gone/file", "kept"] {
        lab.put(&format!("base/{path}"), path.as_bytes());
    }
    lab.mount(&["--base", "base", "--writable", "writable"]);
    let mnt = lab.mnt();
    fs::write(mnt.join("a/one"), "changed").unwrap();
    fs::remove_file(mnt.join("a/two")).unwrap();
    fs::remove_file(mnt.join("gone/file")).unwrap();
    fs::remove_dir(mnt.join("gone")).unwrap();
    fs::create_dir(mnt.join("gone")).unwrap();
    fs::write(mnt.join("gone/new"), "new").unwrap();
    fs::rename(mnt.join("b"), mnt.join("B2")).unwrap();
    let ours = seen(&mnt, &[]);
    lab.unmount();
    for folder in ["work", "theirs"] {
        fs::create_dir(lab.path(folder)).unwrap();
    }
    let options = format!(
        "userxattr,lowerdir={},upperdir={},workdir={}",
        lab.path("base").display(),
        lab.path("writable").display(),
        lab.path("work").display()
    );
    let mounted = Command::new("mount")
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(lab.path("theirs"))
        .status()
        .unwrap();
    if !mounted.success() {
        eprintln!("skipped: this kernel mounts no overlay here");
        return;
    }
    let theirs = seen(&lab.path("theirs"), &[]);
    Command::new("umount")
        .arg("-l")
        .arg(lab.path("theirs"))
        .status()
        .unwrap();
    assert_eq!(ours, theirs);
}
