//! One attribute by itself: its header, and its run list.

use super::clusters::OwnedRuns;
use super::context::{Context, shown};
use super::findings::Findings;
use crate::structure::attribute_definition::DefinitionFlags;
use crate::structure::{
    Attribute, AttributeFlags, AttributeHeader, AttributeType, Form, NonResidentHeader, ResidentHeader, Run, Structure,
    run_list, system_file, within,
};
use cv_disk::Severity;

/// What an attribute is called in messages: its type, and its name where it has one.
pub(super) fn title(attribute: &Attribute<'_>) -> String {
    if attribute.has_name() {
        format!("{}:{}", attribute.type_code(), shown(&attribute.name()))
    } else {
        attribute.type_code().to_string()
    }
}

/// Bits of the compression unit of compressed attributes: 16 clusters.
const COMPRESSION_UNIT: u8 = 4;

/// Checks `attribute`, which stands in record `number`, and adds the clusters it has to `runs`.
pub(super) fn check(
    context: &Context,
    number: u64,
    attribute: &Attribute<'_>,
    runs: &mut OwnedRuns,
    findings: &mut Findings,
) {
    let mut fault = |severity, within: usize, field: &str, expected: String, found: String| {
        let structure = format!("{}, {field}", title(attribute));
        let damage = context.damage(number, attribute.offset + within, structure, expected, found);
        findings.record(severity, number, damage);
    };
    let type_code = attribute.type_code();
    let definition = context.definition(type_code);
    let is_known =
        definition.is_some() || type_code.0 != 0 && type_code.0 % 0x10 == 0 && type_code <= AttributeType::LAST;
    if !is_known {
        let expected = "a multiple of 0x10 from 0x10 to 0x100".into();
        fault(Severity::Error, 0, "type", expected, format!("{:#x}", type_code.0));
    }
    let flags = attribute.header.flags;
    let compression = flags & AttributeFlags::COMPRESSION_MASK;
    if !(compression - AttributeFlags::COMPRESSED).is_empty() {
        fault(
            Severity::Error,
            0x0C,
            "compression",
            "0 or 1".into(),
            format!("{:#06x}", flags.bits()),
        );
    }
    let (value_start, value_length) = match attribute.form {
        Form::Resident { header, value } => (usize::from(header.value_offset), Some(value.len())),
        Form::NonResident { header, .. } => (usize::from(header.mapping_pairs_offset), None),
    };
    if attribute.has_name() {
        let header_end = match attribute.form {
            Form::Resident { .. } => AttributeHeader::SIZE + ResidentHeader::SIZE,
            Form::NonResident { .. } => AttributeHeader::SIZE + NonResidentHeader::SIZE,
        };
        let start = usize::from(attribute.header.name_offset);
        let end = start + 2 * usize::from(attribute.header.name_length);
        if start < header_end || (value_length != Some(0) && start < value_start && end > value_start) {
            let expected = format!("a name between {header_end:#x} and the value at {value_start:#x}");
            fault(
                Severity::Error,
                0x0A,
                "name offset",
                expected,
                format!("{start:#x} to {end:#x}"),
            );
        }
    }
    let must = |flag| definition.is_some_and(|definition| definition.flags.contains(flag));
    match attribute.form {
        Form::Resident { header, value } => {
            let least = AttributeHeader::SIZE + ResidentHeader::SIZE;
            if value_start < least || !value_start.is_multiple_of(8) {
                let expected = format!("a multiple of 8, at least {least:#x}");
                fault(
                    Severity::Error,
                    0x14,
                    "value offset",
                    expected,
                    format!("{value_start:#x}"),
                );
            }
            let is_indexed = header.resident_flags & ResidentHeader::INDEXED != 0;
            if is_indexed != (type_code == AttributeType::FILE_NAME) {
                let expected = u8::from(!is_indexed).to_string();
                fault(
                    Severity::Warning,
                    0x16,
                    "indexed flag",
                    expected,
                    header.resident_flags.to_string(),
                );
            }
            if matches!(type_code, AttributeType::INDEX_ALLOCATION) {
                fault(Severity::Error, 8, "form", "non-resident".into(), "resident".into());
            }
            let length = value.len() as u64;
            if let Some(definition) = definition {
                // A volume without a label may have an empty one.
                let is_no_label = type_code == AttributeType::VOLUME_NAME && length == 0;
                let allowed = definition.minimum_length..=definition.maximum_length;
                if !allowed.contains(&length) && !is_no_label {
                    let expected = format!("{} to {} bytes", allowed.start(), allowed.end());
                    fault(Severity::Error, 0x10, "value length", expected, length.to_string());
                }
            }
        }
        Form::NonResident {
            header,
            total_allocated,
            mapping_pairs,
        } => {
            if must(DefinitionFlags::MUST_BE_RESIDENT) {
                fault(Severity::Error, 8, "form", "resident".into(), "non-resident".into());
            }
            let is_compressed = flags.contains(AttributeFlags::COMPRESSED);
            let is_sparse = flags.contains(AttributeFlags::SPARSE);
            let unit = header.compression_unit;
            let is_first = header.lowest_vcn == 0;
            let unit_is_right = match (is_compressed, is_sparse) {
                _ if !is_first => true,
                (true, _) => unit == COMPRESSION_UNIT,
                (false, true) => unit == 0 || unit == COMPRESSION_UNIT,
                (false, false) => unit == 0,
            };
            if !unit_is_right {
                let expected = if is_compressed { "4" } else { "0" };
                fault(
                    Severity::Error,
                    0x22,
                    "compression unit",
                    expected.into(),
                    unit.to_string(),
                );
            }
            if (is_compressed || is_sparse) && is_first && total_allocated.is_none() {
                let expected = "at least 0x48, for the total allocated size".into();
                fault(
                    Severity::Error,
                    0x20,
                    "mapping pairs offset",
                    expected,
                    format!("{value_start:#x}"),
                );
            }
            if is_first {
                check_sizes(context, &header, total_allocated, &mut fault);
            }
            match run_list::decode(mapping_pairs, header.lowest_vcn) {
                Ok(list) => {
                    // $Bad has a hole for every good cluster, and says nothing of it.
                    let may_have_holes = is_compressed
                        || is_sparse
                        || number == system_file::BAD_CLUSTERS.record && attribute.is_named(&system_file::BAD);
                    check_runs(context, &header, &list, is_compressed, may_have_holes, &mut fault);
                    for run in &list {
                        let is_inside = |lcn| context.volume.geometry.clusters_offset(lcn, run.clusters).is_some();
                        if let Some(lcn) = run.lcn.filter(|lcn| is_inside(*lcn)) {
                            runs.push(lcn, run.clusters, number);
                        }
                    }
                }
                Err(damage) => {
                    let damage = context.damage(
                        number,
                        attribute.offset + value_start + damage.offset as usize,
                        damage.structure,
                        damage.expected,
                        damage.found,
                    );
                    findings.record(Severity::Error, number, within(damage, title(attribute)));
                }
            }
        }
    }
}

