//! One file record by itself.

use super::attribute::{self, title};
use super::clusters::OwnedRuns;
use super::context::Context;
use super::findings::Findings;
use crate::structure::{Attribute, AttributeType, FileRecordHeader, RecordFlags, Structure, fixup, within};
use cv_disk::Severity;
use std::collections::HashSet;

/// A record that can be read.
pub(super) struct Record<'a> {
    pub number: u64,
    pub header: FileRecordHeader,
    /// Those that are of the right form.
    pub attributes: Vec<Attribute<'a>>,
    /// Whether there are no others.
    pub is_whole: bool,
}

/// What the bytes of a record are.
pub(super) enum Content<'a> {
    /// No file has it.
    Free,
    /// A file may have it, and it cannot be read.
    Damaged,
    /// A file has it.
    InUse(Record<'a>),
}

/// Checks the record whose bytes are `bytes` and puts its fixups back; `is_marked` says whether `$MFT`'s bitmap has it in
/// use.
pub(super) fn check<'a>(
    context: &Context,
    number: u64,
    bytes: &'a mut [u8],
    is_marked: bool,
    runs: &mut OwnedRuns,
    findings: &mut Findings,
) -> Content<'a> {
    let Ok(header) = FileRecordHeader::read_from(bytes, 0) else {
        return Content::Damaged;
    };
    let signature = header.multi_sector_header.signature;
    if signature != FileRecordHeader::SIGNATURE {
        if !is_marked {
            return Content::Free;
        }
        // Records that are set aside for the volume itself were perhaps never written.
        if number < crate::structure::system_file::FIRST_FREE_RECORD && signature == [0; 4] {
            return Content::Free;
        }
        let found = format!("`{}`", signature.escape_ascii());
        let damage = context.damage(number, 0, "file record signature", "`FILE`", found);
        findings.record(Severity::Error, number, damage);
        return Content::Damaged;
    }
    if !header.is_in_use() {
        return Content::Free;
    }
    if let Err(damage) = fixup::apply(bytes, FileRecordHeader::SIGNATURE) {
        let damage = context.damage(
            number,
            damage.offset as usize,
            damage.structure,
            damage.expected,
            damage.found,
        );
        findings.record(Severity::Error, number, damage);
        return Content::Damaged;
    }
    let Ok(header) = FileRecordHeader::read_from(bytes, 0) else {
        return Content::Damaged;
    };
    check_header(context, number, &header, bytes.len(), findings);
    let (attributes, is_whole) = check_attributes(context, number, &header, bytes, runs, findings);
    Content::InUse(Record {
        number,
        header,
        attributes,
        is_whole,
    })
}

fn check_header(context: &Context, number: u64, header: &FileRecordHeader, size: usize, findings: &mut Findings) {
    let mut fault = |severity, within, field: &str, expected: String, found: String| {
        let damage = context.damage(number, within, format!("file record header, {field}"), expected, found);
        findings.record(severity, number, damage);
    };
    if header.bytes_available as usize != size {
        fault(
            Severity::Error,
            0x1C,
            "allocated size",
            size.to_string(),
            header.bytes_available.to_string(),
        );
    }
    if !header.first_free_byte.is_multiple_of(8) {
        fault(
            Severity::Error,
            0x18,
            "used size",
            "a multiple of 8".into(),
            header.first_free_byte.to_string(),
        );
    }
    // NTFS 3.0 has the update sequence array where 3.1 has the record's number.
    let has_number = header.multi_sector_header.update_sequence_array_offset as usize >= FileRecordHeader::SIZE;
    if has_number && header.segment_number_low_part != number as u32 {
        let found = header.segment_number_low_part.to_string();
        fault(Severity::Error, 0x2C, "record number", number.to_string(), found);
    }
    if header.sequence_number == 0 {
        fault(Severity::Warning, 0x10, "sequence number", "not 0".into(), "0".into());
    } else if (1..16).contains(&number) && u64::from(header.sequence_number) != number {
        fault(
            Severity::Warning,
            0x10,
            "sequence number",
            format!("{number}, as the record's number"),
            header.sequence_number.to_string(),
        );
    }
    let known = RecordFlags::all();
    if !(header.flags - known).is_empty() {
        fault(
            Severity::Warning,
            0x16,
            "flags",
            format!("none but {:#06x}", known.bits()),
            format!("{:#06x}", header.flags.bits()),
        );
    }
}

/// Checks the attributes one by one, and their order.
fn check_attributes<'a>(
    context: &Context,
    number: u64,
    header: &FileRecordHeader,
    bytes: &'a [u8],
    runs: &mut OwnedRuns,
    findings: &mut Findings,
) -> (Vec<Attribute<'a>>, bool) {
    let list = match header.attributes(bytes) {
        Ok(list) => list,
        Err(damage) => {
            let damage = context.damage(
                number,
                damage.offset as usize,
                damage.structure,
                damage.expected,
                damage.found,
            );
            findings.record(Severity::Error, number, damage);
            return (Vec::new(), false);
        }
    };
    let mut attributes: Vec<Attribute<'a>> = Vec::new();
    let mut is_whole = true;
    let mut instances = HashSet::new();
    for item in list {
        let attribute = match item {
            Ok(attribute) => attribute,
            Err(damage) => {
                let damage = context.damage(
                    number,
                    damage.offset as usize,
                    damage.structure,
                    damage.expected,
                    damage.found,
                );
                findings.record(Severity::Error, number, damage);
                is_whole = false;
                continue;
            }
        };
        attribute::check(context, number, &attribute, runs, findings);
        if let Some(previous) = attributes.last() {
            check_order(context, number, previous, &attribute, findings);
        }
        let instance = attribute.header.instance;
        if !instances.insert(instance) {
            let damage = context.damage(
                number,
                attribute.offset + 0x0E,
                "instance",
                "one of its own",
                instance.to_string(),
            );
            findings.record(Severity::Error, number, within(damage, title(&attribute)));
        }
        attributes.push(attribute);
    }
    let next = header.next_attribute_instance;
    if let Some(largest) = instances.iter().max().filter(|largest| **largest >= next) {
        let expected = format!("more than {largest}");
        let damage = context.damage(
            number,
            0x28,
            "file record header, next attribute instance",
            expected,
            next.to_string(),
        );
        findings.record(Severity::Note, number, damage);
    }
    let last = attributes.last();
    let end = last.map_or(usize::from(header.first_attribute_offset), |last| {
        last.offset + last.header.record_length as usize
    });
    let used = header.first_free_byte as usize;
    if is_whole && used != end + 8 {
        let expected = format!("{}, behind the end marker", end + 8);
        let damage = context.damage(
            number,
            0x18,
            "file record header, used size",
            expected,
            used.to_string(),
        );
        findings.record(Severity::Warning, number, damage);
    }
    (attributes, is_whole)
}

fn check_order(
    context: &Context,
    number: u64,
    previous: &Attribute<'_>,
    attribute: &Attribute<'_>,
    findings: &mut Findings,
) {
    let (before, after) = (previous.type_code(), attribute.type_code());
    let names_descend = before == after
        && after != AttributeType::FILE_NAME
        && context.upcase.collate(&previous.name(), &attribute.name()).is_gt();
    if before > after || names_descend {
        let severity = if names_descend {
            Severity::Warning
        } else {
            Severity::Error
        };
        let damage = context.damage(
            number,
            attribute.offset,
            "order of attributes",
            "types, and names of one type, that ascend",
            format!("{} behind {}", title(attribute), title(previous)),
        );
        findings.record(severity, number, damage);
    }
}
