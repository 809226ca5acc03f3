//! `.reg` files read and written.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_hive::reg::{Exporter, Form, KeyAction, Patch, Reason};
use cv_hive::{Deletions, Key, KeyPath, KeyState, Name, Value, ValueState, ValueType};
use proptest::prelude::*;
use std::fmt::Write;

#[path = "support/text_trees.rs"]
mod trees;

const TOP: &str = r"HKEY_CURRENT_USER\Software";

fn top() -> KeyPath {
    KeyPath::parse(TOP).unwrap()
}

fn delta(text: &str) -> Key {
    Patch::parse(text.as_bytes()).unwrap().into_delta(&top(), 0).unwrap()
}

/// The values that a file with these lines sets in the key [`TOP`].
fn values(version: &str, lines: &str) -> Vec<Value> {
    delta(&format!("{version}\r\n\r\n[{TOP}]\r\n{lines}")).values
}

fn export(tree: &Key, form: Form) -> (Vec<u8>, cv_hive::reg::Omitted) {
    let mut exporter = Exporter::new(Vec::new(), form, &top()).unwrap();
    tree.visit(&mut exporter).unwrap();
    exporter.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn values_of_every_type_are_read() {
    let values = values(
        "Windows Registry Editor Version 5.00",
        "@=\"default\"\n\
         \"a\\\"\\\\b\"=\"C:\\\\dir\\\\\\\"x\\\"\"   ; comment\r\n\
         \"number\" = dword:1F\n\
         \"binary\"=hex:01,2,ff\n\
         \"empty\"=hex:\n\
         \"expand\"=hex(2):25,00,00,00\n\
         \"multi\"=hex(7):61,00,\\\r\n  00,00,\\ ; comment\r\n\r\n  ;another\r\n00,00\r\n\
         \"big\"=hex(b):01,00,00,00,00,00,00,00\n\
         \"odd\"=hex(ffff0012):aa,\n\
         # comment\n\
         \"gone\"=-",
    );
    let found: Vec<_> = values
        .iter()
        .map(|value| {
            (
                value.name.to_string(),
                value.value_type.0,
                value.data.to_vec(),
                value.state,
            )
        })
        .collect();
    let present = |name: &str, kind, data: &[u8]| (name.to_owned(), kind, data.to_vec(), ValueState::Present);
    assert_eq!(
        found,
        [
            present("", 1, &utf16("default\0")),
            present("a\"\\b", 1, &utf16("C:\\dir\\\"x\"\0")),
            present("number", 4, &[0x1F, 0, 0, 0]),
            present("binary", 3, &[1, 2, 0xFF]),
            present("empty", 3, &[]),
            present("expand", 2, &utf16("%\0")),
            present("multi", 7, &utf16("a\0\0")),
            present("big", 11, &[1, 0, 0, 0, 0, 0, 0, 0]),
            present("odd", 0xFFFF_0012, &[0xAA]),
            ("gone".to_owned(), 0, Vec::new(), ValueState::Tombstone),
        ]
    );
}

#[test]
fn version_4_has_its_texts_in_the_code_page() {
    let text =
        b"REGEDIT4\n[HKCU\\Software]\n\"\x80\"=\"\xE4\"\n\"e\"=hex(2):80,00\n\"m\"=hex(7):e4,00,00\n\"b\"=hex:80\n";
    let tree = Patch::parse(text).unwrap().into_delta(&top(), 0).unwrap();
    let data: Vec<_> = tree.values.iter().map(|value| value.data.to_vec()).collect();
    assert_eq!(
        data,
        [utf16("\u{e4}\0"), utf16("\u{20ac}\0"), utf16("\u{e4}\0\0"), vec![0x80]]
    );
    assert_eq!(tree.values[0].name, Name::from("\u{20ac}"));
    let (bytes, omitted) = export(&tree, Form::Regedit4);
    assert!(omitted.is_empty());
    assert_eq!(Patch::parse(&bytes).unwrap().into_delta(&top(), 0).unwrap(), tree);
}

/// What Windows' `reg import` refuses, by the tests that Wine runs on Windows.
#[test]
fn what_windows_does_not_import_is_an_error_with_its_place() {
    let place = |lines: &str| {
        let text = format!("REGEDIT4\n\n[{TOP}]\n{lines}\n");
        let error = Patch::parse(text.as_bytes()).unwrap_err();
        (error.line, error.column)
    };
    for (lines, column) in [
        ("\"a\"=\"Value 1\"#comment", 14),
        ("\"a\"=dword:1 #comment", 13),
        ("\"a\"=hex(7):4c,69,\\\n  #comment\n  63", 3),
        ("\"a\"=#\"Value 8\"", 5),
        ("\"a\"=;\"Value 9\"", 5),
        ("\"a\"=hex(7):4c,20\\\n,63", 17),
        ("\"a\"=hex:11,22,4\\\n4,55", 16),
        ("\"a\"=dword:", 11),
        ("\"a\"=dword:hello", 11),
        ("\"a\"=dword:123456789", 19),
        ("\"a\"=dword:0x123", 12),
        ("\"a\"=dword:1234 5678", 16),
        ("\"a\"=\"foo\"bar\"", 10),
        ("\"a\"=", 5),
        ("\"a\"=\\\"Value\\\"", 5),
        ("\"a\"=Value", 5),
        ("a=\"b\"", 1),
        ("\"a\"=\"b", 5),
        ("[HKCU\\Software", 15),
        ("[]", 2),
    ] {
        let (line, found) = place(lines);
        let expected = if lines.contains('\n') && column == 3 { 5 } else { 4 };
        assert_eq!((line, found), (expected, column), "{lines}");
    }
    for text in [
        "",
        "REGEDIT5\n",
        "regedit4\n",
        "REGEDIT4FOO\n",
        "Windows Registry Editor Version 5\n",
    ] {
        let error = Patch::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.line, 1, "{text}: {error}");
    }
    let error = Patch::parse(b"REGEDIT4\r\n\r\n\"a\"=\"b\"\r\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"line 3, column 1: expected a key in brackets, found "\"a\"=\"b\"""#
    );
    let error = Patch::parse(format!("REGEDIT4\n[HKLM\\{}]\n", "a\\".repeat(600)).as_bytes()).unwrap_err();
    assert_eq!((error.line, error.expected.as_str()), (2, "a path of at most 512 keys"));
}

