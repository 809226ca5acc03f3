//! Volumes made to break out of the folder that they are extracted to.

use super::support::{cvtool, done, ends, noise, text};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Puts `new` in the place of `old`, which is as long, wherever that stands in the image as a name.
fn rename(image: &mut [u8], old: &str, new: &str) {
    let bytes = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (old, new) = (bytes(old), bytes(new));
    assert_eq!(old.len(), new.len());
    let mut found = false;
    let mut position = 0;
    while let Some(offset) = image[position..].windows(old.len()).position(|window| window == old) {
        position += offset;
        image[position..position + new.len()].copy_from_slice(&new);
        found = true;
    }
    assert!(found);
}

/// Everything in `folder` that is not the image or the target.
fn others(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| !["disk.img", "tree", "target"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

fn pack(folder: &Path) -> Vec<u8> {
    done(
        folder,
        &[
            "image",
            "pack",
            "tree",
            "-o",
            "disk.img",
            "--no-partition",
            "--threads",
            "1",
        ],
    );
    fs::read(folder.join("disk.img")).unwrap()
}

#[test]
fn names_do_not_lead_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in [
        "up_escape",
        "qq/inside",
        "rr",
        "sl_etc_passwd",
        "mid_dle",
        "nul_x",
        "same_1",
        "same_2",
        "fine/kept",
    ] {
        let path = folder.join("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"content").unwrap();
    }
    let mut image = pack(folder);
    for (old, new) in [
        ("up_escape", "../escape"),
        ("qq", ".."),
        ("rr", "//"),
        ("sl_etc_passwd", "/sl/../escape"),
        ("mid_dle", "mid/dle"),
        ("nul_x", "nul\0x"),
        ("same_1", "same_x"),
        ("same_2", "same_x"),
    ] {
        rename(&mut image, old, new);
    }
    fs::write(folder.join("disk.img"), &image).unwrap();
    let said = ends(folder, &["extract", "disk.img", "-C", "target"], 2);
    assert_eq!(others(folder), [""; 0]);
    let mut made: Vec<_> = fs::read_dir(folder.join("target"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    made.sort();
    assert_eq!(made, ["fine", "same_x"]);
    assert_eq!(fs::read(folder.join("target/fine/kept")).unwrap(), b"content");
    for part in [
        "../escape: its name holds `/`",
        "its name is that of a directory's link",
        "NUL",
    ] {
        assert!(said.contains(part), "{part} not in {said}");
    }
    for arguments in [
        &["ls", "-lR", "disk.img"][..],
        &["tree", "disk.img"],
        &["tree", "--json", "disk.img"],
    ] {
        let output = cvtool(folder, arguments);
        assert!(
            output.status.code().is_some_and(|status| status != 101),
            "{}",
            text(&output.stderr)
        );
    }
    let nested = cvtool(folder, &["tree", "--json", "disk.img"]);
    serde_json::from_slice::<serde_json::Value>(&nested.stdout).unwrap();
}

#[test]
fn links_do_not_lead_out() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("tree/d1/d2/d3")).unwrap();
    fs::create_dir_all(folder.join("tree/evil_d")).unwrap();
    fs::write(folder.join("tree/evil_d/planted"), b"content").unwrap();
    fs::create_dir_all(folder.join("outside")).unwrap();
    for (target, link) in [
        // Outside at once, outside after some way, and inside by a path that a link lengthens.
        ("../outside", "evil_l"),
        ("d1/../../outside", "way"),
        ("../../..", "d1/d2/d3/top"),
        ("d1/d2/d3/top/../outside", "through"),
        ("./d1/d2", "fine"),
        ("loop", "loop"),
    ] {
        symlink(target, folder.join("tree").join(link)).unwrap();
    }
    let mut image = pack(folder);
    // A link and a directory of one name: what is in the directory must not go through the link.
    rename(&mut image, "evil_d", "evil_l");
    fs::write(folder.join("disk.img"), &image).unwrap();
    for arguments in [&[][..], &["--overwrite"], &["--links", "data"]] {
        cvtool(folder, &[&["extract", "disk.img", "-C", "target"], arguments].concat());
        assert_eq!(fs::read_dir(folder.join("outside")).unwrap().count(), 0);
        assert_eq!(others(folder), ["outside"]);
        let top = folder.join("target").canonicalize().unwrap();
        let mut pending = vec![top.clone()];
        let mut links = 0;
        while let Some(path) = pending.pop() {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let kind = fs::symlink_metadata(&path).unwrap();
                if kind.is_symlink() {
                    links += 1;
                    assert!(
                        path.canonicalize().map_or(true, |leads| leads.starts_with(&top)),
                        "{path:?}"
                    );
                } else if kind.is_dir() {
                    pending.push(path);
                }
            }
        }
        assert_eq!(links > 0, !arguments.contains(&"data"));
        fs::remove_dir_all(folder.join("target")).unwrap();
    }
}

#[test]
fn links_that_lie_in_the_target_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("tree/dir")).unwrap();
    fs::write(folder.join("tree/dir/file"), b"new").unwrap();
    fs::write(folder.join("tree/top"), b"new").unwrap();
    pack(folder);
    fs::create_dir_all(folder.join("outside")).unwrap();
    fs::write(folder.join("outside/file"), b"mine").unwrap();
    fs::create_dir(folder.join("target")).unwrap();
    symlink("../outside", folder.join("target/dir")).unwrap();
    symlink("../outside/file", folder.join("target/top")).unwrap();
    for arguments in [&[][..], &["--overwrite"]] {
        ends(
            folder,
            &[&["extract", "disk.img", "-C", "target"], arguments].concat(),
            2,
        );
        assert_eq!(fs::read(folder.join("outside/file")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder.join("outside")).unwrap().count(), 1);
    }
    assert_eq!(fs::read(folder.join("target/top")).unwrap(), b"new");
    assert!(!fs::symlink_metadata(folder.join("target/top")).unwrap().is_symlink());
}

