//! What the fuzz target and the mutation test do with a hive that is checked, repaired and edited.

use cv_disk::{Faults, Severity};
use cv_hive::check::{check, repair};
use cv_hive::edit::Editor;
use cv_hive::{Name, Value, ValueType};

/// Checks `bytes` as a hive, repairs what is repairable, and edits what has no errors.
pub fn check_and_edit(bytes: &[u8]) {
    let Ok(faults) = check(bytes) else {
        assert!(repair(bytes).is_err() && Editor::open(bytes.to_vec(), 0).is_err());
        return;
    };
    assert!(
        faults
            .listed()
            .is_sorted_by(|left, right| left.severity >= right.severity)
    );
    assert!(faults.listed().len() <= Faults::LISTED);
    for fault in faults.listed() {
        let text = fault.to_string();
        assert!(text.len() < 1_000_000 && !text.contains('\n'), "{text}");
    }
    if let Ok(repaired) = repair(bytes) {
        let after = check(&repaired.bytes).expect("a hive");
        assert!(after.is_empty(), "{after:?}");
    }
    edit(bytes);
}

/// Whether nothing is worse than what an edit keeps.
fn has_errors(faults: &Faults) -> bool {
    faults.listed().iter().any(|fault| fault.severity == Severity::Error)
}

fn edit(bytes: &[u8]) {
    let Ok(mut editor) = Editor::open(bytes.to_vec(), 7) else {
        return;
    };
    let names = |editor: &Editor| -> Vec<Name> {
        let hive = editor.hive().expect("a hive");
        let subkeys = hive.root().expect("a root").subkeys();
        subkeys.flatten().map(|subkey| subkey.name().to_name()).collect()
    };
    let data = vec![7; 40_000];
    for (number, name) in names(&editor).into_iter().enumerate().take(8) {
        let path = [name];
        match number % 4 {
            0 => drop(editor.set_value(&path, &Value::new("new", ValueType::BINARY, &data[..number * 9000]))),
            1 => drop(editor.delete_key(&path)),
            2 => drop(editor.rename_key(&path, &Name::from("a longer name than it had, in all likelihood"))),
            _ => drop(editor.add_key(&[path[0].clone(), Name::from("below"), Name::from("\u{65E5}")])),
        }
    }
    let _ = editor.set_value(&[], &Value::new("", ValueType::SZ, [0, 0]));
    let _ = editor.delete_value(&[], &Name::from("inline"));
    let _ = editor.set_class(&[], Some(&Name::from("class")));
    editor.commit();
    let faults = check(editor.bytes()).expect("a hive");
    assert!(!has_errors(&faults), "{faults:?}");
}
