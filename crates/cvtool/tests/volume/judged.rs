//! Packed volumes as other programs see them.

use super::support::{done, everything, keeps_attributes, sha256, snapshot, text, tool};
use std::fs;
use std::path::Path;

#[test]
fn other_programs_find_nothing_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    everything(folder, "tree");
    done(
        folder,
        &[
            "image",
            "pack",
            "tree",
            "-o",
            "disk.img",
            "--no-partition",
            "--label",
            "JUDGED",
        ],
    );
    for (program, arguments, expected) in [
        ("ntfsfix", &["-n", "disk.img"][..], "processed successfully"),
        ("ntfsinfo", &["-m", "disk.img"], "JUDGED"),
        ("ntfsresize", &["-i", "-f", "-P", "disk.img"], "You might resize"),
        ("fsntfsinfo", &["disk.img"], "JUDGED"),
    ] {
        let Some(output) = tool(folder, program, arguments) else {
            continue;
        };
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && said.contains(expected), "{program}: {said}");
    }
}

#[test]
fn other_readers_give_the_same_contents() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    let tree = everything(folder, "tree");
    // The Sleuth Kit takes a hole that is larger than the volume for damage.
    fs::remove_file(tree.join("sparse.bin")).unwrap();
    fs::remove_file(tree.join("hole.bin")).unwrap();
    done(folder, &["image", "pack", "tree", "-o", "disk.img", "--no-partition"]);
    let before = snapshot(&tree);
    let files = || {
        before
            .iter()
            .filter(|(path, node)| node.kind == 'f' && !path.contains(':'))
    };

    if let Some(fls) = tool(folder, "fls", &["-r", "-p", "-F", "disk.img"]) {
        let listed = text(&fls.stdout);
        let mut count = 0;
        for (path, node) in files() {
            let line = listed
                .lines()
                .find(|line| line.split_once('\t').is_some_and(|(_, name)| name == path));
            let line = line.unwrap_or_else(|| panic!("{path} not in {listed}"));
            let inode = line.split_whitespace().nth(1).unwrap().trim_end_matches(':');
            let content = tool(folder, "icat", &["disk.img", inode]).unwrap();
            assert_eq!(sha256(&content.stdout), node.content, "{path}");
            count += 1;
        }
        assert!(count > 300);
    }
    if let Some(unpacked) =
        tool(folder, "7zz", &["x", "-oseven", "disk.img"]).or_else(|| tool(folder, "7z", &["x", "-oseven", "disk.img"]))
    {
        // It makes no link that leads up; else nothing is wrong.
        let said = text(&unpacked.stdout) + &text(&unpacked.stderr);
        let is_link = |line: &str| line.contains("Dangerous link path") || line.contains("Sub items Errors");
        let wrong = said
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("Errors:"));
        let wrong: Vec<_> = wrong
            .filter(|line| !is_link(line) && !line.contains("Archives with Errors"))
            .collect();
        assert!(wrong.is_empty(), "{said}");
        for (path, node) in files() {
            assert_eq!(
                sha256(&fs::read(folder.join("seven").join(path)).unwrap()),
                node.content,
                "{path}"
            );
        }
    }
}

#[test]
fn an_ntfs_3g_mount_shows_the_tree_and_is_packed_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    let tree = everything(folder, "tree");
    // A mount gives no stream of more than 64 KiB as an extended attribute.
    fs::remove_file(tree.join("small.txt:a larger stream")).unwrap();
    done(folder, &["image", "pack", "tree", "-o", "disk.img", "--no-partition"]);
    let Some(mount) = Mount::new(folder, "disk.img") else {
        return;
    };
    for (path, node) in snapshot(&tree)
        .iter()
        .filter(|(path, node)| node.kind == 'f' && !path.contains(':'))
    {
        assert_eq!(
            sha256(&fs::read(mount.path.join(path)).unwrap()),
            node.content,
            "{path}"
        );
    }
    let stream = super::support::attributes(&mount.path.join("small.txt"));
    assert_eq!(stream["Zone.Identifier"], b"[ZoneTransfer]\r\nZoneId=3\r\n");

    // The mount itself packed: attributes, times, security, reparse data and streams come from it.
    done(folder, &["image", "pack", "mount", "-o", "again.img", "--no-partition"]);
    drop(mount);
    let listing = |image: &str| {
        let listed: serde_json::Value = serde_json::from_str(&done(folder, &["ls", "-R", "--json", image])).unwrap();
        let mut entries = listed.as_array().unwrap().clone();
        for entry in &mut entries {
            let entry = entry.as_object_mut().unwrap();
            // Reading changes the one, and the numbers of records are free.
            entry.remove("accessed");
            entry.remove("record");
        }
        entries
    };
    let (first, again) = (listing("disk.img"), listing("again.img"));
    for (first, again) in first.iter().zip(&again) {
        assert_eq!(first, again);
    }
    assert_eq!(first.len(), again.len());
    done(folder, &["extract", "disk.img", "-C", "one"]);
    done(folder, &["extract", "again.img", "-C", "two"]);
    let security = |name: &str| {
        let nodes = snapshot(&folder.join(name));
        nodes
            .into_iter()
            .map(|(path, node)| (path, node.attributes.get("ntfs_acl").cloned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(security("one"), security("two"));
}

/// A mount by ntfs-3g, undone at the end.
struct Mount {
    path: std::path::PathBuf,
}

impl Mount {
    /// `None` where this machine cannot mount, which fails in CI.
    fn new(folder: &Path, image: &str) -> Option<Self> {
        let path = folder.join("mount");
        fs::create_dir(&path).unwrap();
        let options = "ro,streams_interface=xattr";
        let mounted = tool(folder, "ntfs-3g", &["-o", options, image, "mount"])?;
        if mounted.status.success() {
            return Some(Self { path });
        }
        assert!(std::env::var_os("CI").is_none(), "ntfs-3g: {}", text(&mounted.stderr));
        eprintln!("skipped: ntfs-3g: {}", text(&mounted.stderr));
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.path).status();
    }
}

#[test]
fn wimlib_captures_everything() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    let tree = everything(folder, "tree");
    done(
        folder,
        &[
            "image",
            "pack",
            "tree",
            "-o",
            "disk.img",
            "--no-partition",
            "--short-names",
        ],
    );
    let Some(captured) = tool(
        folder,
        "wimlib-imagex",
        &["capture", "disk.img", "disk.wim", "--compress=none"],
    ) else {
        return;
    };
    assert!(captured.status.success(), "{}", text(&captured.stderr));
    let listed = tool(folder, "wimlib-imagex", &["dir", "disk.wim", "1"]).unwrap();
    let listed = text(&listed.stdout);
    let before = snapshot(&tree);
    for path in before.keys().filter(|path| !path.contains(':') && !path.is_empty()) {
        assert!(
            listed.lines().any(|line| line.trim_start_matches('/') == path),
            "{path} not in {listed}"
        );
    }
    let unpacked = tool(folder, "wimlib-imagex", &["apply", "disk.wim", "1", "applied"]).unwrap();
    assert!(unpacked.status.success(), "{}", text(&unpacked.stderr));
    for (path, node) in before
        .iter()
        .filter(|(path, node)| node.kind == 'f' && !path.contains(':'))
    {
        assert_eq!(
            sha256(&fs::read(folder.join("applied").join(path)).unwrap()),
            node.content,
            "{path}"
        );
    }
}
