//! The base block.

use super::findings::Findings;
use crate::read::Hive;
use crate::structure::{BASE_BLOCK_SIZE, BaseBlock, HiveBin, u32_at};
use cv_disk::{Damage, Severity};

pub(super) fn check(hive: &Hive<'_>, findings: &mut Findings) {
    let block = hive.base_block();
    let mut add = |severity: Severity, field: &str, offset: u64, expected: String, found: String| {
        let structure = format!("base block, {field}");
        findings.add(severity, Damage::new(structure, offset, expected, found));
    };
    if !BaseBlock::has_valid_checksum(hive.bytes()) {
        let expected = format!("{:#010x}", BaseBlock::checksum_of(hive.bytes()));
        let found = format!("{:#010x}", u32_at(hive.bytes(), 508));
        add(Severity::Error, "checksum", 508, expected, found);
    }
    let (primary, secondary) = (block.primary_sequence_number, block.secondary_sequence_number);
    if primary != secondary {
        let expected = format!("{primary}, as the primary one");
        let found = format!("{secondary}: the last write was not completed");
        add(Severity::Error, "secondary sequence number", 8, expected, found);
    }
    let length = hive.bytes().len().saturating_sub(BASE_BLOCK_SIZE);
    let size = block.hive_bins_data_size;
    if !size.is_multiple_of(HiveBin::UNIT) || size == 0 {
        let expected = "a multiple of 4096".into();
        add(Severity::Error, "hive bins data size", 40, expected, size.to_string());
    } else if size as usize > length {
        let expected = format!("at most {length}, to the end of the file");
        add(Severity::Error, "hive bins data size", 40, expected, size.to_string());
    }
    for (severity, field, offset, is_right, expected, found) in [
        (
            Severity::Error,
            "major version",
            20,
            block.major_version == 1,
            "1",
            block.major_version,
        ),
        (
            Severity::Warning,
            "minor version",
            24,
            block.minor_version <= 6,
            "at most 6",
            block.minor_version,
        ),
        (
            Severity::Error,
            "file type",
            28,
            block.file_type == BaseBlock::PRIMARY_FILE,
            "0",
            block.file_type,
        ),
        (
            Severity::Error,
            "file format",
            32,
            block.file_format == 1,
            "1",
            block.file_format,
        ),
        (
            Severity::Note,
            "clustering factor",
            44,
            block.clustering_factor == 1,
            "1",
            block.clustering_factor,
        ),
    ] {
        if !is_right {
            add(severity, field, offset, expected.into(), found.to_string());
        }
    }
}
