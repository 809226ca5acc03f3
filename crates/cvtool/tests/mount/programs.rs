//! `cvtool run`: the `cmake` wheel's real build for Windows, from a layer over a clean Wine prefix.

use crate::support::{Lab, can_mount};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const RECIPE: &str = r#"
[layer]
name = "CMake"
version = "3.31.6"

[variables]
APP = 'C:\Program Files\CMake'

[[source]]
wheel = "cmake-3.31.6-py3-none-win_amd64.whl"
from = "cmake/data"
into = "${APP}"
exclude = ["doc/**", "bin/cmake-gui.exe", "bin/ctest.exe", "bin/cpack.exe"]

[[source]]
wheel = "ninja-1.11.1.4-py3-none-win_amd64.whl"
include = ["ninja-*.data/scripts/ninja.exe"]
strip = 2
into = '${APP}\bin'

[[registry]]
key = 'HKLM\SOFTWARE\Kitware\CMake'
[registry.values]
InstallDir = "${APP}"
Major = 3

[[environment]]
name = "Path"
append = '${APP}\bin'
"#;

/// The program that runs Windows programs; in CI it must be there.
fn wine() -> Option<PathBuf> {
    let places = ["/usr/bin/wine64", "/usr/lib/wine/wine64", "/usr/bin/wine"];
    let found = places.iter().map(PathBuf::from).find(|path| path.is_file());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "Wine is missing");
    if found.is_none() {
        eprintln!("skipped: Wine is missing");
    }
    found
}

/// Fetches a wheel for Windows, kept for the next time; whether it is there, which it must be in CI.
fn fetch(folder: &Path, requirement: &str, file: &str) -> bool {
    if folder.join(file).is_file() {
        return true;
    }
    std::fs::create_dir_all(folder).unwrap();
    // Other tests look there meanwhile: it is complete when it has its place.
    let partial = tempfile::tempdir_in(folder).unwrap();
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"])
        .args(["--platform", "win_amd64", requirement, "-d"])
        .arg(partial.path())
        .output();
    let is_there = output.as_ref().is_ok_and(|output| output.status.success());
    assert!(is_there || std::env::var_os("CI").is_none(), "{output:?}");
    if is_there {
        std::fs::rename(partial.path().join(file), folder.join(file)).unwrap();
    } else {
        eprintln!("skipped: {requirement} cannot be fetched");
    }
    is_there
}

fn in_prefix(wine: &Path, prefix: &Path, words: &[&str]) -> Output {
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command
            .env("WINEPREFIX", prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "winemenubuilder.exe,mscoree,mshtml=")
            .stdin(Stdio::null());
        command
    };
    let output = command(wine).args(words).output().unwrap();
    command(Path::new("wineserver")).arg("-w").status().unwrap();
    output
}

/// A hash of all that is in a folder: names, kinds, permissions, contents, targets of links.
fn hash(folder: &Path) -> String {
    let script = "find . -printf '%p %y %m %s %T@ %l\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output();
    format!("{:x?}", Sha256::digest(output.unwrap().stdout))
}

