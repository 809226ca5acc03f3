//! `cvtool build`, end to end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs cvtool in `folder` at a fixed time.
fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn done(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = cvtool(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.stdout
}

/// What cvtool complains of, line by line; it ends with 2.
fn complaints(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let output = cvtool(folder, arguments);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Runs another tool; `None`, said aloud, where it is missing, which it must not be in CI.
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success(),
                "{program} {arguments:?}: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(text)
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "missing in CI: {program}: {error}");
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

const SMALL: &str = r#"
[layer]
name = "Small"
version = "${VERSION}"

[[source]]
folder = "files"
into = 'Data'

[output]
subformat = "fixed"
format = "vhd"
"#;

fn small(folder: &Path) {
    std::fs::create_dir_all(folder.join("recipe/files/deep")).unwrap();
    std::fs::write(folder.join("recipe/files/deep/a.txt"), "a").unwrap();
    std::fs::write(folder.join("recipe/small.toml"), SMALL).unwrap();
}

#[test]
fn recipes_are_relative_to_themselves_and_options_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small(folder);
    let build = |output: &str, more: &[&str]| {
        let arguments = ["build", "recipe/small.toml", "--set", "VERSION=7", "-o", output];
        done(folder, &[&arguments[..], more].concat());
    };
    build("a.vhd", &[]);
    build("b.img", &["--format", "raw"]);
    for layer in ["a.vhd", "b.img"] {
        assert_eq!(done(folder, &["cat", layer, "/Files/Data/deep/a.txt"]), b"a");
        let manifest: serde_json::Value =
            serde_json::from_slice(&done(folder, &["cat", layer, "/layer.json"])).unwrap();
        assert_eq!(manifest["version"], "7");
        assert_eq!(manifest["provenance"]["method"], "recipe");
    }
    let info: serde_json::Value = serde_json::from_slice(&done(folder, &["image", "info", "--json", "a.vhd"])).unwrap();
    assert_eq!((&info["format"], &info["subformat"]), (&"vhd".into(), &"fixed".into()));
    // A layer is a source as well.
    let text = "[layer]\nname = 'More'\n[[source]]\nlayer = 'a.vhd'\nregistry = true\n[[source]]\nimage = 'b.img'\nfrom = 'Files/Data'\ninto = 'Again'\n";
    std::fs::write(folder.join("more.toml"), text).unwrap();
    done(folder, &["build", "more.toml", "-o", "more.vmdk"]);
    for path in ["/Files/Data/deep/a.txt", "/Files/Again/deep/a.txt"] {
        assert_eq!(done(folder, &["cat", "more.vmdk", path]), b"a");
    }
}

#[test]
fn a_recipe_stays_in_its_folder_unless_it_may_leave() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small(folder);
    std::fs::create_dir(folder.join("outside")).unwrap();
    std::fs::write(folder.join("outside/o.txt"), "o").unwrap();
    std::os::unix::fs::symlink("../outside", folder.join("recipe/link")).unwrap();
    for path in ["../outside", "link", folder.join("outside").to_str().unwrap()] {
        let text = SMALL
            .replace("\"files\"", &format!("'{path}'"))
            .replace("${VERSION}", "1");
        std::fs::write(folder.join("recipe/out.toml"), text).unwrap();
        let arguments = ["build", "recipe/out.toml", "-o", "out.vhdx"];
        let told = complaints(folder, &arguments);
        let expected = format!("cvtool: recipe/out.toml:7:10: {path}: it lies outside of the recipe's folder");
        assert_eq!(told[0], expected);
        assert_eq!(told[1], "cvtool: recipe/out.toml: the recipe has a mistake");
        assert!(!folder.join("out.vhdx").exists());
        done(folder, &[&arguments[..], &["--allow", "outside"]].concat());
        assert_eq!(done(folder, &["cat", "out.vhdx", "/Files/Data/o.txt"]), b"o");
        std::fs::remove_file(folder.join("out.vhdx")).unwrap();
    }
}

#[test]
fn mistakes_have_their_lines_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small(folder);
    let told = complaints(folder, &["build", "recipe/small.toml", "-o", "out.vhdx"]);
    assert_eq!(
        told[0],
        "cvtool: recipe/small.toml:4:11: the variable VERSION has no value"
    );
    let text = "[layer]\nname = 'x'\nnmae = 1\n[[sources]]\nfolder = 'a'\n";
    std::fs::write(folder.join("wrong.toml"), text).unwrap();
    let told = complaints(folder, &["build", "wrong.toml", "-o", "out.vhdx"]);
    assert_eq!(
        told,
        [
            "cvtool: wrong.toml:3:1: unknown key \"nmae\"; did you mean \"name\"?",
            "cvtool: wrong.toml:4:3: unknown key \"sources\"; did you mean \"source\"?",
            "cvtool: wrong.toml: the recipe has 2 mistakes",
        ]
    );
    let left: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn recipes_sign_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    small(folder);
    done(folder, &["keygen", "--no-password", "recipe/layer.key"]);
    let text = format!("{}\n[sign]\nkey = 'layer.key'\n", SMALL.replace("${VERSION}", "1"));
    std::fs::write(folder.join("recipe/signed.toml"), text).unwrap();
    done(folder, &["build", "recipe/signed.toml", "-o", "signed.vhdx"]);
    for name in ["layer.json", "layer.sig"] {
        std::fs::write(
            folder.join(name),
            done(folder, &["cat", "signed.vhdx", &format!("/{name}")]),
        )
        .unwrap();
    }
    let public = "recipe/layer.pub";
    tool(
        folder,
        "minisign",
        &["-V", "-q", "-m", "layer.json", "-x", "layer.sig", "-p", public],
    );
}
