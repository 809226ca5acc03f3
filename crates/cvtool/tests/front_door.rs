//! What a newcomer does first: the demo, and what shells and `man` are told of cvtool.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn cvtool(arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cvtool {}: {errors}", arguments.join(" "));
    assert_eq!(errors, "", "cvtool {}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_demo_captures_inspects_compares_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    // The second one replaces what the first made.
    for _ in 0..2 {
        let shown = cvtool(&["demo", "out"], folder.path());
        for expected in [
            "$ cvtool capture diff --before out/before.vhdx --after out/after-2.0.vhdx",
            "Pocket Notes 2.0.0  Example Software",
            "+ service: PocketNotesSync",
            "- Files/Program Files/Pocket Notes/spelling/english.txt",
            "sound, 6 streams",
        ] {
            assert!(shown.contains(expected), "{expected} is not in {shown}");
        }
    }
    let listed = cvtool(&["ls", "-R", "out/notes-2.0.vhdx", "/"], folder.path());
    for noise in ["Prefetch", "setup.log", "packager", "nsis-plan.tmp"] {
        assert!(!listed.contains(noise), "{noise} is in the layer: {listed}");
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = "Program Files/Pocket Notes/notes.exe";
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(["cat", "out/notes-2.0.vhdx", &format!("/{program}")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let installed = repository.join("fixtures/demo/notes-2.0").join(program);
    assert_eq!(output.stdout, std::fs::read(installed).unwrap());
}

#[test]
fn shells_take_the_completions() {
    let script = cvtool(&["completions", "bash"], Path::new("."));
    let mut shell = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        assert!(cvtool(&["completions", shell], Path::new(".")).contains("cvtool"));
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let folder = tempfile::tempdir().unwrap();
    cvtool(&["man", "-o", "pages"], folder.path());
    let page = std::fs::read_to_string(folder.path().join("pages/cvtool-capture-diff.1")).unwrap();
    assert!(page.starts_with(".ie") && page.contains("Examples"), "{page}");
    assert!(folder.path().join("pages/cvtool-image-convert.1").is_file());
    assert!(folder.path().join("pages/cvtool.1").is_file());
}

#[test]
fn the_lines_of_the_readme_work_when_pasted() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_cvtool")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut tried = 0;
    for section in readme.split("\n## ").filter(|section| section.starts_with("For ")) {
        let (title, rest) = section.split_once('\n').unwrap();
        let lines = rest.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0;
        assert!(lines.lines().count() <= 5, "{title}: more than five lines");
        let work = folder.path().join(tried.to_string());
        std::fs::create_dir(&work).unwrap();
        let shell = Command::new("bash")
            .args(["-e", "-c", lines])
            .env("PATH", &path)
            .current_dir(&work)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&shell.stderr);
        assert!(shell.status.success(), "{title}: {errors}");
        tried += 1;
    }
    assert_eq!(tried, 3);
}
