//! What single operations do.

use super::support::{Lab, can_mount};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

fn names(path: impl AsRef<std::path::Path>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn names_ignore_case_and_keep_it() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/Program Files/App/App.exe", b"program");
    lab.mount(&["--base", "base"]);
    let mnt = lab.mnt();
    assert_eq!(fs::read(mnt.join("PROGRAM files/app/APP.EXE")).unwrap(), b"program");
    assert_eq!(names(mnt.join("program FILES/APP")), ["App.exe"]);
    // The marker by which Wine knows is there when asked for, and in no listing.
    assert!(mnt.join("Program Files/.ciopfs").exists());
    assert_eq!(names(&mnt), ["Program Files"]);
    assert_eq!(
        fs::write(mnt.join("new"), "").unwrap_err().kind(),
        ErrorKind::ReadOnlyFilesystem
    );
    lab.terminate();
    assert!(!lab.is_mounted());
}

#[test]
fn writes_go_to_the_writable_folder_alone() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/Dir/File.txt", b"one");
    lab.put("base/Dir/Gone.txt", b"two");
    lab.put("base/Dir/Sub/Deep.txt", b"three");
    symlink("Dir/File.txt", lab.path("base/link")).unwrap();
    lab.mount(&["--base", "base", "--writable", "writable"]);
    let mnt = lab.mnt();
    let before = fs::metadata(mnt.join("dir/file.txt")).unwrap().ino();
    let mut reader = File::open(mnt.join("Dir/File.txt")).unwrap();
    OpenOptions::new()
        .append(true)
        .open(mnt.join("DIR/FILE.TXT"))
        .unwrap()
        .write_all(b" more")
        .unwrap();
    // The copy is the same file: same number, and who had it open sees what was written.
    assert_eq!(fs::metadata(mnt.join("dir/file.txt")).unwrap().ino(), before);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one more");
    assert_eq!(fs::read_to_string(mnt.join("link")).unwrap(), "one more");
    fs::remove_file(mnt.join("dir/gone.TXT")).unwrap();
    fs::rename(mnt.join("dir"), mnt.join("Moved")).unwrap();
    assert_eq!(names(&mnt), ["Moved", "link"]);
    assert_eq!(names(mnt.join("moved")), ["File.txt", "Sub"]);
    assert_eq!(fs::read(mnt.join("moved/sub/deep.txt")).unwrap(), b"three");
    // A directory in the place of one that went shows nothing of it.
    fs::create_dir(mnt.join("Dir")).unwrap();
    assert!(names(mnt.join("dir")).is_empty());
    assert_eq!(
        fs::create_dir(mnt.join("DIR")).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        fs::remove_dir(mnt.join("Moved")).unwrap_err().kind(),
        ErrorKind::DirectoryNotEmpty
    );
    lab.kill();
    lab.mount(&["--base", "base", "--writable", "writable"]);
    assert_eq!(names(&mnt), ["Dir", "Moved", "link"]);
    assert!(names(mnt.join("dir")).is_empty());
    assert_eq!(fs::read(mnt.join("moved/file.txt")).unwrap(), b"one more");
    assert_eq!(fs::read(lab.path("base/Dir/File.txt")).unwrap(), b"one");
    assert_eq!(names(lab.path("base/Dir")), ["File.txt", "Gone.txt", "Sub"]);
    lab.unmount();
}

#[test]
fn files_live_on_without_a_name() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/lower", b"lower");
    lab.mount(&["--base", "base", "--writable", "writable"]);
    let mnt = lab.mnt();
    let mut lower = File::open(mnt.join("lower")).unwrap();
    fs::remove_file(mnt.join("lower")).unwrap();
    let mut text = String::new();
    lower.read_to_string(&mut text).unwrap();
    assert_eq!(text, "lower");
    let mut upper = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(mnt.join("upper"))
        .unwrap();
    fs::remove_file(mnt.join("UPPER")).unwrap();
    upper.write_all(b"written after").unwrap();
    assert_eq!(upper.metadata().unwrap().len(), 13);
    upper.seek(SeekFrom::Start(8)).unwrap();
    text.clear();
    upper.read_to_string(&mut text).unwrap();
    assert_eq!(text, "after");
    assert!(names(&mnt).is_empty());
    drop((lower, upper));
    lab.unmount();
}

