//! `$ATTRIBUTE_LIST` against the records it names, and back.

use super::context::Context;
use super::findings::Findings;
use super::mft::{LoadedRecord, MAX_ATTRIBUTE_LIST};
use super::record::Record;
use super::volume::Value;
use crate::structure::{Attribute, AttributeListEntry, AttributeType, FileReference, attribute_list, moved, within};
use cv_disk::{Damage, Severity};
use std::collections::{BTreeMap, HashSet};

/// The further records of a file, and whether all of them are at hand.
pub(super) struct Extensions {
    pub records: Vec<LoadedRecord>,
    pub are_whole: bool,
}

/// Checks the attribute list of the file whose first record is `base`, and loads the records that it names.
pub(super) fn check(
    context: &Context,
    base: &Record<'_>,
    list: &Attribute<'_>,
    may_read: impl Fn(&Value) -> bool,
    findings: &mut Findings,
) -> Extensions {
    let number = base.number;
    let mut extensions = Extensions {
        records: Vec::new(),
        are_whole: true,
    };
    let place = context.place(number, 0);
    let value = Value::of(list, place, &context.volume).map_err(|damage| moved(damage, place + list.offset as u64));
    let bytes = value.and_then(|value| {
        if !may_read(&value) {
            return Err(Damage::new(
                "value",
                place,
                "clusters of its own",
                "clusters of several files",
            ));
        }
        let bytes = value.read_all(MAX_ATTRIBUTE_LIST, &context.volume, "value")?;
        Ok((bytes, value))
    });
    let (bytes, value) = match bytes {
        Ok(read) => read,
        Err(damage) => {
            findings.record(Severity::Error, number, within(damage, "$ATTRIBUTE_LIST"));
            extensions.are_whole = false;
            return extensions;
        }
    };
    let mut entries = Vec::new();
    for entry in attribute_list::entries(&bytes) {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(mut damage) => {
                damage.offset = value.place(damage.offset, &context.volume);
                findings.record(Severity::Error, number, within(damage, "$ATTRIBUTE_LIST"));
                extensions.are_whole = false;
            }
        }
    }
    check_order(context, number, &entries, &value, findings);

    let base_reference = FileReference::new(number, base.header.sequence_number);
    let mut loaded: BTreeMap<u64, Option<LoadedRecord>> = BTreeMap::new();
    let mut named = HashSet::new();
    for entry in &entries {
        let segment = entry.segment_reference;
        let found = if segment.record() == number {
            base.attributes.iter().any(|attribute| is_meant(entry, attribute)) && segment == base_reference
        } else {
            let record = loaded
                .entry(segment.record())
                .or_insert_with(|| load(context, base_reference, segment, findings));
            let Some(record) = record else {
                extensions.are_whole = false;
                continue;
            };
            segment == record.reference() && record.attributes().any(|attribute| is_meant(entry, &attribute))
        };
        if found {
            named.insert((segment.record(), entry.instance));
        } else {
            extensions.are_whole = false;
            let damage = Damage::new(
                "$ATTRIBUTE_LIST entry",
                value.place(0, &context.volume),
                format!("{} that is in record {segment}", describe(entry)),
                "no such attribute there",
            );
            findings.record(Severity::Error, number, damage);
        }
    }
    let in_base = base.attributes.iter().map(|attribute| (number, *attribute));
    let in_others = loaded.values().flatten().flat_map(|record| {
        let number = record.number;
        record.attributes().map(move |attribute| (number, attribute))
    });
    for (segment, attribute) in in_base.chain(in_others) {
        let is_listed = named.contains(&(segment, attribute.header.instance));
        if !is_listed && attribute.type_code() != AttributeType::ATTRIBUTE_LIST {
            let found = format!("none for {} in record {segment}", super::attribute::title(&attribute));
            let damage = context.damage(
                segment,
                attribute.offset,
                "$ATTRIBUTE_LIST",
                "an entry for each attribute",
                found,
            );
            findings.record(Severity::Error, number, damage);
        }
    }
    extensions.records = loaded.into_values().flatten().collect();
    extensions
}

fn is_meant(entry: &AttributeListEntry, attribute: &Attribute<'_>) -> bool {
    entry.type_code == attribute.type_code()
        && entry.instance == attribute.header.instance
        && entry.lowest_vcn == attribute.lowest_vcn()
        && attribute.is_named(&entry.name)
}

fn describe(entry: &AttributeListEntry) -> String {
    let name = if entry.name.is_empty() {
        String::new()
    } else {
        format!(":{}", super::context::shown(&entry.name))
    };
    format!(
        "{}{name} from VCN {} on with instance {}",
        entry.type_code, entry.lowest_vcn, entry.instance
    )
}

/// The record that an entry names, where it belongs to the file.
fn load(
    context: &Context,
    base: FileReference,
    segment: FileReference,
    findings: &mut Findings,
) -> Option<LoadedRecord> {
    let mut fault = |damage| findings.record(Severity::Error, base.record(), within(damage, "$ATTRIBUTE_LIST entry"));
    let record = match context.mft.load(segment.record(), &context.volume) {
        Ok(record) => record,
        Err(damage) => {
            fault(damage);
            return None;
        }
    };
    let owner = record.header.base_file_record_segment;
    let mistake = if !record.header.is_in_use() {
        Some(("in use", "free".into()))
    } else if segment != record.reference() {
        Some(("with this sequence number", format!("record {}", record.reference())))
    } else if owner != base {
        let found = if owner.0 == 0 {
            "the first record of a file".into()
        } else {
            format!("a record of file {owner}")
        };
        Some(("of this file", found))
    } else {
        None
    };
    if let Some((expected, found)) = mistake {
        let damage = Damage::new("record", record.place, format!("record {segment} {expected}"), found);
        fault(damage);
        return None;
    }
    Some(record)
}

fn check_order(context: &Context, number: u64, entries: &[AttributeListEntry], value: &Value, findings: &mut Findings) {
    for pair in entries.windows(2) {
        let [left, right] = pair else { continue };
        let order = left
            .type_code
            .cmp(&right.type_code)
            .then_with(|| context.upcase.collate(&left.name, &right.name))
            .then_with(|| left.lowest_vcn.cmp(&right.lowest_vcn));
        if order.is_gt() {
            let damage = Damage::new(
                "$ATTRIBUTE_LIST, order of entries",
                value.place(0, &context.volume),
                "types, names and VCNs that ascend",
                format!("{} behind {}", describe(right), describe(left)),
            );
            findings.record(Severity::Error, number, damage);
        }
    }
}