/// What was printed, without what differs with every run: the times that steps took.
fn text(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let plain = |line: &str| line.split(" (").next().unwrap_or_default().to_owned();
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Wine starts on a plain mount of the prefix as well, and sees and changes the merged registry.
fn on_a_plain_mount(lab: &mut Lab, wine: &Path, version: &str) {
    let cmake = r"C:\Program Files\CMake\bin\cmake.exe";
    let key = r"HKLM\SOFTWARE\Kitware\CMake";
    let plain = ["--base", "prefix", "--layer", "cmake.vhdx", "--writable", "plain"];
    std::fs::create_dir(lab.path("plain")).unwrap();
    lab.mount(&plain);
    let mnt = lab.mnt();
    let seen = in_prefix(wine, &mnt, &[cmake, "--version"]);
    assert_eq!(text(&seen), version, "{seen:?}");
    let script = format!(r"reg query {key} /v Major & reg add HKCU\Software\Mine /v Plain /d yes /f & echo %PATH%");
    let seen = text(&in_prefix(wine, &mnt, &["cmd", "/c", &script]));
    assert!(
        seen.contains("0x3") && seen.contains(r"C:\Program Files\CMake\bin"),
        "{seen}"
    );
    let kept = lab.done(&["reg", "get", "plain/.cvlayer/Hives/USER", r"Software\Mine", "Plain"]);
    assert!(kept.contains("yes"), "{kept}");
    let merged = std::fs::read_to_string(mnt.join("user.reg")).unwrap();
    assert!(merged.contains("\"Plain\"=\"yes\""), "what was written is not shown");
    assert!(!lab.path("plain/.cvlayer/prefix/user.reg").exists());
    let explained = lab.done(&["status", "mnt", "--explain", key, "--value", "Major"]);
    assert!(explained.contains("cmake.vhdx: value (REG_DWORD 3"), "{explained}");
    lab.unmount();
}

/// An argument by which the program that sleeps is known among all that run.
const SLEEP: &str = "601.75";

/// Whether a program runs that was started with [`SLEEP`] by its path in Windows.
fn sleeps() -> bool {
    let programs = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = programs.filter_map(|program| std::fs::read(program.path().join("cmdline")).ok());
    lines.any(|line| {
        let line = String::from_utf8_lossy(&line);
        line.contains(SLEEP) && line.starts_with(r"C:\")
    })
}

/// A run that is killed takes the program with it.
fn killed(lab: &Lab, arguments: &[&str]) {
    let wait_for = |wanted: bool| {
        let started = Instant::now();
        while sleeps() != wanted {
            assert!(started.elapsed() < Duration::from_secs(60), "sleeps: {}", !wanted);
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut run = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(lab.path(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(true);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for(false);
}

#[test]
fn a_program_runs_from_its_layer_as_if_it_were_installed() {
    let Some(wine) = wine().filter(|_| can_mount()) else {
        return;
    };
    let wheels = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels");
    let names = [
        ("cmake==3.31.6", "cmake-3.31.6-py3-none-win_amd64.whl"),
        ("ninja==1.11.1.4", "ninja-1.11.1.4-py3-none-win_amd64.whl"),
    ];
    if !names
        .iter()
        .all(|(requirement, file)| fetch(&wheels, requirement, file))
    {
        return;
    }
    let mut lab = Lab::new();
    for (_, file) in names {
        std::fs::copy(wheels.join(file), lab.path(file)).unwrap();
    }
    lab.put("cmake.toml", RECIPE.as_bytes());
    lab.done(&["build", "cmake.toml", "-o", "cmake.vhdx"]);
    let prefix = lab.path("prefix");
    let made = in_prefix(&wine, &prefix, &["wineboot", "-i"]);
    assert!(made.status.success(), "{made:?}");
    lab.put(
        "prefix/drive_c/project/CMakeLists.txt",
        b"cmake_minimum_required(VERSION 3.20)\nproject(x NONE)\n",
    );
    let before = (
        hash(&prefix),
        Sha256::digest(std::fs::read(lab.path("cmake.vhdx")).unwrap()),
    );

    // The same program, installed plainly.
    let installed = lab.path("installed");
    let copied = Command::new("cp")
        .arg("-a")
        .args([&prefix, &installed])
        .status()
        .unwrap();
    assert!(copied.success());
    lab.done(&["extract", "cmake.vhdx", "Files", "-C", "unpacked"]);
    let source = lab.path("unpacked/Files/Program Files/CMake");
    let target = installed.join("drive_c/Program Files/CMake");
    assert!(
        Command::new("cp")
            .arg("-r")
            .args([&source, &target])
            .status()
            .unwrap()
            .success()
    );
    let cmake = r"C:\Program Files\CMake\bin\cmake.exe";
    let ninja = r"-DCMAKE_MAKE_PROGRAM=C:/Program Files/CMake/bin/ninja.exe";
    let configure = ["-S", r"C:\project", "-B", r"C:\build", "-G", "Ninja", ninja];
    let version = in_prefix(&wine, &installed, &[cmake, "--version"]);
    let configured = in_prefix(&wine, &installed, &[&[cmake][..], &configure].concat());
    assert!(text(&version).contains("cmake version 3.31.6"), "{version:?}");
    assert!(text(&configured).contains("Generating done"), "{configured:?}");

    // From the layer: by its path, and by its name in the PATH that the layer adds to.
    let stack = ["run", "--prefix", "prefix", "--layer", "cmake.vhdx"];
    let run = |words: &[&str]| lab.run(&[&stack[..], &["--"], words].concat());
    let keep = |words: &[&str]| lab.run(&[&stack[..], &["--writable", "writable", "--"], words].concat());
    let from_layer = run(&[cmake, "--version"]);
    assert_eq!(text(&from_layer), text(&version), "{from_layer:?}");
    // Without ninja's path: it is found as the program itself is.
    let from_layer = keep(&[&["cmake"][..], &configure[..6]].concat());
    assert_eq!(text(&from_layer), text(&configured), "{from_layer:?}");
    assert!(lab.path("writable/build/build.ninja").is_file());

    // Its registry values are seen; what programs set and delete is kept for the next run, and nowhere else.
    let key = r"HKLM\SOFTWARE\Kitware\CMake";
    let seen = run(&["reg", "query", key, "/v", "Major"]);
    assert!(text(&seen).contains("0x3"), "{seen:?}");
    let script = format!(r"reg delete {key} /v Major /f && reg add HKCU\Software\Mine /v Kept /d yes /f && exit 7");
    let changed = keep(&["cmd", "/c", &script]);
    assert_eq!(changed.status.code(), Some(7), "{changed:?}");
    let query = format!(r"reg query {key} & reg query HKCU\Software\Mine & echo %PATH%");
    let seen = text(&keep(&["cmd", "/c", &query]));
    assert!(seen.contains("InstallDir") && !seen.contains("Major"), "{seen}");
    assert!(
        seen.contains("Kept") && seen.contains(r"C:\Program Files\CMake\bin"),
        "{seen}"
    );
    let hives = "writable/.cvlayer/Hives";
    let kept = lab.done(&["reg", "get", &format!("{hives}/USER"), r"Software\Mine", "Kept"]);
    assert!(kept.contains("yes"), "{kept}");
    let deleted = lab.done(&["reg", &format!("{hives}/SOFTWARE"), r"Kitware\CMake"]);
    assert!(
        deleted.contains("Major") && !deleted.contains("InstallDir"),
        "{deleted}"
    );
    let system = std::fs::read(lab.path(hives).join("SYSTEM")).unwrap_or_default();
    let path: Vec<u8> = r"CMake\bin".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(
        !system.windows(path.len()).any(|window| window == path),
        "an addition was kept"
    );

    killed(&lab, &[&stack[..], &["--", "cmake", "-E", "sleep", SLEEP]].concat());

    on_a_plain_mount(&mut lab, &wine, &text(&version));

    // Nothing else was written, and without the layer nothing of it is there.
    let after = (
        hash(&prefix),
        Sha256::digest(std::fs::read(lab.path("cmake.vhdx")).unwrap()),
    );
    assert_eq!(before, after);
    let refused = lab.refused(&["run", "--prefix", "prefix", "--", "cmake", "--version"]);
    assert!(refused.contains("there is no program cmake in the view"), "{refused}");
}
