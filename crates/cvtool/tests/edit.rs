//! `cvtool edit`, `squash` and `reg` on layers, from outside.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use serde_json::Value as Json;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cvtool"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .stdin(Stdio::null());
    command
}

fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = cvtool(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn failed(folder: &Path, arguments: &[&str]) -> String {
    let output = cvtool(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

const RECIPE: &str = r#"
[layer]
name = "App"
version = "1.0"

[[source]]
folder = "files"
into = "%ProgramFiles%/App"

[[registry]]
key = 'HKLM\SOFTWARE\Vendor\App'
[registry.values]
Version = "1.0"
Old = 1

[[registry]]
key = 'HKCU\Software\Vendor'
[registry.values]
Sort = "newest"
"#;

/// A layer with a large file and a small one, and what to change it with.
fn prepare(folder: &Path) {
    let files = folder.join("files");
    std::fs::create_dir_all(files.join("sub")).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(files.join("large.bin"), large).unwrap();
    std::fs::write(files.join("readme.txt"), "read me").unwrap();
    std::fs::write(files.join("sub/old.txt"), "old").unwrap();
    std::fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
    std::fs::create_dir_all(folder.join("plugins/deep")).unwrap();
    std::fs::write(folder.join("plugins/deep/plugin.dll"), "plugin").unwrap();
    std::fs::write(folder.join("new.txt"), "read me, please").unwrap();
    std::fs::write(folder.join("attach.cmd"), "@echo off").unwrap();
    let patch = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Vendor\\App]\r\n\"Added\"=dword:00000007\r\n";
    std::fs::write(folder.join("more.reg"), patch).unwrap();
    done(folder, &["build", "recipe.toml", "-o", "app.vhdx"]);
}

#[test]
fn what_is_asked_for_changes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let app = r"C:\Program Files\App";
    let key = r"HKLM\SOFTWARE\Vendor\App";
    #[rustfmt::skip]
    let arguments = [
        "edit", "app.vhdx", "-o", "new.vmdk",
        "--remove", &format!(r"{app}\sub\old.txt"),
        "--add", "new.txt", "%ProgramFiles%/App/readme.txt",
        "--add", "plugins", &format!(r"{app}\plugins"),
        "--hide", r"\Program Files\Retired",
        "--opaque", r"\ProgramData\Vendor",
        "--import", "more.reg",
        "--set-value", key, "Version", "sz", "1.1",
        "--remove-value", key, "Old",
        "--hide-key", r"HKLM\SOFTWARE\Retired",
        "--hide-value", r"HKCU\Software\Vendor", "Colour",
        "--script", "on-attach.cmd", "attach.cmd",
        "--policy", r"\ProgramData\Vendor\Cache", "discard-at-logoff",
        "--policy", r"HKLM\SOFTWARE\Vendor\Cache", "isolate",
        "--requires", "Runtime >=2, <3",
        "--app-version", "1.1",
    ];
    done(folder, &arguments);
    assert!(done(folder, &["verify", "new.vmdk"]).contains("sound"));

    let compared = cvtool(folder, &["diff", "--semantic", "--json", "app.vhdx", "new.vmdk"]);
    assert_eq!(compared.status.code(), Some(1));
    let compared = String::from_utf8(cvtool(folder, &["diff", "--semantic", "app.vhdx", "new.vmdk"]).stdout).unwrap();
    let mut changes: Vec<&str> = compared.lines().filter(|line| line.contains("Files/")).collect();
    changes.sort_unstable();
    let expected = [
        "+ Files/Program Files/App/plugins",
        "+ Files/Program Files/App/plugins/deep",
        "+ Files/Program Files/App/plugins/deep/plugin.dll",
        "+ Files/Program Files/Retired (whiteout)",
        "+ Files/ProgramData",
        "+ Files/ProgramData/Vendor (opaque directory)",
        "- Files/Program Files/App/sub/old.txt",
        "~ Files/Program Files/App/readme.txt (content, 7 -> 15 bytes)",
    ];
    assert_eq!(changes.len(), expected.len(), "{compared}");
    for (change, expected) in changes.iter().zip(expected) {
        let plain = expected.split(" (").next().unwrap();
        assert!(change.starts_with(plain), "{change} instead of {expected}");
    }

    // The registry of a layer is read as one.
    assert_eq!(done(folder, &["reg", "get", "new.vmdk", key, "Version"]), "1.1\n");
    assert_eq!(done(folder, &["reg", "get", "new.vmdk", key, "Added"]), "7\n");
    assert!(failed(folder, &["reg", "get", "new.vmdk", key, "Old"]).contains("Old"));
    let listed = done(folder, &["reg", "-r", "new.vmdk"]);
    for expected in ["HKEY_CURRENT_USER", "newest", "Retired"] {
        assert!(listed.contains(expected), "{listed}");
    }
    let compared = cvtool(folder, &["reg", "diff", "app.vhdx", "new.vmdk"]);
    assert_eq!(compared.status.code(), Some(1));
    let compared = String::from_utf8(compared.stdout).unwrap();
    assert!(compared.contains("Version") && !compared.contains("Sort"), "{compared}");

    let manifest: Json = serde_json::from_str(&done(folder, &["inspect", "--json", "new.vmdk"])).unwrap();
    let manifest = &manifest["manifest"];
    assert_eq!(manifest["version"], "1.1");
    assert_eq!(manifest["requires"][0]["name"], "Runtime");
    assert_eq!(manifest["requires"][0]["version"], ">=2, <3");
    assert_eq!(manifest["policy"]["files"][0]["action"], "discard-at-logoff");
    assert_eq!(manifest["policy"]["registry"][0]["action"], "isolate");
    assert_eq!(
        done(folder, &["cat", "new.vmdk", "/Scripts/on-attach.cmd"]),
        "@echo off"
    );

    // Other tools see the same files.
    let list = |image: &str| {
        Command::new("7zz")
            .args(["l", "-ba", image])
            .current_dir(folder)
            .output()
    };
    match list("new.vmdk").or_else(|_| Command::new("7z").args(["l", "new.vmdk"]).current_dir(folder).output()) {
        Ok(listed) => {
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let files = listed.replace('\\', "/");
            let has = |path: &str| files.contains(&format!("Files/Program Files/App/{path}"));
            assert!(
                has("plugins/deep/plugin.dll") && has("large.bin") && !has("sub/old.txt"),
                "{listed}"
            );
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "7-Zip is missing in CI: {error}");
            eprintln!("skipped: 7-Zip: {error}");
        }
    }
}

