//! The interfaces themselves, on whatever Windows this runs on: Windows, or Wine, which has less.

#![cfg(windows)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_windows::{Access, Ended, Job, Key, Node, machine, open_file};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

#[test]
fn folders_are_listed_and_changed_by_handle() {
    let folder = tempfile::tempdir().unwrap();
    let top = Node::target(folder.path()).unwrap();
    let names: BTreeSet<Vec<u16>> = (0..1000).map(|number| units(&format!("file ü {number}"))).collect();
    for name in &names {
        drop(top.create(name).unwrap());
    }
    let below = top.make_folder(&units("below")).unwrap();
    assert!(below.basic().unwrap().is_directory());
    assert!(top.make_folder(&units("below")).is_ok());
    for other in ["file ü 7", "FILE ü 7", "file Ü 7"] {
        let error = top.create(&units(other)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    }

    let entries = top.entries().unwrap();
    assert_eq!(entries.len(), names.len() + 1);
    let ids: BTreeSet<u64> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids.len(), entries.len());
    for entry in &entries {
        let node = top.open(&entry.name, Access::Look).unwrap();
        assert_eq!(node.id_and_links().unwrap(), (entry.id, 1));
        assert_eq!(node.volume_serial().unwrap(), top.volume_serial().unwrap());
    }

    for name in ["..", ".", r"below\x", "below/x", r"..\x"] {
        let error = top.open(&units(name), Access::Look).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFilename, "{name}");
    }
    let file = top.open(&units("file ü 7"), Access::ChangeBasic).unwrap();
    file.link_as(&below, &units("again")).unwrap();
    assert_eq!(file.id_and_links().unwrap().1, 2);
    let mut basic = file.basic().unwrap();
    basic.attributes |= 1;
    file.set_basic(&basic).unwrap();
    // Names stay as long as a file is open.
    drop(file);
    top.remove(&units("file ü 7")).unwrap();
    let error = top.open(&units("file ü 7"), Access::Look).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(folder.path().join("below/again").is_file());
}

#[test]
fn times_attributes_and_security_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    let top = Node::target(folder.path()).unwrap();
    let name = units("file");
    let node = top.open(&name, Access::ChangeBasic).unwrap();
    let mut basic = node.basic().unwrap();
    basic.modified = 131_000_000_000_000_000;
    basic.attributes |= 1;
    node.set_basic(&basic).unwrap();
    let found = top.open(&name, Access::Look).unwrap().basic().unwrap();
    assert_eq!(found.modified, basic.modified);
    assert_eq!(found.attributes & 1, 1);

    // Owner, group and list are there, where the descriptor says, and can be given again.
    machine::restore_everything();
    let node = top.open(&name, Access::Look).unwrap();
    let descriptor = node.security().unwrap().unwrap();
    let place = |at: usize| u32::from_le_bytes(descriptor[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(descriptor[0], 1);
    for at in [4, 8] {
        // A SID begins with its revision.
        assert_eq!(descriptor[place(at)], 1);
    }
    assert!(place(16) > 0 && place(16) < descriptor.len());
    top.set_security(&name, &descriptor).unwrap();
    let error = top.set_security(&name, &descriptor[..8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);

    assert!(node.streams().unwrap().is_empty());
    let mut text = String::new();
    open_file(&folder.path().join("file"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "content");
}

#[test]
fn the_registry_is_read_as_it_is_stored() {
    let as_backup = machine::read_everything();
    let key = Key::open(r"\Registry\Machine\SYSTEM", as_backup).unwrap();
    let set = if machine::is_wine() {
        "CurrentControlSet"
    } else {
        "ControlSet001"
    };
    assert!(key.subkey_names().unwrap().iter().any(|(name, _)| name == &units(set)));
    let set = key.subkey(&units(set)).unwrap();
    // The link itself.
    let link = if machine::is_wine() {
        Key::open(r"\Registry\Machine\Software\Classes\Wow6432Node\AppId", as_backup).unwrap()
    } else {
        key.subkey(&units("CurrentControlSet")).unwrap()
    };
    let values = link.values().unwrap();
    let target = values
        .iter()
        .find(|value| value.name == units("SymbolicLinkValue"))
        .unwrap();
    assert_eq!(target.value_type, 6);
    assert!(set.subkey(&units("Control")).unwrap().subkey_names().unwrap().len() > 5);
    assert!(set.security().unwrap().len() >= 20);
    assert!(set.details().is_ok());
    let error = key.subkey(&units("No Such Key")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_job_is_waited_for_with_all_that_it_started() {
    let command = |line: &str| {
        let mut command = Command::new("cmd.exe");
        command.args(["/c", line]).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    let mut job = Job::start(&mut command("exit 3010")).unwrap();
    assert_eq!(job.wait(&mut || false).unwrap(), Ended::ByItself(3010));

    // The first process ends at once; what it started goes on.
    let mut job = Job::start(&mut command("start /b ping -n 600 127.0.0.1 & exit 0")).unwrap();
    let started = Instant::now();
    let ended = job.wait(&mut || started.elapsed() > Duration::from_secs(2)).unwrap();
    assert_eq!(ended, Ended::Stopped);
}

#[test]
fn who_runs_this_is_known() {
    assert!(machine::user_sid().unwrap().starts_with("S-1-5-"));
    assert!(machine::system_drive().is_dir());
}
