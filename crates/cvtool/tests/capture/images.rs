//! Between disk images of NTFS volumes with hives of real machines, changed by ntfs-3g and hivexregedit.

use crate::changes::cvtool;
use crate::tools::{Mount, have, hive, make_child, run};
use cv_hive::{Hive, Key, WriteOptions, write_to_vec};
use rustix::fs::{XattrFlags, removexattr, setxattr};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const WINE: &str = "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows";
const CONFIG: &str = "Windows/System32/config";
const USER: &str = "Users/packager/NTUSER.DAT";

/// Programs that the machine has before the install.
const PROGRAMS: [&str; 12] = [
    "changed",
    "grown",
    "gone",
    "moved",
    "stream-new",
    "stream-changed",
    "stream-gone",
    "hidden",
    "secured",
    "touched",
    "cased",
    "same",
];

/// Everyone may read, in self-relative form.
#[rustfmt::skip]
const EVERYONE: [u8; 76] = [
    1, 0, 4, 0x80, 48, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, // owner at 48, group at 64, access list at 20
    2, 0, 28, 0, 1, 0, 0, 0, // a list of one entry
    0, 0, 20, 0, 0xA9, 0, 0x12, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, // S-1-1-0 may read and execute
    1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0, // S-1-5-32-544
    1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // S-1-5-18
];

/// The subtree of a hive as a hive of its own.
fn subtree(hive: &[u8], name: &str) -> Vec<u8> {
    let tree = Hive::open(hive).unwrap().to_tree().unwrap();
    let mut root = Key::new("ROOT");
    root.subkeys.clone_from(&tree.subkey(name).unwrap().subkeys);
    write_to_vec(&root, &WriteOptions::default()).unwrap()
}

/// A machine before an install, as a folder; `None` where there is no corpus.
fn machine(folder: &Path) -> Option<()> {
    let config = folder.join(CONFIG);
    fs::create_dir_all(&config).unwrap();
    fs::create_dir_all(folder.join("Users/packager")).unwrap();
    fs::write(config.join("SYSTEM"), hive("SYSTEM")?).unwrap();
    fs::write(config.join("SOFTWARE"), subtree(&hive("NTUSER-WIN7.DAT")?, "Software")).unwrap();
    // The user's hive was not written to its end; its logs have the rest.
    fs::write(folder.join(USER), hive("transactions_NTUSER.DAT")?).unwrap();
    fs::write(
        folder.join("Users/packager/ntuser.dat.LOG1"),
        hive("transactions_ntuser.dat.log1")?,
    )
    .unwrap();
    fs::write(
        folder.join("Users/packager/ntuser.dat.LOG2"),
        hive("transactions_ntuser.dat.log2")?,
    )
    .unwrap();
    let mut libraries: Vec<_> = fs::read_dir(WINE).unwrap().map(|entry| entry.unwrap().path()).collect();
    libraries.sort();
    for library in libraries
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "dll"))
        .take(40)
    {
        fs::copy(
            library,
            folder.join("Windows/System32").join(library.file_name().unwrap()),
        )
        .unwrap();
    }
    let old = folder.join("Program Files/Old");
    fs::create_dir_all(old.join("folder/below")).unwrap();
    fs::create_dir_all(folder.join("Windows/Temp")).unwrap();
    fs::write(old.join("folder/below/a.txt"), b"a").unwrap();
    for (name, library) in PROGRAMS.iter().zip(&libraries) {
        fs::copy(library, old.join(format!("{name}.dll"))).unwrap();
    }
    merge(&config.join("SOFTWARE"), "HKEY_LOCAL_MACHINE\\SOFTWARE", folder, BEFORE);
    Some(())
}

/// Changes a hive as a `.reg` file says.
fn merge(hive: &Path, prefix: &str, folder: &Path, text: &str) {
    // hivexregedit wants to be told of every key above a new one.
    let mut lines = Vec::new();
    for line in text.lines() {
        let below = line.strip_prefix('[').and_then(|line| line.strip_prefix(prefix));
        for (end, _) in below
            .map(|below| below.match_indices('\\'))
            .into_iter()
            .flatten()
            .skip(1)
        {
            lines.push(format!("{}]\n", &line[..=prefix.len() + end]));
        }
        lines.push(line.to_owned());
    }
    let patch = folder.parent().unwrap().join("patch.reg");
    fs::write(&patch, lines.join("\n")).unwrap();
    run(
        "hivexregedit",
        &[
            "--merge",
            "--prefix",
            prefix,
            hive.to_str().unwrap(),
            patch.to_str().unwrap(),
        ],
    );
}

