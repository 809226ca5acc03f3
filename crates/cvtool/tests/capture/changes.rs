//! Between folders: what scripts changed is found, all of it and nothing else.

use cv_hive::{Key, Value, ValueType, WriteOptions, write_to_vec};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn cvtool(arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cvtool {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub fn write(path: PathBuf, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn text(name: &str, text: &str) -> Value {
    let data: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Value::new(name, ValueType::SZ, data)
}

fn key<'a>(root: &'a mut Key, path: &str) -> &'a mut Key {
    path.split('\\').fold(root, |key, name| key.subkey_or_insert(name))
}

const ENVIRONMENT: &str = r"ControlSet001\Control\Session Manager\Environment";

/// A machine as a folder: files, and hives in their places.
pub fn machine(folder: &Path, change: impl FnOnce(&Path, &mut Key, &mut Key, &mut Key)) {
    let mut software = Key::new("ROOT");
    key(
        &mut software,
        r"Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-1-2-3-1001",
    )
    .values
    .push(text("ProfileImagePath", r"C:\Users\packager"));
    key(&mut software, r"Classes\CLSID\{1}\InprocServer32")
        .values
        .push(text("", "old.dll"));
    key(&mut software, r"Classes\CLSID\{1}").values.push(text("", "Class"));
    key(&mut software, "Gone").values.push(text("a", "a"));
    let mut system = Key::new("ROOT");
    key(&mut system, "Select")
        .values
        .push(Value::new("Current", ValueType::DWORD, [1, 0, 0, 0]));
    key(&mut system, r"ControlSet001\Services\Old")
        .values
        .push(text("ImagePath", "old.exe"));
    key(&mut system, ENVIRONMENT).values.push(text("Path", r"C:\Windows"));
    let mut user = Key::new("ROOT");
    key(&mut user, "Software").values.push(text("kept", "kept"));
    write(folder.join("Windows/System32/kernel32.dll"), &[1; 9000]);
    write(folder.join("Windows/Temp/there.txt"), b"there");
    write(folder.join("Program Files/Old/changed.txt"), b"before");
    write(folder.join("Program Files/Old/deleted.txt"), b"deleted");
    write(folder.join("Program Files/Old/same.txt"), &vec![7; 100_000]);
    write(folder.join("Users/packager/AppData/Roaming/there.txt"), b"there");
    change(folder, &mut software, &mut system, &mut user);
    let hive = |root: &Key| write_to_vec(root, &WriteOptions::default()).unwrap();
    let config = folder.join("Windows/System32/config");
    write(config.join("SOFTWARE"), &hive(&software));
    write(config.join("SYSTEM"), &hive(&system));
    write(folder.join("Users/packager/NTUSER.DAT"), &hive(&user));
}

pub fn install(folder: &Path, software: &mut Key, system: &mut Key, user: &mut Key) {
    write(folder.join("Program Files/App/app.exe"), &vec![3; 70_000]);
    write(folder.join("Program Files/Old/changed.txt"), b"AFTER!");
    std::fs::remove_file(folder.join("Program Files/Old/deleted.txt")).unwrap();
    write(folder.join("Windows/Temp/setup.log"), b"log");
    write(folder.join("Windows/Prefetch/SETUP.EXE-1.pf"), b"pf");
    write(folder.join("Users/packager/AppData/Roaming/App/app.ini"), b"ini");
    key(software, r"App").values.push(text("Version", "2"));
    key(software, r"Microsoft\Windows\CurrentVersion\Uninstall\App")
        .values
        .push(text("DisplayName", "The App"));
    key(software, r"Classes\CLSID\{1}\InprocServer32").values[0] = text("", "new.dll");
    key(software, r"Microsoft\Tracing\x")
        .values
        .push(text("noise", "noise"));
    let gone = software.position(&"Gone".encode_utf16().collect::<Vec<_>>()).unwrap();
    software.subkeys.remove(gone);
    key(system, r"ControlSet001\Services\App")
        .values
        .push(text("ImagePath", "app.exe"));
    key(system, ENVIRONMENT).values[0] = text("Path", r"C:\Windows;C:\Program Files\App");
    key(user, r"Software\App")
        .values
        .push(text("Home", r"C:\Users\packager\App"));
    key(user, r"Software\Microsoft\Windows\CurrentVersion\Explorer\RecentDocs")
        .values
        .push(text("0", "setup"));
}

/// Makes `to` hold what `from` does; what is the same is not touched.
pub fn take_over(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(to).unwrap() {
        let name = entry.unwrap().file_name();
        if !from.join(&name).exists() {
            std::fs::remove_file(to.join(&name)).unwrap();
        }
    }
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            take_over(&entry.path(), &target);
            continue;
        }
        let content = std::fs::read(entry.path()).unwrap();
        if std::fs::read(&target).ok().as_ref() != Some(&content) {
            std::fs::write(target, content).unwrap();
        }
    }
}

