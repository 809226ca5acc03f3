//! Folders to volumes and back.

use super::support::{Node, assert_same, done, ends, everything, keeps_attributes, noise, sha256, snapshot, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// What of a tree comes back from a volume whatever it was before: `ntfs_acl` and `ntfs_times` are new, larger streams become
/// files, which have times of their own, and NTFS counts time in 100 ns.
fn comparable(mut nodes: BTreeMap<String, Node>) -> BTreeMap<String, Node> {
    nodes.retain(|path, _| !path.contains(':'));
    for node in nodes.values_mut() {
        node.attributes
            .retain(|name, _| name != "ntfs_acl" && name != "ntfs_times");
        node.modified -= node.modified % 100;
    }
    nodes
}

#[test]
fn a_tree_comes_back_from_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    let tree = everything(folder, "tree");
    let before = snapshot(&tree);
    for (name, options) in [
        ("disk.vhdx", &[][..]),
        ("disk.vhdx", &["--sector-size", "4096"]),
        ("fixed.vhdx", &["--subformat", "fixed", "--size", "64M"]),
        ("disk.vhd", &["--label", "A LABEL", "--align", "64K"]),
        ("disk.vmdk", &["--cluster", "512", "--short-names"]),
        ("disk.img", &["--cluster", "64K", "--security", "place"]),
        ("bare.img", &["--no-partition", "--sector-size", "4096"]),
        ("lznt1.img", &["--compress"]),
        ("xpress.vhdx", &["--compress=xpress4k", "--security", "none"]),
    ] {
        done(folder, &[&["image", "pack", "tree", "-o", name], options].concat());
        done(folder, &["image", "check", name]);
        done(folder, &["extract", name, "-C", "out"]);
        let after = snapshot(&folder.join("out"));
        let (mut before, mut after_core) = (comparable(before.clone()), comparable(after.clone()));
        for path in [&mut before, &mut after_core] {
            // Times of exact kept values win over those of the host.
            path.get_mut("Program Files/App/bin/app.exe").unwrap().modified = 0;
        }
        for node in after_core.values_mut() {
            // Made where they were wanted, or by the volume's compression.
            let short = node.attributes.remove("ntfs_dos_name");
            let is_given = short.as_deref() == Some(b"SHORTY~1.EXE");
            assert!(short.is_none() || is_given || options.contains(&"--short-names"));
        }
        for node in before.values_mut() {
            node.attributes.remove("ntfs_dos_name");
        }
        if options.contains(&"--compress") {
            for node in after_core.values_mut() {
                node.attributes
                    .retain(|name, value| name != "ntfs_attrib" || value[1] & 8 == 0);
            }
        }
        // A larger stream is a file beside one of the names of its file.
        let streams: Vec<_> = after
            .iter()
            .filter(|(path, _)| path.ends_with(":a larger stream"))
            .collect();
        assert_eq!(streams.len(), 1, "{name}");
        assert_eq!(streams[0].1.content, sha256(&noise(70_000, 5)), "{name}");
        for (path, node) in &before {
            assert_eq!(after_core.get(path), Some(node), "{name}: {path}");
        }
        assert_eq!(after_core.len(), before.len(), "{name}");
        assert!(
            fs::metadata(folder.join("out/sparse.bin")).unwrap().blocks() * 512 < 1 << 20,
            "{name}"
        );
        let exact = &after["Program Files/App/bin/app.exe"].attributes["ntfs_times"];
        assert_eq!(exact[..8], 132_223_104_000_000_000_u64.to_le_bytes(), "{name}");
        let links = ["small.txt", "Program Files/hard.txt", "Users/ann/hard too.txt"];
        let inode = |path| fs::metadata(folder.join("out").join(path)).unwrap().ino();
        assert!(links.iter().all(|path| inode(path) == inode(&links[0])), "{name}");

        // What was extracted makes the same volume again.
        if name == "disk.vhdx" {
            done(
                folder,
                &[&["image", "pack", "out", "-o", "again.vhdx"], options].concat(),
            );
            done(folder, &["extract", "again.vhdx", "-C", "out again"]);
            assert_same(&snapshot(&folder.join("out again")), &after);
            done(
                folder,
                &[&["image", "pack", "out again", "-o", "third.vhdx"], options].concat(),
            );
            assert!(fs::read(folder.join("again.vhdx")).unwrap() == fs::read(folder.join("third.vhdx")).unwrap());
            fs::remove_dir_all(folder.join("out again")).unwrap();
        }
        fs::remove_dir_all(folder.join("out")).unwrap();
        fs::remove_file(folder.join(name)).unwrap();
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !keeps_attributes(folder) {
        return;
    }
    everything(folder, "tree");
    let copied = Command::new("cp")
        .args(["-a", "tree", "copy"])
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(copied.success());
    for name in ["one.vhdx", "one.vhd", "one.vmdk", "one.img"] {
        let pack = |tree: &str, output: &str, threads: &str| {
            done(
                folder,
                &[
                    "image",
                    "pack",
                    tree,
                    "-o",
                    output,
                    "--threads",
                    threads,
                    "--compress=xpress4k",
                ],
            );
            let bytes = fs::read(folder.join(output)).unwrap();
            fs::remove_file(folder.join(output)).unwrap();
            sha256(&bytes)
        };
        let first = pack("tree", name, "1");
        assert_eq!(pack("tree", name, "4"), first, "{name}");
        assert_eq!(pack("copy", name, "2"), first, "{name}");
    }
    let serial = |arguments: &[&str]| {
        done(
            folder,
            &[
                &["image", "pack", "tree", "-o", "serial.img", "--no-partition"],
                arguments,
            ]
            .concat(),
        );
        fs::read(folder.join("serial.img")).unwrap()[0x48..0x50].to_vec()
    };
    assert_eq!(
        serial(&["--serial", "0123456789abcdef"]),
        0x0123_4567_89ab_cdef_u64.to_le_bytes()
    );
    assert_ne!(serial(&["--label", "one"]), serial(&["--label", "two"]));
}

#[test]
fn sums_are_those_of_the_contents() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("tree/a")).unwrap();
    fs::write(folder.join("tree/a/b"), b"content").unwrap();
    fs::write(folder.join("tree/a/large"), noise(3 << 20, 7)).unwrap();
    fs::write(folder.join("tree/empty"), b"").unwrap();
    done(
        folder,
        &["image", "pack", "tree", "-o", "disk.vhdx", "--sha256", "sums"],
    );
    let expected: Vec<String> = ["a/b", "a/large", "empty"]
        .iter()
        .map(|path| {
            format!(
                "{}  {path}\n",
                sha256(&fs::read(folder.join("tree").join(path)).unwrap())
            )
        })
        .collect();
    assert_eq!(fs::read_to_string(folder.join("sums")).unwrap(), expected.concat());
}

