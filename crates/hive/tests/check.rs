//! The checker and the repair: on hives of Windows, and on hives damaged on purpose.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_disk::Severity;
use cv_hive::check::{check, repair};
use cv_hive::structure::{BaseBlock, KeyNode, security_descriptor};
use cv_hive::{Hive, Key, KeyRef, Name, Value, ValueRef, ValueType, Version, WriteOptions};

#[test]
fn hives_of_windows_are_sound() {
    for name in support::SOUND {
        let Some(bytes) = support::corpus(name) else { return };
        let faults = check(&bytes).unwrap();
        let serious = faults.listed().iter().filter(|fault| fault.severity > Severity::Note);
        let serious: Vec<String> = serious.map(ToString::to_string).collect();
        let expected: &[&str] = match name {
            "amcache.hve" | "transactions_NTUSER.DAT" | "yarp-OldDirtyHive" => &["the last write was not completed"],
            "yarp-WrongOrderHive" => &["order of subkeys", "order of subkeys"],
            _ => &[],
        };
        assert_eq!(serious.len(), expected.len(), "{name}: {serious:#?}");
        for (fault, expected) in serious.iter().zip(expected) {
            assert!(fault.contains(expected), "{name}: {fault}");
        }
    }
}

#[test]
fn repaired_hives_keep_what_can_be_read() {
    for name in support::SOUND
        .iter()
        .chain(&["yarp-TruncatedHive", "corrupted_system_hive"])
    {
        let Some(bytes) = support::corpus(name) else { return };
        let repaired = repair(&bytes).unwrap();
        support::assert_sound(&repaired.bytes);
        let (before, faults) = Hive::open(&bytes).unwrap().to_tree_with_faults().unwrap();
        assert_eq!(faults, repaired.dropped);
        let after = Hive::open(&repaired.bytes).unwrap().to_tree().unwrap();
        if faults.is_empty() {
            assert_eq!(before, after, "{name}");
        }
        assert_eq!(repaired.bytes[48..112], bytes[48..112]);
    }
}

/// A hive with one of everything.
fn everything(version: Version) -> Vec<u8> {
    let mut root = Key::new("root");
    let key = root.subkey_or_insert("Key");
    key.class = Some(Name::from("class"));
    key.values.push(Value::new("inline", ValueType::DWORD, [1, 2, 3, 4]));
    key.values
        .push(Value::new("cell", ValueType::BINARY, support::random(1, 100)));
    key.values.push(Value::new("empty", ValueType::BINARY, []));
    key.values
        .push(Value::new("large", ValueType::BINARY, support::random(2, 40_000)));
    key.values.push(Value::new("\u{65E5}", ValueType::SZ, [0, 0]));
    key.subkey_or_insert("Below").security = Some(support::trees::security(1));
    key.subkey_or_insert("\u{65E5}");
    let many = root.subkey_or_insert("Many");
    for number in 0..1200 {
        many.subkey_or_insert(&*format!("Subkey {number:04}"));
    }
    let options = WriteOptions {
        version: Some(version),
        ..WriteOptions::default()
    };
    cv_hive::write_to_vec(&root, &options).unwrap()
}

/// The content of a cell in the file.
fn place(offset: u32) -> usize {
    offset as usize + 4096 + 4
}

fn key<'a>(bytes: &'a [u8], path: &str) -> KeyRef<'a> {
    Hive::open(bytes).unwrap().key(path).unwrap().unwrap()
}

fn value<'a>(bytes: &'a [u8], name: &str) -> ValueRef<'a> {
    key(bytes, "Key").value(name).unwrap().unwrap()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

type Change = dyn Fn(&mut Vec<u8>);

/// Damages a hive, and expects a fault of this text; what is repaired of it must be sound and keep the other keys.
fn damaged(version: Version, change: &Change, expected: &str) {
    let mut bytes = everything(version);
    change(&mut bytes);
    if !expected.contains("checksum") {
        BaseBlock::seal(&mut bytes);
    }
    let faults = support::faults(&bytes);
    assert!(
        faults.iter().any(|fault| fault.contains(expected)),
        "expected {expected}, got {faults:#?}"
    );
    let repaired = repair(&bytes).unwrap();
    support::assert_sound(&repaired.bytes);
    assert_eq!(repaired.faults.listed().len(), faults.len());
    assert!(Hive::open(&repaired.bytes).unwrap().key("Many").unwrap().is_some());
}

