//! cvtool.exe, run by Wine.

use super::Prefix;
use crate::tools::have;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Names the program that was built for Windows.
const VARIABLE: &str = "CVTOOL_EXE";

/// cvtool.exe, with what it needs beside it.
#[derive(Debug)]
pub struct Exe {
    path: PathBuf,
}

/// cvtool.exe; `None`, said aloud, where it or Wine is missing outside of CI.
pub fn exe() -> Option<&'static Exe> {
    static EXE: OnceLock<Option<Exe>> = OnceLock::new();
    if !have(&["wine", "wineserver", "x86_64-w64-mingw32-gcc"]) {
        return None;
    }
    let prepare = || {
        let Some(built) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "{VARIABLE} names no cvtool.exe");
            eprintln!("skipped: {VARIABLE} names no cvtool.exe; tests/run builds one");
            return None;
        };
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let path = folder.join("cvtool.exe");
        std::os::unix::fs::symlink(built.canonicalize().unwrap(), &path).unwrap();
        let status = Command::new("x86_64-w64-mingw32-gcc")
            .args(["-shared", "-O1", "-s", "-o"])
            .arg(folder.join("bcryptprimitives.dll"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wine/bcryptprimitives.c"))
            .arg("-ladvapi32")
            .status()
            .unwrap();
        assert!(status.success());
        Some(Exe { path })
    };
    EXE.get_or_init(prepare).as_ref()
}

impl Exe {
    /// A run of it in a prefix, with `folder` as its own and the time of making fixed.
    pub fn command<I: AsRef<OsStr>>(
        &self,
        prefix: &Prefix,
        folder: &Path,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = Command::new("wine");
        command
            .arg(&self.path)
            .args(arguments)
            .current_dir(folder)
            .env("WINEPREFIX", prefix.path())
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
            .env("SOURCE_DATE_EPOCH", "1735689600")
            .stdin(Stdio::null());
        command
    }

    /// Runs it, and waits until nothing of the prefix runs any more.
    pub fn run<I: AsRef<OsStr>>(
        &self,
        prefix: &Prefix,
        folder: &Path,
        arguments: impl IntoIterator<Item = I>,
    ) -> Output {
        let output = self.command(prefix, folder, arguments).output().unwrap();
        prefix.settle();
        output
    }

    /// Runs it, which must succeed; what it printed.
    pub fn succeed<I: AsRef<OsStr>>(
        &self,
        prefix: &Prefix,
        folder: &Path,
        arguments: impl IntoIterator<Item = I>,
    ) -> String {
        let output = self.run(prefix, folder, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}
