//! `cvtool reg …` as a user runs it, on hives of the corpus and on hives made here; judged by hivexregedit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_hive::{Key, Value, ValueType, WriteOptions, write_to_vec};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn cvtool(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .arg("reg")
        .args(arguments)
        .current_dir(folder)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap()
}

/// Runs cvtool, which must exit with `status`; gives what it printed on standard output and on standard error.
fn ends(folder: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let output = cvtool(folder, arguments);
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {out}{err}");
    (out, err)
}

/// Runs cvtool, which must succeed and say nothing on standard error.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let (out, err) = ends(folder, arguments, 0);
    assert_eq!(err, "", "{arguments:?}");
    out
}

fn json(folder: &Path, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_slice(&cvtool(folder, arguments).stdout).unwrap()
}

/// Unpacks files of the corpus into `folder`; says so and gives `false` where the corpus is absent.
fn unpack(folder: &Path, names: &[&str]) -> bool {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/hives");
    names.iter().all(|name| {
        let packed: PathBuf = corpus.join(format!("{name}.xz"));
        let Ok(output) = Command::new("xz").arg("-dc").arg(&packed).output() else {
            assert!(std::env::var_os("CI").is_none(), "xz is missing");
            eprintln!("skipped: xz is missing");
            return false;
        };
        if !output.status.success() {
            eprintln!("skipped: no {} in the corpus", packed.display());
            return false;
        }
        std::fs::write(folder.join(name), output.stdout).unwrap();
        true
    })
}

fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A folder with a small hive `SOFTWARE`.
fn software() -> tempfile::TempDir {
    let mut root = Key::new("root");
    let wine = root.subkey_or_insert("Wine");
    wine.values.push(Value::new("", ValueType::SZ, text("default")));
    wine.values
        .push(Value::new("Version", ValueType::SZ, text("9\u{20ac}")));
    wine.values.push(Value::new("Number", ValueType::DWORD, [7, 0, 0, 0]));
    wine.subkey_or_insert("Below").class = Some("class".into());
    let folder = tempfile::tempdir().unwrap();
    let bytes = write_to_vec(&root, &WriteOptions::default()).unwrap();
    std::fs::write(folder.path().join("SOFTWARE"), bytes).unwrap();
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_key_is_listed_by_its_whole_path_or_from_the_root_on() {
    let folder = software();
    let folder = folder.path();
    let expected = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine\n    (Default)  REG_SZ  default\n    Version  REG_SZ  9\u{20ac}\n    \
                    Number  REG_DWORD  0x7 (7)\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Wine\\Below\n";
    for key in [r"HKLM\SOFTWARE\wine", "hklm/software/WINE", "Wine", r"\wine\"] {
        let out = done(folder, &["SOFTWARE", key]);
        assert_eq!(out.to_lowercase(), expected.to_lowercase(), "{key}");
    }
    let out = done(folder, &["SOFTWARE", "-r"]);
    assert!(
        out.ends_with("\n\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Wine\\Below  class class\n"),
        "{out}"
    );
    let listed = json(folder, &["SOFTWARE", "Wine", "--json"]);
    assert_eq!(listed["path"], r"HKEY_LOCAL_MACHINE\SOFTWARE\Wine");
    assert_eq!(listed["values"][1]["value"], "9\u{20ac}");
    assert_eq!(listed["values"][2]["data"], "07000000");
    assert_eq!(listed["subkeys"], serde_json::json!(["Below"]));
    let all = json(folder, &["SOFTWARE", "--json", "--recursive"]);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[2]["class"], "class");

    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine", "version"]), "9\u{20ac}\n");
    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine", "@"]), "default\n");
    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine"]), "default\n");
    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine", "Number"]), "7\n");
    assert_eq!(
        cvtool(folder, &["get", "SOFTWARE", "Wine", "Number", "--raw"]).stdout,
        [7, 0, 0, 0]
    );
    assert_eq!(
        json(folder, &["get", "SOFTWARE", "Wine", "Number", "--json"])["type"],
        "REG_DWORD"
    );

    for (arguments, reason) in [
        (
            &["SOFTWARE", r"HKLM\SYSTEM"][..],
            "stands at HKEY_LOCAL_MACHINE\\SOFTWARE",
        ),
        (
            &["SOFTWARE", "None"],
            "there is no key HKEY_LOCAL_MACHINE\\SOFTWARE\\None",
        ),
        (&["get", "SOFTWARE", "Wine", "None"], "has no value \"None\""),
        (&["nothing"], "nothing: "),
    ] {
        let (_, err) = ends(folder, arguments, 2);
        assert!(err.contains(reason) && err.lines().count() == 1, "{err}");
    }
    std::fs::write(folder.join("other"), "hello").unwrap();
    assert!(ends(folder, &["other"], 2).1.contains("neither a hive"));
}

