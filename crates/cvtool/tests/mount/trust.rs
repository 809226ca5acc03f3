//! What is attached, by whom it must be signed, and that nothing is read from a layer but what it was made with.

use super::support::{Lab, can_mount};
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

/// A layer of a recipe in the folder of the lab.
pub fn build(lab: &Lab, name: &str, recipe: &str, options: &[&str]) {
    let file = format!("{name}.toml");
    fs::write(lab.path(&file), recipe).unwrap();
    let image = format!("{name}.img");
    lab.done(&[&["build", &file, "-o", &image], options].concat());
}

fn events(lab: &Lab) -> Vec<serde_json::Value> {
    let lines = fs::read_to_string(lab.path("events")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn only_what_a_trusted_key_signed_is_attached() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for name in ["ours", "theirs", "nobodys"] {
        lab.put(&format!("{name}.d/{name}.txt"), name.as_bytes());
    }
    lab.done(&["keygen", "--no-password", "our.key"]);
    lab.done(&["keygen", "--no-password", "their.key"]);
    for name in ["ours", "theirs", "nobodys"] {
        let recipe = format!("[layer]\nname = \"{name}\"\n[[source]]\nfolder = \"{name}.d\"\n");
        build(&lab, name, &recipe, &[]);
    }
    lab.done(&["sign", "ours.img", "--key", "our.key"]);
    lab.done(&["sign", "theirs.img", "--key", "their.key"]);
    lab.pack("ours.d", "plain.img");
    // The index of a signed layer is another: the signature still is that of the manifest.
    lab.mount(&[
        "--base", "base", "--trust", "our.pub", "--events", "events", "--layer", "ours.img",
    ]);
    assert_eq!(fs::read(lab.mnt().join("ours.txt")).unwrap(), b"ours");
    for (image, why) in [
        ("theirs.img", "not trusted"),
        ("nobodys.img", "not signed"),
        ("plain.img", "no layer.json"),
    ] {
        let refused = lab.refused(&["attach", "mnt", image]);
        assert!(
            refused.contains(why) && refused.lines().count() == 1,
            "{image}: {refused}"
        );
    }
    let status: serde_json::Value = serde_json::from_str(&lab.done(&["status", "mnt", "--json"])).unwrap();
    assert_eq!(status["members"][0]["name"], "ours");
    assert!(status["members"][0]["signature"]["trusted_as"].is_string());
    assert!(lab.done(&["status", "mnt"]).contains("trusted"));
    lab.unmount();
    let told: Vec<String> = events(&lab)
        .iter()
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    let first = ["requested", "opened", "verified", "merged", "mounted"];
    assert_eq!(told[..5], first);
    assert_eq!(told.iter().filter(|event| *event == "refused").count(), 3);
    assert_eq!(told.last().unwrap(), "unmounted");
}

#[test]
fn what_was_changed_in_an_image_is_an_error_and_never_read() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    let large: Vec<u8> = (0..3_u32 << 18).flat_map(u32::to_le_bytes).collect();
    let small = b"a small file that is found by what it says".repeat(200);
    lab.put("l.d/large", &large);
    lab.put("l.d/small", &small);
    lab.put("l.d/good", b"untouched");
    lab.put("l.d/sub/linked", &vec![9; 100_000]);
    fs::hard_link(lab.path("l.d/sub/linked"), lab.path("l.d/other name")).unwrap();
    build(&lab, "l", "[layer]\nname = \"l\"\n[[source]]\nfolder = \"l.d\"\n", &[]);
    // One byte in the fifth block of the large file, one in the small file.
    let mut image = fs::read(lab.path("l.img")).unwrap();
    for (needle, offset) in [(&large[4 << 16..(4 << 16) + 64], 9), (&small[..64], 3)] {
        let found = (0..image.len() - 64).find(|at| image[*at] == needle[0] && image[*at..].starts_with(needle));
        image[found.unwrap() + offset] ^= 1;
    }
    fs::write(lab.path("l.img"), &image).unwrap();
    lab.mount(&[
        "--base",
        "base",
        "--layer",
        "l.img",
        "--writable",
        "writable",
        "--verify-reads",
        "--events",
        "events",
    ]);
    let mnt = lab.mnt();
    assert_eq!(fs::read(mnt.join("good")).unwrap(), b"untouched");
    assert_eq!(fs::read(mnt.join("sub/linked")).unwrap(), vec![9; 100_000]);
    assert_eq!(fs::read(mnt.join("OTHER NAME")).unwrap(), vec![9; 100_000]);
    assert_eq!(fs::read(mnt.join("small")).unwrap_err().raw_os_error(), Some(5));
    let file = fs::File::open(mnt.join("large")).unwrap();
    let mut wrong = 0;
    for block in 0..large.len() >> 16 {
        let mut bytes = vec![0; 1 << 16];
        match file.read_exact_at(&mut bytes, (block as u64) << 16) {
            Ok(()) => assert_eq!(bytes, large[block << 16..(block + 1) << 16]),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(5));
                wrong += 1;
            }
        }
    }
    assert_eq!(wrong, 1);
    drop(file);
    // A copy is made of nothing but good bytes.
    let write = |name: &str| fs::OpenOptions::new().append(true).open(mnt.join(name)).map(drop);
    assert_eq!(write("small").unwrap_err().raw_os_error(), Some(5));
    assert_eq!(write("large").unwrap_err().raw_os_error(), Some(5));
    write("sub/linked").unwrap();
    assert_eq!(fs::read(mnt.join("sub/linked")).unwrap(), vec![9; 100_000]);
    lab.unmount();
    let damaged: Vec<String> = events(&lab)
        .iter()
        .filter(|event| event["event"] == "damaged")
        .map(|event| event["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(damaged, ["Files/small", "Files/large"]);
}

#[test]
fn no_way_leads_to_a_change_of_a_layer() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("l.d/file", &vec![1; 20_000]);
    lab.put("l.d/dir/inside", b"inside");
    build(&lab, "l", "[layer]\nname = \"l\"\n[[source]]\nfolder = \"l.d\"\n", &[]);
    let before = fs::read(lab.path("l.img")).unwrap();
    let script = r#"
import ctypes, errno, fcntl, mmap, os, sys
errors = []
def refused(what):
    try:
        what()
    except OSError as error:
        errors.append(error.errno)
        return
    except ValueError:
        return
    raise SystemExit("a read-only view took a change")
f = "mnt/file"
refused(lambda: os.open(f, os.O_RDWR))
refused(lambda: os.truncate(f, 1))
refused(lambda: os.setxattr(f, "user.x", b"1"))
refused(lambda: os.setxattr(f, "user.DOSATTRIB", b"0x1"))
refused(lambda: os.setxattr(f, "system.ntfs_attrib", b"\1\0\0\0"))
refused(lambda: os.removexattr(f, "user.DOSATTRIB"))
refused(lambda: os.chmod(f, 0o600))
refused(lambda: os.utime(f, (1, 1)))
refused(lambda: os.unlink(f))
refused(lambda: os.rename(f, "mnt/other"))
refused(lambda: os.link(f, "mnt/other"))
refused(lambda: os.mkdir("mnt/dir/new"))
refused(lambda: os.rmdir("mnt/dir"))
fd = os.open(f, os.O_RDONLY)
refused(lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))
private = mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
private[0] = 255
refused(lambda: os.posix_fallocate(fd, 0, 100000))
refused(lambda: fcntl.ioctl(fd, 0x40086602, b"\x10\0\0\0\0\0\0\0"))
refused(lambda: fcntl.ioctl(fd, 0x40049409, fd))
assert os.read(fd, 1) == b"\1"
"#;
    let python = |lab: &Lab, script: &str| {
        let output = Command::new("python3")
            .args(["-c", script])
            .current_dir(lab.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    lab.mount(&["--base", "base", "--layer", "l.img"]);
    python(&lab, script);
    lab.unmount();
    // With a writable folder the same changes are made, and not in the layer.
    lab.mount(&["--base", "base", "--layer", "l.img", "--writable", "writable"]);
    python(
        &lab,
        r#"
import mmap, os
fd = os.open("mnt/file", os.O_RDWR)
m = mmap.mmap(fd, 4096)
m[0] = 255
m.flush()
os.setxattr("mnt/file", "user.x", b"1")
os.setxattr("mnt/file", "system.ntfs_attrib", b"\1\0\0\0")
os.chmod("mnt/file", 0o600)
os.truncate("mnt/file", 5)
os.rename("mnt/dir/inside", "mnt/moved")
os.unlink("mnt/moved")
"#,
    );
    lab.unmount();
    assert!(fs::read(lab.path("l.img")).unwrap() == before);
}
