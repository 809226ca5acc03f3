//! What the fuzz targets and the mutation tests do with texts that may hold anything.

use cv_hive::reg::{Exporter, Form, Patch};
use cv_hive::wine::WineRegistry;
use cv_hive::{Deletions, Key, KeyPath};

/// Reads `bytes` as a `.reg` file. What it sets is written and read again, and is the same.
pub fn reg_text(bytes: &[u8]) {
    let Ok(patch) = Patch::parse(bytes) else { return };
    let nowhere = KeyPath::default();
    let mut tree = Key::new("");
    patch
        .clone()
        .apply(&mut tree, &nowhere, Deletions::Remove, 1)
        .expect("every key is below nothing");
    let delta = patch.into_delta(&nowhere, 0).expect("every key is below nothing");
    let top = KeyPath::parse("HKLM").expect("a path");
    for form in [Form::Version5, Form::Version5Utf8, Form::Regedit4] {
        let mut exporter = Exporter::new(Vec::new(), form, &top).expect("a path that can be written");
        delta.visit(&mut exporter).expect("memory");
        let (text, omitted) = exporter.finish().expect("memory");
        let again = Patch::parse(&text).expect("what was written").into_delta(&top, 0);
        if omitted.is_empty() {
            assert_eq!(again.as_ref(), Ok(&delta));
        }
    }
}

/// Reads `bytes` as a file of Wine. What it holds is written and read again, and is the same.
pub fn wine_text(bytes: &[u8]) {
    let Ok(registry) = WineRegistry::parse(bytes) else {
        return;
    };
    let mut text = Vec::new();
    registry.write(&mut text).expect("memory");
    let again = WineRegistry::parse(&text).expect("what was written");
    let mut same = Vec::new();
    again.write(&mut same).expect("memory");
    assert_eq!(text, same);
}
