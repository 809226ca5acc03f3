//! `cvtool image …` as a user runs it, judged by the corpus and by qemu-img.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .arg("image")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs cvtool, which must succeed, and gives what it printed.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = cvtool(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs cvtool, which must exit with `status`, and gives what it printed on standard error.
fn ends(folder: &Path, arguments: &[&str], status: i32) -> String {
    let output = cvtool(folder, arguments);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{arguments:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stderr)
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&cvtool(folder, arguments).stdout).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// qemu-img, or `None` where it is missing outside CI.
fn qemu_img(folder: &Path, arguments: &[&str]) -> Option<Output> {
    match Command::new("qemu-img").args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("CI").is_some() => panic!("qemu-img: {error}"),
        Err(error) => {
            eprintln!("skipped: qemu-img: {error}");
            None
        }
    }
}

fn sha256(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    format!("{:x}", hash.finalize())
}

/// A folder with the named corpus files unpacked, or `None` where the corpus is absent.
fn corpus(names: &[&str]) -> Option<TempDir> {
    let containers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/containers");
    if !containers.is_dir() {
        eprintln!("skipped: there is no corpus at {}", containers.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let target = folder.path().join(name);
        let packed = containers.join(format!("{name}.xz"));
        if packed.exists() {
            let status = Command::new("xz")
                .arg("-dc")
                .arg(packed)
                .stdout(File::create(target).unwrap())
                .status();
            assert!(status.unwrap().success());
        } else {
            std::fs::copy(containers.join(name), target).unwrap();
        }
    }
    Some(folder)
}

/// A raw disk of `size` bytes with data here and there, different for every `seed`.
fn raw_disk(path: &Path, size: u64, seed: u64) {
    let mut file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    let mut state = seed | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..12 {
        let start = random() % size / 512 * 512;
        let length = (random() % 300_000).min(size - start);
        let bytes: Vec<u8> = (0..length.div_ceil(8))
            .flat_map(|_| (random() % 7).to_le_bytes())
            .collect();
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start)).unwrap();
        file.write_all(&bytes[..length as usize]).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_corpus_image_converts_to_the_listed_bytes() {
    let expected = [
        (
            "d2v-zerofilled.vhd",
            "1ba076be94a8a64541c25aae8d5a5f8b0da758c3797af597e03acb431ff8d143",
        ),
        (
            "image-differential.vhd",
            "c6db12a7db548e193c29420c1b4533e4708b20c5033db5cc29ef075d48316d25",
        ),
        (
            "iotest-dynamic-1G.vhdx",
            "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478",
        ),
        (
            "iotest-dirtylog-10G-4M.vhdx",
            "179cefe8b0587f123393eedf2aa7aa8d25798591178e6bc3950a09762f38f96f",
        ),
        (
            "monolithicSparse.vmdk",
            "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727",
        ),
        (
            "streamOptimized.vmdk",
            "a3bcf05f07a1c06a3380eeca8571f0efb2b85afafa1e21662b8cad436d1f7727",
        ),
        (
            "vmfs_thick.vmdk",
            "8d43c795d24bce01b49f92744f934c1072210dcac170bb1c83a5aa56df46ab7d",
        ),
        (
            "iotest-version3.vmdk",
            "0859bb3397bc1d30fa979c80a289ce98bfd6c1141a64594d6f3cc8cd68218faf",
        ),
    ];
    let mut files: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    files.extend(["image.vhd", "vmfs_thick-flat.vmdk"]);
    let Some(folder) = corpus(&files) else { return };
    let folder = folder.path();
    for (name, hash) in expected {
        let before = sha256(&folder.join(name));
        done(folder, &["convert", name, "out.img"]);
        // Hashing ten sparse gigabytes byte by byte is the one slow part; these two are hashed by their own tests.
        if name != "iotest-version3.vmdk" && name != "iotest-dirtylog-10G-4M.vhdx" {
            assert_eq!(sha256(&folder.join("out.img")), hash, "{name}");
        } else {
            done(folder, &["compare", "--strict", name, "out.img"]);
        }
        assert_eq!(sha256(&folder.join(name)), before, "{name} was changed by reading it");
        std::fs::remove_file(folder.join("out.img")).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_the_cause() {
    let Some(folder) = corpus(&["fat-differential.vhd", "afl9.vmdk", "hyperv2012r2-dynamic.vhd"]) else {
        return;
    };
    let folder = folder.path();
    let error = ends(folder, &["convert", "fat-differential.vhd", "out.img"], 2);
    assert!(error.contains("parent") && error.lines().count() == 1, "{error}");
    ends(folder, &["convert", "afl9.vmdk", "out.img"], 2);
    ends(folder, &["info", "missing.vhd"], 2);
    ends(folder, &["info", "."], 2);
    assert!(!folder.join("out.img").exists());
    let info = json(folder, &["info", "--json", "hyperv2012r2-dynamic.vhd"]);
    assert_eq!(info["virtual_size"], 136_365_211_648_u64);
    let info = json(folder, &["info", "--json", "fat-differential.vhd"]);
    assert_eq!(info["format"], "vhd");
    assert!(info["chain_error"].as_str().unwrap().contains("parent"), "{info}");
}

#[test]
fn every_format_holds_the_same_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    raw_disk(&folder.join("disk.img"), 40 << 20, 1);
    let outputs: [(&str, &[&str], Option<&str>); 13] = [
        ("out.vhd", &[], Some("vpc")),
        ("out.vhd", &["--subformat", "fixed"], Some("vpc")),
        ("out.vhd", &["--azure"], Some("vpc")),
        ("out.vhd", &["--block-size", "512K"], Some("vpc")),
        ("out.vhdx", &[], Some("vhdx")),
        ("out.vhdx", &["--subformat", "fixed"], Some("vhdx")),
        ("out.vhdx", &["--block-size", "1M"], Some("vhdx")),
        ("out.vhdx", &["--sector-size", "4096"], None),
        ("out.vmdk", &[], Some("vmdk")),
        ("out.vmdk", &["--subformat", "monolithicFlat"], Some("vmdk")),
        ("out.vmdk", &["--subformat", "twoGbMaxExtentSparse"], Some("vmdk")),
        ("out.vmdk", &["--subformat", "twoGbMaxExtentFlat"], Some("vmdk")),
        ("out.vmdk", &["--subformat", "streamOptimized"], Some("vmdk")),
    ];
    for (out, options, driver) in outputs {
        let mut arguments = vec!["convert", "disk.img", out];
        arguments.extend(options);
        done(folder, &arguments);
        done(folder, &["check", out]);
        done(folder, &["compare", "--strict", "disk.img", out]);
        if let Some(driver) = driver {
            let arguments = ["compare", "-f", "raw", "-F", driver, "disk.img", out];
            if let Some(judged) = qemu_img(folder, &arguments) {
                assert!(
                    judged.status.success(),
                    "{out} {options:?}: {}{}",
                    text(&judged.stdout),
                    text(&judged.stderr)
                );
            }
        }
        done(folder, &["convert", out, "back.img"]);
        assert_eq!(
            sha256(&folder.join("back.img")),
            sha256(&folder.join("disk.img")),
            "{out} {options:?}"
        );
    }
    // Threads do not change the bytes where nothing else does.
    let reproducible = |threads: &str, out: &str| {
        let status = Command::new(env!("CARGO_BIN_EXE_cvtool"))
            .args(["image", "convert", "--threads", threads, "disk.img", out])
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .current_dir(folder)
            .status();
        assert!(status.unwrap().success());
        sha256(&folder.join(out))
    };
    for out in ["same.vhd", "same.vhdx", "same.vmdk"] {
        assert_eq!(reproducible("1", out), reproducible("4", out), "{out}");
    }
}

#[test]
fn what_qemu_writes_is_read_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    raw_disk(&folder.join("disk.img"), 40 << 20, 2);
    for (driver, options, out) in [
        ("vpc", "subformat=dynamic,force_size=on", "q.vhd"),
        ("vpc", "subformat=fixed,force_size=on", "q.vhd"),
        ("vhdx", "subformat=dynamic,block_size=1M", "q.vhdx"),
        ("vhdx", "subformat=fixed", "q.vhdx"),
        ("vmdk", "subformat=monolithicSparse", "q.vmdk"),
        ("vmdk", "subformat=monolithicSparse,zeroed_grain=on", "q.vmdk"),
        ("vmdk", "subformat=streamOptimized", "q.vmdk"),
        ("vmdk", "subformat=twoGbMaxExtentSparse", "q.vmdk"),
        ("vmdk", "subformat=monolithicFlat", "q.vmdk"),
    ] {
        let arguments = ["convert", "-f", "raw", "-O", driver, "-o", options, "disk.img", out];
        let Some(made) = qemu_img(folder, &arguments) else {
            return;
        };
        assert!(made.status.success(), "{options}: {}", text(&made.stderr));
        done(folder, &["compare", "--strict", "disk.img", out]);
        done(folder, &["check", out]);
    }
}

#[test]
fn a_chain_is_made_rebased_committed_and_flattened() {
    for (extension, size) in [("vhd", 24 << 20), ("vhdx", 24 << 20), ("vmdk", 24 << 20)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        raw_disk(&folder.join("old.img"), size, 3);
        raw_disk(&folder.join("new.img"), size, 4);
        let old = format!("old.{extension}");
        let new = format!("new.{extension}");
        let child = format!("child.{extension}");
        let grandchild = format!("grandchild.{extension}");
        done(folder, &["convert", "old.img", &old]);
        done(folder, &["convert", "new.img", &new]);
        done(folder, &["create", "--parent", &old, &child]);
        done(folder, &["create", "--parent", &child, &grandchild]);
        done(folder, &["compare", "old.img", &grandchild]);
        let chain = json(folder, &["info", "--json", &grandchild]);
        assert_eq!(chain["chain"].as_array().map(Vec::len), Some(2), "{chain}");
        ends(folder, &["compare", "new.img", &grandchild], 1);

        // Another parent, the same content: what differs is now in the child.
        done(folder, &["rebase", "--parent", &new, &grandchild]);
        done(folder, &["compare", "old.img", &grandchild]);
        done(folder, &["check", &grandchild]);

        // The parent moves; the child is told where it is.
        let moved = format!("moved.{extension}");
        std::fs::rename(folder.join(&new), folder.join(&moved)).unwrap();
        let error = ends(folder, &["map", &grandchild], 2);
        assert!(error.contains(&new), "{error}");
        done(folder, &["rebase", "--relink", "--parent", &moved, &grandchild]);
        done(folder, &["compare", "old.img", &grandchild]);

        done(folder, &["compact", &grandchild]);
        done(folder, &["compare", "old.img", &grandchild]);

        // Committed, the parent has the content and the child is empty.
        done(folder, &["commit", &grandchild]);
        done(folder, &["compare", "old.img", &moved]);
        done(folder, &["compare", "old.img", &grandchild]);
        for piece in json(folder, &["map", "--json", &grandchild]).as_array().unwrap() {
            assert_ne!(
                (&piece["kind"], &piece["depth"]),
                (&"data".into(), &0.into()),
                "{piece}"
            );
        }
        done(folder, &["check", &moved]);

        // Flattened, it needs nobody.
        done(folder, &["rebase", "--none", &grandchild]);
        std::fs::remove_file(folder.join(&moved)).unwrap();
        done(folder, &["compare", "old.img", &grandchild]);
        done(folder, &["check", &grandchild]);
    }
}

#[test]
fn another_disk_is_not_taken_for_the_parent() {
    for extension in ["vhd", "vhdx", "vmdk"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (parent, child) = (format!("parent.{extension}"), format!("child.{extension}"));
        done(folder, &["create", &parent, "8M"]);
        done(folder, &["create", "--parent", &parent, &child]);
        std::fs::remove_file(folder.join(&parent)).unwrap();
        done(folder, &["create", &parent, "8M"]);
        let error = ends(folder, &["convert", &child, "out.img"], 2);
        assert!(error.contains("parent"), "{error}");
        ends(folder, &["check", &child], 1);
        let error = ends(folder, &["rebase", "--relink", "--parent", &parent, &child], 2);
        assert!(error.contains("--force") || error.contains("expected"), "{error}");
        done(folder, &["rebase", "--relink", "--force", "--parent", &parent, &child]);
        done(folder, &["convert", &child, "out.img"]);
    }
}

#[test]
fn parents_elsewhere_are_opened_only_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["bases", "vms"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    done(folder, &["create", "bases/base.vhdx", "8M"]);
    ends(folder, &["create", "--parent", "bases/base.vhdx", "bases/base.vhdx"], 2);
    done(folder, &["create", "--parent", "bases/base.vhdx", "vms/vm.vhdx"]);
    let error = ends(folder, &["convert", "vms/vm.vhdx", "out.img"], 2);
    assert!(error.contains("base.vhdx"), "{error}");
    done(folder, &["convert", "--allow", "bases", "vms/vm.vhdx", "out.img"]);
}

#[test]
fn disks_grow_and_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    raw_disk(&folder.join("disk.img"), 20 << 20, 5);
    for (out, options, shrinks) in [
        ("d.vhd", &[][..], true),
        ("d.vhd", &["--subformat", "fixed"], true),
        ("d.vhdx", &[], true),
        ("d.vhdx", &["--subformat", "fixed"], true),
        ("d.vmdk", &[], false),
        ("d.vmdk", &["--subformat", "monolithicFlat"], false),
        ("d.vmdk", &["--subformat", "twoGbMaxExtentSparse"], false),
        ("d.img", &[], true),
    ] {
        let mut arguments = vec!["convert", "disk.img", out];
        arguments.extend(options);
        done(folder, &arguments);
        done(folder, &["resize", out, "5G"]);
        let info = json(folder, &["info", "--json", out]);
        assert_eq!(info["virtual_size"], 5_u64 << 30, "{out} {options:?}");
        done(folder, &["check", out]);
        done(folder, &["compare", "disk.img", out]);
        done(folder, &["resize", out, "+1M"]);
        let error = ends(folder, &["resize", out, "20M"], 2);
        assert!(error.contains("--shrink"), "{error}");
        if shrinks {
            done(folder, &["resize", "--shrink", out, "20M"]);
            done(folder, &["compare", "--strict", "disk.img", out]);
            done(folder, &["check", out]);
        } else {
            ends(folder, &["resize", "--shrink", out, "20M"], 2);
        }
    }
}

