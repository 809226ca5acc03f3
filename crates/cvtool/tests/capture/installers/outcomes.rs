//! Installers that want a restart, fail, or never end.

use super::nsis::compile;
use crate::tools::have;
use crate::wine::{Prefix, record, succeed};
use rustix::process::{Pid, Signal};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn is_ready() -> bool {
    have(&["wine", "wineserver", "makensis"])
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn report(folder: &Path, name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// The names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A script that writes a file, and what follows.
pub fn script(rest: &str) -> String {
    format!(
        "Section\nSetOutPath `C:\\Program Files\\App`\nFileOpen $0 `$OUTDIR\\app.txt` w\nFileWrite $0 app\nFileClose $0\n\
         {rest}\nSectionEnd\n"
    )
}

#[test]
fn a_restart_that_is_wanted_is_made() {
    if !is_ready() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    for code in [3010, 1641] {
        let after = format!(r"C:\Program Files\App\restarted-{code}.txt");
        let once = format!(
            "SetRegView 64\nWriteRegStr HKLM `Software\\Microsoft\\Windows\\CurrentVersion\\RunOnce` app `cmd /c echo done > \"{after}\"`\n\
             SetErrorLevel {code}"
        );
        compile(folder, "restart", &script(&once));
        let output = record(
            folder,
            &prefix,
            "app.vhdx",
            &["--report", "app.json"],
            &["restart.exe", "/S"],
        );
        assert!(output.status.success(), "{code}: {}", errors(&output));
        let report = report(folder, "app.json");
        assert_eq!(report["installer"]["exit_code"], code, "{report:#}");
        let listed = succeed(folder, ["ls", "-R", "app.vhdx", "/Files"]);
        assert!(listed.contains(&format!("restarted-{code}.txt")), "{listed}{report:#}");
        let items = report["items"].as_array().unwrap();
        let has_once = |item: &serde_json::Value| item["path"].as_str().unwrap().contains(r"RunOnce!app");
        assert!(!items.iter().any(has_once));
    }
}

#[test]
fn an_installer_that_fails_makes_no_layer_unless_its_code_is_accepted() {
    if !is_ready() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    compile(folder, "fail", &script("SetErrorLevel 17"));
    std::fs::write(folder.join("broken.msi"), b"no package").unwrap();
    let there = names(folder);
    for (installer, code) in [("fail.exe", "17"), ("broken.msi", "")] {
        let output = record(
            folder,
            &prefix,
            "app.vhdx",
            &[],
            &[installer, "/S"][..if code.is_empty() { 1 } else { 2 }],
        );
        assert_eq!(output.status.code(), Some(2), "{installer}");
        let told = errors(&output);
        assert!(told.contains("the installer failed") && told.contains(code), "{told}");
        assert_eq!(names(folder), there, "{installer}");
    }
    // What it left behind is there before the next attempt: nothing of it is in that one's layer.
    let output = record(
        folder,
        &prefix,
        "app.vhdx",
        &["--accept", "17", "--report", "app.json"],
        &["fail.exe", "/S"],
    );
    assert!(output.status.success(), "{}", errors(&output));
    let report = report(folder, "app.json");
    assert_eq!(report["installer"]["exit_code"], 17);
    assert_eq!(report["counts"]["kept"], 1, "{report:#}");
}

#[test]
fn an_installer_that_hangs_is_ended_with_all_it_started() {
    if !is_ready() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    compile(folder, "hang", &script("Sleep 600000"));
    // One that ends while what it started goes on hangs just as well.
    compile(folder, "leave", &script("Exec `\"$EXEDIR\\hang.exe\" /S`"));
    compile(folder, "good", &script(""));
    let there = names(folder);
    for installer in ["hang.exe", "leave.exe"] {
        let started = Instant::now();
        let output = record(folder, &prefix, "app.vhdx", &["--timeout", "6"], &[installer, "/S"]);
        assert_eq!(output.status.code(), Some(2), "{installer}");
        assert!(errors(&output).contains("the time is up"), "{}", errors(&output));
        assert!(started.elapsed() < Duration::from_secs(60));
        assert!(!prefix.is_in_use(), "{installer}");
        assert_eq!(names(folder), there, "{installer}");
    }
    // Interrupted as by Ctrl-C when it has begun, and killed.
    interrupt(folder, &prefix, Signal::INT);
    assert!(!prefix.is_in_use());
    interrupt(folder, &prefix, Signal::KILL);
    let killed = Instant::now();
    while prefix.is_in_use() {
        assert!(killed.elapsed() < Duration::from_secs(60), "programs go on");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(names(folder), there);
    let output = record(folder, &prefix, "app.vhdx", &[], &["good.exe", "/S"]);
    assert!(output.status.success(), "{}", errors(&output));
}

/// Sends a signal to a capture whose installer hangs.
fn interrupt(folder: &Path, prefix: &Prefix, signal: Signal) {
    let begun = prefix.path().join("drive_c/Program Files/App/app.txt");
    std::fs::remove_file(&begun).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(["capture", "run", "-o", "app.vhdx", "--wine"])
        .arg(prefix.path())
        .args(["--", "hang.exe", "/S"])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(50));
    }
    rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    let told = errors(&output).contains("interrupted");
    assert_eq!(told, signal == Signal::INT, "{}", errors(&output));
}
