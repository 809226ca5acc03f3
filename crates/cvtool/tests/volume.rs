//! `cvtool ls`, `tree`, `cat` and `extract` as a user runs them, on a volume that Windows made.
//!
//! The file ends in the footer of the VHD that the volume was cut out of, so it has to be called raw.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs cvtool, which must succeed, and gives what it printed.
fn done(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = cvtool(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A folder with charlie.dd unpacked and the streams that it must hold as (sha256, path), or `None` without the corpus.
fn charlie() -> Option<(TempDir, Vec<(String, String)>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/ntfs");
    if !corpus.is_dir() {
        eprintln!("skipped: there is no corpus at {}", corpus.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = File::create(folder.path().join("charlie.dd")).unwrap();
    let status = Command::new("bzip2")
        .arg("-dc")
        .arg(corpus.join("charlie.dd.bz2"))
        .stdout(image)
        .status()
        .unwrap();
    assert!(status.success());
    let expected = std::fs::read_to_string(corpus.join("charlie.expected.txt")).unwrap();
    let streams = expected
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut words = line.splitn(4, ' ');
            let hash = words.next().unwrap().to_owned();
            (hash, words.nth(2).unwrap().to_owned())
        })
        .collect();
    Some((folder, streams))
}

#[test]
fn cat_gives_every_stream_that_the_sleuth_kit_found() {
    let Some((folder, streams)) = charlie() else { return };
    let mut compared = 0;
    for (hash, path) in &streams {
        // $Secure has no unnamed data, and the bad clusters are none.
        if path.starts_with("$BadClus") {
            continue;
        }
        let bytes = done(folder.path(), &["cat", "--input-format", "raw", "charlie.dd", path]);
        assert_eq!(&sha256(&bytes), hash, "{path}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn what_is_listed_is_extracted_with_its_content() {
    let Some((folder, streams)) = charlie() else { return };
    let listed = String::from_utf8(done(
        folder.path(),
        &["ls", "--input-format", "raw", "-R", "charlie.dd"],
    ))
    .unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    done(
        folder.path(),
        &["extract", "--input-format", "raw", "charlie.dd", "-C", "out"],
    );
    let mut compared = 0;
    for (hash, path) in streams
        .iter()
        .filter(|(_, path)| !path.starts_with('$') && !path.contains(':'))
    {
        assert!(listed.lines().any(|line| line == path), "{path} is not in {listed}");
        let bytes = std::fs::read(folder.path().join("out").join(path)).unwrap();
        assert_eq!(&sha256(&bytes), hash, "{path}");
        compared += 1;
    }
    assert!(compared >= 2, "{compared}");
    done(folder.path(), &["tree", "--input-format", "raw", "charlie.dd"]);
    let json: serde_json::Value = serde_json::from_slice(&done(
        folder.path(),
        &["ls", "--input-format", "raw", "--json", "-R", "charlie.dd"],
    ))
    .unwrap();
    assert!(json.to_string().contains("Nine.txt"), "{json}");
}

#[test]
fn what_is_not_there_is_said_on_one_line() {
    let Some((folder, _)) = charlie() else { return };
    for arguments in [
        &["cat", "charlie.dd", "no/such file"][..],
        &["ls", "charlie.dd", "missing"],
        &["tree", "absent.img"],
    ] {
        let output = cvtool(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap().lines().count(),
            1,
            "{arguments:?}"
        );
    }
}
