//! Layers built, verified, inspected and extracted by cvtool.exe, with the bytes that cvtool makes.

use crate::wine::{Prefix, cvtool, exe, succeed};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const RECIPE: &str = r#"
[layer]
name = "Pocket Notes"
version = "${VERSION}"
publisher = "Example"

[[source]]
folder = "files"
into = '%ProgramFiles%\Notes'

[[source]]
archive = "more.zip"
into = '%ProgramFiles%\Notes\more'

[[registry]]
key = 'HKLM\SOFTWARE\Example'
[registry.values]
InstallDir = 'C:\Program Files\Notes'
Count = 7

[[shortcut]]
name = "Notes"
target = 'C:\Program Files\Notes\notes.txt'
"#;

/// A recipe and what it takes, times and all.
fn sources(folder: &Path) {
    let files = folder.join("files");
    for path in [
        "notes.txt",
        "Größe/日本.txt",
        "sub/.hidden",
        "sub/deep/empty",
        "sub/read only",
    ] {
        let path = files.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
    }
    fs::write(files.join("sub/deep/empty"), []).unwrap();
    fs::write(files.join("large"), vec![7; 3 << 20]).unwrap();
    fs::hard_link(files.join("large"), files.join("large again")).unwrap();
    fs::create_dir(files.join("nothing")).unwrap();
    let mut archive = std::process::Command::new("python3");
    let status = archive
        .args([
            "-c",
            "import zipfile; zipfile.ZipFile('more.zip', 'w').writestr('in zip.txt', 'zipped')",
        ])
        .current_dir(folder)
        .status();
    assert!(status.unwrap().success());
    fs::write(folder.join("notes.toml"), RECIPE).unwrap();
}

#[test]
fn a_recipe_gives_the_same_bytes_on_both() {
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    sources(folder);
    for container in ["vhdx", "vhd", "vmdk"] {
        // The name of a VMDK stands in it.
        let build = |name: &str| {
            fs::create_dir_all(folder.join(name)).unwrap();
            let out = format!("{name}/notes.{container}");
            ["build", "notes.toml", "--set", "VERSION=1.0", "-o", &out].map(str::to_owned)
        };
        succeed(folder, build("linux"));
        exe.succeed(&prefix, folder, build("windows"));
        let bytes = |name: &str| fs::read(folder.join(format!("{name}/notes.{container}"))).unwrap();
        assert!(bytes("linux") == bytes("windows"), "{container}");
    }

    let told = exe.succeed(&prefix, folder, ["verify", "linux/notes.vhdx"]);
    assert_eq!(told, succeed(folder, ["verify", "linux/notes.vhdx"]));
    let told = exe.succeed(&prefix, folder, ["inspect", "--json", "linux/notes.vhdx"]);
    assert_eq!(told, succeed(folder, ["inspect", "--json", "linux/notes.vhdx"]));
    let told = exe.succeed(&prefix, folder, ["tree", "linux/notes.vhdx"]);
    assert_eq!(told, succeed(folder, ["tree", "linux/notes.vhdx"]));
    let told = exe.succeed(&prefix, folder, ["diff", "linux/notes.vhdx", "windows/notes.vmdk"]);
    assert_eq!(
        told,
        succeed(folder, ["diff", "linux/notes.vhdx", "windows/notes.vmdk"])
    );

    // A byte that is another is found there as well.
    let mut bytes = fs::read(folder.join("linux/notes.vhdx")).unwrap();
    let place = bytes.windows(9).position(|window| window == b"notes.txt").unwrap();
    bytes[place] = b'N';
    fs::write(folder.join("damaged.vhdx"), bytes).unwrap();
    let output = exe.run(&prefix, folder, ["verify", "damaged.vhdx"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, cvtool(folder, ["verify", "damaged.vhdx"]).stdout);
}

#[test]
fn layers_are_signed_and_images_worked_on() {
    let Some(exe) = exe() else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let prefix = Prefix::new();
    sources(folder);
    let run = |arguments: &[&str]| exe.succeed(&prefix, folder, arguments);
    run(&["build", "notes.toml", "--set", "VERSION=1.0", "-o", "notes.vhdx"]);
    run(&["keygen", "--no-password", "ci.key"]);
    run(&["sign", "notes.vhdx", "--key", "ci.key"]);
    succeed(folder, ["verify", "notes.vhdx", "--trust", "ci.pub"]);
    run(&["image", "convert", "notes.vhdx", "notes.vmdk"]);
    run(&["image", "check", "notes.vmdk"]);
    succeed(folder, ["image", "compare", "notes.vhdx", "notes.vmdk"]);
    run(&["export", "notes.vhdx", "-o", "notes.tar"]);
    run(&["import", "notes.tar", "-o", "again.vhdx"]);
    let told = cvtool(folder, ["diff", "notes.vhdx", "again.vhdx"]).stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.lines().all(|line| line.starts_with("~ layer: ")), "{told}");
    // What it cannot do there, it does not offer.
    let help = run(&["help"]);
    let offers = |command: &str| help.lines().any(|line| line.trim_start().starts_with(command));
    assert!(offers("extract ") && offers("capture "), "{help}");
    assert!(!offers("mount ") && !offers("attach ") && !offers("run "), "{help}");
    let output = exe.run(&prefix, folder, ["inspect", "missing.vhdx"]);
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("cvtool: missing.vhdx: ") && told.lines().count() == 1,
        "{told}"
    );
    assert_eq!(
        fs::metadata(folder.join("ci.pub")).unwrap().permissions().mode() & 0o111,
        0
    );
}
