//! What manifests rule, the order of layers, and their scripts, on a live mount.

use super::support::{Lab, can_mount};
use super::trust::build;
use std::fs;
use std::time::{Duration, Instant};

/// A layer of the folder `NAME.d`, with more of a recipe.
fn layer(lab: &Lab, name: &str, more: &str) {
    let recipe = format!("[layer]\nname = \"{name}\"\n[[source]]\nfolder = \"{name}.d\"\n{more}");
    build(lab, name, &recipe, &[]);
}

fn rule(path: &str, action: &str) -> String {
    format!("[[policy.files]]\npath = '{path}'\naction = \"{action}\"\n")
}

fn read(lab: &Lab, path: &str) -> Option<String> {
    fs::read_to_string(lab.mnt().join(path)).ok()
}

fn write(lab: &Lab, path: &str, text: &str) {
    fs::write(lab.mnt().join(path), text).unwrap();
}

#[test]
fn rules_hide_override_and_say_why() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for name in ["hidden/base", "over/base", "plain/base"] {
        lab.put(&format!("base/{name}"), b"base");
    }
    for name in ["hidden/layer", "over/layer", "over/merged/layer", "plain/layer"] {
        lab.put(&format!("l.d/{name}"), b"layer");
    }
    lab.put("base/over/merged/base", b"base");
    let rules = [
        rule(r"\hidden", "hide"),
        rule(r"\over", "override"),
        rule(r"\over\merged", "merge"),
    ];
    layer(&lab, "l", &rules.concat());
    lab.mount(&["--base", "base", "--writable", "writable"]);
    // The kernel knows them, and must forget what a rule alone hides.
    for name in ["hidden/base", "over/base", "plain/base"] {
        assert_eq!(read(&lab, name).as_deref(), Some("base"));
    }
    lab.done(&["attach", "mnt", "l.img"]);
    let seen: Vec<bool> = ["hidden", "hidden/base", "hidden/layer", "over/base", "over/layer"]
        .iter()
        .map(|name| lab.mnt().join(name).exists())
        .collect();
    assert_eq!(seen, [false, false, false, false, true]);
    for (name, from) in [
        ("over/merged/base", "base"),
        ("over/merged/layer", "layer"),
        ("plain/base", "base"),
    ] {
        assert_eq!(read(&lab, name).as_deref(), Some(from), "{name}");
    }
    let why = lab.done(&["status", "mnt", "--explain", "over/base"]);
    assert!(why.contains(r"hidden by the rule override \over of"), "{why}");
    lab.done(&["detach", "mnt", "l"]);
    assert_eq!(read(&lab, "hidden/base").as_deref(), Some("base"));
    assert_eq!(read(&lab, "over/base").as_deref(), Some("base"));
    lab.unmount();
}

