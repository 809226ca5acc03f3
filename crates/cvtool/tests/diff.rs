//! `cvtool diff` judged by diff and git, on two versions of a real program.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use layerfmt::content::Content;
use layerfmt::{Kind, Manifest, WriteOptions};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The outcome where the tool is there; without it, in CI, the test fails.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).output();
    let is_there = output.is_ok();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{program} is not installed"
    );
    output.ok()
}

/// The unpacked wheel of a version of cmake for Windows; kept for the next time.
fn wheel(version: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels");
    let tree = folder.join(format!("cmake-{version}"));
    if tree.is_dir() {
        return Some(tree);
    }
    std::fs::create_dir_all(&folder).unwrap();
    let name = format!("cmake=={version}");
    let into = folder.to_str()?;
    let only = [
        "--platform",
        "win_amd64",
        "--only-binary=:all:",
        "--no-deps",
        "-q",
        "-d",
        into,
    ];
    let fetched = run("python3", &[&["-m", "pip", "download", &name][..], &only].concat())?;
    if !fetched.status.success() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{}",
            String::from_utf8_lossy(&fetched.stderr)
        );
        return None;
    }
    let wheel = folder.join(format!("cmake-{version}-py3-none-win_amd64.whl"));
    let partial = folder.join(format!("cmake-{version}.{}.partial", std::process::id()));
    let unpacked = run("unzip", &["-q", wheel.to_str()?, "-d", partial.to_str()?])?;
    assert!(unpacked.status.success());
    // Another test may have been faster.
    let _ = std::fs::rename(&partial, &tree);
    Some(tree)
}

fn cvtool(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What `git diff` says of each file.
fn by_git(before: &Path, after: &Path) -> Option<BTreeMap<String, char>> {
    let arguments = ["diff", "--no-index", "--name-status", "--no-renames", "-z"];
    let output = run("git", &[&arguments[..], &[before.to_str()?, after.to_str()?]].concat())?;
    let text = String::from_utf8(output.stdout).unwrap();
    let mut parts = text.split('\0');
    let mut files = BTreeMap::new();
    while let (Some(status), Some(path)) = (parts.next().filter(|status| !status.is_empty()), parts.next()) {
        let path = Path::new(path);
        let below = path.strip_prefix(before).or_else(|_| path.strip_prefix(after)).unwrap();
        files.insert(below.to_str()?.to_owned(), status.chars().next()?);
    }
    Some(files)
}

/// What cvtool says of each file.
fn by_us(before: &Path, after: &Path) -> BTreeMap<String, char> {
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let output = cvtool(&["diff", "--semantic", "--no-renames", "--json", before, after]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    let files = found["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| file["kind"] == "file");
    let status = |change: &str| match change {
        "added" => 'A',
        "removed" => 'D',
        _ => 'M',
    };
    files
        .map(|file| {
            let path = file["path"].as_str().unwrap().strip_prefix("Files/").unwrap();
            (path.to_owned(), status(file["change"].as_str().unwrap()))
        })
        .collect()
}

/// What `diff -rq` says, as far as it names single files of both.
fn changed_by_diff(before: &Path, after: &Path) -> Option<Vec<String>> {
    let output = run("diff", &["-rq", before.to_str()?, after.to_str()?])?;
    let text = String::from_utf8(output.stdout).unwrap();
    let start = format!("Files {}/", before.to_str()?);
    let mut files: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(&start)?.split_once(" and "))
        .map(|(path, _)| path.to_owned())
        .collect();
    files.sort();
    Some(files)
}

fn layer_of(tree: &Path, output: &Path, version: &str) {
    let mut content = Content::new(Manifest::new("CMake", version, Kind::App));
    content.files = layerfmt::diff::folder_tree(tree).unwrap();
    let options = WriteOptions::new(cv_image::Format::Vhdx);
    layerfmt::write(&content, output, &options, &cv_disk::Quiet).unwrap();
}

#[test]
fn two_versions_of_a_program_differ_as_diff_and_git_say() {
    let (Some(old), Some(new)) = (wheel("3.31.4"), wheel("3.31.6")) else {
        eprintln!("skipped: the wheels of cmake cannot be fetched");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("old.vhdx"), folder.path().join("new.vhdx"));
    layer_of(&old, &before, "3.31.4");
    layer_of(&new, &after, "3.31.6");
    let ours = by_us(&before, &after);
    assert!(ours.len() > 10, "{ours:#?}");
    // Layer and folder, and two folders.
    assert_eq!(by_us(&before, &new), ours);
    assert_eq!(by_us(&old, &new), ours);
    if let Some(theirs) = by_git(&old, &new) {
        assert_eq!(ours, theirs);
    }
    if let Some(theirs) = changed_by_diff(&old, &new) {
        let changed = ours
            .iter()
            .filter(|(_, status)| **status == 'M')
            .map(|(path, _)| path.clone());
        assert_eq!(changed.collect::<Vec<_>>(), theirs);
    }

    // A layer is like its own folder, and a page is written beside the answer.
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let same = cvtool(&["diff", before, old.to_str().unwrap()]);
    assert_eq!(
        (same.status.code(), String::from_utf8_lossy(&same.stdout)),
        (Some(0), "".into())
    );
    let page = folder.path().join("page.html");
    let stat = cvtool(&["diff", before, after, "--stat", "--html", page.to_str().unwrap()]);
    assert_eq!(stat.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stat.stdout).contains("renamed"));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("cmake.exe") && !page.contains("src=") && !page.contains("href="));
}

#[test]
fn what_cannot_be_read_is_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.vhdx");
    let output = cvtool(&["diff", missing.to_str().unwrap(), folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("missing.vhdx"));
}