#[test]
fn links_times_sizes_and_attributes_are_kept() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/file", b"content");
    lab.mount(&["--base", "base", "--writable", "writable", "--no-passthrough"]);
    let mnt = lab.mnt();
    let file = mnt.join("file");
    fs::hard_link(&file, mnt.join("other")).unwrap();
    let (one, two) = (fs::metadata(&file).unwrap(), fs::metadata(mnt.join("other")).unwrap());
    assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
    fs::write(mnt.join("other"), "changed").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"changed");
    let host = File::options().write(true).open(&file).unwrap();
    host.set_len(3).unwrap();
    rustix::fs::fallocate(&host, rustix::fs::FallocateFlags::empty(), 0, 100).unwrap();
    assert_eq!(fs::metadata(mnt.join("OTHER")).unwrap().len(), 100);
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    host.set_modified(time).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), time);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&file, "user.DOSATTRIB", b"0x22", flags).unwrap();
    rustix::fs::setxattr(&file, "user.Zone.Identifier", b"[ZoneTransfer]", flags).unwrap();
    let mut value = [0_u8; 32];
    assert_eq!(rustix::fs::getxattr(&file, "system.ntfs_attrib", &mut value[..]), Ok(4));
    assert_eq!(value[..4], [0x22, 0, 0, 0]);
    assert_eq!(
        rustix::fs::getxattr(mnt.join("other"), "user.Zone.Identifier", &mut value[..]),
        Ok(14)
    );
    // The marks of the writable folder are not for programs.
    assert!(rustix::fs::setxattr(&file, "user.overlay.opaque", b"y", flags).is_err());
    symlink("file", mnt.join("soft")).unwrap();
    assert_eq!(fs::read_link(mnt.join("SOFT")).unwrap().to_str(), Some("file"));
    fs::rename(mnt.join("soft"), mnt.join("Softer")).unwrap();
    assert_eq!(names(&mnt), ["Softer", "file", "other"]);
    drop(host);
    lab.unmount();
}

#[test]
fn attributes_that_wine_left_in_folders_count() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    let flags = rustix::fs::XattrFlags::empty();
    for name in ["base/lower", "writable/upper"] {
        lab.put(name, b"content");
        rustix::fs::setxattr(lab.path(name), "user.DOSATTRIB", b"0x7", flags).unwrap();
    }
    lab.mount(&["--base", "base", "--writable", "writable"]);
    for name in ["lower", "upper"] {
        let file = lab.mnt().join(name);
        let shown = || {
            let mut value = [0_u8; 16];
            let length = rustix::fs::getxattr(&file, "user.DOSATTRIB", &mut value[..]).unwrap();
            String::from_utf8(value[..length].to_vec()).unwrap()
        };
        // Whether it may be written, the permissions say.
        assert_eq!(shown(), "0x26", "{name}");
        OpenOptions::new().append(true).open(&file).unwrap();
        assert_eq!(shown(), "0x26", "{name}");
        rustix::fs::setxattr(&file, "user.DOSATTRIB", b"0x21", flags).unwrap();
        assert_eq!(shown(), "0x21", "{name}");
        rustix::fs::removexattr(&file, "user.DOSATTRIB").unwrap();
        assert_eq!(shown(), "0x20", "{name}");
    }
    lab.unmount();
}

