//! Files that cannot be read, and disks that are full: told of each, and the rest is not lost.

use crate::changes::{cvtool, install, items, machine};
use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

/// Nobody's number on Debian.
const NOBODY: &str = "65534";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs cvtool as a user who may not read everything.
fn as_user(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = if is_root() {
        // The build's folder may not be open to others.
        let program = folder.join("cvtool");
        if !program.exists() {
            fs::copy(env!("CARGO_BIN_EXE_cvtool"), &program).unwrap();
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_cvtool"))
    };
    command.args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn what_cannot_be_read_is_told_and_not_taken_for_deleted() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    for side in ["before", "after"] {
        let private = folder.join(side).join("Program Files/Private");
        fs::create_dir_all(&private).unwrap();
        fs::write(private.join("there.txt"), b"there").unwrap();
    }
    let forbid = |path: &str| {
        fs::set_permissions(folder.join("after").join(path), fs::Permissions::from_mode(0o0)).unwrap();
    };
    fs::write(folder.join("after/Program Files/App/secret.bin"), b"secret").unwrap();
    forbid("Program Files/App/secret.bin");
    forbid("Program Files/Private");
    forbid("Users/packager/NTUSER.DAT");
    let arguments = [
        "capture",
        "diff",
        "--before",
        "before",
        "--after",
        "after",
        "-o",
        "app.vhdx",
        "--deletions",
    ];
    let output = as_user(folder, &[&arguments[..], &["--report", "report.json"]].concat());
    // So that the folder can be removed.
    fs::set_permissions(
        folder.join("after/Program Files/Private"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for path in ["App/secret.bin", "Program Files/Private", "NTUSER.DAT"] {
        assert!(told.contains(path), "{path}: {told}");
    }
    cvtool(&["verify", "app.vhdx"], folder);
    let found = items(&folder.join("report.json"));
    assert!(
        found.contains(&r"keep added \Program Files\App\app.exe".to_owned()),
        "{found:#?}"
    );
    assert!(found.contains(&r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\App!Version".to_owned()));
    assert!(
        !found
            .iter()
            .any(|line| line.contains("Private") || line.contains("secret")),
        "{found:#?}"
    );
    assert!(
        !found.iter().any(|line| line.contains("HKEY_CURRENT_USER")),
        "{found:#?}"
    );
}

/// Says so when it goes, also where a test fails.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn files_that_come_and_go_meanwhile_do_not_lose_the_rest() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    let busy = folder.join("after/Program Files/App/Busy");
    fs::create_dir_all(&busy).unwrap();
    for number in 0..300_u32 {
        fs::write(busy.join(format!("steady {number}")), number.to_le_bytes().repeat(3000)).unwrap();
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let _ended = Ended(&is_done);
        threads.spawn(|| {
            for number in 0_u64.. {
                if is_done.load(Ordering::Relaxed) {
                    break;
                }
                let passing = busy.join(format!("passing {}", number % 100));
                // It may be there from the turn before.
                match number % 200 {
                    0..100 => fs::write(&passing, vec![1; 3000 + number as usize % 5000]).unwrap(),
                    _ => fs::remove_file(&passing).unwrap(),
                }
            }
        });
        for _ in 0..4 {
            let arguments = [
                "capture", "diff", "--before", "before", "--after", "after", "-o", "app.vhdx",
            ];
            let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
                .args(arguments)
                .args(["--report", "report.json"])
                .current_dir(folder)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            // 2 where something went away, which is told.
            let told_of_it = output.status.code() == Some(2) && told.contains("passing");
            assert!(output.status.success() || told_of_it, "{:?}: {told}", output.status);
            cvtool(&["verify", "app.vhdx"], folder);
            let found = items(&folder.join("report.json"));
            let steady = found.iter().filter(|line| line.contains("Busy\\steady"));
            assert_eq!(steady.count(), 300);
        }
    });
}

/// Runs a script where `full` is a disk of a megabyte; it is gone with the script.
#[cfg(target_os = "linux")]
fn with_a_small_disk(folder: &Path, script: &str) -> Option<Output> {
    fs::create_dir_all(folder.join("full")).unwrap();
    let script = format!("mount -t tmpfs -o size=1m none full || exit 77\n{script}");
    let output = Command::new("unshare")
        .args([if is_root() { "-m" } else { "-rm" }, "sh", "-c", &script])
        .env("CVTOOL", env!("CARGO_BIN_EXE_cvtool"))
        .current_dir(folder)
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(std::env::var_os("CI").is_none(), "{told}");
        eprintln!("skipped: {told}");
        return None;
    }
    Some(output)
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_nothing_is_left_on_it() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    let mut content = vec![0; 4 << 20];
    for (place, byte) in content.iter_mut().enumerate() {
        *byte = (place * 31 % 251) as u8;
    }
    fs::write(folder.join("after/Program Files/App/large.bin"), content).unwrap();
    let diff = "\"$CVTOOL\" capture diff --before before --after after";
    let script = format!(
        "{diff} -o full/app.vhdx; echo output $? $(ls -A full)\n\
         {diff} -o app.vhdx --state full/state; echo state $? $(ls -A full/state)\n\
         rm -rf full/state; {diff} -o app.vhdx --report full/a.json --html full/a.html; echo room $? $(ls -A full)"
    );
    let Some(output) = with_a_small_disk(folder, &script) else {
        return;
    };
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let lines: Vec<&str> = said.lines().filter(|line| !line.contains("items kept")).collect();
    assert_eq!(lines, ["output 2", "state 2", "room 0 a.html a.json"], "{said}{told}");
    assert!(
        told.contains("full/app.vhdx") && told.contains("full/state/changes.vhdx"),
        "{told}"
    );
    cvtool(&["verify", "app.vhdx"], folder);
}

#[cfg(target_os = "linux")]
#[test]
fn a_capture_in_two_steps_goes_on_after_a_disk_was_full() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    fs::write(folder.join("filler"), vec![1; 1 << 20]).unwrap();
    // First the state has no room, then the output, and each is made where there is some.
    let script = "exec 2>&1
         cp -a before machine
         cp filler full/; \"$CVTOOL\" capture start machine --state full/state; echo start $? $(ls -A full/state); rm -r full/*
         \"$CVTOOL\" capture start machine --state state; echo started $?
         cp -a after/. machine/; cp filler full/
         \"$CVTOOL\" capture finish --state state -o full/app.vhdx; echo full $? $(ls -A full); rm full/filler
         \"$CVTOOL\" capture finish --state state -o app.vhdx; echo finished $?";
    let Some(output) = with_a_small_disk(folder, script) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let outcomes = ["start ", "started ", "full ", "finished "];
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| outcomes.iter().any(|outcome| line.starts_with(outcome)))
        .collect();
    assert_eq!(lines, ["start 2", "started 0", "full 2 filler", "finished 0"], "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    cvtool(&["verify", "app.vhdx"], folder);
}

#[test]
fn a_damaged_hive_is_told_and_the_rest_is_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    fs::write(folder.join("after/Windows/System32/config/SYSTEM"), b"no hive").unwrap();
    for side in ["before", "after"] {
        cvtool(&["image", "pack", side, "-o", &format!("{side}.vhdx")], folder);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args([
            "capture",
            "diff",
            "--before",
            "before.vhdx",
            "--after",
            "after.vhdx",
            "-o",
            "app.vhdx",
        ])
        .args(["--report", "report.json", "--deletions"])
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("System32/config/SYSTEM"), "{told}");
    let report: Json = serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["problems"].as_array().unwrap().len(), 1);
    let found = items(&folder.join("report.json"));
    assert!(found.contains(&r"keep added HKEY_LOCAL_MACHINE\SOFTWARE\App!Version".to_owned()));
    // Nothing of a hive that was not read is taken for deleted.
    assert!(
        !found.iter().any(|line| line.contains(r"HKEY_LOCAL_MACHINE\SYSTEM")),
        "{found:#?}"
    );
}