/// The lines that Windows' `reg export` wrote for the same keys, by the tests that Wine runs on Windows.
#[test]
fn exports_are_those_of_windows() {
    let mut root = Key::new("x");
    root.values
        .push(Value::new("DWORD", ValueType::DWORD, [0, 1, 0, 0].to_vec()));
    root.values
        .push(Value::new("String", ValueType::SZ, utf16("Your text here...\0")));
    let key = root.subkey_or_insert("Subkey1");
    key.values
        .push(Value::new("Undefined hex", ValueType(0x100), b"%PATH%\0".to_vec()));
    let key = root.subkey_or_insert("Subkey2a");
    key.values
        .push(Value::new("double\"quote", ValueType::SZ, utf16("\"Hello, World!\"\0")));
    let key = key.subkey_or_insert("Subkey2b");
    key.values
        .push(Value::new("", ValueType::SZ, utf16("Default value name\0")));
    key.values.push(Value::new(
        "Multiple strings",
        ValueType::MULTI_SZ,
        utf16("Line1\0Line2\0Line3\0\0"),
    ));
    key.values.push(Value::new("empty", ValueType::DWORD, Vec::new()));
    let expected = "Windows Registry Editor Version 5.00\r\n\r\n\
        [HKEY_CURRENT_USER\\Software]\r\n\
        \"DWORD\"=dword:00000100\r\n\
        \"String\"=\"Your text here...\"\r\n\r\n\
        [HKEY_CURRENT_USER\\Software\\Subkey1]\r\n\
        \"Undefined hex\"=hex(100):25,50,41,54,48,25,00\r\n\r\n\
        [HKEY_CURRENT_USER\\Software\\Subkey2a]\r\n\
        \"double\\\"quote\"=\"\\\"Hello, World!\\\"\"\r\n\r\n\
        [HKEY_CURRENT_USER\\Software\\Subkey2a\\Subkey2b]\r\n\
        @=\"Default value name\"\r\n\
        \"Multiple strings\"=hex(7):4c,00,69,00,6e,00,65,00,31,00,00,00,4c,00,69,00,6e,\\\r\n\
        \x20 00,65,00,32,00,00,00,4c,00,69,00,6e,00,65,00,33,00,00,00,00,00\r\n\
        \"empty\"=hex(4):\r\n\r\n";
    let (bytes, omitted) = export(&root, Form::Version5);
    assert!(omitted.is_empty());
    assert_eq!(bytes[..2], [0xFF, 0xFE]);
    assert_eq!(
        cv_winname::wtf8::display(&cv_winname::wtf8::from_le_bytes(&bytes[2..])),
        expected
    );
    assert_eq!(export(&root, Form::Version5Utf8).0, expected.as_bytes());
}