#[test]
fn names_of_one_file_stay_together() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/dir/one", b"same");
    fs::hard_link(lab.path("base/dir/one"), lab.path("base/dir/two")).unwrap();
    let arguments = ["--base", "base", "--writable", "writable"];
    lab.mount(&arguments);
    let mnt = lab.mnt();
    assert_eq!(names(mnt.join("dir")), ["one", "two"]);
    let before = fs::metadata(mnt.join("dir/two")).unwrap().ino();
    fs::write(mnt.join("dir/two"), "both").unwrap();
    let check = |root: &std::path::Path| {
        let facts = ["one", "two"].map(|name| fs::metadata(root.join(name)).unwrap());
        assert_eq!(facts[0].ino(), facts[1].ino());
        assert_eq!(facts.map(|facts| facts.nlink()), [2, 2]);
        assert_eq!(fs::read_to_string(root.join("one")).unwrap(), "both");
    };
    check(&mnt.join("dir"));
    assert_eq!(fs::metadata(mnt.join("dir/one")).unwrap().ino(), before);
    fs::rename(mnt.join("dir"), mnt.join("moved")).unwrap();
    lab.kill();
    lab.mount(&arguments);
    check(&mnt.join("moved"));
    assert_eq!(fs::read(lab.path("base/dir/one")).unwrap(), b"same");
    lab.unmount();
}

/// The kernel is told of other spellings at once, but not before the call returns.
fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(holds());
}

#[test]
fn what_goes_under_another_spelling_is_gone() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for name in ["Moved", "Removed"] {
        lab.put(&format!("base/{name}"), name.as_bytes());
    }
    lab.mount(&["--base", "base", "--writable", "writable"]);
    let mnt = lab.mnt();
    for name in ["Moved", "Removed"] {
        assert!(mnt.join(name).exists());
    }
    fs::rename(mnt.join("MOVED"), mnt.join("New")).unwrap();
    fs::remove_file(mnt.join("REMOVED")).unwrap();
    eventually(|| !mnt.join("Moved").exists() && !mnt.join("Removed").exists());
    for name in ["Moved", "moved", "Removed"] {
        assert!(!mnt.join(name).exists(), "{name}");
    }
    assert_eq!(fs::read(mnt.join("new")).unwrap(), b"Moved");
    fs::hard_link(mnt.join("NEW"), mnt.join("other")).unwrap();
    let swapped = rustix::fs::RenameFlags::EXCHANGE;
    fs::create_dir(mnt.join("Dir")).unwrap();
    rustix::fs::renameat_with(
        rustix::fs::CWD,
        mnt.join("dir"),
        rustix::fs::CWD,
        mnt.join("OTHER"),
        swapped,
    )
    .unwrap();
    assert_eq!(fs::read(mnt.join("DIR")).unwrap(), b"Moved");
    eventually(|| mnt.join("other").is_dir() && mnt.join("Dir").is_file());
    lab.unmount();
}

#[test]
fn a_name_made_again_in_another_spelling_stays() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for path in ["base/file", "base/dir/in", "base/moved", "base/over"] {
        lab.put(path, b"old");
    }
    let arguments = ["--base", "base", "--writable", "writable"];
    lab.mount(&arguments);
    let mnt = lab.mnt();
    let at = |path: &str| mnt.join(path);
    fs::remove_file(at("file")).unwrap();
    fs::write(at("FILE"), "second").unwrap();
    fs::remove_file(at("FILE")).unwrap();
    fs::write(at("file"), "third").unwrap();

    fs::remove_dir_all(at("dir")).unwrap();
    fs::create_dir(at("DIR")).unwrap();
    fs::remove_dir(at("DIR")).unwrap();
    fs::create_dir(at("tmp")).unwrap();
    fs::write(at("tmp/kept"), "fourth").unwrap();
    fs::rename(at("tmp"), at("Dir")).unwrap();

    fs::rename(at("moved"), at("away")).unwrap();
    fs::create_dir(at("MOVED")).unwrap();
    fs::write(at("new"), "fifth").unwrap();
    fs::rename(at("new"), at("OVER")).unwrap();
    let expected = ["Dir", "MOVED", "OVER", "away", "file"];
    for _ in 0..2 {
        assert_eq!(names(at("")), expected);
        assert_eq!(names(at("dir")), ["kept"]);
        assert_eq!(fs::read(at("FILE")).unwrap(), b"third");
        assert_eq!(fs::read(at("over")).unwrap(), b"fifth");
        lab.unmount();
        lab.mount(&arguments);
    }
    lab.unmount();

    // A folder in which they stand beside each other: what is there counts, not the whiteout.
    lab.put("writable/Again", b"there");
    for whiteout in ["AGAIN", "again"] {
        let path = lab.path("writable").join(whiteout);
        let device = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, path, device, Mode::empty(), 0).unwrap();
    }
    lab.mount(&arguments);
    assert_eq!(fs::read(lab.mnt().join("again")).unwrap(), b"there");
    lab.unmount();
}

