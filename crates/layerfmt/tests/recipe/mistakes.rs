//! What is said of mistakes, and where.

use crate::memory::{Memory, build_in, parse};

fn mistakes(text: &str) -> Vec<String> {
    parse(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn all_mistakes_are_told_with_line_and_column() {
    let text = r#"
[layer]
name = "x"
verison = "1"
kind = "apps"
os = { minimum = "ten" }

[[source]]
folder = "a"
into = 'D:\x'
inlcude = ["b"]

[[source]]
into = 'x'

[[source]]
folder = "${MISSING}"
exclude = ["[a"]
strip = "1"

[[registry]]
key = 'HKLM\SOFTWARE\x'
values = { a = 1.5, b = 0x1_0000_0000, c = { binary = "xyz" }, d = { dword = 1, text = "" }, e = [1] }

[[shortcuts]]
name = "x"

[[service]]
image = "x"
start = "automatc"
"#;
    assert_eq!(
        mistakes(text),
        [
            r#"4:1: unknown key "verison"; did you mean "version"?"#,
            r#"5:8: kind is one of base, app, data, writable, not "apps"; did you mean "app"?"#,
            r#"6:18: minimum is a version such as "10.0.19045", not "ten""#,
            r#"10:8: "D:\\x" is no path on drive C:: `:` at 1 is not allowed"#,
            r#"11:1: unknown key "inlcude"; did you mean "include"?"#,
            "13:1: a source has one of folder, file, archive, wheel, layer or image",
            "17:10: the variable MISSING has no value",
            r#"18:12: "[a" is no pattern: unclosed character class; missing ']'"#,
            "19:9: strip must be a number, and is string",
            r#"23:16: a: a value is a text, a number, an array of texts, or a table such as { expand = "..." }"#,
            "23:25: a plain number has 32 bits; write { qword = ... } for one of 64",
            r#"23:55: binary is bytes in hexadecimal digits, such as "00 ff""#,
            "23:68: d: a value's table has one of text, expand, multi, dword, qword, binary, delete or type and data",
            r#"23:99: e: an array holds texts; bytes are { binary = "00 ff" }"#,
            r#"25:3: unknown key "shortcuts"; did you mean "shortcut"?"#,
            "28:1: name is missing",
            r#"30:9: start is one of boot, system, automatic, delayed, manual, disabled, not "automatc"; did you mean "automatic"?"#,
        ]
    );
}

#[test]
fn rules_and_ranges_that_no_layer_may_have_are_mistakes() {
    let text = r#"
[layer]
name = "x"
[[requires]]
name = "other"
version = ">=1, <"
[[policy.files]]
path = 'C:\ProgramData\a*b'
action = "hide"
[[policy.files]]
path = 'C:'
action = "hide"
[[policy.registry]]
key = 'HKCR\.txt'
action = "hide"
[[policy.registry]]
key = 'HKCU\Software\*\App*\'
action = "isolate"
"#;
    assert_eq!(
        mistakes(text),
        [
            r#"6:11: version is comparisons such as ">=1.2, <2""#,
            r#"8:8: the rule "C:\\ProgramData\\a*b" has a `*` that is not at the end of a name"#,
            r#"11:8: the rule "C:" is of no path"#,
            r#"14:7: the rule "HKCR\\.txt" is of a key in no hive of a layer"#,
        ]
    );
}

#[test]
fn what_is_no_toml_is_told_with_line_and_column() {
    let told = mistakes("[layer]\nname = \"x\nversion = 1 2\n");
    assert!(told[0].starts_with("2:"), "{told:?}");
    assert!(told.iter().any(|mistake| mistake.starts_with("3:")), "{told:?}");
    assert_eq!(mistakes(""), ["1:1: the table [layer] is missing"]);
    let deep = format!("[layer]\nname = {}", "[".repeat(100_000));
    assert!(!mistakes(&deep).is_empty());
}

#[test]
fn files_that_do_not_go_are_told_where_the_recipe_names_them() {
    let text = r"
[layer]
name = 'x'
[[source]]
folder = 'absent'
[[source]]
folder = 'files'
exclude = ['*']
[[registry]]
file = 'broken.reg'
[[registry]]
file = 'elsewhere.reg'
[[registry]]
file = 'none.reg'
[[registry]]
key = 'HKU\x'
[[registry]]
hive = 'broken.reg'
key = 'HKLM\SOFTWARE'
[[font]]
file = 'broken.reg'
[[shortcut]]
name = 'a'
target = 'relative.exe'
[scripts]
on-attach = 'none.ps1'
";
    let memory = Memory(
        [
            ("files/a", Vec::new()),
            ("broken.reg", b"REGEDIT4\n\n[HKEY_LOCAL_MACHINE\\a\n".to_vec()),
            ("elsewhere.reg", b"REGEDIT4\n\n[HKEY_USERS\\a]\n".to_vec()),
        ]
        .into(),
    );
    let told = build_in(&memory, text).unwrap_err();
    let starts = [
        "5:10: absent: nothing in it is taken",
        "7:10: files: nothing in it is taken",
        "10:8: broken.reg:3:",
        r"12:8: elsewhere.reg: HKEY_USERS\a: layers hold",
        "14:8: none.reg: no such file",
        r"16:7: HKEY_USERS\x: layers hold",
        "18:8: broken.reg: ",
        "21:8: broken.reg: no font that has a name",
        "22:1: the target \"relative.exe\" is neither",
        "26:13: none.ps1: no such file",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (mistake, start) in told.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{mistake:?}, expected {start:?}");
    }
}