const BEFORE: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-1-2-3-1001]
"ProfileImagePath"="C:\\Users\\packager"

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor]
"changed"="before"
"gone"="x"
"same"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\Old]

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\Old\Below]
"a"="a"

[HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}]
@="Class"

[HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}\InprocServer32]
@="old.dll"
"ThreadingModel"="Both"
"#;

const SOFTWARE: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor]
"changed"="after"
"gone"=-

[-HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\Old]

[HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\New]
"data"=hex:01,02,03

[HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}\InprocServer32]
@="new.dll"

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing\setup]
"noise"=dword:00000001
"#;

const SYSTEM: &str = r#"Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SYSTEM\SET\Services\NewService]
"ImagePath"="C:\\Program Files\\New\\app.dll"
"Start"=dword:00000003

[-HKEY_LOCAL_MACHINE\SYSTEM\SET\Services\Beep]

[HKEY_LOCAL_MACHINE\SYSTEM\SET\Control\hivelist]
"noise"="x"
"#;

const NTUSER: &str = r#"Windows Registry Editor Version 5.00

[HKEY_CURRENT_USER\Software\Vendor]
"Home"="C:\\Users\\packager\\Documents"
"#;

/// What is done to the machine, all by programs that are not ours.
fn change(top: &Path, control_set: &str) {
    let old = top.join("Program Files/Old");
    let file = |name: &str| old.join(format!("{name}.dll"));
    fs::create_dir_all(top.join("Program Files/New")).unwrap();
    fs::copy(file("same"), top.join("Program Files/New/app.dll")).unwrap();
    fs::write(top.join("Windows/Temp/setup.log"), b"log").unwrap();
    let mut content = fs::read(file("changed")).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(file("changed"), content).unwrap();
    let mut content = fs::read(file("grown")).unwrap();
    content.extend_from_slice(b"more");
    fs::write(file("grown"), content).unwrap();
    let content = fs::read(file("touched")).unwrap();
    fs::write(file("touched"), content).unwrap();
    fs::remove_file(file("gone")).unwrap();
    fs::remove_dir_all(old.join("folder")).unwrap();
    fs::rename(file("moved"), old.join("renamed.dll")).unwrap();
    fs::rename(file("cased"), old.join("CASED.dll")).unwrap();
    let set = |name: &str, attribute: &str, value: &[u8]| {
        setxattr(file(name), attribute, value, XattrFlags::empty()).unwrap();
    };
    set("stream-new", "user.note", b"new");
    set("stream-changed", "user.note", b"other");
    removexattr(file("stream-gone"), "user.note").unwrap();
    // Hidden, and to be archived.
    set("hidden", "system.ntfs_attrib_be", &[0, 0, 0, 0x22]);
    set("secured", "system.ntfs_acl", &EVERYONE);
    let config = top.join(CONFIG);
    merge(&config.join("SOFTWARE"), r"HKEY_LOCAL_MACHINE\SOFTWARE", top, SOFTWARE);
    let system = SYSTEM.replace("SET", control_set);
    merge(&config.join("SYSTEM"), r"HKEY_LOCAL_MACHINE\SYSTEM", top, &system);
    // As Windows leaves it when the user logs off: written to its end.
    let user = top.join(USER);
    run(
        env!("CARGO_BIN_EXE_cvtool"),
        &["reg", "recover", user.to_str().unwrap()],
    );
    merge(&user, "HKEY_CURRENT_USER", top, NTUSER);
}