#[test]
fn streams_do_not_pass_for_other_things() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("tree")).unwrap();
    fs::write(folder.join("tree/file"), b"x").unwrap();
    fs::write(folder.join("tree/file:ntfs_XXX"), b"forged").unwrap();
    fs::write(folder.join("tree/file:up_up_file"), b"escape").unwrap();
    let mut image = pack(folder);
    rename(&mut image, "ntfs_XXX", "ntfs_acl");
    rename(&mut image, "up_up_file", "../../file");
    fs::write(folder.join("disk.img"), &image).unwrap();
    for place in ["xattr", "files"] {
        cvtool(folder, &["extract", "disk.img", "-C", "target", "--streams", place]);
        let attributes = super::support::attributes(&folder.join("target/file"));
        assert_ne!(attributes.get("ntfs_acl").map(Vec::as_slice), Some(&b"forged"[..]));
        assert_eq!(others(folder), [""; 0]);
        fs::remove_dir_all(folder.join("target")).unwrap();
    }
}

#[test]
fn whatever_is_changed_stays_inside() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for number in 0..40 {
        let path = folder.join(format!("tree/d{}/e{}/file {number}", number % 3, number % 5));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, noise(number * 100, number as u64)).unwrap();
    }
    std::os::unix::fs::symlink("d1/e1", folder.join("tree/link")).unwrap();
    let sound = pack(folder);
    // Records and index blocks, where changes matter; their fixups are left alone.
    let starts: Vec<usize> = (0..sound.len())
        .step_by(512)
        .filter(|start| sound[*start..].starts_with(b"FILE") || sound[*start..].starts_with(b"INDX"))
        .collect();
    let random = noise(4000, 99);
    let started = Instant::now();
    for round in 0..60 {
        let mut image = sound.clone();
        for change in random[round * 60..(round + 1) * 60].chunks_exact(6) {
            let record = starts[usize::from(u16::from_le_bytes([change[0], change[1]])) % starts.len()];
            let offset = 0x30 + usize::from(u16::from_le_bytes([change[2], change[3]])) % 0x1C0;
            image[record + offset] = if change[5] % 3 == 0 {
                change[4]
            } else {
                image[record + offset] ^ (1 << (change[4] % 8))
            };
        }
        fs::write(folder.join("disk.img"), &image).unwrap();
        let output = cvtool(folder, &["extract", "disk.img", "-C", "target"]);
        assert!(
            matches!(output.status.code(), Some(0 | 2)),
            "{:?} {}",
            output.status,
            text(&output.stderr)
        );
        assert_eq!(others(folder), [""; 0]);
        let _ = fs::remove_dir_all(folder.join("target"));
        if started.elapsed() > Duration::from_secs(60) {
            break;
        }
    }
}
