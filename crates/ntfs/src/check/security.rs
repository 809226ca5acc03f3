//! `$Secure`: the two indexes against the descriptors, both copies of those, and the numbers that files use.

use super::context::Context;
use super::findings::Findings;
use super::records::{Kind, Records};
use super::view::Rows;
use super::volume::Value;
use crate::structure::security::{self, MAX_DESCRIPTOR, STRIPE, SecurityDescriptorEntryHeader};
use crate::structure::security_descriptor::SecurityDescriptor;
use crate::structure::view_index::SecurityHashKey;
use crate::structure::{Structure, system_file, within};
use cv_disk::{Damage, Severity};
use std::collections::HashSet;

const RECORD: u64 = system_file::SECURE.record;

/// Checks the entries of `$SII` and `$SDH` in `rows` against each other and against `$SDS`, whose value is `descriptors`.
pub(super) fn check(context: &Context, rows: &Rows, descriptors: Option<&Value>, findings: &mut Findings) {
    let mut headers: Vec<SecurityDescriptorEntryHeader> = Vec::with_capacity(rows.security_ids.len());
    for (key, header) in &rows.security_ids {
        if key.security_id == header.security_id {
            headers.push(*header);
        } else {
            let (expected, found) = (key.security_id.to_string(), header.security_id.to_string());
            fault(context, "index $SII, data of an entry", &expected, &found, findings);
        }
    }
    compare_twins(context, &headers, &rows.security_hashes, findings);
    headers.sort_unstable_by_key(|header| header.offset);
    let Some(descriptors) = descriptors else {
        fault(
            context,
            "$DATA:$SDS",
            "the security descriptors",
            "no such stream",
            findings,
        );
        return;
    };
    let mut end = 0;
    for header in &headers {
        if header.offset < end {
            let expected = format!(
                "descriptor {:#x} behind the one before, which ends at {end:#x}",
                header.security_id
            );
            fault(
                context,
                "$DATA:$SDS",
                &expected,
                &format!("{:#x}", header.offset),
                findings,
            );
            continue;
        }
        end = header.offset.saturating_add(u64::from(header.length));
        check_descriptor(context, header, descriptors, findings);
    }
}

fn fault(context: &Context, structure: &str, expected: &str, found: &str, findings: &mut Findings) {
    findings.record(
        Severity::Error,
        RECORD,
        context.damage(RECORD, 0, structure, expected, found),
    );
}

/// Each entry of `$SII` has its twin in `$SDH`, with the same data.
fn compare_twins(
    context: &Context,
    headers: &[SecurityDescriptorEntryHeader],
    hashes: &[(SecurityHashKey, SecurityDescriptorEntryHeader)],
    findings: &mut Findings,
) {
    let row = |header: &SecurityDescriptorEntryHeader| (header.security_id, header.hash, header.offset, header.length);
    let mut by_id: HashSet<_> = headers.iter().map(row).collect();
    for (key, header) in hashes {
        let id = header.security_id;
        if (key.hash, key.security_id) != (header.hash, id) {
            let expected = format!("hash {:#010x}, number {:#x}", key.hash, key.security_id);
            let found = format!("hash {:#010x}, number {id:#x}", header.hash);
            fault(context, "index $SDH, data of an entry", &expected, &found, findings);
        } else if !by_id.remove(&row(header)) {
            let expected = format!("the twin of security descriptor {id:#x} in $SDH");
            fault(context, "index $SII", &expected, "none, or another", findings);
        }
    }
    let mut left: Vec<_> = by_id.into_iter().collect();
    left.sort_unstable();
    for (id, ..) in left {
        let expected = format!("the twin of security descriptor {id:#x} in $SII");
        fault(context, "index $SDH", &expected, "none, or another", findings);
    }
}

/// Checks the descriptor that `header` of `$SII` describes, and its copy in the next stripe.
fn check_descriptor(
    context: &Context,
    header: &SecurityDescriptorEntryHeader,
    descriptors: &Value,
    findings: &mut Findings,
) {
    let volume = &context.volume;
    let place = |offset| descriptors.place(offset, volume);
    let id = header.security_id;
    let mut report = |severity, damage| {
        findings.record(
            severity,
            RECORD,
            within(damage, format!("$DATA:$SDS, security descriptor {id:#x}")),
        );
    };
    let least = SecurityDescriptorEntryHeader::SIZE as u32;
    if !(least..=least + MAX_DESCRIPTOR).contains(&header.length) || !header.offset.is_multiple_of(16) {
        let expected = format!("{least} to {} bytes on 16 bytes", least + MAX_DESCRIPTOR);
        let found = format!("{} bytes at {:#x}", header.length, header.offset);
        report(
            Severity::Error,
            Damage::new("place", place(header.offset), expected, found),
        );
        return;
    }
    let mut read = |offset: u64, structure: &str| {
        let mut bytes = vec![0; header.length as usize];
        match descriptors.read(&mut bytes, offset, volume, structure) {
            Ok(()) => Some(bytes),
            Err(damage) => {
                report(Severity::Error, damage);
                None
            }
        }
    };
    let bytes = read(header.offset, "entry");
    let copy = read(header.offset.saturating_add(STRIPE), "copy of the entry");
    let Some(bytes) = bytes else { return };
    match security::descriptor(&bytes, header) {
        Ok(descriptor) => {
            if let Err(damage) = SecurityDescriptor::parse(descriptor) {
                report(
                    Severity::Warning,
                    Damage {
                        offset: place(header.offset),
                        ..damage
                    },
                );
            }
        }
        Err(damage) => report(
            Severity::Error,
            Damage {
                offset: place(header.offset),
                ..damage
            },
        ),
    }
    let differing = copy.and_then(|copy| bytes.iter().zip(&copy).position(|(left, right)| left != right));
    if let Some(position) = differing {
        let at = place(header.offset + STRIPE + position as u64);
        report(
            Severity::Warning,
            Damage::new("copy of the entry", at, "the same bytes as in the entry", "others"),
        );
    }
}

/// Checks that the security descriptors exist that files use.
pub(super) fn check_use(context: &Context, records: &Records, rows: &Rows, findings: &mut Findings) {
    let known: HashSet<u32> = rows.security_ids.iter().map(|(key, _)| key.security_id).collect();
    for (number, state) in records.iter() {
        let id = state.security_id;
        if id != 0 && !known.contains(&id) && !state.kind.contains(Kind::EXTENSION) {
            let expected = "the number of a security descriptor in $Secure";
            let damage = context.damage(
                number,
                0,
                "$STANDARD_INFORMATION, security id",
                expected,
                format!("{id:#x}"),
            );
            findings.record(Severity::Error, number, damage);
        }
    }
}
