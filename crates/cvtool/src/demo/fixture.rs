//! The machine of the demo, made of the files in `fixtures/demo`.

use crate::run_line;
use anyhow::Context;
use include_dir::{Dir, DirEntry, include_dir};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../fixtures/demo");

/// A machine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// The name of its disk.
    pub disk: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// The folders of files it has, and their `.reg` files; each adds to those before.
    parts: &'static [&'static str],
}

/// Before an install, and after each of two.
pub const MACHINES: [Machine; 3] = [
    Machine {
        disk: "before.vhdx",
        what: "before the install",
        parts: &["machine"],
    },
    Machine {
        disk: "after-1.0.vhdx",
        what: "after that of Pocket Notes 1.0",
        parts: &["machine", "notes-1.0"],
    },
    Machine {
        disk: "after-2.0.vhdx",
        what: "after that of Pocket Notes 2.0",
        parts: &["machine", "notes-2.0"],
    },
];

/// Where the hives of a machine are.
const HIVES: [&str; 3] = [
    "Windows/System32/config/SOFTWARE",
    "Windows/System32/config/SYSTEM",
    "Users/packager/NTUSER.DAT",
];

/// Makes the disk of a machine: an NTFS volume with its files and hives.
pub fn make_disk(machine: Machine, disk: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("drive");
    for (number, part) in machine.parts.iter().enumerate() {
        let files = FILES
            .get_dir(part)
            .with_context(|| format!("the demo has no folder {part}"))?;
        // The machine was set up on 2024-01-01, the installs followed two months later.
        let time = UNIX_EPOCH + Duration::from_secs(1_704_067_200 + 5_184_000 * number as u64);
        write_folder(files, files.path(), &root, time)?;
        let patch = folder.path().join("changes.reg");
        let name = format!("{part}.reg");
        let text = FILES
            .get_file(&name)
            .with_context(|| format!("the demo has no file {name}"))?;
        fs::write(&patch, text.contents())?;
        for hive in HIVES {
            let hive = root.join(hive);
            fs::create_dir_all(hive.parent().unwrap_or(&root))?;
            let mut line = vec!["reg", "import", "--skip-elsewhere"];
            if number == 0 {
                line.push("--new");
            }
            let paths = [text_of(&hive)?, text_of(&patch)?];
            line.extend(paths);
            run_line(&line)?;
        }
    }
    run_line(&["image", "pack", text_of(&root)?, "-o", text_of(disk)?])?;
    Ok(())
}

/// Writes what is below `top` of the fixture's folder into a folder of the host.
fn write_folder(files: &Dir<'_>, top: &Path, target: &Path, time: SystemTime) -> anyhow::Result<()> {
    for entry in files.entries() {
        let path = target.join(entry.path().strip_prefix(top)?);
        match entry {
            DirEntry::Dir(folder) => write_folder(folder, top, target, time)?,
            DirEntry::File(file) => {
                fs::create_dir_all(path.parent().unwrap_or(target))?;
                fs::write(&path, file.contents())?;
                File::options().write(true).open(&path)?.set_modified(time)?;
            }
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{}: the path is no UTF-8", path.display()))
}