#[test]
fn everything_is_sound() {
    for version in [Version::V1_3, Version::V1_5, Version::V1_6] {
        support::assert_sound(&everything(version));
    }
}

#[test]
fn damage_of_the_base_block_and_of_bins_is_named() {
    let changes: [(&Change, &str); 10] = [
        (&|bytes| bytes[508] ^= 1, "error: base block, checksum at 0x1fc"),
        (
            &|bytes| bytes[8] += 1,
            "error: base block, secondary sequence number at 0x8",
        ),
        (
            &|bytes| bytes[20] = 2,
            "error: base block, major version at 0x14: expected 1, found 2",
        ),
        (
            &|bytes| bytes[28] = 1,
            "error: base block, file type at 0x1c: expected 0, found 1",
        ),
        (
            &|bytes| bytes[32] = 0,
            "error: base block, file format at 0x20: expected 1, found 0",
        ),
        (
            &|bytes| bytes[44] = 8,
            "note: base block, clustering factor at 0x2c: expected 1, found 8",
        ),
        (
            &|bytes| bytes[41] += 1,
            "error: base block, hive bins data size at 0x28",
        ),
        (
            &|bytes| put(bytes, 4096 + 4, 4096),
            "error: hive bin 0x0, offset at 0x1004: expected 0x0, found 0x1000",
        ),
        (&|bytes| bytes[4096] = b'x', "error: hive bin 0x0, signature at 0x1000"),
        (
            &|bytes| put(bytes, 4096 + 8, 4097),
            "error: hive bin 0x0, size at 0x1008",
        ),
    ];
    for (change, expected) in changes {
        damaged(Version::V1_5, change, expected);
    }
}

#[test]
fn damage_of_keys_is_named() {
    let node = |change: fn(&mut [u8])| {
        move |bytes: &mut Vec<u8>| {
            let at = place(key(bytes, "Key").offset());
            change(&mut bytes[at..]);
        }
    };
    let changes: [(&Change, &str); 17] = [
        (
            &node(|node| put(node, 16, 0)),
            "error: key `\\Key`: cell 0x4c8: key node `Key`, parent",
        ),
        (
            &node(|node| node[24] = 1),
            "note: key `\\Key`: cell 0x4c8: key node `Key`, number of volatile subkeys",
        ),
        (
            &node(|node| node[2] |= 1),
            "warning: key `\\Key`: cell 0x4c8: key node `Key`, flags",
        ),
        (
            &node(|node| node[2] |= 4),
            "note: key `\\Key`: cell 0x4c8: key node `Key`, flags",
        ),
        (
            &node(|node| node[20] += 1),
            "number of subkeys at 0x14e0: expected 2, as many as the list has, found 3",
        ),
        (
            &node(|node| node[52] = 2),
            "warning: key `\\Key`: cell 0x4c8: key node `Key`, largest subkey name length",
        ),
        (&node(|node| node[60] = 2), "largest value name length"),
        (&node(|node| node[65] = 0), "largest value data size"),
        (
            &node(|node| put(node, 48, 0x20)),
            "class name) at 0x1020: expected one owner, found a second one",
        ),
        (
            &node(|node| put(node, 48, 0x24)),
            "class name) at 0x1024: expected an offset divisible by 8",
        ),
        (&node(|node| node[74] = 255), "class name length"),
        (&node(|node| put(node, 44, u32::MAX)), "key security offset"),
        (
            &node(|node| put(node, 44, 0x20)),
            "key security) at 0x1020: expected one owner",
        ),
        (&node(|node| node[72] = 200), "key name length"),
        (
            &node(|node| node[0] = b'x'),
            "key node, signature at 0x14cc: expected \"nk\"",
        ),
        (
            &node(|node| put(node, 28, 0x0FFF_FFF8)),
            "subkeys list) at 0x10000ff8: expected an offset below",
        ),
        (
            &|bytes| {
                let below = key(bytes, r"Key\Below");
                let at = place(below.offset());
                bytes[at + 72] = 0;
            },
            "expected a name of 1 to 255 units, found 0",
        ),
    ];
    let offset = key(&everything(Version::V1_5), "Key").offset();
    for (change, expected) in changes {
        damaged(
            Version::V1_5,
            change,
            &expected
                .replace("0x4c8", &format!("{offset:#x}"))
                .replace("0x14cc", &format!("{:#x}", place(offset)))
                .replace("0x14e0", &format!("{:#x}", place(offset) + 20)),
        );
    }
}

