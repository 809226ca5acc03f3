//! Makes small hives with one of everything, one for each version, as seeds for the fuzz targets: `seed_hives FOLDER`.

use cv_hive::{Key, KeyState, Name, Value, ValueState, ValueType, Version, WriteOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("seed_hives FOLDER")?;
    for version in [Version::V1_3, Version::V1_5, Version::V1_6] {
        let options = WriteOptions {
            version: Some(version),
            last_written: 0x01D9_0000_0000_0000,
            file_name: Name::from("seed"),
        };
        let bytes = cv_hive::write_to_vec(&tree(version), &options)?;
        std::fs::write(format!("{folder}/{version:?}"), bytes)?;
    }
    Ok(())
}

fn tree(version: Version) -> Key {
    let mut root = Key::new("root");
    root.values.push(Value::new("", ValueType::SZ, [0, 0]));
    let key = root.subkey_or_insert("Key");
    key.class = Some(Name::from("class"));
    key.values.push(Value::new("inline", ValueType::DWORD, [1, 2, 3, 4]));
    key.values.push(Value::new("cell", ValueType::BINARY, [5; 20]));
    key.values.push(Value::new("empty", ValueType::NONE, []));
    key.values.push(Value::new("\u{65E5}", ValueType::SZ, [0, 0]));
    key.values.push(Value::new("large", ValueType::BINARY, vec![6; 16400]));
    let mut descriptor = cv_hive::structure::security_descriptor::default_for_root();
    // Without lists: everyone may do everything.
    descriptor[2] = 0;
    key.subkey_or_insert("Below").security = Some(descriptor.into());
    key.subkey_or_insert("\u{65E5}\u{672C}");
    root.subkey_or_insert("Link").is_link = true;
    let many = root.subkey_or_insert("Many");
    for number in 0..520 {
        many.subkey_or_insert(&*format!("{number}"));
    }
    if version == Version::V1_6 {
        for (name, state) in [
            ("Deleted", KeyState::Tombstone),
            ("Local", KeyState::SupersedeLocal),
            ("Tree", KeyState::SupersedeTree),
        ] {
            let key = root.subkey_or_insert(name);
            key.state = state;
            key.inherits_class = true;
        }
        root.values.push(Value {
            state: ValueState::Tombstone,
            ..Value::new("deleted", ValueType::NONE, [])
        });
    }
    root
}