/// The items of a report as `action change path`, without those of the hives' own files.
pub fn items(report: &Path) -> Vec<String> {
    let report: Json = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let items = report["items"].as_array().unwrap().iter();
    let line = |item: &Json| {
        let word = |name: &str| item[name].as_str().unwrap().to_owned();
        format!("{} {} {}", word("action"), word("change"), word("path"))
    };
    items
        .map(line)
        .filter(|line| !line.contains(r"System32\config") && !line.contains("NTUSER.DAT"))
        .collect()
}

const EXPECTED: [&str; 29] = [
    r"keep added HKEY_CURRENT_USER\Software\App",
    r"keep added HKEY_CURRENT_USER\Software\App!Home",
    r"keep added HKEY_CURRENT_USER\Software\Microsoft",
    r"keep added HKEY_CURRENT_USER\Software\Microsoft\Windows",
    r"keep added HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion",
    r"drop added HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Explorer",
    r"drop added HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Explorer\RecentDocs",
    r"drop added HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\Explorer\RecentDocs!0",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\App",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\App!Version",
    r"keep whole HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{1}",
    r"keep whole HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{1}!",
    r"keep whole HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{1}\InprocServer32",
    r"keep modified HKEY_LOCAL_MACHINE\SOFTWARE\Classes\CLSID\{1}\InprocServer32!",
    r"keep deleted HKEY_LOCAL_MACHINE\SOFTWARE\Gone",
    r"drop added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing",
    r"drop added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing\x",
    r"drop added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Tracing\x!noise",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\App",
    r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\App!DisplayName",
    r"keep modified HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Environment!Path",
    r"keep added HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\App",
    r"keep added HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\App!ImagePath",
    r"keep added \Program Files\App",
    r"keep added \Program Files\App\app.exe",
    r"keep modified \Program Files\Old\changed.txt",
];

const EXPECTED_LAST: [&str; 6] = [
    r"keep deleted \Program Files\Old\deleted.txt",
    r"keep added \Users\Default\AppData\Roaming\App",
    r"keep added \Users\Default\AppData\Roaming\App\app.ini",
    r"keep added \Windows\Prefetch",
    r"drop added \Windows\Prefetch\SETUP.EXE-1.pf",
    r"drop added \Windows\Temp\setup.log",
];

/// What the report must list.
pub fn expected() -> Vec<&'static str> {
    EXPECTED.into_iter().chain(EXPECTED_LAST).collect()
}