#[test]
fn damage_of_lists_is_named() {
    let list = |change: fn(&mut [u8])| {
        move |bytes: &mut Vec<u8>| {
            let at = place(key(bytes, "Key").node().subkeys_list_offset);
            change(&mut bytes[at..]);
        }
    };
    let swapped = |list: &mut [u8]| {
        let (first, second) = list[4..20].split_at_mut(8);
        first.swap_with_slice(second);
    };
    let leaf = |change: fn(&mut Vec<u8>, usize)| {
        move |bytes: &mut Vec<u8>| {
            let root = place(key(bytes, "Many").node().subkeys_list_offset);
            let second = place(number(bytes, root + 8));
            change(bytes, second);
        }
    };
    let changes: [(&Change, &str); 8] = [
        (&list(swapped), "order of subkeys"),
        (&list(|list| list[8] ^= 1), "hint or hash of subkey `Below`"),
        (&list(|list| list[0] = b'x'), "subkeys list, signature"),
        (&list(|list| list[2] = 1), "number of subkeys"),
        (&list(|list| list[2] = 200), "subkeys list, number of elements"),
        (&list(|list| list.copy_within(4..12, 12)), "key node) at"),
        (
            &leaf(|bytes, leaf| bytes[leaf..leaf + 2].copy_from_slice(b"ri")),
            "subkeys list in an index root, signature",
        ),
        (
            &leaf(|bytes, leaf| put(bytes, leaf + 4, 0x20)),
            "expected one owner, found a second one",
        ),
    ];
    for (change, expected) in changes {
        damaged(Version::V1_5, change, expected);
        if !expected.contains("hint") {
            damaged(Version::V1_3, change, expected);
        }
    }
    damaged(
        Version::V1_3,
        &list(|list| list[8] ^= 1),
        "hint or hash of subkey `Below`",
    );
    let renamed: &Change = &|bytes| {
        bytes[24] = 3;
    };
    damaged(Version::V1_5, renamed, "note: key `\\`: ");
}

#[test]
fn damage_of_values_is_named() {
    fn record(name: &'static str, change: fn(&mut [u8])) -> impl Fn(&mut Vec<u8>) {
        move |bytes: &mut Vec<u8>| {
            let at = place(value(bytes, name).offset());
            change(&mut bytes[at..]);
        }
    }
    let big = |change: fn(&mut Vec<u8>, usize)| {
        move |bytes: &mut Vec<u8>| {
            let at = place(value(bytes, "large").record().data_offset);
            change(bytes, at);
        }
    };
    let changes: [(&Change, &str); 14] = [
        (
            &record("inline", |record| record[4] = 5),
            "expected at most 4 in the record itself, found 5",
        ),
        (&record("cell", |record| record[4] = 255), "key value `cell`, data size"),
        (
            &record("cell", |record| put(record, 8, 0x20)),
            "data of a value) at 0x1020: expected one owner",
        ),
        (&record("cell", |record| put(record, 8, 0x28)), "expected a cell in use"),
        (&record("empty", |record| put(record, 4, 0)), "warning: key `\\Key`: "),
        (&record("cell", |record| record[0] = 0), "key value, signature"),
        (&record("cell", |record| record[3] = 9), "key value, name length"),
        (
            &record("\u{65E5}", |record| record[2] = 1),
            "expected an even number, found 1",
        ),
        (
            &|bytes| {
                let at = place(key(bytes, "Key").node().key_values_list_offset);
                bytes.copy_within(at..at + 4, at + 4);
            },
            "key value) at",
        ),
        (&big(|bytes, at| bytes[at + 2] = 2), "big data, number of segments"),
        (&big(|bytes, at| bytes[at] = b'x'), "data size"),
        (
            &big(|bytes, at| put(bytes, at + 4, 0x20)),
            "list of segments) at 0x1020: expected one owner",
        ),
        (
            &big(|bytes, at| {
                let list = place(number(bytes, at + 4));
                bytes.copy_within(list..list + 4, list + 4);
            }),
            "big data) at",
        ),
        (
            &|bytes| {
                let at = place(key(bytes, "Key").node().key_values_list_offset);
                put(bytes, at - 4, 8);
            },
            "list of values) at",
        ),
    ];
    for (change, expected) in changes {
        damaged(Version::V1_5, change, expected);
    }
    let same_name: &Change = &|bytes| {
        let at = place(value(bytes, "empty").offset());
        let other = place(value(bytes, "large").offset());
        bytes.copy_within(at + 20..at + 25, other + 20);
    };
    damaged(Version::V1_3, same_name, "expected a name that no other value has");
    let deletes = record("cell", |record| record[16] |= 2);
    damaged(Version::V1_6, &deletes, "note: key `\\Key`: ");
}