#[test]
fn what_windows_cannot_hold_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let write = |name: &[u8]| {
        use std::os::unix::ffi::OsStrExt;
        let path = folder.join("tree").join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    };
    for name in [
        &b"aux.txt"[..],
        b"dir/end.",
        b"no:file",
        b"a\x1bb",
        b"not \xFF utf-8",
        br"back\slash",
        b"fine",
    ] {
        write(name);
    }
    let pack = ["image", "pack", "tree", "-o", "disk.img"];
    let said = ends(folder, &pack, 2);
    for part in [
        "aux.txt: ",
        "dir/end.: ",
        "no:file: ",
        r"a\u{1b}b: ",
        "utf-8: ",
        r"back\slash: ",
        "tree: 6 things",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    assert!(!folder.join("disk.img").exists());

    fs::remove_dir_all(folder.join("tree")).unwrap();
    for name in ["Readme", "README", "sub/x", "SUB/y", "other"] {
        write(name.as_bytes());
    }
    let said = ends(folder, &pack, 2);
    assert!(
        said.contains(r#""README" and "Readme""#) && said.contains(r#""SUB" and "sub""#),
        "{said}"
    );
    assert!(said.contains("2 pairs of names"), "{said}");
    done(folder, &[&pack[..], &["--on-case-conflict", "rename"]].concat());
    let names = done(folder, &["ls", "disk.img"]);
    assert_eq!(names.lines().count(), 5);
    assert!(
        names.lines().any(|name| name == "Readme (2)" || name == "README (2)"),
        "{names}"
    );
    done(folder, &[&pack[..], &["--on-case-conflict", "keep"]].concat());
    done(folder, &["extract", "disk.img", "-C", "out"]);
    assert_eq!(
        snapshot(&folder.join("out")).len(),
        snapshot(&folder.join("tree")).len()
    );
}

#[test]
fn names_that_only_ntfs_holds_are_shown_safely() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["a\x1b[31mred", "nul", "new\nline", "gpj.\u{202e}exe"] {
        fs::create_dir_all(folder.join("tree")).unwrap();
        fs::write(folder.join("tree").join(name), b"").unwrap();
    }
    done(folder, &["image", "pack", "tree", "-o", "disk.img", "--names", "any"]);
    let names = done(folder, &["ls", "disk.img"]);
    assert_eq!(names, "a\\u{1b}[31mred\ngpj.\\u{202e}exe\nnew\\u{a}line\nnul\n");
    let listing: serde_json::Value = serde_json::from_str(&done(folder, &["ls", "--json", "disk.img"])).unwrap();
    assert_eq!(listing[2]["path"], "new\nline");
    done(folder, &["extract", "disk.img", "-C", "out"]);
    assert_eq!(
        comparable(snapshot(&folder.join("out"))),
        comparable(snapshot(&folder.join("tree")))
    );
}