#[test]
fn hives_are_edited_in_place_and_others_read_them() {
    let folder = software();
    let folder = folder.path();
    let set = |arguments: &[&str]| done(folder, &[&["set", "SOFTWARE"], arguments].concat());
    set(&[r"HKLM\SOFTWARE\New\Deep", "text", "a b"]);
    set(&["New/Deep", "many", "one", "two", "--type", "multi_sz"]);
    set(&["New/Deep", "number", "0xff", "-t", "qword"]);
    set(&["New/Deep", "bytes", "01 02 ff", "-t", "binary"]);
    set(&["New/Deep", "@", "-5"]);
    set(&["Wine", "number", "8", "-t", "dword"]);
    set(&["Empty"]);
    assert_eq!(done(folder, &["get", "SOFTWARE", "New/Deep", "many"]), "one\ntwo\n");
    assert_eq!(done(folder, &["get", "SOFTWARE", "New/Deep"]), "-5\n");
    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine", "Number"]), "8\n");
    assert!(done(folder, &["check", "SOFTWARE"]).contains("no faults found"));
    done(folder, &["delete", "SOFTWARE", "Wine", "version"]);
    done(folder, &["delete", "SOFTWARE", "Wine", "@"]);
    done(folder, &["delete", "SOFTWARE", "Empty"]);
    for (arguments, reason) in [
        (&["delete", "SOFTWARE", "Empty"][..], "there is no key"),
        (&["delete", "SOFTWARE", "Wine", "version"], "has no value"),
        (&["delete", "SOFTWARE", r"HKLM\SOFTWARE"], "cannot be deleted"),
        (
            &["set", "SOFTWARE", "Wine", "x", "y", "-t", "dword"],
            "no number of 32 bits",
        ),
    ] {
        let before = std::fs::read(folder.join("SOFTWARE")).unwrap();
        let (_, err) = ends(folder, arguments, 2);
        assert!(err.contains(reason), "{err}");
        assert_eq!(std::fs::read(folder.join("SOFTWARE")).unwrap(), before);
    }
    assert!(done(folder, &["check", "SOFTWARE"]).contains("no faults found"));
    assert_eq!(names(folder), ["SOFTWARE"]);

    match Command::new("hivexregedit")
        .args(["--export", "SOFTWARE", r"\New\Deep"])
        .current_dir(folder)
        .output()
    {
        Ok(output) => {
            let theirs = String::from_utf8(output.stdout).unwrap();
            assert!(theirs.contains("\"bytes\"=hex(3):01,02,ff"), "{theirs}");
            assert!(theirs.contains("\"number\"=hex(b):ff,00,00,00,00,00,00,00"), "{theirs}");
        }
        Err(error) if std::env::var_os("CI").is_some() => panic!("hivexregedit: {error}"),
        Err(error) => eprintln!("skipped: hivexregedit: {error}"),
    }
}