#[test]
fn the_background_says_when_it_is_there() {
    if !can_mount() {
        return;
    }
    let lab = Lab::new();
    lab.put("base/file", b"there");
    lab.done(&["mount", "--base", "base", "mnt"]);
    assert_eq!(fs::read(lab.mnt().join("file")).unwrap(), b"there");
    let status: serde_json::Value = serde_json::from_str(&lab.done(&["status", "--json", "mnt"])).unwrap();
    assert_eq!(status["members"][0]["role"], "base");
    assert!(lab.refused(&["mount", "--base", "nothing", "mnt"]).contains("nothing"));
}

#[test]
fn a_directory_of_several_members_that_moved_is_still_the_same() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/a/b/c", b"deep");
    lab.put("l/a/c", b"file");
    lab.put("l/d/d", b"last");
    lab.pack("l", "l.vhdx");
    lab.mount(&["--base", "base", "--layer", "l.vhdx", "--writable", "writable"]);
    let mnt = lab.mnt();
    let at = |name: &str| mnt.join(name);
    let number = fs::metadata(at("a")).unwrap().ino();
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(rustix::fs::CWD, at("d"), rustix::fs::CWD, at("a"), flags).unwrap();
    fs::rename(at("d"), at("a/b")).unwrap();
    // Something else takes the name that it had; what is set of it must not go there.
    fs::write(at("d"), b"new").unwrap();
    rustix::fs::setxattr(at("a/b"), "user.k", b"1", rustix::fs::XattrFlags::empty()).unwrap();
    assert!(rustix::fs::getxattr(lab.path("writable/a/b"), "user.k", &mut [0_u8; 1][..]).is_ok());
    assert!(rustix::fs::getxattr(lab.path("writable/d"), "user.k", &mut [0_u8; 1][..]).is_err());
    assert_eq!(fs::metadata(at("a/b")).unwrap().ino(), number);
    lab.unmount();
}

#[test]
fn a_file_that_runs_keeps_its_bytes() {
    if !can_mount() {
        return;
    }
    let sleep = fs::read("/bin/sleep").unwrap();
    let mut lab = Lab::new();
    for name in ["base/lower", "writable/upper"] {
        lab.put(name, &sleep);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(lab.path(name), mode).unwrap();
    }
    lab.mount(&["--base", "base", "--writable", "writable"]);
    for name in ["lower", "upper"] {
        let program = lab.mnt().join(name);
        let mut running = Command::new(&program).arg("60").spawn().unwrap();
        for access in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
            let opened = rustix::fs::open(&program, access | OFlags::TRUNC, Mode::empty());
            assert_eq!(opened.unwrap_err(), Errno::TXTBSY, "{name}, {access:?}");
        }
        assert!(fs::read(&program).unwrap() == sleep, "{name}");
        assert!(running.try_wait().unwrap().is_none(), "{name}");
        running.kill().unwrap();
        running.wait().unwrap();
    }
    lab.unmount();
}