#[test]
fn compacting_gives_back_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    File::create(folder.join("disk.img"))
        .unwrap()
        .write_all(&vec![0xA5; 16 << 20])
        .unwrap();
    File::create(folder.join("zero.img"))
        .unwrap()
        .write_all(&vec![0; 16 << 20])
        .unwrap();
    for out in ["d.vhd", "d.vhdx", "d.vmdk"] {
        done(folder, &["convert", "disk.img", out]);
        done(folder, &["convert", "zero.img", &format!("base-{out}")]);
        done(
            folder,
            &[
                "create",
                "--parent",
                &format!("base-{out}"),
                &format!("child-{out}"),
                "16M",
            ],
        );
        // A rebase onto data stores the zeros; flattening and compacting gives them back.
        done(folder, &["rebase", "--parent", out, &format!("child-{out}")]);
        done(folder, &["rebase", "--none", &format!("child-{out}")]);
        done(folder, &["compact", &format!("child-{out}")]);
        done(folder, &["compare", "zero.img", &format!("child-{out}")]);
        let size = folder.join(format!("child-{out}")).metadata().unwrap().len();
        assert!(size < 8 << 20, "{out}: {size}");
    }
    done(folder, &["compact", "zero.img"]);
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::MetadataExt::blocks(&folder.join("zero.img").metadata().unwrap()),
        0
    );
}