const EXPECTED: &str = r"
keep added  HKEY_CURRENT_USER\Software\Vendor
keep added  HKEY_CURRENT_USER\Software\Vendor!Home
keep whole  HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}
keep whole  HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}!
keep whole  HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}\InprocServer32
keep modified  HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}\InprocServer32!
keep whole  HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{0A}\InprocServer32!ThreadingModel
drop added  HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing
drop added  HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing\setup
drop added  HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing\setup!noise
keep modified  HKEY_LOCAL_MACHINE\SOFTWARE\Vendor!changed
keep deleted  HKEY_LOCAL_MACHINE\SOFTWARE\Vendor!gone
keep added  HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\New
keep added  HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\New!data
keep deleted  HKEY_LOCAL_MACHINE\SOFTWARE\Vendor\Old
drop added  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\hivelist
drop added  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\hivelist!noise
keep deleted  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\services\Beep
keep added  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\services\NewService
keep added  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\services\NewService!ImagePath
keep added  HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\services\NewService!Start
keep added  \Program Files\New
keep added  \Program Files\New\app.dll
keep modified content \Program Files\Old\changed.dll
keep deleted  \Program Files\Old\folder
keep deleted  \Program Files\Old\gone.dll
keep modified content \Program Files\Old\grown.dll
keep modified attributes \Program Files\Old\hidden.dll
keep deleted  \Program Files\Old\moved.dll
keep renamed from Program Files/Old/moved.dll \Program Files\Old\renamed.dll
keep modified security \Program Files\Old\secured.dll
keep modified streams \Program Files\Old\stream-changed.dll
keep modified streams \Program Files\Old\stream-gone.dll
keep modified streams \Program Files\Old\stream-new.dll
drop added  \Windows\Temp\setup.log
";

/// Captures between two images; what is not as expected, a line each.
fn wrong(folder: &Path, before: &str, after: &str) -> Vec<String> {
    let arguments = ["capture", "diff", "--before", before, "--after", after];
    cvtool(
        &[&arguments[..], &["-o", "app.vhdx", "--report", "report.json"]].concat(),
        folder,
    );
    cvtool(&["verify", "app.vhdx"], folder);
    let report: Json = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["counts"]["touched"], 1, "{}", report["counts"]);
    assert_eq!(report["problems"], serde_json::json!([]));
    let text = |item: &Json, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let found: BTreeSet<String> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            ["action", "change", "detail", "path"]
                .map(|name| text(item, name))
                .join(" ")
        })
        // The hives as files.
        .filter(|line| !line.to_lowercase().contains("ntuser.dat") && !line.contains(r"System32\config"))
        .collect();
    let wanted: BTreeSet<String> = EXPECTED.trim().lines().map(str::to_owned).collect();
    let missing = wanted.difference(&found).map(|line| format!("missing: {line}"));
    let more = found.difference(&wanted).map(|line| format!("not scripted: {line}"));
    missing.chain(more).collect()
}

#[test]
fn scripted_changes_of_volumes_and_real_hives_are_found_in_every_container() {
    if !have(&["ntfs-3g", "hivexregedit", "qemu-img", "xz", "umount"]) || !Path::new(WINE).is_dir() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let Some(()) = machine(&folder.join("machine")) else {
        return;
    };
    let system = fs::read(folder.join("machine").join(CONFIG).join("SYSTEM")).unwrap();
    let system = Hive::open(&system).unwrap().to_tree().unwrap();
    let current = system.subkey("Select").unwrap().value("Current").unwrap().data[0];
    cvtool(
        &[
            "image",
            "pack",
            "machine",
            "-o",
            "before.img",
            "--no-partition",
            "--size",
            "160M",
        ],
        folder,
    );
    {
        let Some(mount) = Mount::new(&folder.join("before.img"), folder.join("mount")) else {
            return;
        };
        for name in ["stream-changed", "stream-gone"] {
            let file = mount.path.join(format!("Program Files/Old/{name}.dll"));
            setxattr(file, "user.note", b"first", XattrFlags::empty()).unwrap();
        }
    }
    fs::copy(folder.join("before.img"), folder.join("after.img")).unwrap();
    {
        let Some(mount) = Mount::new(&folder.join("after.img"), folder.join("mount")) else {
            return;
        };
        change(&mount.path, &format!("ControlSet{current:03}"));
    }
    let none: [String; 0] = [];
    assert_eq!(wrong(folder, "before.img", "after.img"), none);
    for format in ["vhd", "vhdx", "vmdk"] {
        let (before, after) = (format!("before.{format}"), format!("after.{format}"));
        cvtool(&["image", "convert", "before.img", &before], folder);
        cvtool(&["image", "convert", "after.img", &after], folder);
        assert_eq!(wrong(folder, &before, &after), none, "{format}");
        let child = format!("child.{format}");
        make_child(folder, &before, &child, ("before.img", "after.img"));
        assert_eq!(wrong(folder, &before, &child), none, "a child, {format}");
    }
}