#[test]
fn reg_files_are_exported_imported_and_compared() {
    let folder = software();
    let folder = folder.path();
    std::fs::copy(folder.join("SOFTWARE"), folder.join("before")).unwrap();
    let patch = "Windows Registry Editor Version 5.00\r\n\r\n[-HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine\\Below]\r\n\r\n\
                 [HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine]\r\n\"Version\"=\"10\"\r\n\"Number\"=-\r\n\r\n\
                 [HKEY_LOCAL_MACHINE\\SOFTWARE\\Added]\r\n\"a\"=hex(7):61,00,00,00,00,00\r\n\r\n";
    std::fs::write(folder.join("patch.reg"), patch).unwrap();
    done(folder, &["import", "SOFTWARE", "patch.reg"]);
    assert!(done(folder, &["check", "SOFTWARE"]).contains("no faults found"));
    assert_eq!(done(folder, &["get", "SOFTWARE", "Wine", "Version"]), "10\n");
    assert_eq!(
        done(folder, &["get", "patch.reg", r"HKLM\SOFTWARE\Wine", "Version"]),
        "10\n"
    );

    std::fs::rename(folder.join("before"), folder.join("software")).unwrap();
    let (out, _) = ends(folder, &["diff", "software", "SOFTWARE"], 1);
    assert_eq!(
        out,
        "+ HKEY_LOCAL_MACHINE\\SOFTWARE\\Added\n+ HKEY_LOCAL_MACHINE\\SOFTWARE\\Added  a  REG_MULTI_SZ  a\n\
         - HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine  Version  REG_SZ  9\u{20ac}\n\
         + HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine  Version  REG_SZ  10\n\
         - HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine  Number  REG_DWORD  0x7 (7)\n\
         - HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine\\Below\n"
    );
    let changes = json(folder, &["diff", "software", "SOFTWARE", "--json"]);
    assert_eq!(changes[0]["change"], "key-added");
    assert_eq!(changes[1]["from"]["value"], "9\u{20ac}");
    ends(folder, &["diff", "software", "SOFTWARE", "--export", "delta.reg"], 1);
    done(folder, &["import", "software", "delta.reg"]);
    done(folder, &["diff", "software", "SOFTWARE"]);
    assert_eq!(done(folder, &["diff", "SOFTWARE", "SOFTWARE", "--strict"]), "");

    for form in ["5", "5-utf8"] {
        done(folder, &["SOFTWARE", "--export", "out.reg", "--form", form]);
        assert_eq!(done(folder, &["diff", "SOFTWARE", "out.reg"]), "");
    }
    done(folder, &["out.reg", "--export", "again.reg", "--form", "5-utf8"]);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    // A .reg file has no root of its own: HKEY_LOCAL_MACHINE is a key of it.
    assert!(read("again.reg").contains(read("out.reg").split_once("\r\n\r\n").unwrap().1));
    // Standard output is written to as it is, by either of its names.
    let names: &[&str] = if cfg!(unix) { &["-", "/dev/stdout"] } else { &["-"] };
    for name in names {
        let printed = done(folder, &["SOFTWARE", "--export", name, "--form", "5-utf8"]);
        assert_eq!(printed, read("out.reg"));
    }
    // "€" is in Windows-1252, "α" is not.
    done(folder, &["set", "SOFTWARE", "Wine", "alpha", "\u{3b1}"]);
    let (_, err) = ends(folder, &["SOFTWARE", "Wine", "--export", "four.reg", "--form", "4"], 2);
    assert!(err.contains("left out") && err.contains("alpha"), "{err}");
    assert!(read("four.reg").starts_with("REGEDIT4\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Wine]\r\n"));

    std::fs::write(folder.join("bad.reg"), "REGEDIT4\n\n[HKCU\\Software]\n\"a\"=b\n").unwrap();
    let (_, err) = ends(folder, &["import", "SOFTWARE", "bad.reg"], 2);
    assert!(err.contains("bad.reg: line 4, column 5: expected"), "{err}");
    std::fs::write(
        folder.join("bad.reg"),
        "REGEDIT4\n\n[HKLM\\SOFTWARE\\X]\n[HKCU\\Software]\n",
    )
    .unwrap();
    let before = std::fs::read(folder.join("SOFTWARE")).unwrap();
    ends(folder, &["import", "SOFTWARE", "bad.reg"], 2);
    assert_eq!(std::fs::read(folder.join("SOFTWARE")).unwrap(), before);
    let (_, err) = ends(folder, &["import", "SOFTWARE", "bad.reg", "--skip-elsewhere"], 0);
    assert_eq!(err, "");
    ends(folder, &["set", "out.reg", "HKLM", "a", "b"], 2);
}