#[test]
fn scripted_changes_are_found_between_images_and_between_folders() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    for name in ["before", "after"] {
        cvtool(&["image", "pack", name, "-o", &format!("{name}.vhdx")], folder);
    }
    let sides = [
        ("before", "after", "folders.img"),
        ("before.vhdx", "after.vhdx", "images.img"),
    ];
    for (before, after, out) in sides {
        let report = format!("{out}.json");
        let arguments = [
            "capture", "diff", "--before", before, "--after", after, "-o", out, "--report", &report,
        ];
        cvtool(
            &[&arguments[..], &["--state", "state", "--html", "report.html"]].concat(),
            folder,
        );
        assert_eq!(items(&folder.join(&report)), expected(), "{out}");
    }
    let tree = cvtool(&["ls", "-R", "images.img", "/Files"], folder).stdout;
    let tree = String::from_utf8(tree).unwrap();
    assert!(
        tree.contains("Files/Users/Default/AppData/Roaming/App/app.ini"),
        "{tree}"
    );
    assert!(
        !tree.contains("deleted.txt") && !tree.contains("packager") && !tree.contains("Prefetch/"),
        "{tree}"
    );
    // The state keeps what was left out: with a rule of one's own it is taken back.
    let rule = "[[rule]]\nid='mine'\nkind='file'\npattern='%Windir%\\Prefetch\\**'\naction='keep'\n";
    std::fs::write(folder.join("mine.toml"), rule).unwrap();
    let arguments = [
        "capture",
        "rebuild",
        "--state",
        "state",
        "--rules",
        "mine.toml",
        "--deletions",
        "-o",
        "again.img",
    ];
    cvtool(&[&arguments[..], &["--report", "again.json"]].concat(), folder);
    let again = items(&folder.join("again.json"));
    assert!(
        again.contains(&r"keep added \Windows\Prefetch\SETUP.EXE-1.pf".to_owned()),
        "{again:?}"
    );
    let content = cvtool(&["cat", "again.img", "/Files/Windows/Prefetch/SETUP.EXE-1.pf"], folder).stdout;
    assert_eq!(content, b"pf");
    let manifest: Json = serde_json::from_slice(&cvtool(&["cat", "again.img", "/layer.json"], folder).stdout).unwrap();
    let sum = Command::new("sha256sum")
        .arg(folder.join("mine.toml"))
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let decided = manifest["provenance"]["rules"].as_array().unwrap();
    let expected = format!("mine.toml (SHA-256 {})", &sum[..64]);
    assert_eq!(*decided.last().unwrap(), expected);
    // What was added to PATH is known without the machines as well.
    for layer in ["images.img", "again.img"] {
        let manifest: Json = serde_json::from_slice(&cvtool(&["cat", layer, "/layer.json"], folder).stdout).unwrap();
        let added = serde_json::json!([{ "name": "Path", "append": [r"C:\Program Files\App"] }]);
        assert_eq!(manifest["policy"]["environment"], added, "{layer}");
    }
}

#[test]
fn a_new_directory_stays_where_rules_leave_out_all_it_holds() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    for name in ["before", "after"] {
        write(folder.join(name).join("Program Files/there.txt"), b"there");
    }
    write(folder.join("after/Program Files/App/Logs/today.log"), b"log");
    let rule = "[[rule]]\nid='logs'\nkind='file'\npattern='%ProgramFiles%\\App\\Logs\\*.log'\naction='drop'\n";
    std::fs::write(folder.join("logs.toml"), rule).unwrap();
    let arguments = [
        "capture",
        "diff",
        "--before",
        "before",
        "--after",
        "after",
        "--rules",
        "logs.toml",
        "-o",
        "app.img",
    ];
    cvtool(&arguments, folder);
    let tree = String::from_utf8(cvtool(&["ls", "-R", "app.img", "/Files"], folder).stdout).unwrap();
    assert!(tree.contains("Files/Program Files/App/Logs"), "{tree}");
    assert!(!tree.contains("today.log"), "{tree}");
}

#[test]
fn a_capture_in_two_steps_finds_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("machine"), |_, _, _, _| {});
    cvtool(&["capture", "start", "machine", "--state", "state"], folder);
    machine(&folder.join("after"), install);
    take_over(&folder.join("after"), &folder.join("machine"));
    let arguments = [
        "capture",
        "finish",
        "--state",
        "state",
        "-o",
        "app.vhdx",
        "--report",
        "report.json",
    ];
    cvtool(&arguments, folder);
    assert_eq!(items(&folder.join("report.json")), expected());
}

#[test]
fn rules_are_tested_and_explained() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let tested = String::from_utf8(cvtool(&["capture", "rules", "test"], folder).stdout).unwrap();
    assert!(tested.ends_with(" 0 failed\n"), "{tested}");
    let said = cvtool(&["capture", "rules", "explain", r"\pagefile.sys"], folder).stdout;
    assert!(said.starts_with(b"drop \\pagefile.sys (paging-and-hibernation: "));
    let wrong = "[[rule]]\nid='a'\nkind='file'\npattern='\\a'\naction='drop'\nkept=['\\a\\b']\n";
    std::fs::write(folder.join("wrong.toml"), wrong).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(["capture", "rules", "test", "wrong.toml"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
}