#[test]
fn damage_of_security_and_lost_cells_are_named() {
    let item = |change: fn(&mut [u8])| {
        move |bytes: &mut Vec<u8>| {
            let at = place(key(bytes, r"Key\Below").node().key_security_offset);
            change(&mut bytes[at..]);
        }
    };
    let changes: [(&Change, &str); 8] = [
        (&item(|item| item[12] += 1), "warning: cell "),
        (&item(|item| item[0] = 0), "key security, signature"),
        (&item(|item| item[16] = 0xFF), "key security, security descriptor size"),
        (&item(|item| item[20] = 2), "security descriptor at"),
        (&item(|item| put(item, 8, 0)), "key security, blink"),
        (&item(|item| put(item, 4, 0)), "cell 0x0 (key security)"),
        (
            &|bytes| {
                // The root's points to itself.
                let offset = key(bytes, "").node().key_security_offset;
                put(bytes, place(offset) + 4, offset);
                put(bytes, place(offset) + 8, offset);
            },
            "an item outside it, used by 1 keys",
        ),
        (
            &|bytes| {
                let at = place(key(bytes, "Key").offset());
                put(bytes, at + 40, u32::MAX);
                put(bytes, at + 36, 0);
            },
            "expected an owner, found none that leads to its",
        ),
    ];
    for (change, expected) in changes {
        damaged(Version::V1_5, change, expected);
    }
}

#[test]
fn a_hive_without_a_root_is_not_repaired() {
    let mut bytes = everything(Version::V1_5);
    bytes[4096 + 36] = b'x';
    let faults = check(&bytes).unwrap();
    assert!(faults.listed().iter().any(|fault| !fault.repairable), "{faults:?}");
    assert!(repair(&bytes).is_err());
    assert!(check(&bytes[1..]).is_err());
    assert!(check(&bytes[..100]).is_err());
}

#[test]
fn loops_end() {
    let mut bytes = everything(Version::V1_5);
    // A list of the key that has the key itself, and the root.
    let below = key(&bytes, "Key");
    let (offset, list) = (below.offset(), place(below.node().subkeys_list_offset));
    put(&mut bytes, list + 4, offset);
    put(&mut bytes, list + 12, 0x20);
    assert_eq!(&bytes[place(0x20)..place(0x20) + 2], b"nk");
    let faults = support::faults(&bytes);
    assert_eq!(
        faults.iter().filter(|fault| fault.contains("a second one")).count(),
        2,
        "{faults:#?}"
    );
    let hive = Hive::open(&bytes).unwrap();
    assert_eq!(hive.walk().filter(|(_, key)| key.is_err()).count(), 2);
    assert!(hive.to_tree().is_err());
    assert!(security_descriptor::check(hive.root().unwrap().security().unwrap().unwrap()).is_ok());
    assert_eq!(KeyNode::MAX_CELL, 0x45C);
}
