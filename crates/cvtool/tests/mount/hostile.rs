//! What is no layer, or not any more.

use super::support::{Lab, can_mount};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

#[test]
fn what_is_no_layer_is_refused_and_the_view_lives_on() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/file", b"base");
    lab.put("l/inside", &vec![7; 2 << 20]);
    lab.pack("l", "l.vhdx");
    let good = fs::read(lab.path("l.vhdx")).unwrap();
    fs::write(lab.path("truncated.vhdx"), &good[..good.len() / 3]).unwrap();
    fs::write(lab.path("noise.img"), vec![0xA5; 1 << 20]).unwrap();
    fs::write(lab.path("empty.img"), b"").unwrap();
    let mut damaged = good.clone();
    damaged[64 << 10..(64 << 10) + 4096].fill(0xFF);
    fs::write(lab.path("damaged.vhdx"), &damaged).unwrap();
    lab.mount(&["--base", "base", "--layer", "l.vhdx"]);
    for image in ["noise.img", "empty.img", "missing.vhdx", "base"] {
        let refused = lab.refused(&["attach", "mnt", image]);
        assert!(
            refused.lines().count() == 1 && refused.contains(image),
            "{image}: {refused}"
        );
    }
    assert!(lab.refused(&["attach", "mnt", "l.vhdx"]).contains("attached already"));
    // A damaged copy either shows itself so at once or when it is read; nothing else is disturbed.
    for image in ["truncated.vhdx", "damaged.vhdx"] {
        let _ = lab.run(&["attach", "mnt", image]);
        assert_eq!(fs::read(lab.mnt().join("file")).unwrap(), b"base");
    }
    assert!(
        lab.refused(&["detach", "mnt", "nothing"])
            .contains("no layer nothing is attached")
    );
    lab.unmount();
    assert!(lab.refused(&["status", "mnt"]).contains("no mount"));
}

#[test]
fn a_layer_whose_container_is_cut_off_gives_errors_and_no_wrong_bytes() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/Other/kept", b"base");
    lab.put("l/inside", &vec![7; 8 << 20]);
    lab.pack("l", "l.img");
    lab.mount(&["--base", "base", "--layer", "l.img"]);
    let file = fs::File::open(lab.mnt().join("inside")).unwrap();
    assert_eq!(fs::read_dir(lab.mnt().join("Other")).unwrap().count(), 1);
    let container = fs::OpenOptions::new().write(true).open(lab.path("l.img")).unwrap();
    container.set_len(1 << 20).unwrap();
    let mut bytes = vec![0; 4096];
    let error = file.read_exact_at(&mut bytes, 7 << 20).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(5));
    // Where the layer has no part it is not asked.
    assert_eq!(fs::read(lab.mnt().join("Other/kept")).unwrap(), b"base");
    drop(file);
    lab.unmount();
}

#[test]
fn a_layer_whose_container_vanishes_reads_on_until_it_is_detached() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/kept", b"base");
    lab.put("l/inside", b"layer");
    lab.pack("l", "l.img");
    lab.mount(&["--base", "base", "--layer", "l.img"]);
    fs::remove_file(lab.path("l.img")).unwrap();
    assert_eq!(fs::read(lab.mnt().join("inside")).unwrap(), b"layer");
    assert!(lab.refused(&["attach", "mnt", "l.img"]).contains("l.img"));
    // It goes by the path that it had.
    let image = lab.path("l.img");
    lab.done(&["detach", "mnt", image.to_str().unwrap()]);
    assert!(!lab.mnt().join("inside").exists());
    assert_eq!(fs::read(lab.mnt().join("kept")).unwrap(), b"base");
    lab.unmount();
}

#[test]
fn what_a_killed_run_left_goes_with_the_next() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    lab.put("base/file", b"base");
    let dead = lab.path("cvtool-run-dead");
    fs::create_dir_all(dead.join("drive_c")).unwrap();
    let cvtool = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cvtool"));
        command.current_dir(lab.path("")).env("TMPDIR", lab.path(""));
        command
    };
    let arguments = [
        "-v",
        "mount",
        "--foreground",
        "--base",
        "base",
        "cvtool-run-dead/drive_c",
    ];
    let mut served = cvtool().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    // It tells what happens, on standard error.
    let mut told = BufReader::new(served.stderr.take().unwrap()).lines();
    let is_mounted = told.any(|line| line.unwrap().contains("event.name=\"mounted\""));
    assert!(is_mounted);
    served.kill().unwrap();
    served.wait().unwrap();
    lab.put("prefix/drive_c/file", b"x");
    for name in ["system.reg", "user.reg"] {
        lab.put(&format!("prefix/{name}"), b"WINE REGISTRY Version 2\n");
    }
    let run = cvtool()
        .args(["run", "--base", "prefix", "--", "nothing"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    assert!(fs::symlink_metadata(&dead).is_err(), "{run:?}");
}

#[test]
fn a_writable_folder_serves_one_mount() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.mount(&["--base", "base", "--writable", "writable"]);
    fs::create_dir(lab.path("second")).unwrap();
    let refused = lab.refused(&["mount", "--base", "base", "--writable", "writable", "second"]);
    assert!(refused.contains("another mount has it"), "{refused}");
    lab.unmount();
}