#[test]
fn an_edit_of_nothing_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    done(folder, &["edit", "app.vhdx", "-o", "same.vhdx"]);
    assert_eq!(done(folder, &["diff", "app.vhdx", "same.vhdx"]), "");
    let [one, two] = ["app.vhdx", "same.vhdx"].map(|name| std::fs::read(folder.join(name)).unwrap());
    assert!(one == two, "the images differ");
}

#[test]
fn hashes_are_taken_over_and_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    done(folder, &["image", "convert", "app.vhdx", "app.img"]);
    let mut bytes = std::fs::read(folder.join("app.img")).unwrap();
    let needle: Vec<u8> = (1_000_000..1_000_004_u32).flat_map(u32::to_le_bytes).collect();
    let place = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[place] ^= 1;
    std::fs::write(folder.join("app.img"), bytes).unwrap();
    // What was damaged before does not become right by being moved.
    done(folder, &["edit", "app.img", "-o", "new.img", "--app-version", "2"]);
    let verified = cvtool(folder, &["verify", "new.img"]);
    assert_eq!(verified.status.code(), Some(1));
    let told = String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(told.contains("large.bin"), "{told}");
}

#[test]
fn a_layer_edited_in_place_is_the_old_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    done(folder, &["keygen", "--no-password", "key"]);
    done(folder, &["sign", "app.vhdx", "--key", "key"]);
    for wait in [0, 1, 2, 5, 10, 20, 40, 80] {
        let mut child = command(
            folder,
            &["edit", "app.vhdx", "--in-place", "--app-version", "2", "--key", "key"],
        )
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
        done(folder, &["verify", "app.vhdx", "--trust", "key.pub"]);
    }
    done(
        folder,
        &["edit", "app.vhdx", "--in-place", "--app-version", "3", "--key", "key"],
    );
    done(folder, &["verify", "app.vhdx", "--trust", "key.pub"]);
    let unsigned = cvtool(folder, &["edit", "app.vhdx", "--in-place", "--app-version", "4"]);
    assert!(unsigned.status.success());
    assert!(String::from_utf8_lossy(&unsigned.stderr).contains("not signed any more"));
}

#[test]
fn what_is_not_there_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    for (arguments, expected) in [
        (&["--remove", r"C:\Program Files\Other"][..], "Other"),
        (&["--remove-key", r"HKLM\SOFTWARE\Other"], "Other"),
        (&["--remove-value", r"HKLM\SOFTWARE\Vendor\App", "None"], "None"),
        (&["--hide", r"C:\a:b\c"], "a:b"),
        (&["--hide-key", r"HKEY_USERS\S-1-5-18"], "HKEY_USERS"),
        (&["--policy", r"\App", "explode"], "explode"),
        (&["--remove-script", "on-detach.cmd"], "on-detach.cmd"),
        (&["--add", "nowhere", r"\x"], "nowhere"),
        (
            &["--set-value", r"HKLM\SOFTWARE\App", "Number", "dword", "much"],
            "much",
        ),
    ] {
        let told = failed(folder, &[&["edit", "app.vhdx", "-o", "new.vhdx"], arguments].concat());
        assert!(told.contains(expected) && told.lines().count() == 1, "{told}");
        assert!(!folder.join("new.vhdx").exists());
    }
}

#[test]
fn squashed_layers_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    done(
        folder,
        &[
            "edit",
            "app.vhdx",
            "-o",
            "patch.vhdx",
            "--remove",
            r"\Program Files\App\large.bin",
            "--name",
            "Patch",
            "--add",
            "new.txt",
            r"\Program Files\App\readme.txt",
            "--hide",
            r"\Program Files\App\sub",
        ],
    );
    done(
        folder,
        &[
            "squash",
            "app.vhdx",
            "patch.vhdx",
            "-o",
            "one.vhd",
            "--app-version",
            "1.2",
        ],
    );
    assert!(done(folder, &["verify", "one.vhd"]).contains("sound"));
    let listed = done(folder, &["ls", "-R", "one.vhd", "/Files/Program Files/App"]);
    assert!(listed.contains("large.bin") && !listed.contains("old.txt"), "{listed}");
    assert_eq!(
        done(folder, &["cat", "one.vhd", "/Program Files/App/readme.txt"]),
        "read me, please"
    );
    // Nothing is shown there, which the exit status says too.
    let explained = cvtool(
        folder,
        &["explain", "app.vhdx", "one.vhd", r"\Program Files\App\sub\old.txt"],
    );
    assert_eq!(explained.status.code(), Some(1));
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("whiteout"), "{explained}");
}
