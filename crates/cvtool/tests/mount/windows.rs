//! A Windows program under Wine finds on the mount what it finds on the host's own file system, or better.

use super::support::{Lab, can_mount, has_tool};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, whose lines say what holds; compiled for Windows.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mount/windows.c");

/// A Wine prefix of its own, and what runs programs in it.
struct Wine {
    loader: &'static str,
    prefix: PathBuf,
}

impl Wine {
    fn new(prefix: PathBuf) -> Option<Self> {
        let runs = |loader: &&str| Command::new(loader).arg("--version").output().is_ok();
        let loader = ["wine64", "wine", "/usr/lib/wine/wine64"].into_iter().find(runs);
        assert!(loader.is_some() || std::env::var_os("CI").is_none(), "wine is missing");
        if loader.is_none() {
            eprintln!("skipped: wine is missing");
        }
        Some(Self {
            loader: loader?,
            prefix,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
            .env_remove("DISPLAY");
        command
    }

    /// What the program says of a folder: whether each expectation holds.
    fn findings(&self, program: &Path, folder: &Path) -> BTreeMap<String, bool> {
        let output = self
            .command(self.loader)
            .arg(program)
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).replace('\r', "");
        let finding = |line: &str| {
            let (line, _) = line.rsplit_once(" (")?;
            let found = line.strip_prefix("ok ").map(|name| (name.to_owned(), true));
            found.or_else(|| line.strip_prefix("not ok ").map(|name| (name.to_owned(), false)))
        };
        let findings: BTreeMap<String, bool> = said.lines().filter_map(finding).collect();
        assert!(
            output.status.success() && findings.contains_key("appended"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        findings
    }
}

impl Drop for Wine {
    fn drop(&mut self) {
        let _ = self.command("wineserver").arg("-k").status();
        let _ = self.command("wineserver").arg("-w").status();
    }
}

#[test]
fn windows_programs_fare_no_worse_than_on_the_host() {
    const COMPILER: &str = "x86_64-w64-mingw32-gcc";
    if !can_mount() || !has_tool(COMPILER) {
        return;
    }
    let mut lab = Lab::new();
    let Some(wine) = Wine::new(lab.path("prefix")) else {
        return;
    };
    let program = lab.path("windows.exe");
    let compiled = Command::new(COMPILER)
        .args(["-O1", "-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(SOURCE)
        .status()
        .unwrap();
    assert!(compiled.success());
    for folder in ["host", "l", "base"] {
        lab.put(&format!("{folder}/Lower.TXT"), b"lower");
        lab.put(&format!("{folder}/LowerDir/Inner.txt"), b"inner");
    }
    lab.pack("l", "l.vhdx");
    std::fs::create_dir(lab.path("nothing")).unwrap();
    let booted = wine.command(wine.loader).args(["wineboot", "-i"]).output().unwrap();
    assert!(booted.status.success(), "{booted:?}");
    let host = wine.findings(&program, &lab.path("host"));
    // What is there before lies in a folder, then in a layer.
    for arguments in [&["--base", "base"][..], &["--base", "nothing", "--layer", "l.vhdx"]] {
        let arguments = [arguments, &["--writable", "writable"]].concat();
        lab.mount(&arguments);
        let mount = wine.findings(&program, &lab.mnt());
        let worse: Vec<&String> = host
            .iter()
            .filter(|(name, holds)| **holds && mount.get(*name) != Some(&true))
            .map(|(name, _)| name)
            .collect();
        assert!(worse.is_empty(), "{arguments:?}: does not hold here: {worse:#?}");
        assert_eq!(mount.len(), host.len());
        lab.unmount();
        std::fs::remove_dir_all(lab.path("writable")).unwrap();
        std::fs::create_dir(lab.path("writable")).unwrap();
    }
}
