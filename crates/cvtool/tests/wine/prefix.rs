//! Prefixes of Wine, all copies of one that was made once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

fn quiet(command: &mut Command) -> &mut Command {
    command
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
}

/// The prefix that all others are copies of.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let version = Command::new("wine").arg("--version").output().unwrap().stdout;
        let version = String::from_utf8_lossy(&version).trim().replace(['/', ' '], "_");
        let prefix = cache.join(format!("prefix-{version}"));
        if !prefix.is_dir() {
            let new = tempfile::tempdir_in(cache).unwrap();
            let making = new.path().join("prefix");
            let wine = |program: &str, argument: &str| {
                let mut command = Command::new(program);
                let command = quiet(command.arg(argument))
                    .env("WINEPREFIX", &making)
                    .env("WINEDEBUG", "");
                let output = command.stderr(Stdio::piped()).output().unwrap();
                let told = String::from_utf8_lossy(&output.stderr);
                assert!(
                    output.status.success(),
                    "{program} {argument}: {}: {told}",
                    output.status
                );
            };
            wine("wineboot", "-i");
            wine("wineserver", "-w");
            // Another run may have been faster.
            let _ = std::fs::rename(making, &prefix);
        }
        prefix
    })
}

/// A prefix as it is before an install. Programs that still run in it are ended when it is dropped.
#[derive(Debug)]
pub struct Prefix {
    folder: TempDir,
}

impl Prefix {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let prefix = Self { folder };
        prefix.copy_of(template());
        prefix
    }

    fn copy_of(&self, other: &Path) {
        let status = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .args([other, &self.path()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Another prefix that holds the same.
    pub fn duplicate(&self) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let other = Self { folder };
        other.copy_of(&self.path());
        other
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    /// What a value of text of the machine's registry holds.
    pub fn text(&self, key: &str, name: &str) -> String {
        let registry = std::fs::read_to_string(self.path().join("system.reg")).unwrap();
        let escaped = |text: &str| text.replace('\\', r"\\");
        let (_, section) = registry.split_once(&format!("\n[{}]", escaped(key))).unwrap();
        let section = section.split("\n[").next().unwrap();
        let (_, value) = section.split_once(&format!("\n\"{name}\"=")).unwrap();
        let value = value.split('\n').next().unwrap();
        value[value.find('"').unwrap() + 1..value.len() - 1].replace(r"\\", "\\")
    }

    /// Runs a program, and waits until nothing of the prefix runs any more.
    pub fn run(&self, folder: &Path, program: &str) -> std::process::ExitStatus {
        let mut command = Command::new("wine");
        let command = command.arg(program).current_dir(folder);
        let status = quiet(command).env("WINEPREFIX", self.path()).status().unwrap();
        self.settle();
        status
    }

    /// Waits until no program runs in the prefix, and its registry is written.
    pub fn settle(&self) {
        let mut command = Command::new("wineserver");
        let status = quiet(command.arg("-w")).env("WINEPREFIX", self.path()).status();
        assert!(status.unwrap().success());
    }

    /// Whether programs run in the prefix.
    pub fn is_in_use(&self) -> bool {
        // Signal 0 only asks.
        let mut command = Command::new("wineserver");
        let status = quiet(command.arg("-k0")).env("WINEPREFIX", self.path()).status();
        status.unwrap().success()
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let mut command = Command::new("wineserver");
        let _ = quiet(command.arg("-k")).env("WINEPREFIX", self.path()).status();
    }
}

/// Runs cvtool, with the time of making fixed.
pub fn cvtool<I: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .env("SOURCE_DATE_EPOCH", "1735689600")
        .output()
        .unwrap()
}

/// Runs cvtool, which must succeed; what it printed.
pub fn succeed<I: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = I>) -> String {
    let output = cvtool(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs an installer in a prefix and records it; what cvtool said.
pub fn record(folder: &Path, prefix: &Prefix, out: &str, options: &[&str], installer: &[&str]) -> Output {
    let prefix = prefix.path();
    let mut arguments = vec!["capture", "run", "--wine", prefix.to_str().unwrap(), "-o", out];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(installer);
    cvtool(folder, arguments)
}