#[test]
fn rules_send_writes_elsewhere() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for name in ["own", "cache", "shared", "plain"] {
        lab.put(&format!("base/{name}/file"), b"base");
    }
    lab.put("l.d/shared/layer", b"layer");
    let rules = [
        rule(r"\own", "isolate"),
        rule(r"\cache\", "discard-at-logoff"),
        rule(r"\shared", "exclude"),
    ];
    layer(&lab, "l", &rules.concat());
    lab.mount(&["--base", "base", "--writable", "writable", "--layer", "l.img"]);
    write(&lab, "own/file", "isolated");
    write(&lab, "own/new", "isolated");
    write(&lab, "cache/file", "for now");
    write(&lab, "plain/file", "kept");
    let why = lab.done(&["status", "mnt", "--explain", "own/file"]);
    assert!(
        why.contains("areas") && why.contains(r"by the rule isolate \own of"),
        "{why}"
    );
    // What is excluded is the base's, and the base was not given up for writing.
    assert_eq!(read(&lab, "shared/layer"), None);
    let refused = fs::write(lab.mnt().join("shared/file"), "no").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(30));
    // Seen while the layer is there, and again when it comes back.
    lab.done(&["detach", "mnt", "l"]);
    assert_eq!(read(&lab, "own/file").as_deref(), Some("base"));
    assert_eq!(read(&lab, "own/new"), None);
    assert_eq!(read(&lab, "plain/file").as_deref(), Some("kept"));
    lab.done(&["attach", "mnt", "l.img"]);
    assert_eq!(read(&lab, "own/file").as_deref(), Some("isolated"));
    assert_eq!(read(&lab, "cache/file").as_deref(), Some("for now"));
    lab.unmount();
    assert!(!lab.path("writable/own").exists() && !lab.path("writable/cache").exists());
    assert!(!lab.path("writable/.cvlayer/session").exists());
    lab.mount(&[
        "--base",
        "base",
        "--writable",
        "writable",
        "--layer",
        "l.img",
        "--base-writable",
    ]);
    assert_eq!(read(&lab, "own/new").as_deref(), Some("isolated"));
    assert_eq!(read(&lab, "cache/file").as_deref(), Some("base"));
    write(&lab, "cache/file", "again");
    write(&lab, "shared/file", "written");
    write(&lab, "shared/new", "written");
    fs::remove_file(lab.mnt().join("shared/new")).unwrap();
    write(&lab, "plain/other", "kept");
    // A kill counts as logoff at the next mount.
    lab.kill();
    lab.mount(&["--base", "base", "--writable", "writable", "--layer", "l.img"]);
    assert_eq!(read(&lab, "cache/file").as_deref(), Some("base"));
    lab.unmount();
    assert_eq!(fs::read(lab.path("base/shared/file")).unwrap(), b"written");
    assert!(!lab.path("base/shared/new").exists() && !lab.path("base/plain/other").exists());
}

#[test]
fn a_writable_folder_is_checked_and_repaired_for_newer_layers() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("base/base", b"base");
    for name in ["updated", "removed", "unlinked"] {
        lab.put(&format!("l.d/{name}"), b"of layer 1");
    }
    layer(&lab, "l", &rule(r"\own", "isolate"));
    lab.mount(&["--base", "base", "--writable", "writable", "--layer", "l.img"]);
    for name in ["base", "updated", "removed", "new"] {
        write(&lab, name, "written");
    }
    fs::create_dir(lab.mnt().join("own")).unwrap();
    fs::remove_file(lab.mnt().join("unlinked")).unwrap();
    let refused = lab.refused(&["writable", "check", "writable", "--base", "base"]);
    assert!(refused.contains("another mount has it"), "{refused}");
    lab.unmount();
    let sound = ["writable", "check", "writable", "--base", "base", "--layer", "l.img"];
    assert_eq!(lab.done(&sound), "");
    lab.put("newer.d/updated", b"of layer 2");
    layer(&lab, "newer", "");
    let over = ["writable", "--base", "base", "--layer", "newer.img"];
    let output = lab.run(&[&["writable", "check", "--json"][..], &over].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<&str> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["problem"].as_str().unwrap())
        .collect();
    assert_eq!(found, ["area-of-gone", "origin-gone", "hides-nothing", "shadows"]);
    lab.done(&[&["writable", "repair"][..], &over].concat());
    assert_eq!(lab.done(&[&["writable", "check"][..], &over].concat()), "");
    let aside = lab.path("writable/.cvlayer/set-aside");
    assert_eq!(fs::read(aside.join("updated")).unwrap(), b"written");
    lab.mount(&["--base", "base", "--writable", "writable", "--layer", "newer.img"]);
    assert_eq!(read(&lab, "updated").as_deref(), Some("of layer 2"));
    assert_eq!(read(&lab, "new").as_deref(), Some("written"));
    assert_eq!(read(&lab, "base").as_deref(), Some("written"));
    lab.unmount();
}