#[test]
fn dirty_hives_are_recovered_in_memory_and_not_edited() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !unpack(
        folder,
        &[
            "yarp-OldDirtyHive",
            "yarp-OldDirtyHive.LOG1",
            "yarp-RecoveredHive_Windows7",
            "amcache.hve",
        ],
    ) {
        return;
    }
    let before = std::fs::read(folder.join("yarp-OldDirtyHive")).unwrap();
    let (_, err) = ends(folder, &["yarp-OldDirtyHive"], 0);
    assert!(
        err.contains("it is dirty; recovered in memory from") && err.contains("LOG1"),
        "{err}"
    );
    let (_, err) = ends(folder, &["diff", "yarp-OldDirtyHive", "yarp-RecoveredHive_Windows7"], 0);
    assert!(err.contains("recovered in memory"), "{err}");
    let (_, err) = ends(folder, &["set", "yarp-OldDirtyHive", "a", "b", "c"], 2);
    assert!(err.contains("cvtool reg recover"), "{err}");
    assert_eq!(std::fs::read(folder.join("yarp-OldDirtyHive")).unwrap(), before);
    ends(folder, &["check", "yarp-OldDirtyHive"], 1);

    let out = done(folder, &["recover", "yarp-OldDirtyHive", "-o", "out"]);
    assert!(out.contains("applied: ./yarp-OldDirtyHive.LOG1"), "{out}");
    done(folder, &["diff", "out", "yarp-RecoveredHive_Windows7"]);
    done(
        folder,
        &["recover", "yarp-OldDirtyHive", "--log", "yarp-OldDirtyHive.LOG1"],
    );
    assert_eq!(
        std::fs::read(folder.join("out")).unwrap(),
        std::fs::read(folder.join("yarp-OldDirtyHive")).unwrap()
    );
    assert!(done(folder, &["recover", "yarp-OldDirtyHive"]).contains("it is clean"));
    done(folder, &["set", "yarp-OldDirtyHive", "a", "b", "c"]);

    let (_, err) = ends(folder, &["amcache.hve"], 0);
    assert!(err.contains("may be out of date"), "{err}");
    let (_, err) = ends(folder, &["recover", "amcache.hve"], 2);
    assert!(err.contains("there is no transaction log"), "{err}");
    done(folder, &["check", "amcache.hve", "--repair"]);
    done(folder, &["check", "amcache.hve"]);
    done(folder, &["set", "amcache.hve", "a", "b", "c"]);
}

#[test]
fn delta_hives_keep_their_deletions() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if !unpack(folder, &["System_Delta"]) {
        return;
    }
    done(folder, &["delete", "System_Delta", r"Gone\Key", "--tombstone"]);
    done(folder, &["delete", "System_Delta", "Kept", "value", "--tombstone"]);
    let listed = json(folder, &["System_Delta", r"Gone\Key", "--json"]);
    assert_eq!(listed["state"], "tombstone");
    assert_eq!(
        json(folder, &["System_Delta", "Kept", "--json"])["values"][0]["deleted"],
        true
    );
    done(
        folder,
        &["System_Delta", "Kept", "--export", "kept.reg", "--form", "5-utf8"],
    );
    assert!(
        std::fs::read_to_string(folder.join("kept.reg"))
            .unwrap()
            .contains("\"value\"=-\r\n")
    );
    done(folder, &["set", "System_Delta", r"Gone\Key", "again", "1"]);
    assert_eq!(
        json(folder, &["System_Delta", r"Gone\Key", "--json"])["state"],
        "supersede-tree"
    );
    done(folder, &["check", "System_Delta"]);
}

#[test]
fn files_of_wine_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let wine = "WINE REGISTRY Version 2\n;; All keys relative to REGISTRY\\\\Machine\n\n#arch=win64\n\n\
                [Software\\\\Wine] 1700053336\n#time=1da17c3f54ba000\n\"Version\"=\"win10\"\n";
    std::fs::write(folder.join("system.reg"), wine).unwrap();
    assert_eq!(
        done(folder, &["get", "system.reg", r"HKLM\Software\Wine", "Version"]),
        "win10\n"
    );
    done(folder, &["system.reg", "Software", "--export", "out.reg"]);
    done(folder, &["diff", "system.reg", "out.reg"]);
    let (_, err) = ends(folder, &["set", "system.reg", "a", "b", "c"], 2);
    assert!(err.contains("it is no hive"), "{err}");
}
