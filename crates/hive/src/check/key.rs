//! A key by itself.

use super::tree::Check;
use crate::read::KeyRef;
use crate::structure::{KeyNode, KeyNodeFlags, NO_CELL};
use cv_disk::Severity;

/// Looks at the key node and its class. `parent` is where the key above is; the root has none.
pub(super) fn check<'a>(check: &mut Check<'a, '_>, key: &KeyRef<'a>, parent: Option<u32>) {
    let node = key.node();
    if let Some(parent) = parent
        && node.parent != parent
    {
        let found = format!("{:#x}", node.parent);
        check.add(Severity::Error, key.damage("parent", 16, format!("{parent:#x}"), found));
    }
    let size = check
        .hive
        .cells()
        .size_field(key.offset())
        .unwrap_or_default()
        .unsigned_abs();
    if size > KeyNode::MAX_CELL {
        let expected = format!("a cell of at most {} bytes", KeyNode::MAX_CELL);
        check.add(Severity::Error, key.damage("size", 0, expected, size));
    }
    check_name(check, key);
    if node.flags.contains(KeyNodeFlags::VOLATILE) {
        check.add(Severity::Warning, key.damage("flags", 2, "no volatile key", "one"));
    }
    let is_root = parent.is_none();
    if node.flags.contains(KeyNodeFlags::HIVE_ENTRY) != is_root {
        let expected = if is_root {
            "the flag of a root"
        } else {
            "no flag of a root"
        };
        let found = format!("{:#x}", node.flags);
        check.add(Severity::Note, key.damage("flags", 2, expected, found));
    }
    if node.number_of_volatile_subkeys != 0 {
        // Windows counts anew.
        let found = node.number_of_volatile_subkeys;
        check.add(Severity::Note, key.damage("number of volatile subkeys", 24, "0", found));
    }
    if node.class_name_length != 0 {
        let claimed = check.cells.claim(node.class_name_offset, "class name");
        if check.take(claimed).is_some() {
            check.take(key.class());
        }
        if !node.class_name_length.is_multiple_of(2) {
            let found = node.class_name_length;
            check.add(
                Severity::Error,
                key.damage("class name length", 74, "an even number", found),
            );
        }
    } else if node.class_name_offset != NO_CELL {
        let found = format!("{:#x}", node.class_name_offset);
        let damage = key.damage("class name offset", 48, "none, as there is no class", found);
        check.add(Severity::Note, damage);
    }
    check.securities.count(node.key_security_offset);
    if node.key_security_offset == NO_CELL {
        check.add(Severity::Error, key.damage("key security offset", 44, "a cell", "none"));
    }
}

fn check_name<'a>(check: &mut Check<'a, '_>, key: &KeyRef<'a>) {
    let name = key.name();
    let length = key.node().key_name_length;
    let units = name.len();
    if units == 0 || units > KeyNode::MAX_NAME {
        let expected = format!("a name of 1 to {} units", KeyNode::MAX_NAME);
        check.add(Severity::Error, key.damage("key name length", 72, expected, units));
    } else if !name.is_compressed() && !length.is_multiple_of(2) {
        check.add(
            Severity::Error,
            key.damage("key name length", 72, "an even number", length),
        );
    } else if !name.is_compressed() && name.units().all(|unit| unit < 256) {
        let damage = key.damage(
            "flags",
            2,
            "the compressed form of a name without units beyond 255",
            "UTF-16",
        );
        check.add(Severity::Note, damage);
    }
}
