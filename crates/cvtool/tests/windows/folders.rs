//! Folders packed and extracted by cvtool.exe.

use crate::wine::{Prefix, exe, succeed};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// Everything in a folder: what it holds, when it was written, and how many names it has.
fn things(folder: &Path) -> BTreeMap<String, (Vec<u8>, i64, i64, u64)> {
    let mut things = BTreeMap::new();
    let mut pending = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, path)) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{path}/{}", entry.file_name().to_str().unwrap());
            let metadata = entry.metadata().unwrap();
            let (content, links) = if metadata.is_dir() {
                pending.push((entry.path(), path.clone()));
                (Vec::new(), 0)
            } else {
                (fs::read(entry.path()).unwrap(), metadata.nlink())
            };
            // NTFS counts in 100 ns.
            let time = (metadata.mtime(), metadata.mtime_nsec() / 100);
            things.insert(path, (content, time.0, time.1, links));
        }
    }
    things
}

fn folder_to_pack(top: &Path) {
    for (number, path) in ["a.txt", "Sub/Größe.bin", "Sub/.dot", "Sub/Deep/empty"]
        .into_iter()
        .enumerate()
    {
        let path = top.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.as_os_str().as_encoded_bytes()).unwrap();
        let time = UNIX_EPOCH + Duration::new(1_500_000_000 + number as u64, 123_456_700);
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    }
    fs::write(top.join("Sub/Deep/empty"), []).unwrap();
    fs::hard_link(top.join("a.txt"), top.join("Sub/a again.txt")).unwrap();
    // A file with a hole.
    let file = fs::File::create(top.join("sparse")).unwrap();
    file.set_len(2 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (2 << 20) - 3).unwrap();
}

#[test]
fn a_folder_is_packed_and_extracted_as_on_linux() {
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    folder_to_pack(&folder.join("in"));
    exe.succeed(&prefix, folder, ["image", "pack", "in", "-o", "windows.vhdx"]);
    succeed(folder, ["image", "pack", "in", "-o", "linux.vhdx"]);
    succeed(folder, ["image", "check", "windows.vhdx"]);
    let listed = |image: &str| {
        let listed = succeed(folder, ["ls", "-lR", image, "/"]);
        // Wine tells nothing of holes.
        listed.replace(
            "----a-p--------   1        2097152",
            "----a----------   1        2097152",
        )
    };
    assert_eq!(listed("windows.vhdx"), listed("linux.vhdx"));

    exe.succeed(&prefix, folder, ["extract", "linux.vhdx", "-C", "out", "--no-security"]);
    assert_eq!(things(&folder.join("out")), things(&folder.join("in")));

    // What is there already stays, unless it is to be replaced.
    fs::write(folder.join("out/a.txt"), "mine").unwrap();
    let arguments = ["extract", "linux.vhdx", "-C", "out", "--no-security"];
    let output = exe.run(&prefix, folder, arguments);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read(folder.join("out/a.txt")).unwrap(), b"mine");
    exe.succeed(&prefix, folder, [&arguments[..], &["--overwrite"]].concat());
    assert_eq!(things(&folder.join("out")), things(&folder.join("in")));
}

#[test]
fn names_and_links_that_lead_elsewhere_are_not_made() {
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    let top = folder.join("in");
    fs::create_dir_all(top.join("sub")).unwrap();
    for name in ["con", "trailing.", "good.txt", "a:b", "sub/x|y"] {
        fs::write(top.join(name), name).unwrap();
    }
    std::os::unix::fs::symlink("../../elsewhere", top.join("sub/out")).unwrap();
    succeed(
        folder,
        [
            "image",
            "pack",
            "in",
            "-o",
            "odd.vhdx",
            "--names",
            "any",
            "--symlinks",
            "ntfs",
        ],
    );
    let output = exe.run(&prefix, folder, ["extract", "odd.vhdx", "-C", "out", "--no-security"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    for name in ["con", "trailing.", "a:b", "sub/x|y", "sub/out"] {
        assert!(told.contains(&format!("cvtool: {name}: ")), "{name}: {told}");
    }
    let found: Vec<String> = things(&folder.join("out")).into_keys().collect();
    assert_eq!(found, ["/good.txt", "/sub"]);

    // A link that lies in the target already is not followed.
    fs::create_dir(folder.join("outside")).unwrap();
    fs::create_dir(folder.join("trap")).unwrap();
    std::os::unix::fs::symlink("../outside", folder.join("trap/sub")).unwrap();
    exe.run(&prefix, folder, ["extract", "odd.vhdx", "-C", "trap", "--no-security"]);
    assert_eq!(fs::read_dir(folder.join("outside")).unwrap().count(), 0);
}