#[test]
fn layers_change_their_order_while_they_are_used() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.put(&format!("{name}.d/file"), name.as_bytes());
        layer(&lab, name, "");
    }
    lab.mount(&[
        "--base", "base", "--layer", "a.img", "--layer", "b.img", "--layer", "c.img",
    ]);
    let order = |lab: &Lab| -> String {
        let status: serde_json::Value = serde_json::from_str(&lab.done(&["status", "mnt", "--json"])).unwrap();
        let members = status["members"].as_array().unwrap();
        members.iter().filter_map(|member| member["name"].as_str()).collect()
    };
    let held = fs::File::open(lab.mnt().join("file")).unwrap();
    for (to, expected) in [
        (&["a", "--top"][..], "acb"),
        (&["c", "--bottom"], "abc"),
        (&["c", "--above", "b"], "acb"),
        (&["a", "--below", "b"], "cba"),
        (&["a", "--priority", "7"], "acb"),
        (&["b", "--top"], "bac"),
        (&["b", "--priority", "-1"], "acb"),
    ] {
        lab.done(&[&["order", "mnt"], to].concat());
        assert_eq!(order(&lab), expected, "{to:?}");
        assert_eq!(read(&lab, "file").as_deref(), Some(&expected[..1]));
    }
    assert!(lab.refused(&["order", "mnt", "a", "--above", "a"]).contains("itself"));
    assert_eq!(std::io::read_to_string(&held).unwrap(), "c");
    drop(held);
    lab.unmount();
}

#[test]
fn scripts_run_when_asked_for_and_tell_how_it_went() {
    if !can_mount() {
        return;
    }
    let mut lab = Lab::new();
    lab.put("l.d/file", b"of the layer");
    lab.put(
        "attach.sh",
        b"#!/bin/sh\ncat file \"$CVTOOL_SCRIPTS/beside.txt\"; echo \"$CVTOOL_EVENT $CVTOOL_LAYER_NAME\" > attached\n",
    );
    lab.put("enable.sh", b"echo no good >&2; exit 3\n");
    lab.put("disable.sh", b"sleep 100 & sleep 100\n");
    lab.put("detach.cmd", b"exit /b 0\r\n");
    lab.put("beside.txt", b" and its script");
    let scripts = "[scripts]\non-attach = \"attach.sh\"\non-enable = \"enable.sh\"\non-disable = \"disable.sh\"\n\
        on-detach = \"detach.cmd\"\nfiles = [\"beside.txt\"]\n";
    layer(&lab, "l", scripts);
    lab.mount(&["--base", "base", "--writable", "writable", "--script-limit", "1"]);
    lab.done(&["attach", "mnt", "l.img"]);
    assert_eq!(read(&lab, "attached"), None, "nobody asked for scripts");
    lab.done(&["detach", "mnt", "l"]);
    let output = lab.run(&["attach", "mnt", "l.img", "--run-scripts", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("exit code 3: no good"));
    let timeline: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = ["opened_us", "verified_us", "merged_us", "visible_us", "scripts_us"]
        .map(|step| timeline[step].as_u64().unwrap());
    assert!(steps.is_sorted(), "{steps:?}");
    assert_eq!(timeline["scripts"][0]["exit_code"], 0);
    assert_eq!(timeline["scripts"][0]["output"], "of the layer and its script");
    assert_eq!(timeline["scripts"][1]["exit_code"], 3);
    assert_eq!(read(&lab, "attached").as_deref(), Some("on-attach l\n"));
    // Time is up after a second, for what the script started too; and a script of Windows needs a prefix.
    let begun = Instant::now();
    let output = lab.run(&["detach", "mnt", "l", "--run-scripts"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("took too long") && told.contains("no Wine prefix"),
        "{told}"
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    let events = lab.done(&["status", "mnt", "--events"]);
    let runs = events
        .lines()
        .filter(|line| line.contains(r#""event":"script""#))
        .count();
    assert_eq!(runs, 4);
    lab.unmount();
}
