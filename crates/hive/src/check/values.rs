//! The values of a key.

use super::tree::Check;
use crate::read::{KeyRef, ValueRef};
use crate::structure::{BigData, KeyNodeFlags, KeyValue, NO_CELL, Structure, u32_at};
use crate::tree::ValueType;
use cv_disk::Severity;
use cv_overlay::registry::ValueState;
use cv_winname::UpcaseTable;
use std::collections::HashSet;

/// Looks at the list of values and at each of them.
pub(super) fn check<'a>(check: &mut Check<'a, '_>, key: &KeyRef<'a>) {
    let node = key.node();
    if node.flags.contains(KeyNodeFlags::PREDEF_HANDLE) {
        // A handle stands in place of the count.
        return;
    }
    if node.number_of_key_values == 0 {
        if node.key_values_list_offset != NO_CELL {
            let found = format!("{:#x}", node.key_values_list_offset);
            let damage = key.damage("key values list offset", 40, "none, as there are no values", found);
            check.add(Severity::Note, damage);
        }
        return;
    }
    let claimed = check.cells.claim(node.key_values_list_offset, "list of values");
    if check.take(claimed).is_none() {
        return;
    }
    let (mut longest_name, mut longest_data) = (0, 0);
    let mut hashes = Vec::new();
    for value in key.values() {
        let Some(value) = check.take(value) else { continue };
        let claimed = check.cells.claim(value.offset(), KeyValue::NAME);
        if check.take(claimed).is_none() {
            continue;
        }
        hashes.push(value.name().hash());
        longest_name = longest_name.max(2 * value.name().len());
        longest_data = longest_data.max(value.data_size());
        check_value(check, &value);
    }
    hashes.sort_unstable();
    if hashes.windows(2).any(|pair| pair[0] == pair[1]) {
        check_repeated(check, key);
    }
    for (field, at, bound, longest) in [
        (
            "largest value name length",
            60,
            node.largest_value_name_length,
            longest_name,
        ),
        (
            "largest value data size",
            64,
            node.largest_value_data_size,
            longest_data,
        ),
    ] {
        if (bound as usize) < longest {
            let damage = key.damage(field, at, format!("at least {longest}"), bound);
            check.add(Severity::Warning, damage);
        }
    }
}

fn check_repeated<'a>(check: &mut Check<'a, '_>, key: &KeyRef<'a>) {
    let table = UpcaseTable::windows();
    let mut names = HashSet::new();
    for value in key.values().flatten() {
        if !names.insert(table.fold(&value.name().units().collect::<Vec<_>>())) {
            check.add(
                Severity::Error,
                value.damage("name", 20, "a name that no other value has", "a second one"),
            );
        }
    }
}

fn check_value<'a>(check: &mut Check<'a, '_>, value: &ValueRef<'a>) {
    let record = value.record();
    let name = value.name();
    if name.len() > KeyValue::MAX_NAME {
        let expected = format!("a name of at most {} units", KeyValue::MAX_NAME);
        check.add(Severity::Error, value.damage("name length", 2, expected, name.len()));
    }
    if !name.is_compressed() && !record.name_length.is_multiple_of(2) {
        check.add(
            Severity::Error,
            value.damage("name length", 2, "an even number", record.name_length),
        );
    } else if !name.is_compressed() && !name.is_empty() && name.units().all(|unit| unit < 256) {
        let damage = value.damage(
            "flags",
            16,
            "the compressed form of a name without units beyond 255",
            "UTF-16",
        );
        check.add(Severity::Note, damage);
    }
    let length = value.data_size();
    if value.state() == ValueState::Tombstone && (length > 0 || value.value_type() != ValueType::NONE) {
        let found = format!("{length} bytes of type {}", record.data_type);
        check.add(
            Severity::Note,
            value.damage("data", 4, "no data in what deletes a value", found),
        );
    }
    if record.is_inline() {
        if length > KeyValue::MAX_INLINE {
            let damage = value.damage("data size", 4, "at most 4 in the record itself", length);
            check.add(Severity::Error, damage);
        }
    } else if length == 0 {
        if record.data_offset != NO_CELL {
            let found = format!("{:#x}", record.data_offset);
            let damage = value.damage("data offset", 8, "none, as there is no data", found);
            check.add(Severity::Warning, damage);
        }
    } else {
        check_data(check, value);
    }
}

fn check_data<'a>(check: &mut Check<'a, '_>, value: &ValueRef<'a>) {
    let offset = value.record().data_offset;
    let claimed = check.cells.claim(offset, "data of a value");
    let Some(cell) = check.take(claimed) else { return };
    if value.is_big_data(cell) {
        check_big_data(check, value, cell);
        return;
    }
    let length = value.data_size();
    if cell.len() < length {
        let damage = value.damage("data size", 4, format!("at most {}", cell.len()), length);
        check.add(Severity::Error, damage);
    } else if length > BigData::SEGMENT && check.hive.minor_version() >= BigData::SINCE_MINOR_VERSION {
        let damage = value.damage("data", 8, "big data", format!("{length} bytes in one cell"));
        check.add(Severity::Error, damage);
    }
}

fn check_big_data<'a>(check: &mut Check<'a, '_>, value: &ValueRef<'a>, cell: &'a [u8]) {
    let claimed = check.cells.claim(u32_at(cell, 4), "list of segments");
    if check.take(claimed).is_none() {
        return;
    }
    let Some(segments) = check.take(value.segments(cell)) else {
        return;
    };
    for (offset, segment) in segments {
        let claimed = check.cells.claim(offset, BigData::NAME);
        let Some(cell) = check.take(claimed) else { continue };
        if check.take(segment).is_some() && cell.len() < BigData::SEGMENT_CELL {
            let expected = format!("room for {} bytes in each segment", BigData::SEGMENT_CELL);
            let damage = value.damage("big data", 8, expected, format!("{} in cell {offset:#x}", cell.len()));
            check.add(Severity::Warning, damage);
        }
    }
}