#[test]
fn check_tells_faults_and_repairs_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    raw_disk(&folder.join("disk.img"), 8 << 20, 6);
    // The second copy of a structure that each format keeps twice.
    for (out, offset) in [("d.vhd", 8_u64), ("d.vhdx", 128 << 10)] {
        done(folder, &["convert", "disk.img", out]);
        let path = folder.join(out);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[offset as usize + 20] ^= 0xFF;
        std::fs::write(&path, bytes).unwrap();
        ends(folder, &["check", out], 1);
        let report = json(folder, &["check", "--json", out]);
        assert_eq!(report["sound"], false, "{report}");
        assert!(report["faults"][0]["offset"].is_u64(), "{report}");
        done(folder, &["compare", "disk.img", out]);
        done(folder, &["check", "--repair", out]);
        done(folder, &["check", out]);
        done(folder, &["compare", "disk.img", out]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_conversion_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let noise: Vec<u8> = (0_u32..48 << 20)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(folder.join("disk.img"), noise).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args([
            "image",
            "convert",
            "--threads",
            "1",
            "--subformat",
            "streamOptimized",
            "disk.img",
            "out.vmdk",
        ])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It has begun when it holds its output open, which need not have a name yet.
    let descriptors = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let has_output = || {
        let open = std::fs::read_dir(&descriptors).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.any(|target| target.starts_with(folder) && !target.ends_with("disk.img"))
    };
    while !has_output() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be interrupted"
        );
        std::thread::yield_now();
    }
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert_eq!(names(folder), ["disk.img"]);
}

#[test]
fn a_foreign_container_is_not_taken_for_raw() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if qemu_img(folder, &["create", "-f", "qcow2", "disk.qcow2", "1M"]).is_none() {
        return;
    }
    let error = ends(folder, &["info", "disk.qcow2"], 2);
    assert!(error.contains("QCOW"), "{error}");
    done(folder, &["info", "--input-format", "raw", "disk.qcow2"]);
}

#[test]
fn the_output_of_a_failed_command_does_not_touch_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder: PathBuf = folder.path().to_path_buf();
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("out.vhdx"), b"precious").unwrap();
    ends(&folder, &["convert", "missing.img", "out.vhdx"], 2);
    ends(&folder, &["create", "out.vhdx", "65T"], 2);
    ends(&folder, &["create", "out.vhdx", "1G", "--block-size", "3M"], 2);
    ends(&folder, &["create", "out.vhdx", "1G", "--subformat", "sideways"], 2);
    ends(&folder, &["create", "out.unknown", "1G"], 2);
    assert_eq!(std::fs::read(folder.join("out.vhdx")).unwrap(), b"precious");
    assert_eq!(names(&folder), ["out.vhdx"]);
}