#[test]
fn deletions_are_tombstones_in_a_delta_and_removals_in_a_tree() {
    let text = "REGEDIT4\n[-HKCU\\Software\\A]\n[-hkcu\\software\\A\\deeper]\n[-HKCU\\Software\\B]\n[HKCU\\Software\\b\\New]\n\
                [HKCU\\Software\\C]\n\"V\"=-\n[-HKCU\\Software\\None\\At\\All]\n";
    let patch = Patch::parse(text.as_bytes()).unwrap();
    assert_eq!(patch.changes[0].action, KeyAction::Delete);
    let delta = patch.clone().into_delta(&top(), 7).unwrap();
    let state = |name: &str| delta.subkey(name).unwrap().state;
    assert_eq!(state("a"), KeyState::Tombstone);
    assert!(delta.subkey("a").unwrap().subkeys.is_empty());
    assert_eq!(state("b"), KeyState::SupersedeTree);
    assert_eq!(delta.subkey("c").unwrap().values[0].state, ValueState::Tombstone);
    assert_eq!(delta.subkey("c").unwrap().last_written, 7);

    let mut tree = Key::new("");
    tree.subkey_or_insert("A").subkey_or_insert("Deeper");
    tree.subkey_or_insert("B").subkey_or_insert("Old");
    let value = Value::new("v", ValueType::SZ, Vec::new());
    tree.subkey_or_insert("C").values.push(value);
    patch.clone().apply(&mut tree, &top(), Deletions::Remove, 7).unwrap();
    let names: Vec<_> = tree.subkeys.iter().map(|key| key.name.to_string()).collect();
    assert_eq!(names, ["B", "C"]);
    assert!(tree.subkey("b").unwrap().subkey("old").is_none());
    assert!(tree.subkey("b").unwrap().subkey("new").is_some());
    assert!(tree.subkey("c").unwrap().values.is_empty());

    let error = patch
        .apply(&mut tree, &KeyPath::parse("HKLM").unwrap(), Deletions::Remove, 0)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        r"the key HKEY_CURRENT_USER\Software\A is not below HKEY_LOCAL_MACHINE"
    );
}

#[test]
fn what_would_be_read_as_something_else_is_left_out_and_said() {
    let mut root = Key::new("");
    root.subkey_or_insert("x]\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE");
    root.subkey_or_insert("a\\b");
    root.values.push(Value::new("a\nb", ValueType::SZ, Vec::new()));
    root.values
        .push(Value::new("good", ValueType::SZ, utf16("two\r\nlines\0")));
    root.subkey_or_insert("local").state = KeyState::SupersedeLocal;
    let (bytes, omitted) = export(&root, Form::Version5);
    let reasons: Vec<_> = omitted.listed().iter().map(|omission| omission.reason).collect();
    assert_eq!(
        reasons,
        [Reason::Name, Reason::Name, Reason::SupersedeLocal, Reason::Name]
    );
    assert_eq!(omitted.listed()[0].key, TOP);
    let again = Patch::parse(&bytes).unwrap().into_delta(&top(), 0).unwrap();
    assert_eq!(again.values, root.values[1..]);
    assert_eq!(again.subkeys.len(), 1);

    let mut root = Key::new("");
    root.subkey_or_insert("\u{3b1}");
    root.values
        .push(Value::new("alpha", ValueType::EXPAND_SZ, utf16("\u{3b1}\0")));
    root.values
        .push(Value::new(Name::from(vec![0xD800]), ValueType::SZ, utf16("\0")));
    let reasons = |form| {
        let (_, omitted) = export(&root, form);
        omitted
            .listed()
            .iter()
            .map(|omission| omission.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(Form::Regedit4), [Reason::Encoding; 3]);
    assert_eq!(reasons(Form::Version5Utf8), [Reason::Encoding]);
    assert_eq!(reasons(Form::Version5), []);
}

#[test]
fn many_changes_in_the_worst_order_take_no_longer() {
    let mut text = String::from("REGEDIT4\n");
    for number in (0..100_000).rev() {
        writeln!(text, "[HKCU\\Software\\{number:06}]\n\"{number}\"=dword:1").unwrap();
    }
    text.push_str("[HKCU\\Software\\values]\n");
    for number in 0..100_000 {
        writeln!(text, "\"{number}\"=dword:1").unwrap();
    }
    let started = std::time::Instant::now();
    let tree = delta(&text);
    assert_eq!(tree.subkeys.len(), 100_001);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

proptest! {
    #[test]
    fn trees_come_back_from_text(tree in trees::tree(true)) {
        for form in [Form::Version5, Form::Version5Utf8, Form::Regedit4] {
            let (bytes, omitted) = export(&tree, form);
            let again = Patch::parse(&bytes).unwrap().into_delta(&top(), 0).unwrap();
            if omitted.is_empty() {
                prop_assert_eq!(&again, &tree);
            }
            prop_assert!(form != Form::Version5 || omitted.is_empty());
            // What was left out stays out; the rest stays the same.
            prop_assert_eq!(export(&again, form).0, bytes);
        }
    }

    #[test]
    fn a_patch_of_a_delta_does_what_merging_it_does(base in trees::tree(false), over in trees::tree(true)) {
        let mut merged = base.clone();
        cv_hive::merge(&mut merged, over.clone(), Deletions::Remove);
        let mut patched = base;
        let patch = Patch::parse(&export(&over, Form::Version5).0).unwrap();
        patch.apply(&mut patched, &top(), Deletions::Remove, 0).unwrap();
        prop_assert_eq!(patched, merged);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Patch::parse(&bytes);
        let text = [b"REGEDIT4\n[HKCU\\x]\n\"a\"=", &bytes[..]].concat();
        let _ = Patch::parse(&text);
    }
}
