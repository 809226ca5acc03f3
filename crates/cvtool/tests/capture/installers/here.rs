//! Installs recorded by cvtool.exe, where it runs itself: the live machine is Wine.

use super::application::{ENVIRONMENT, files, wheel};
use super::nsis::compile;
use super::outcomes::{errors, names, report, script};
use super::recorded::{Recorder, TOOLS, attributes, install};
use super::{msi, nsis};
use crate::tools::have;
use crate::wine::{Exe, Prefix, exe, succeed};
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

fn record(exe: &Exe, folder: &Path, prefix: &Prefix, options: &[&str], installer: &[&str]) -> Output {
    let start = ["capture", "run", "-o", "live.vhdx", "--report", "live.json"];
    exe.run(prefix, folder, [&start[..], options, &["--"], installer].concat())
}

fn recorder(run: &dyn Fn(&Path, &Prefix, &[&str]) -> Output) -> Recorder<'_> {
    Recorder {
        run,
        sees_all_times: false,
    }
}

#[test]
fn nsis_is_recorded_where_it_runs() {
    if !have(&TOOLS) || !have(&["makensis"]) {
        return;
    }
    let (Some(exe), Some(wheel)) = (exe(), wheel()) else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let files = files(wheel);
    nsis::installer(folder, &files);
    let prefix = Prefix::new();
    install(
        &recorder(&|folder, prefix, installer| record(exe, folder, prefix, &[], installer)),
        folder,
        &prefix,
        &["install.exe", "/S"],
        &nsis::own_settings(),
        &files,
        &[r"C:\Program Files\CMake\uninstall.exe", nsis::SHORTCUT],
    );
    assert!(attributes(folder, nsis::HIDDEN).contains('h'));
}

#[test]
fn windows_installer_is_recorded_where_it_runs() {
    if !have(&TOOLS) || !have(&["wixl", "msibuild"]) {
        return;
    }
    let (Some(exe), Some(wheel)) = (exe(), wheel()) else {
        return;
    };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let files = files(wheel);
    let prefix = Prefix::new();
    msi::package(folder, &files, &prefix.text(ENVIRONMENT, "PATH"));
    install(
        &recorder(&|folder, prefix, installer| record(exe, folder, prefix, &[], installer)),
        folder,
        &prefix,
        &["install.msi"],
        &msi::own_settings(&files),
        &files,
        &[msi::SHORTCUT, msi::KEPT],
    );
}

#[test]
fn a_restart_comes_between_the_steps() {
    if !have(&TOOLS) || !have(&["makensis"]) {
        return;
    }
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    compile(
        folder,
        "restart",
        &script("SetRegView 64\nWriteRegStr HKLM `Software\\Early` x y\nSetErrorLevel 3010"),
    );
    let output = record(exe, folder, &prefix, &[], &["restart.exe", "/S"]);
    assert_eq!(output.status.code(), Some(2));
    let told = errors(&output);
    assert!(told.contains("capture finish --state live.vhdx.state"), "{told}");
    assert!(!folder.join("live.vhdx").exists());

    // The prefix has stopped meanwhile, which is as much of a restart as Wine has.
    assert!(!prefix.is_in_use());
    std::fs::write(prefix.path().join("drive_c/Program Files/App/late.txt"), "late").unwrap();
    exe.succeed(
        &prefix,
        folder,
        [
            "capture",
            "finish",
            "--state",
            "live.vhdx.state",
            "-o",
            "live.vhdx",
            "--report",
            "live.json",
        ],
    );
    let report = report(folder, "live.json");
    assert_eq!(report["installer"]["exit_code"], 3010);
    let kept: Vec<&str> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["applied"] == true)
        .map(|item| item["path"].as_str().unwrap())
        .collect();
    let expected = [
        r"HKEY_LOCAL_MACHINE\SOFTWARE\Early",
        r"HKEY_LOCAL_MACHINE\SOFTWARE\Early!x",
        r"\Program Files\App",
        r"\Program Files\App\app.txt",
        r"\Program Files\App\late.txt",
    ];
    assert_eq!(kept, expected);
    succeed(folder, ["verify", "live.vhdx"]);

    // With other rules, on whichever machine.
    let rules = "[[rule]]\nid = \"late\"\nkind = \"file\"\npattern = '**\\late.txt'\naction = \"drop\"\nreason = \"of no use\"\n";
    std::fs::write(folder.join("mine.toml"), rules).unwrap();
    succeed(
        folder,
        [
            "capture",
            "rebuild",
            "--state",
            "live.vhdx.state",
            "--rules",
            "mine.toml",
            "-o",
            "other.vhdx",
        ],
    );
    let listed = succeed(folder, ["ls", "-R", "other.vhdx", "/Files"]);
    assert!(listed.contains("app.txt") && !listed.contains("late.txt"), "{listed}");
}

