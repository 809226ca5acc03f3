//! Registry files of the mount: merged of the base's and the deltas of layers, read and written by others' tools.

use super::support::{Lab, can_mount, has_tool};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const LAYER: &str = r#"
[layer]
name = "Settings"
version = "1"

[[registry]]
key = 'HKLM\SOFTWARE\Vendor\App'
[registry.values]
Version = "2.0"
Count = 7

[[registry]]
key = 'HKLM\SYSTEM\CurrentControlSet\Services\AppService'
[registry.values]
Start = 2

[[registry]]
key = 'HKCU\Software\Vendor'
[registry.values]
Theme = "dark"
"#;

/// What a model of the merge is made of: what the layer says, in the words of another tool, over the base's hive.
const MODEL: [(&str, &str); 3] = [
    (
        "SOFTWARE",
        "[\\Vendor\\App]\n\"Version\"=\"2.0\"\n\"Count\"=dword:00000007\n",
    ),
    (
        "SYSTEM",
        "[\\ControlSet001\\Services\\AppService]\n\"Start\"=dword:00000002\n",
    ),
    ("NTUSER.DAT", "[\\Software\\Vendor]\n\"Theme\"=\"dark\"\n"),
];

const CONFIG: &str = "Windows/System32/config";
const PROFILE: &str = "Users/Alice/NTUSER.DAT";

fn tools_are_here() -> bool {
    let here = ["hivexregedit", "xz"].iter().all(|tool| has_tool(tool));
    // These have no --version.
    let here = here
        && ["reglookup", "regfexport"].iter().all(|tool| {
            let found = Command::new(tool)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok();
            assert!(found || std::env::var_os("CI").is_none(), "{tool} is missing");
            found
        });
    here && can_mount()
}

