//! Real programs for Windows: wheels from the Python package index, fetched once and kept with what is compiled.

use super::run::{missing, tool};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub const CMAKE: Wheel = Wheel("cmake", "3.31.6");
pub const OLDER_CMAKE: Wheel = Wheel("cmake", "3.31.4");
pub const NINJA: Wheel = Wheel("ninja", "1.11.1.4");

/// A program's name, and its version.
#[derive(Debug, Clone, Copy)]
pub struct Wheel(&'static str, &'static str);

/// Where wheels are kept.
pub fn shelf() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels")
}

impl Wheel {
    pub fn version(self) -> &'static str {
        self.1
    }

    pub fn file_name(self) -> String {
        format!("{}-{}-py3-none-win_amd64.whl", self.0, self.1)
    }

    /// The wheel's file; `None`, said aloud, where it cannot be fetched.
    pub fn fetched(self) -> Option<PathBuf> {
        static FETCHING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = FETCHING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (shelf, file) = (shelf(), shelf().join(self.file_name()));
        if file.is_file() {
            return Some(file);
        }
        fs::create_dir_all(&shelf).unwrap();
        // Complete when it has its place.
        let partial = tempfile::tempdir_in(&shelf).unwrap();
        let requirement = format!("{}=={}", self.0, self.1);
        let arguments = [
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--platform=win_amd64",
        ];
        let output = std::process::Command::new("pip")
            .args(arguments)
            .arg(&requirement)
            .current_dir(partial.path())
            .output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            missing(&format!("{requirement} cannot be fetched: {output:?}"));
            return None;
        }
        fs::rename(partial.path().join(self.file_name()), &file).unwrap();
        Some(file)
    }

    /// What is in the wheel, as unzip unpacks it into `folder`; `None` where one of both is missing.
    pub fn unpacked(self, folder: &Path, into: &str) -> Option<PathBuf> {
        let wheel = self.fetched()?;
        tool(folder, "unzip", &["-q", wheel.to_str()?, "-d", into])?;
        Some(folder.join(into))
    }
}

/// Every file below `folder`, by its path with slashes.
pub fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), path);
            }
        }
    }
    files
}
