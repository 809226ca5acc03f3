//! One attribute by itself: its header, and its run list.

use super::clusters::OwnedRuns;
use super::context::{Context, shown};
use super::findings::Findings;
use crate::structure::attribute_definition::DefinitionFlags;
use crate::structure::{
    Attribute, AttributeFlags, AttributeHeader, AttributeType, Form, NonResidentHeader, ResidentHeader, Run, Structure,
    run_list, system_file, within,
};
use cv_disk::{Damage, Severity};

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
    let mut checker = Checker {
        context,
        number,
        attribute,
        findings,
    };
    checker.header();
    match attribute.form {
        Form::Resident { header, value } => checker.resident(header, value),
        Form::NonResident {
            header,
            total_allocated,
            mapping_pairs,
        } => {
            checker.non_resident(&header, total_allocated);
            checker.run_list(&header, mapping_pairs, runs);
        }
    }
}

struct Checker<'a> {
    context: &'a Context,
    number: u64,
    attribute: &'a Attribute<'a>,
    findings: &'a mut Findings,
}

impl Checker<'_> {
    fn fault(&mut self, severity: Severity, within: usize, field: &str, expected: String, found: String) {
        let structure = format!("{}, {field}", title(self.attribute));
        let within = self.attribute.offset + within;
        let damage = self.context.damage(self.number, within, structure, expected, found);
        self.findings.record(severity, self.number, damage);
    }

    fn is_stored_by(&self, flag: AttributeFlags) -> bool {
        self.attribute.header.flags.contains(flag)
    }

    /// The part that all attributes have.
    fn header(&mut self) {
        let type_code = self.attribute.type_code();
        let is_type = (1..=AttributeType::LAST.0).contains(&type_code.0) && type_code.0.is_multiple_of(0x10);
        if !is_type {
            let expected = "a multiple of 0x10 from 0x10 to 0x100".into();
            self.fault(Severity::Error, 0, "type", expected, format!("{:#x}", type_code.0));
        }
        let flags = self.attribute.header.flags;
        let compression = flags & AttributeFlags::COMPRESSION_MASK;
        if !(compression - AttributeFlags::COMPRESSED).is_empty() {
            let found = format!("{:#06x}", flags.bits());
            self.fault(Severity::Error, 0x0C, "compression", "0 or 1".into(), found);
        }
        let (value_start, header_end) = match self.attribute.form {
            Form::Resident { header, .. } => (header.value_offset, AttributeHeader::SIZE + ResidentHeader::SIZE),
            Form::NonResident { header, .. } => (
                header.mapping_pairs_offset,
                AttributeHeader::SIZE + NonResidentHeader::SIZE,
            ),
        };
        let value_start = usize::from(value_start);
        let start = usize::from(self.attribute.header.name_offset);
        let end = start + 2 * usize::from(self.attribute.header.name_length);
        let reaches_value = start < value_start && end > value_start;
        if self.attribute.has_name() && (start < header_end || reaches_value) {
            let expected = format!("a name between {header_end:#x} and the value at {value_start:#x}");
            let found = format!("{start:#x} to {end:#x}");
            self.fault(Severity::Error, 0x0A, "name offset", expected, found);
        }
    }

    fn resident(&mut self, header: ResidentHeader, value: &[u8]) {
        let type_code = self.attribute.type_code();
        let least = AttributeHeader::SIZE + ResidentHeader::SIZE;
        let value_start = usize::from(header.value_offset);
        if value_start < least || !value_start.is_multiple_of(8) {
            let expected = format!("a multiple of 8, at least {least:#x}");
            self.fault(
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
            let found = header.resident_flags.to_string();
            self.fault(Severity::Warning, 0x16, "indexed flag", expected, found);
        }
        if type_code == AttributeType::INDEX_ALLOCATION {
            self.fault(Severity::Error, 8, "form", "non-resident".into(), "resident".into());
        }
        let length = value.len() as u64;
        // A volume without a label may have an empty one.
        let is_no_label = type_code == AttributeType::VOLUME_NAME && length == 0;
        if let Some(definition) = self.context.definition(type_code).filter(|_| !is_no_label) {
            let allowed = definition.minimum_length..=definition.maximum_length;
            if !allowed.contains(&length) {
                let expected = format!("{} to {} bytes", allowed.start(), allowed.end());
                self.fault(Severity::Error, 0x10, "value length", expected, length.to_string());
            }
        }
    }

    fn non_resident(&mut self, header: &NonResidentHeader, total_allocated: Option<u64>) {
        let definition = self.context.definition(self.attribute.type_code());
        if definition.is_some_and(|definition| definition.flags.contains(DefinitionFlags::MUST_BE_RESIDENT)) {
            self.fault(Severity::Error, 8, "form", "resident".into(), "non-resident".into());
        }
        // What follows stands in a value's first extent alone.
        if header.lowest_vcn != 0 {
            return;
        }
        let is_compressed = self.is_stored_by(AttributeFlags::COMPRESSED);
        let is_sparse = self.is_stored_by(AttributeFlags::SPARSE);
        let unit = header.compression_unit;
        let unit_is_right = match (is_compressed, is_sparse) {
            (true, _) => unit == COMPRESSION_UNIT,
            (false, true) => unit == 0 || unit == COMPRESSION_UNIT,
            (false, false) => unit == 0,
        };
        if !unit_is_right {
            let expected = if is_compressed { "4" } else { "0" };
            self.fault(
                Severity::Error,
                0x22,
                "compression unit",
                expected.into(),
                unit.to_string(),
            );
        }
        if (is_compressed || is_sparse) && total_allocated.is_none() {
            let expected = "at least 0x48, for the total allocated size".into();
            let found = format!("{:#x}", header.mapping_pairs_offset);
            self.fault(Severity::Error, 0x20, "mapping pairs offset", expected, found);
        }
        self.sizes(header, total_allocated);
    }

    fn sizes(&mut self, header: &NonResidentHeader, total_allocated: Option<u64>) {
        let cluster_size = self.context.volume.cluster_size();
        let allocated = header.allocated_length;
        if !allocated.is_multiple_of(cluster_size) {
            let expected = format!("a multiple of the cluster size, {cluster_size}");
            self.fault(Severity::Error, 0x28, "allocated size", expected, allocated.to_string());
        }
        let limits = [
            (0x30, "data size", header.file_size, "allocated size", allocated),
            (
                0x38,
                "initialized size",
                header.valid_data_length,
                "data size",
                header.file_size,
            ),
            (
                0x40,
                "total allocated size",
                total_allocated.unwrap_or(0),
                "allocated size",
                allocated,
            ),
        ];
        for (within, field, size, limit_field, limit) in limits {
            if size > limit {
                let expected = format!("at most the {limit_field}, {limit}");
                self.fault(Severity::Error, within, field, expected, size.to_string());
            }
        }
    }

    fn run_list(&mut self, header: &NonResidentHeader, mapping_pairs: &[u8], runs: &mut OwnedRuns) {
        let list = match run_list::decode(mapping_pairs, header.lowest_vcn) {
            Ok(list) => list,
            Err(damage) => {
                let pairs = usize::from(header.mapping_pairs_offset);
                let place = self.attribute.offset + pairs + damage.offset as usize;
                let damage = Damage {
                    offset: self.context.place(self.number, place),
                    ..damage
                };
                let damage = within(damage, title(self.attribute));
                self.findings.record(Severity::Error, self.number, damage);
                return;
            }
        };
        let end = list.last().map_or(header.lowest_vcn, Run::end);
        if end != header.highest_vcn.wrapping_add(1) {
            let expected = format!("{}, where the run list ends", end.wrapping_sub(1).cast_signed());
            let found = header.highest_vcn.cast_signed().to_string();
            self.fault(Severity::Error, 0x18, "highest VCN", expected, found);
        }
        self.runs(header, &list);
        for run in &list {
            let is_inside = |lcn| {
                self.context
                    .volume
                    .geometry
                    .clusters_offset(lcn, run.clusters)
                    .is_some()
            };
            if let Some(lcn) = run.lcn.filter(|lcn| is_inside(*lcn)) {
                runs.push(lcn, run.clusters, self.number);
            }
        }
    }

    fn runs(&mut self, header: &NonResidentHeader, list: &[Run]) {
        let is_compressed = self.is_stored_by(AttributeFlags::COMPRESSED);
        // $Bad has a hole for every good cluster, and says nothing of it.
        let is_bad_clusters =
            self.number == system_file::BAD_CLUSTERS.record && self.attribute.is_named(&system_file::BAD);
        let may_have_holes = is_compressed || self.is_stored_by(AttributeFlags::SPARSE) || is_bad_clusters;
        let geometry = self.context.volume.geometry;
        let pairs = usize::from(header.mapping_pairs_offset);
        let mut after_hole = false;
        for run in list {
            match run.lcn {
                Some(lcn) if geometry.clusters_offset(lcn, run.clusters).is_none() => {
                    let expected = format!("clusters below {}", geometry.total_clusters);
                    let found = format!("{} clusters from {lcn} on, for VCN {}", run.clusters, run.vcn);
                    self.fault(Severity::Error, pairs, "run list", expected, found);
                }
                Some(_) if is_compressed && after_hole && !run.vcn.is_multiple_of(1 << COMPRESSION_UNIT) => {
                    let expected = "stored clusters at the start of each compression unit".into();
                    let found = format!("a hole before VCN {}", run.vcn);
                    self.fault(Severity::Error, pairs, "run list", expected, found);
                }
                None if !may_have_holes => {
                    let expected = "stored clusters: it is neither sparse nor compressed".into();
                    let found = format!("a hole of {} clusters at VCN {}", run.clusters, run.vcn);
                    self.fault(Severity::Error, pairs, "run list", expected, found);
                }
                _ => {}
            }
            after_hole = run.lcn.is_none();
        }
    }
}