#[test]
fn an_installer_that_fails_or_hangs_makes_no_layer() {
    if !have(&TOOLS) || !have(&["makensis"]) {
        return;
    }
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    // All of the number is kept, where Linux keeps a byte of it.
    compile(folder, "fail", &script("SetErrorLevel 70000"));
    compile(
        folder,
        "hang",
        &script("FileOpen $0 `$OUTDIR\\hangs.txt` w\nFileClose $0\nSleep 600000"),
    );
    compile(folder, "leave", &script("Exec `\"$EXEDIR\\hang.exe\" /S`"));
    let there = names(folder);
    let output = record(exe, folder, &prefix, &[], &["fail.exe", "/S"]);
    let told = errors(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("its exit code is 70000"), "{told}");
    assert_eq!(names(folder), there);
    // One that ends while what it started goes on hangs just as well.
    for installer in ["hang.exe", "leave.exe"] {
        let started = Instant::now();
        let output = record(exe, folder, &prefix, &["--timeout", "4"], &[installer, "/S"]);
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{installer}: {told}");
        assert!(told.contains("the time is up"), "{installer}: {told}");
        assert!(started.elapsed() < Duration::from_secs(60));
        assert_eq!(names(folder), there, "{installer}");
    }
    // Nor does it go on without the cvtool that started it.
    let arguments = ["capture", "run", "-o", "live.vhdx", "--", "hang.exe", "/S"];
    let installed = prefix.path().join("drive_c/Program Files/App/hangs.txt");
    std::fs::remove_file(&installed).unwrap();
    let started = Instant::now();
    let mut child = exe.command(&prefix, folder, arguments).spawn().unwrap();
    while !installed.exists() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while prefix.is_in_use() {
        assert!(started.elapsed() < Duration::from_secs(90));
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_dir_all(folder.join("live.vhdx.state")).unwrap();
    let output = record(exe, folder, &prefix, &["--accept", "70000"], &["fail.exe", "/S"]);
    assert!(output.status.success(), "{}", errors(&output));
}

/// Compiles a program for Windows from a source beside those of Wine.
fn program(folder: &Path, name: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wine/{name}.c"));
    let status = std::process::Command::new("x86_64-w64-mingw32-gcc")
        .args(["-O1", "-s", "-o"])
        .arg(folder.join(format!("{name}.exe")))
        .arg(source)
        .args(["-lntdll", "-ladvapi32"])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn keys_that_few_programs_can_make_are_recorded_in_two_steps() {
    if !have(&TOOLS) || !have(&["regfexport"]) {
        return;
    }
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    program(folder, "odd_keys");
    // What is noted of the machine is no part of it, wherever it is kept.
    let state = r"C:\Odd State";
    exe.succeed(&prefix, folder, ["capture", "start", "--state", state]);
    let status = prefix.run(folder, "odd_keys.exe");
    assert!(status.success(), "{status}");
    exe.succeed(
        &prefix,
        folder,
        [
            "capture",
            "finish",
            "--state",
            r"c:\odd state",
            "-o",
            "odd.vhdx",
            "--report",
            "odd.json",
        ],
    );
    let report = report(folder, "odd.json");
    let items = report["items"].as_array().unwrap();
    assert!(
        items
            .iter()
            .all(|item| item["path"].as_str().unwrap().starts_with("HKEY_")),
        "{report:#}"
    );
    succeed(folder, ["verify", "odd.vhdx"]);
    succeed(folder, ["extract", "odd.vhdx", "-C", "out", "/Hives"]);
    let output = std::process::Command::new("regfexport")
        .arg(folder.join("out/Hives/SOFTWARE"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for wanted in [
        "Type: symbolic link (REG_LINK)\nData size: 72\n",
        "Value: 0 empty\nType: binary data (REG_BINARY)\nData size: 0\n",
        "Value: 1 unknown type\nType: unknown: 0x00012345\nData size: 3\n",
        "Key path: ROOT\\Wow6432Node\\Odd\nKey: Odd\nValue: 0 view\nType: string (REG_SZ)\nData size: 6\nData: 32\n",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    // Other readers end names at their zeros.
    let told = succeed(folder, ["reg", "-r", "--json", "out/Hives/SOFTWARE"]);
    let keys: serde_json::Value = serde_json::from_str(&told).unwrap();
    let find = |path: &str| {
        let path = format!("HKEY_LOCAL_MACHINE\\SOFTWARE\\Odd\\{path}");
        let found = keys.as_array().unwrap().iter().find(|key| key["path"] == path);
        found.unwrap_or_else(|| panic!("{path}: {told}")).clone()
    };
    let zero = find("key\0zero");
    assert_eq!(zero["values"][0]["name"], "value\0zero");
    assert_eq!(zero["values"][0]["value"], "text");
    let link = find("Link");
    assert_eq!(link["link"], true);
    assert_eq!(link["values"][0]["value"], r"\Registry\Machine\Software\Odd\Plain");
    assert_eq!(find("Plain")["values"][1]["data"], "010203");
}
