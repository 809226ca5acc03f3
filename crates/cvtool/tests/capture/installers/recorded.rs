//! Installs and their removal, recorded while they run and from the prefix before and after.

use super::application::{ENVIRONMENT, Installed, Setting, files, wheel};
use super::captured::{differences, expected, of_layer};
use super::{msi, nsis};
use crate::tools::have;
use crate::wine::{Prefix, cvtool, record, succeed};
use std::path::Path;
use std::process::{Command, Output};

pub const TOOLS: [&str; 4] = ["wine", "wineserver", "hivexregedit", "pip"];

/// Runs an installer in a prefix and records it in `live.vhdx` and `live.json`.
pub struct Recorder<'a> {
    pub run: &'a dyn Fn(&Path, &Prefix, &[&str]) -> Output,
    /// Whether it sees when a file was made and when a key without values was written as the prefix's own files say. Wine
    /// tells of a file when it was written instead, and of such a key its files say nothing.
    pub sees_all_times: bool,
}

/// By cvtool on Linux.
const FROM_LINUX: Recorder<'static> = Recorder {
    run: &|folder, prefix, installer| {
        let options = ["--report", "live.json", "--html", "live.html"];
        record(folder, prefix, "live.vhdx", &options, installer)
    },
    sees_all_times: true,
};

/// Records an install while it runs, and once more from a copy of the prefix made before; gives that copy.
pub fn install(
    recorder: &Recorder<'_>,
    folder: &Path,
    prefix: &Prefix,
    installer: &[&str],
    settings: &[Setting],
    files: &[Installed],
    more: &[&str],
) -> Prefix {
    let original = prefix.duplicate();
    let output = (recorder.run)(folder, prefix, installer);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = expected(files, settings, more);
    let mut found = of_layer(folder, "live.vhdx");
    // Windows Installer keeps the package, by a name of its own choice.
    let kept = found
        .keys()
        .find(|place| place.starts_with(r"c:\windows\installer\"))
        .cloned();
    if let Some(package) = kept.and_then(|kept| found.remove(&kept)) {
        found.insert(msi::KEPT.to_lowercase(), package);
    }
    let wrong = differences(&wanted, &found);
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The installed programs are there, not only names of them.
    assert!(found.len() > 100, "{}", found.len());
    succeed(folder, ["verify", "live.vhdx"]);

    let (before, after) = (original.path(), prefix.path());
    let sides = ["--before", before.to_str().unwrap(), "--after", after.to_str().unwrap()];
    succeed(
        folder,
        [&["capture", "diff", "-o", "offline.vhdx"], &sides[..]].concat(),
    );
    let output = cvtool(folder, ["diff", "live.vhdx", "offline.vhdx"]);
    let told = String::from_utf8(output.stdout).unwrap();
    // Of these the manifest tells how the layer was captured, from which its identity follows.
    let is_exception = |line: &&str| {
        let is_of_capture = line.starts_with("~ layer: id: ") || line.starts_with("~ layer: provenance: ");
        let is_time = line.ends_with(" (times)") || line.ends_with(" (time)");
        is_of_capture || is_time && !recorder.sees_all_times
    };
    let others: Vec<&str> = told.lines().filter(|line| !is_exception(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
    // Sizes, attributes and times of writing are the same in any case.
    let listed = |layer: &str| succeed(folder, ["ls", "-lR", layer, "/Files"]);
    assert_eq!(listed("live.vhdx"), listed("offline.vhdx"));
    original
}

/// What a layer says of a file's attributes, a letter each.
pub fn attributes(folder: &Path, place: &str) -> String {
    let place = place.replace('\\', "/").replacen("C:", "/Files", 1);
    let told = succeed(folder, ["ls", "-l", "live.vhdx", &place]);
    told.split(' ').next().unwrap_or_default().to_owned()
}

/// What lnkinfo tells of a shortcut.
fn shortcut(folder: &Path, place: &str) -> String {
    let path = place.replace('\\', "/").replacen("C:", "live.vhdx.extracted/Files", 1);
    let output = Command::new("lnkinfo").arg(folder.join(path)).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn nsis_installs_and_removes() {
    if !have(&TOOLS) || !have(&["makensis", "lnkinfo"]) {
        return;
    }
    let Some(wheel) = wheel() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let files = files(wheel);
    nsis::installer(folder, &files);
    let prefix = Prefix::new();
    let uninstaller = r"C:\Program Files\CMake\uninstall.exe";
    let more = [uninstaller, nsis::SHORTCUT];
    let before = install(
        &FROM_LINUX,
        folder,
        &prefix,
        &["install.exe", "/S"],
        &nsis::own_settings(),
        &files,
        &more,
    );
    assert!(attributes(folder, nsis::HIDDEN).contains('h'));
    let told = shortcut(folder, nsis::SHORTCUT);
    assert!(
        told.contains(r"CMake\bin\cmake.exe") && told.contains("--help"),
        "{told}"
    );

    // The uninstaller goes on as a copy of itself when the first process has ended.
    let output = record(
        folder,
        &prefix,
        "gone.vhdx",
        &["--deletions", "--report", "gone.json"],
        &[uninstaller, "/S"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("gone.json")).unwrap()).unwrap();
    let deleted: Vec<&str> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["applied"] == true && item["change"] == "deleted")
        .map(|item| item["path"].as_str().unwrap())
        .collect();
    let machine = r"HKEY_LOCAL_MACHINE\SOFTWARE";
    let wanted = [
        r"HKEY_CURRENT_USER\Software\Kitware".to_owned(),
        format!(r"{machine}\Classes\.cmake"),
        format!(r"{machine}\Classes\CMake.Script"),
        format!(r"{machine}\Kitware"),
        format!(r"{machine}\Microsoft\Windows\CurrentVersion\Uninstall\CMake"),
        format!(r"{machine}\Wow6432Node\Kitware"),
        r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\CMakeServer".to_owned(),
        r"\Program Files\CMake".to_owned(),
        r"\ProgramData\Microsoft\Windows\Start Menu\Programs\CMake".to_owned(),
    ];
    assert_eq!(deleted, wanted);

    // An install and its removal leave nothing.
    let (before, after) = (before.path(), prefix.path());
    let sides = ["--before", before.to_str().unwrap(), "--after", after.to_str().unwrap()];
    succeed(
        folder,
        [&["capture", "diff", "-o", "nothing.vhdx"], &sides[..]].concat(),
    );
    let left = of_layer(folder, "nothing.vhdx");
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn windows_installer_installs() {
    if !have(&TOOLS) || !have(&["wixl", "msibuild", "lnkinfo"]) {
        return;
    }
    let Some(wheel) = wheel() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let files = files(wheel);
    let prefix = Prefix::new();
    let path = prefix.text(ENVIRONMENT, "PATH");
    msi::package(folder, &files, &path);
    let settings = msi::own_settings(&files);
    install(
        &FROM_LINUX,
        folder,
        &prefix,
        &["install.msi"],
        &settings,
        &files,
        &[msi::SHORTCUT, msi::KEPT],
    );
    let told = shortcut(folder, msi::SHORTCUT);
    assert!(
        told.contains(r"CMake\bin\cmake.exe") && told.contains("--help"),
        "{told}"
    );
}
