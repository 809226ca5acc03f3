//! Folders, archives and volumes as sources.

use crate::support::{open, options, units, write};
use cv_disk::{Quiet, ReadAt};
use cv_image::Format;
use cv_ntfs::structure::FileAttributes;
use layerfmt::content::{Content, FileTree};
use layerfmt::source::{ArchiveOptions, SourceError, add_archive, add_folder, add_volume};
use layerfmt::{Kind, Manifest, WriteOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).current_dir(folder).status();
    assert!(status.unwrap().success(), "{program} {arguments:?}");
}

/// A folder, and archives of it made by other tools.
fn archives() -> (tempfile::TempDir, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    std::fs::create_dir_all(top.join("bin/deep")).unwrap();
    std::fs::write(top.join("bin/tool.exe"), crate::support::noise(400_000, 9)).unwrap();
    std::fs::write(top.join("bin/deep/text.txt"), "text ".repeat(10_000)).unwrap();
    std::fs::write(top.join("empty"), "").unwrap();
    std::os::unix::fs::symlink("../empty", top.join("bin/link")).unwrap();
    let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o444);
    std::fs::set_permissions(top.join("empty"), read_only).unwrap();
    run(folder.path(), "tar", &["-C", "top", "-cf", "a.tar", "."]);
    run(
        folder.path(),
        "tar",
        &["-C", "top", "--format=pax", "-czf", "a.tgz", "."],
    );
    let mut made = vec!["a.tar", "a.tgz"];
    if Command::new("python3").arg("--version").output().is_ok() {
        // zip(1) is rarely there; this one knows deflate as well.
        let script = "import shutil; shutil.make_archive('b', 'zip', 'top')";
        run(folder.path(), "python3", &["-c", script]);
        made.push("b.zip");
    }
    (folder, made)
}

#[test]
fn threads_read_one_tar_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    std::fs::create_dir_all(&top).unwrap();
    let expected = |number: u64| crate::support::noise(60_000, number);
    for number in 0..300 {
        std::fs::write(top.join(number.to_string()), expected(number)).unwrap();
    }
    run(folder.path(), "tar", &["-C", "top", "-cf", "a.tar", "."]);
    let mut content = Content::new(Manifest::new("Archive", "", Kind::Data));
    let archive = folder.path().join("a.tar");
    let options_of_archive = ArchiveOptions::default();
    add_archive(
        &mut content.files,
        FileTree::ROOT,
        &archive,
        &options_of_archive,
        &Quiet,
    )
    .unwrap();
    let output = folder.path().join("layer.vhdx");
    let options = WriteOptions {
        threads: 4,
        ..options(Format::Vhdx)
    };
    write(&content, &output, &options);
    let layer = open(&output);
    for number in 0..300 {
        let file = layer.file(&units(&format!("Files/{number}"))).unwrap();
        let mut bytes = vec![0; 60_000];
        file.content().unwrap().read_at(&mut bytes, 0).unwrap();
        assert!(bytes == expected(number), "{number}");
    }
}

#[test]
fn archives_hold_what_the_folder_does() {
    let (folder, archives) = archives();
    for name in archives {
        let mut content = Content::new(Manifest::new("Archive", "", Kind::Data));
        let at = content.files.directories(&units("Program Files/Tool")).unwrap();
        let options_of_archive = ArchiveOptions::default();
        let left_out = add_archive(
            &mut content.files,
            at,
            &folder.path().join(name),
            &options_of_archive,
            &Quiet,
        )
        .unwrap();
        assert!(left_out.is_empty());
        let output = folder.path().join("layer.vhdx");
        write(&content, &output, &options(Format::Vhdx));
        let layer = open(&output);
        for path in ["bin/tool.exe", "bin/deep/text.txt", "empty"] {
            let file = layer.file(&units(&format!("Files/Program Files/Tool/{path}"))).unwrap();
            let stream = file.content().unwrap();
            let mut bytes = vec![0; stream.len() as usize];
            stream.read_at(&mut bytes, 0).unwrap();
            assert!(
                bytes == std::fs::read(folder.path().join("top").join(path)).unwrap(),
                "{name}: {path}"
            );
            let attributes = file.standard_information().unwrap().unwrap().base.file_attributes;
            assert_eq!(
                attributes.contains(FileAttributes::READONLY),
                path == "empty",
                "{name}: {path}"
            );
        }
        if name != "b.zip" {
            let link = layer.file(&units("Files/Program Files/Tool/bin/link")).unwrap();
            assert!(link.reparse_point().unwrap().is_some());
        }
    }
}

#[test]
fn folders_and_volumes_are_taken_over() {
    let (folder, _) = archives();
    let mut content = Content::new(Manifest::new("Folder", "", Kind::Data));
    add_folder(&mut content.files, FileTree::ROOT, &folder.path().join("top"), &Quiet).unwrap();
    let first = folder.path().join("first.img");
    let written = write(&content, &first, &options(Format::Raw));
    assert_eq!((written.manifest.counts.files, written.manifest.counts.links), (3, 1));

    let mut again = Content::new(Manifest::new("Folder", "", Kind::Data));
    add_volume(&mut again.files, FileTree::ROOT, open(&first).volume(), &Quiet).unwrap();
    assert!(again.files.find(&units("layer.json")).is_some());
    assert!(again.files.find(&units("Files/bin/deep/text.txt")).is_some());
}

#[test]
fn archives_do_not_lead_out_and_do_not_blow_up() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = |name: &str, kind: u8, target: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::new(kind));
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.resize(2048, 0);
        let path = folder.path().join("hostile.tar");
        std::fs::write(&path, bytes).unwrap();
        let mut tree = FileTree::new();
        add_archive(&mut tree, FileTree::ROOT, &path, &ArchiveOptions::default(), &Quiet)
    };
    for (name, kind, target) in [
        ("../up", b'0', ""),
        ("a/../../up", b'0', ""),
        ("/etc/passwd", b'0', ""),
        ("C:/x", b'0', ""),
        ("..\\up", b'0', ""),
        ("link", b'2', "../outside"),
        ("link", b'2', "/etc"),
        ("hard", b'1', "nowhere"),
    ] {
        assert!(
            matches!(hostile(name, kind, target), Err(SourceError::Refused { .. })),
            "{name}"
        );
    }
    assert_eq!(hostile("device", b'3', "").unwrap(), ["device"]);

    let bomb = folder.path().join("bomb.tar.gz");
    let script = "head -c 300000000 /dev/zero | gzip -9 > bomb.tar.gz";
    run(folder.path(), "sh", &["-c", script]);
    let limited = ArchiveOptions {
        limit: 1 << 20,
        ..ArchiveOptions::default()
    };
    let refused = add_archive(&mut FileTree::new(), FileTree::ROOT, &bomb, &limited, &Quiet);
    assert!(matches!(refused, Err(SourceError::Refused { reason, .. }) if reason.contains("1048576 bytes")));
    let mut unknown = std::fs::File::create(folder.path().join("unknown")).unwrap();
    unknown.write_all(b"neither").unwrap();
    let unknown = folder.path().join("unknown");
    assert!(add_archive(&mut FileTree::new(), FileTree::ROOT, &unknown, &limited, &Quiet).is_err());
}
