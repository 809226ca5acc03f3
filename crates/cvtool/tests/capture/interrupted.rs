//! A capture that is ended at any moment can be gone on with.

use crate::changes::{cvtool, expected, install, items, machine, take_over};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Kills tried of each step with each signal, at moments spread over the time that the step takes.
const TIMES: u64 = 8;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvtool"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The names in a folder. What a process that was killed could not take away any more is no output, and says so by its name;
/// it is taken away here.
fn names(folder: &Path, was_killed: bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if was_killed && name.starts_with('.') && name.ends_with(".partial") {
            fs::remove_file(entry.path()).unwrap();
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

/// Runs a step, ends it at several moments, and has `check` look at what is left.
fn interrupt(folder: &Path, arguments: &[&str], check: &dyn Fn(&str)) {
    // What an undisturbed step takes.
    let started = std::time::Instant::now();
    assert!(command(folder, arguments).status().unwrap().success());
    let whole = started.elapsed();
    for signal in ["-KILL", "-INT"] {
        for time in 1..=TIMES {
            // Fibonacci's ratio spreads the moments evenly, without repeating one.
            let part = (time * 618) % 1000;
            let mut child = command(folder, arguments).spawn().unwrap();
            std::thread::sleep(Duration::from_nanos(
                u64::try_from(whole.as_nanos()).unwrap() / 1000 * part,
            ));
            let killed = Command::new("kill").arg(signal).arg(child.id().to_string()).output();
            assert!(killed.is_ok());
            child.wait().unwrap();
            check(signal);
        }
    }
}

#[test]
fn captures_between_folders_leave_all_or_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("before"), |_, _, _, _| {});
    machine(&folder.join("after"), install);
    // Enough to be in the middle of something.
    for number in 0..300_u32 {
        let path = folder.join(format!("after/Program Files/App/{number}.bin"));
        fs::write(path, number.to_le_bytes().repeat(10_000)).unwrap();
    }
    let there = names(folder, false);
    let arguments = [
        "capture", "diff", "--before", "before", "--after", "after", "--state", "state", "-o", "app.vhdx",
    ];
    interrupt(folder, &arguments, &|signal| {
        let left = names(folder, signal == "-KILL");
        let others: Vec<_> = left.iter().filter(|name| !there.contains(name)).collect();
        assert!(
            others.iter().all(|name| ["state", "app.vhdx"].contains(&name.as_str())),
            "{signal}: {others:?}"
        );
        // What stands there is complete.
        cvtool(&["verify", "app.vhdx"], folder);
    });
    fs::remove_file(folder.join("app.vhdx")).unwrap();
    fs::remove_dir_all(folder.join("state")).unwrap();
    cvtool(&arguments, folder);
    cvtool(&["verify", "app.vhdx"], folder);
    cvtool(&["capture", "rebuild", "--state", "state", "-o", "again.vhdx"], folder);
}

#[test]
fn a_capture_in_two_steps_goes_on_after_being_ended() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    machine(&folder.join("machine"), |_, _, _, _| {});
    interrupt(
        folder,
        &["capture", "start", "machine", "--state", "state"],
        &|signal| {
            let left = names(&folder.join("state"), signal == "-KILL");
            let known = ["before.cvstate", "machine.json"];
            assert!(
                left.iter().all(|name| known.contains(&name.as_str())),
                "{signal}: {left:?}"
            );
        },
    );
    cvtool(&["capture", "start", "machine", "--state", "state"], folder);
    machine(&folder.join("after"), install);
    take_over(&folder.join("after"), &folder.join("machine"));
    let arguments = [
        "capture",
        "finish",
        "--state",
        "state",
        "-o",
        "app.vhdx",
        "--report",
        "report.json",
    ];
    interrupt(folder, &arguments, &|signal| {
        let left = names(&folder.join("state"), signal == "-KILL");
        let known = [
            "before.cvstate",
            "capture.json",
            "changes.vhdx",
            "items.json",
            "machine.json",
        ];
        assert!(
            left.iter().all(|name| known.contains(&name.as_str())),
            "{signal}: {left:?}"
        );
        cvtool(&["verify", "app.vhdx"], folder);
    });
    cvtool(&arguments, folder);
    assert_eq!(items(&folder.join("report.json")), expected());
}