#[test]
fn links_become_those_of_windows_or_of_wsl() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let folder = folder.as_path();
    fs::create_dir_all(folder.join("tree/sub/deep")).unwrap();
    fs::write(folder.join("tree/file"), b"x").unwrap();
    for (target, link) in [
        ("../file", "sub/relative"),
        ("sub/deep", "folder"),
        ("/etc/passwd", "outside"),
        (folder.join("tree/sub").to_str().unwrap(), "sub/deep/inside"),
    ] {
        symlink(target, folder.join("tree").join(link)).unwrap();
    }
    let listed = |image: &str| -> BTreeMap<String, (String, String)> {
        let listing: serde_json::Value = serde_json::from_str(&done(folder, &["ls", "-R", "--json", image])).unwrap();
        let links = listing
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["type"] == "symlink");
        let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        links
            .map(|entry| {
                let reparse = &entry["reparse"];
                (word(&entry["path"]), (word(&reparse["tag"]), word(&reparse["target"])))
            })
            .collect()
    };
    let said = ends(folder, &["image", "pack", "tree", "-o", "ntfs.img"], 0);
    assert!(
        said.contains("1 links to places outside became WSL links, the first is outside"),
        "{said}"
    );
    let pair = |tag: &str, target: &str| (tag.to_owned(), target.to_owned());
    let links = listed("ntfs.img");
    assert_eq!(links["sub/relative"], pair("SYMLINK", r"..\file"));
    assert_eq!(links["folder"], pair("SYMLINK", r"sub\deep"));
    assert_eq!(links["outside"], pair("LX_SYMLINK", "/etc/passwd"));
    assert_eq!(links["sub/deep/inside"], pair("SYMLINK", r"..\..\sub"));
    done(folder, &["image", "pack", "tree", "-o", "wsl.img", "--symlinks", "wsl"]);
    assert!(listed("wsl.img").values().all(|(tag, _)| tag == "LX_SYMLINK"));

    done(folder, &["extract", "wsl.img", "-C", "out"]);
    assert_eq!(
        fs::read_link(folder.join("out/sub/relative")).unwrap(),
        Path::new("../file")
    );
    assert!(fs::symlink_metadata(folder.join("out/outside")).unwrap().is_file());
    done(folder, &["extract", "wsl.img", "-C", "none", "--links", "skip"]);
    assert!(!folder.join("none/folder").exists());
}

#[test]
fn parts_are_extracted_to_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["a/b/c", "a/bb", "x/y"] {
        let path = folder.join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    done(folder, &["image", "pack", "tree", "-o", "disk.img"]);
    done(folder, &["extract", "disk.img", r"A\B", "x/y", "-C", "out"]);
    let paths: Vec<String> = snapshot(&folder.join("out")).into_keys().collect();
    assert_eq!(paths, ["", "a", "a/b", "a/b/c", "x", "x/y"]);

    fs::write(folder.join("out/x/y"), b"mine").unwrap();
    let said = ends(folder, &["extract", "disk.img", "-C", "out"], 2);
    assert!(said.contains("x/y: cannot write it"), "{said}");
    assert_eq!(fs::read(folder.join("out/x/y")).unwrap(), b"mine");
    assert!(folder.join("out/a/bb").exists());
    done(folder, &["extract", "disk.img", "-C", "out", "--overwrite"]);
    assert_eq!(fs::read(folder.join("out/x/y")).unwrap(), b"x/y");
    assert!(text(ends(folder, &["extract", "disk.img", "nowhere"], 2).as_bytes()).contains("no such file"));
}

#[test]
fn faults_say_which_volume_they_are_on() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("tree")).unwrap();
    fs::write(folder.join("tree/file"), b"x").unwrap();
    done(folder, &["image", "pack", "tree", "-o", "disk.img"]);
    let sound = done(folder, &["image", "check", "disk.img"]);
    assert!(sound.contains("no faults found (raw, with an NTFS volume)"), "{sound}");
    let image = fs::OpenOptions::new()
        .write(true)
        .open(folder.join("disk.img"))
        .unwrap();
    image.write_all_at(&[0], (1 << 20) + 0x1FE).unwrap();
    ends(folder, &["image", "check", "disk.img"], 1);
    let report = super::support::cvtool(folder, &["image", "check", "--json", "disk.img"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["sound"], &report["volumes"][0]), (&false.into(), &1.into()));
    let faults = report["faults"].as_array().unwrap();
    assert!(
        faults
            .iter()
            .all(|fault| fault["part"] == "volume" && fault["volume"] == 1)
    );
    done(folder, &["image", "check", "--container", "disk.img"]);
}
