//! Programs: our reading against pefile's and wrestool's, on programs made here and on real ones.

use crate::tools::{have, make_program, run, two_icons};
use cv_disk::RawFile;
use layerfmt::manifest::Architecture;
use layerfmt::pe::Program;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints what pefile reads: machine, then versions and texts, each on a line.
const PEFILE: &str = r"
import pefile, sys
pe = pefile.PE(sys.argv[1])
print(hex(pe.FILE_HEADER.Machine))
for info in getattr(pe, 'VS_FIXEDFILEINFO', []):
    print('%d.%d.%d.%d' % (info.FileVersionMS >> 16, info.FileVersionMS & 65535, info.FileVersionLS >> 16, info.FileVersionLS & 65535))
for infos in getattr(pe, 'FileInfo', []):
    for info in infos:
        for table in getattr(info, 'StringTable', []):
            for key, value in sorted(table.entries.items()):
                print(table.LangID.decode() + ' ' + key.decode() + '=' + value.decode().rstrip('\0'))
";

fn ours(path: &Path) -> String {
    let program = Program::open(RawFile::open(path).unwrap()).unwrap().unwrap();
    let machine = match program.architecture() {
        Some(Architecture::X86) => "0x14c",
        Some(Architecture::X64) => "0x8664",
        Some(Architecture::Arm64) => "0xaa64",
        other => panic!("{other:?}"),
    };
    let mut text = format!("{machine}\n");
    let info = program.version_info().unwrap().unwrap_or_default();
    if let Some(version) = info.file_version {
        writeln!(text, "{version}").unwrap();
    }
    for table in &info.tables {
        let mut strings = table.strings.clone();
        strings.sort();
        for (key, value) in strings {
            writeln!(text, "{} {key}={value}", table.language).unwrap();
        }
    }
    text
}

/// The images of an `.ico` file as icotool unpacks them.
fn pixels(file: &Path) -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new("icotool").arg("-x").arg("-o").arg(folder.path()).arg(file));
    let mut paths: Vec<_> = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn agree(path: &Path) {
    // The distribution's Python is the one that has the distribution's pefile.
    let theirs = run(Command::new("/usr/bin/python3")
        .env("PYTHONIOENCODING", "utf-8")
        .args(["-c", PEFILE])
        .arg(path));
    assert_eq!(ours(path), theirs, "{}", path.display());
    let icon = Program::open(RawFile::open(path).unwrap())
        .unwrap()
        .unwrap()
        .icon()
        .unwrap();
    let listed = run(Command::new("wrestool").args(["-l", "-t", "14"]).arg(path));
    let Some(first) = listed.lines().next() else {
        assert!(icon.is_none());
        return;
    };
    let name = first
        .split_whitespace()
        .find_map(|word| word.strip_prefix("--name="))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("icon.ico");
    run(Command::new("wrestool")
        .args(["-x", "-t", "14", "-n", name.trim_matches('\''), "-o"])
        .arg(&file)
        .arg(path));
    // wrestool writes headers of its own; the images are what counts.
    let our_file = folder.path().join("ours.ico");
    std::fs::write(&our_file, icon.unwrap()).unwrap();
    let images = |file: &Path| run(Command::new("icotool").arg("-l").arg(file));
    assert_eq!(images(&our_file), images(&file), "{}", path.display());
    assert_eq!(pixels(&our_file), pixels(&file), "{}", path.display());
}

#[test]
fn programs_made_here_read_as_other_tools_read_them() {
    let tools = [
        "x86_64-w64-mingw32-gcc",
        "x86_64-w64-mingw32-windres",
        "python3",
        "wrestool",
    ];
    if !have(&tools) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = make_program(folder.path());
    agree(&path);
    let program = Program::open(RawFile::open(&path).unwrap()).unwrap().unwrap();
    let info = program.version_info().unwrap().unwrap();
    assert_eq!(info.string("ProductName"), Some("Program"));
    assert_eq!(info.string("CompanyName"), Some("Größe GmbH"));
    assert_eq!(info.string("LegalCopyright"), None);
    assert_eq!(info.product_version.unwrap().to_string(), "5.6.7.8");
    assert_eq!(program.icon().unwrap().unwrap(), two_icons());
    assert!(!program.is_library());
}

/// The folder of a wheel's files, fetched by pip; `None`, said aloud, where that does not work outside of CI.
fn wheel(requirement: &str, folder: &Path) -> Option<PathBuf> {
    if !have(&["pip"]) {
        return None;
    }
    let output = Command::new("pip")
        .args([
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--platform=win_amd64",
            "--target",
        ])
        .arg(folder)
        .arg(requirement)
        .output()
        .unwrap();
    if output.status.success() {
        return Some(folder.to_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
    None
}

#[test]
fn real_programs_read_as_other_tools_read_them() {
    let folder = tempfile::tempdir().unwrap();
    if !have(&["python3", "wrestool", "icotool"]) {
        return;
    }
    let Some(folder) = wheel("cmake==3.31.6", folder.path()) else {
        return;
    };
    let programs: Vec<_> = folder
        .join("cmake/data/bin")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "exe"))
        .collect();
    assert!(programs.len() >= 4);
    for path in &programs {
        agree(path);
    }
}
