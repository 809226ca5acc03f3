//! How much of two large images is read that differ in little.

use crate::changes::cvtool;
use crate::tools::{Mount, have, make_child};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const FILES: usize = 24;
const FILE: usize = 8 << 20;

/// Bytes that differ from file to file and are no zeros.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Captures between two images; how many bytes the system was asked for, of files of any kind.
fn bytes_read(folder: &Path, before: &str, after: &str) -> u64 {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args([
            "capture", "diff", "--before", before, "--after", after, "-o", "app.vhdx",
        ])
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let counters = fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
    assert!(child.wait().unwrap().success());
    let line = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn of_two_images_that_differ_in_a_hundredth_little_is_read() {
    if !have(&["ntfs-3g", "qemu-img", "umount"]) {
        return;
    }
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = temporary.path();
    let data = folder.join("machine/Program Files/Data");
    fs::create_dir_all(&data).unwrap();
    for number in 0..FILES {
        fs::write(data.join(format!("{number}.bin")), content(number as u64, FILE)).unwrap();
    }
    fs::write(data.join("small.bin"), content(100, 1 << 20)).unwrap();
    // A large disk, and little of it is used.
    cvtool(
        &[
            "image",
            "pack",
            "machine",
            "-o",
            "before.img",
            "--no-partition",
            "--size",
            "20G",
        ],
        folder,
    );
    fs::remove_dir_all(folder.join("machine")).unwrap();
    let status = Command::new("cp")
        .args(["--sparse=always", "before.img", "after.img"])
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success());
    {
        let Some(mount) = Mount::new(&folder.join("after.img"), folder.join("mount")) else {
            return;
        };
        let data = mount.path.join("Program Files/Data");
        fs::write(data.join("small.bin"), content(101, 1 << 20)).unwrap();
        fs::write(data.join("new.bin"), content(102, 1 << 20)).unwrap();
        // One file is as it was, with another time.
        let file = fs::File::options().write(true).open(data.join("0.bin")).unwrap();
        file.set_modified(std::time::SystemTime::now()).unwrap();
    }
    let stored = 2 * (FILES * FILE + (1 << 20)) as u64;
    for format in ["vhd", "vhdx", "vmdk"] {
        let (before, child) = (format!("before.{format}"), format!("child.{format}"));
        cvtool(&["image", "convert", "before.img", &before], folder);
        make_child(folder, &before, &child, ("before.img", "after.img"));
        let read = bytes_read(folder, &before, &child);
        println!("{format}: {read} of {stored} bytes read");
        assert!(read * 100 < stored * 3, "{format}: {read} of {stored} bytes read");
        fs::remove_file(folder.join(before)).unwrap();
        fs::remove_file(folder.join(child)).unwrap();
    }
}