fn merge_by_hivex(hive: &Path, reg: &str) {
    let mut child = Command::new("hivexregedit")
        .args(["--merge", "--prefix", r"\"])
        .arg(hive)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("Windows Registry Editor Version 5.00\n\n{reg}");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// What hivexregedit reads of a hive: keys and the lines of their values.
fn read_by_hivex(hive: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new("hivexregedit")
        .args(["--export", "--prefix", r"\"])
        .arg(hive)
        .arg(r"\")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut key = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            key = line.to_lowercase();
            keys.entry(key.clone()).or_default();
        } else {
            keys.entry(key.clone()).or_default().insert(line.to_owned());
        }
    }
    keys
}

/// What reglookup, which is faster, reads of a hive: each key and value, without times.
fn read_by_reglookup(hive: &Path) -> BTreeSet<String> {
    let text = listed(Command::new("reglookup").arg("-H").arg(hive));
    let line = |line: &str| line.splitn(4, ',').take(3).collect::<Vec<_>>().join(",");
    text.lines().map(line).collect()
}

fn unpack(name: &str, to: &Path) -> bool {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/hives");
    let packed = corpus.join(format!("{name}.xz"));
    let plain = corpus.join(name);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if plain.is_file() {
        fs::copy(plain, to).unwrap();
        return true;
    }
    if !packed.is_file() {
        eprintln!("skipped: no {} in the corpus", packed.display());
        return false;
    }
    let output = Command::new("xz").arg("-dc").arg(packed).output().unwrap();
    fs::write(to, output.stdout).unwrap();
    true
}

/// A machine with real hives, and a layer with deltas; nothing where the corpus is absent.
fn machine() -> Option<Lab> {
    let lab = Lab::new();
    let config = lab.path("base").join(CONFIG);
    let there = unpack("minimal", &config.join("SOFTWARE"))
        && unpack("SYSTEM", &config.join("SYSTEM"))
        && unpack("NTUSER.DAT", &lab.path("base").join(PROFILE));
    if !there {
        return None;
    }
    merge_by_hivex(
        &config.join("SOFTWARE"),
        "[\\Vendor]\n\n[\\Vendor\\App]\n\"Version\"=\"1.0\"\n\"Kept\"=\"yes\"\n\n[\\Other]\n\"Number\"=dword:00000005\n",
    );
    lab.put("layer.toml", LAYER.as_bytes());
    lab.done(&["build", "layer.toml", "-o", "layer.vhdx"]);
    Some(lab)
}

fn hive(lab: &Lab, name: &str) -> PathBuf {
    let root = lab.mnt();
    if name == "NTUSER.DAT" {
        root.join(PROFILE)
    } else {
        root.join(CONFIG).join(name)
    }
}

fn get(lab: &Lab, file: &str, key: &str, value: &str) -> Option<String> {
    let output = lab.run(&["reg", "get", file, key, value]);
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

fn listed(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn merged_hives_are_read_by_others_and_written_back_as_deltas() {
    if !tools_are_here() {
        return;
    }
    let Some(mut lab) = machine() else { return };
    lab.pack("base", "base.vhdx");
    let stack = ["--base", "base.vhdx", "--layer", "layer.vhdx", "--writable", "writable"];
    lab.mount(&stack);

    // Each merged hive is what another tool makes of the base's and the layer's.
    for (name, reg) in MODEL {
        let model = lab.path(name);
        let own = if name == "NTUSER.DAT" {
            PROFILE.to_owned()
        } else {
            format!("{CONFIG}/{name}")
        };
        fs::copy(lab.path("base").join(own), &model).unwrap();
        merge_by_hivex(&model, reg);
        assert!(
            read_by_reglookup(&hive(&lab, name)) == read_by_reglookup(&model),
            "{name} differs"
        );
        assert_eq!(
            fs::metadata(hive(&lab, name)).unwrap().len(),
            fs::read(hive(&lab, name)).unwrap().len() as u64
        );
    }
    let software = hive(&lab, "SOFTWARE");
    assert_eq!(read_by_hivex(&software), read_by_hivex(&lab.path("SOFTWARE")));
    let seen = listed(Command::new("reglookup").args(["-p", "Vendor"]).arg(&software));
    assert!(seen.contains("/Vendor/App/Count,DWORD,0x00000007"), "{seen}");
    let seen = listed(Command::new("regfexport").arg(&software));
    assert!(seen.contains("Count") && seen.contains("2.0"), "{seen}");

    // What is written in one is a delta in the writable folder, and nothing else.
    merge_by_hivex(
        &software,
        "[\\Vendor\\App]\n\"Own\"=\"mine\"\n\"Version\"=-\n\n[-\\Other]\n",
    );
    let delta = "writable/.cvlayer/Hives/SOFTWARE";
    assert_eq!(get(&lab, delta, r"Vendor\App", "Own").as_deref(), Some("mine"));
    let shown = read_by_hivex(&software);
    let app = &shown["[\\vendor\\app]"];
    assert!(app.len() == 3 && !shown.contains_key("[\\other]"), "{shown:?}");
    assert!(!lab.path("writable/Windows").exists());
    assert!(!lab.path("writable/.cvlayer/registry/SOFTWARE.live").exists());

    // Layers come and go, and what was written stays.
    lab.done(&["detach", "mnt", "layer.vhdx"]);
    let app = &read_by_hivex(&software)["[\\vendor\\app]"];
    assert!(
        app.iter().all(|line| !line.contains("Count")) && app.len() == 2,
        "{app:?}"
    );
    lab.done(&["attach", "mnt", "layer.vhdx"]);
    assert_eq!(read_by_hivex(&software)["[\\vendor\\app]"].len(), 3);
    let explained = lab.done(&[
        "status",
        "mnt",
        "--explain",
        r"HKLM\SOFTWARE\Vendor\App",
        "--value",
        "version",
    ]);
    assert!(
        explained.contains("tombstone wins") && explained.contains("2.0"),
        "{explained}"
    );
    assert!(explained.contains("hidden by the value-tombstone"), "{explained}");

    // A kill takes nothing that was synced; what is no hive goes to nobody.
    let changed = lab.path("changed");
    fs::copy(&software, &changed).unwrap();
    merge_by_hivex(&changed, "[\\Vendor\\App]\n\"Late\"=\"kept\"\n");
    let file = fs::OpenOptions::new().write(true).open(&software).unwrap();
    let bytes = fs::read(&changed).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.sync_all().unwrap();
    lab.kill();
    drop(file);
    lab.mount(&stack);
    assert!(
        read_by_hivex(&software)["[\\vendor\\app]"]
            .iter()
            .any(|line| line.contains("Late"))
    );
    assert_eq!(get(&lab, delta, r"Vendor\App", "Late").as_deref(), Some("kept"));
    fs::write(&software, b"no hive").unwrap();
    assert!(read_by_hivex(&software).contains_key("[\\vendor\\app]"));
    assert!(lab.path("writable/.cvlayer/set-aside/registry/SOFTWARE.live").is_file());
    // A file put in its place is taken for what its writer made of what he read.
    let beside = lab.mnt().join("Windows/new");
    fs::copy(&software, &beside).unwrap();
    merge_by_hivex(&beside, "[\\Renamed]\n\"x\"=\"y\"\n");
    fs::rename(&beside, &software).unwrap();
    assert!(!beside.exists() && !lab.path("writable/Windows/new").exists());
    assert!(read_by_hivex(&software).contains_key("[\\renamed]"));
    assert_eq!(get(&lab, delta, "Renamed", "x").as_deref(), Some("y"));
    lab.unmount();
}

#[test]
fn rules_hold_for_keys() {
    if !tools_are_here() {
        return;
    }
    let Some(mut lab) = machine() else { return };
    let rules = [
        (r"Vendor\App", "override"),
        ("Other", "exclude"),
        ("Alone", "isolate"),
        ("Lost", "discard-at-logoff"),
    ];
    let rules = rules
        .map(|(key, action)| format!("[[policy.registry]]\nkey = 'HKLM\\SOFTWARE\\{key}'\naction = \"{action}\"\n"));
    lab.put("ruled.toml", format!("{LAYER}{}", rules.concat()).as_bytes());
    lab.done(&["build", "ruled.toml", "-o", "ruled.vhdx"]);
    // Before anything is mounted: a layer rules keys without having any.
    let hiding = "[layer]\nname = \"Hiding\"\n[[policy.registry]]\nkey = 'HKLM\\SOFTWARE\\Vendor'\naction = \"hide\"\n";
    lab.put("hiding.toml", hiding.as_bytes());
    lab.done(&["build", "hiding.toml", "-o", "hiding.vhdx"]);
    let explained = lab.run(&["explain", "layer.vhdx", "hiding.vhdx", r"HKLM\SOFTWARE\Vendor\App"]);
    let text = String::from_utf8_lossy(&explained.stdout);
    assert!(
        explained.status.code() == Some(1) && text.contains("hidden by a rule in hiding.vhdx"),
        "{text}"
    );
    let stack = ["--base", "base", "--layer", "ruled.vhdx", "--writable", "writable"];
    lab.mount(&stack);
    let software = hive(&lab, "SOFTWARE");
    let shown = read_by_hivex(&software);
    assert!(
        shown["[\\vendor\\app]"].iter().all(|line| !line.contains("Kept")),
        "{shown:?}"
    );
    merge_by_hivex(
        &software,
        "[\\Plain]\n\"x\"=\"1\"\n\n[\\Alone]\n\"x\"=\"1\"\n\n[\\Lost]\n\"x\"=\"1\"\n\n[\\Other]\n\"x\"=\"1\"\n",
    );
    let shown = read_by_hivex(&software);
    let has = |key: &str| {
        shown
            .get(key)
            .is_some_and(|lines| lines.iter().any(|line| line.contains("\"x\"")))
    };
    assert_eq!(
        ["[\\plain]", "[\\alone]", "[\\lost]", "[\\other]"].map(has),
        [true, true, true, false],
        "{shown:?}"
    );
    let explained = lab.done(&["status", "mnt", "--explain", r"HKLM\SOFTWARE\Alone"]);
    assert!(
        explained.contains("areas") && explained.contains("isolate"),
        "{explained}"
    );
    let status = lab.done(&["status", "mnt", "--json"]);
    assert!(status.contains("discard-at-logoff"), "{status}");
    lab.done(&["detach", "mnt", "ruled.vhdx"]);
    let shown = read_by_hivex(&software);
    assert!(
        shown.contains_key("[\\plain]") && !shown.contains_key("[\\alone]"),
        "{shown:?}"
    );
    lab.unmount();
    lab.mount(&stack);
    let shown = read_by_hivex(&software);
    assert!(
        shown.contains_key("[\\alone]") && !shown.contains_key("[\\lost]"),
        "{shown:?}"
    );
    lab.unmount();
}

#[test]
fn classes_of_a_user_stand_in_their_own_hive() {
    if !tools_are_here() {
        return;
    }
    let mut lab = Lab::new();
    let [alice, bob] = ["Alice", "Bob"].map(|user| format!("Users/{user}/NTUSER.DAT"));
    let classes = "Users/Alice/AppData/Local/Microsoft/Windows/UsrClass.dat";
    let base = lab.path("base");
    if ![&*alice, &*bob, classes]
        .iter()
        .all(|file| unpack("minimal", &base.join(file)))
    {
        return;
    }
    merge_by_hivex(&base.join(classes), "[\\App.Document]\n\"Kept\"=\"yes\"\n");
    let layer = "[layer]\nname = \"Classes\"\n[[registry]]\nkey = 'HKCU\\Software\\Classes\\App.Document'\n\
                 values = { Version = \"2\" }\n[[registry]]\nkey = 'HKCU\\Software\\App'\nvalues = { Theme = \"dark\" }\n";
    lab.put("layer.toml", layer.as_bytes());
    lab.done(&["build", "layer.toml", "-o", "layer.vhdx"]);
    lab.mount(&["--base", "base", "--layer", "layer.vhdx", "--writable", "writable"]);
    let read = |file: &str| read_by_hivex(&lab.mnt().join(file));
    let (theme, class) = (r"[\software\app]", r"[\software\classes\app.document]");
    // Where a profile has no file for them, classes are in the user's hive; else they are in the file alone.
    assert!(read(&bob).contains_key(theme) && read(&bob).contains_key(class));
    assert!(read(&alice).contains_key(theme) && !read(&alice).contains_key(class));
    let shown = read(classes);
    assert_eq!(shown[r"[\app.document]"].len(), 2, "{shown:?}");
    assert!(!shown.keys().any(|key| key.contains("software")), "{shown:?}");
    // What is written there is a delta of the user's hive.
    merge_by_hivex(
        &lab.mnt().join(classes),
        "[\\App.Document]\n\"Own\"=\"mine\"\n\"Kept\"=-\n",
    );
    let delta = "writable/.cvlayer/Hives/USER";
    let key = r"Software\Classes\App.Document";
    assert_eq!(get(&lab, delta, key, "Own").as_deref(), Some("mine"));
    assert_eq!(read(classes)[r"[\app.document]"].len(), 2);
    assert!(!lab.path("writable/Users").exists());
    lab.unmount();
}