type Fault<'a> = &'a mut dyn FnMut(Severity, usize, &str, String, String);

fn check_sizes(context: &Context, header: &NonResidentHeader, total_allocated: Option<u64>, fault: Fault<'_>) {
    let cluster_size = context.volume.cluster_size();
    let allocated = header.allocated_length;
    if !allocated.is_multiple_of(cluster_size) {
        let expected = format!("a multiple of the cluster size, {cluster_size}");
        fault(Severity::Error, 0x28, "allocated size", expected, allocated.to_string());
    }
    if header.file_size > allocated {
        let expected = format!("at most the allocated size, {allocated}");
        fault(
            Severity::Error,
            0x30,
            "data size",
            expected,
            header.file_size.to_string(),
        );
    }
    if header.valid_data_length > header.file_size {
        let expected = format!("at most the data size, {}", header.file_size);
        fault(
            Severity::Error,
            0x38,
            "initialized size",
            expected,
            header.valid_data_length.to_string(),
        );
    }
    if let Some(total) = total_allocated.filter(|total| *total > allocated) {
        let expected = format!("at most the allocated size, {allocated}");
        fault(
            Severity::Error,
            0x40,
            "total allocated size",
            expected,
            total.to_string(),
        );
    }
}

fn check_runs(
    context: &Context,
    header: &NonResidentHeader,
    list: &[Run],
    is_compressed: bool,
    may_have_holes: bool,
    fault: Fault<'_>,
) {
    let pairs = usize::from(header.mapping_pairs_offset);
    let end = list.last().map_or(header.lowest_vcn, Run::end);
    if end != header.highest_vcn.wrapping_add(1) {
        let expected = format!("{}, where the run list ends", end.wrapping_sub(1).cast_signed());
        fault(
            Severity::Error,
            0x18,
            "highest VCN",
            expected,
            header.highest_vcn.cast_signed().to_string(),
        );
    }
    let unit = 1 << COMPRESSION_UNIT;
    let mut after_hole = false;
    for run in list {
        match run.lcn {
            Some(lcn) if context.volume.geometry.clusters_offset(lcn, run.clusters).is_none() => {
                let expected = format!("clusters below {}", context.volume.geometry.total_clusters);
                let found = format!("{} clusters from {lcn} on, for VCN {}", run.clusters, run.vcn);
                fault(Severity::Error, pairs, "run list", expected, found);
            }
            Some(_) if is_compressed && after_hole && !run.vcn.is_multiple_of(unit) => {
                let expected = "stored clusters at the start of each compression unit".into();
                fault(
                    Severity::Error,
                    pairs,
                    "run list",
                    expected,
                    format!("a hole before VCN {}", run.vcn),
                );
            }
            None if !may_have_holes => {
                let found = format!("a hole of {} clusters at VCN {}", run.clusters, run.vcn);
                fault(
                    Severity::Error,
                    pairs,
                    "run list",
                    "stored clusters: it is neither sparse nor compressed".into(),
                    found,
                );
            }
            _ => {}
        }
        after_hole = run.lcn.is_none();
    }
}
