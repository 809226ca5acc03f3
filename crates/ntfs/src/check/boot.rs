//! The boot sector and its copy behind the last cluster.

use super::findings::Findings;
use crate::structure::{BootSector, Geometry, Structure};
use cv_disk::{Damage, ReadAt, ReadError, Severity};

/// What the boot sectors say.
pub(super) struct Boot {
    /// The sizes, from the first sector, or from the copy where that is no boot sector.
    pub geometry: Geometry,
    /// Where `$MFT` may begin, the first sector's opinion first.
    pub mft_lcns: Vec<u64>,
    /// Where `$MFTMirr` may begin.
    pub mirror_lcns: Vec<u64>,
}

const SIZE: u64 = BootSector::SIZE as u64;

/// Checks both; `None` where neither is of use.
pub(super) fn check(disk: &dyn ReadAt, findings: &mut Findings) -> Result<Option<Boot>, ReadError> {
    if disk.len() < SIZE {
        let found = format!("{} bytes", disk.len());
        findings.volume(
            Severity::Error,
            Damage::new("volume", 0, "at least a boot sector of 512 bytes", found),
        );
        return Ok(None);
    }
    let first = read(disk, 0)?;
    let from_first = Geometry::of(&first);
    match &from_first {
        Ok(geometry) => check_fields(&first, geometry, disk.len(), findings),
        Err(damage) => findings.volume(Severity::Error, damage.clone()),
    }
    check_signature(&first, 0, "boot sector", Severity::Error, findings);

    let copy = find_copy(disk, from_first.as_ref().ok())?;
    let geometries = [
        from_first.ok(),
        copy.as_ref().and_then(|(copy, _)| Geometry::of(copy).ok()),
    ];
    match &copy {
        // A first sector that says no sizes is no measure for the copy.
        Some((copy, offset)) if geometries[0].is_some() => compare(&first, copy, *offset, findings),
        Some(_) => {}
        None => {
            let offset = geometries[0].map_or(disk.len(), |geometry| end_of_sectors(&geometry));
            findings.volume(
                Severity::Warning,
                Damage::new(
                    "boot sector, copy in the last sector",
                    offset,
                    "a copy of the boot sector",
                    if offset >= disk.len() {
                        "the disk's end"
                    } else {
                        "no boot sector"
                    },
                ),
            );
        }
    }
    let lcns = |lcn: fn(&Geometry) -> u64| {
        let mut lcns: Vec<u64> = geometries.iter().flatten().map(lcn).collect();
        lcns.dedup();
        lcns
    };
    Ok(geometries.iter().flatten().next().map(|geometry| Boot {
        geometry: *geometry,
        mft_lcns: lcns(|geometry| geometry.mft_lcn),
        mirror_lcns: lcns(|geometry| geometry.mirror_lcn),
    }))
}

fn read(disk: &dyn ReadAt, offset: u64) -> Result<BootSector, ReadError> {
    let mut bytes = [0; BootSector::SIZE];
    disk.read_at(&mut bytes, offset)?;
    Ok(BootSector::read_from(&bytes, 0)?)
}

fn end_of_sectors(geometry: &Geometry) -> u64 {
    geometry.total_sectors.saturating_mul(u64::from(geometry.sector_size))
}

/// The copy and where it stands: behind the volume's sectors, or in the disk's last sector.
fn find_copy(disk: &dyn ReadAt, geometry: Option<&Geometry>) -> Result<Option<(BootSector, u64)>, ReadError> {
    let expected = geometry.map(end_of_sectors);
    let last = [512, 4096].map(|sector| (disk.len() / sector).checked_sub(1).map(|number| number * sector));
    for offset in expected.into_iter().chain(last.into_iter().flatten()) {
        if offset == 0 || offset.checked_add(SIZE).is_none_or(|end| end > disk.len()) {
            continue;
        }
        let copy = read(disk, offset)?;
        let belongs_here = Geometry::of(&copy).is_ok_and(|geometry| end_of_sectors(&geometry) == offset);
        if copy.oem == BootSector::OEM && (belongs_here || expected == Some(offset)) {
            return Ok(Some((copy, offset)));
        }
    }
    Ok(None)
}

fn check_signature(boot: &BootSector, offset: u64, name: &str, severity: Severity, findings: &mut Findings) {
    if boot.signature != BootSector::SIGNATURE {
        findings.volume(
            severity,
            Damage::new(
                format!("{name}, signature"),
                offset + 0x1FE,
                "55 AA",
                format!("{:02X} {:02X}", boot.signature & 0xFF, boot.signature >> 8),
            ),
        );
    }
}

/// The fields that Windows looks at before it takes a volume for NTFS, and the places of `$MFT` and `$MFTMirr`.
fn check_fields(boot: &BootSector, geometry: &Geometry, disk_length: u64, findings: &mut Findings) {
    let mut fault = |severity, offset, field: &str, expected: String, found: String| {
        let damage = Damage::new(format!("boot sector, {field}"), offset, expected, found);
        findings.volume(severity, damage);
    };
    let zeros = [
        (0x0E, "reserved sectors", u32::from(boot.reserved_sectors)),
        (0x10, "FATs", u32::from(boot.fats)),
        (0x11, "root entries", u32::from(boot.root_entries)),
        (0x13, "sectors in 16 bits", u32::from(boot.sectors)),
        (0x16, "sectors per FAT", u32::from(boot.sectors_per_fat)),
        (0x20, "sectors in 32 bits", boot.large_sectors),
    ];
    for (offset, field, value) in zeros {
        if value != 0 {
            fault(Severity::Error, offset, field, "0".into(), value.to_string());
        }
    }
    if boot.media != 0xF8 {
        fault(
            Severity::Warning,
            0x15,
            "media",
            "0xF8".into(),
            format!("{:#04x}", boot.media),
        );
    }
    if boot.jump != [0xEB, 0x52, 0x90] {
        fault(
            Severity::Note,
            0,
            "jump",
            "EB 52 90".into(),
            format!("{:02X?}", boot.jump),
        );
    }
    let end = end_of_sectors(geometry);
    if end > disk_length {
        let expected = format!("at most the disk's {disk_length} bytes");
        fault(Severity::Error, 0x28, "total sectors", expected, format!("{end} bytes"));
    }
    for (offset, field, lcn) in [
        (0x30, "$MFT LCN", geometry.mft_lcn),
        (0x38, "$MFTMirr LCN", geometry.mirror_lcn),
    ] {
        if lcn == 0 || lcn >= geometry.total_clusters {
            let expected = format!("a cluster from 1 to {}", geometry.total_clusters - 1);
            fault(Severity::Error, offset, field, expected, lcn.to_string());
        }
    }
    if geometry.mft_lcn == geometry.mirror_lcn {
        let expected = "another cluster than $MFT's".into();
        fault(
            Severity::Error,
            0x38,
            "$MFTMirr LCN",
            expected,
            geometry.mirror_lcn.to_string(),
        );
    }
}

/// Compares the copy, which stands at `offset`, with the first sector. The number of hidden sectors and the boot code
/// change when a partition is moved or made bootable, and not every tool changes the copy too.
fn compare(first: &BootSector, copy: &BootSector, offset: u64, findings: &mut Findings) {
    check_signature(
        copy,
        offset,
        "boot sector, copy in the last sector",
        Severity::Warning,
        findings,
    );
    let mut differs = |severity, position: u64, field: &str, expected: String, found: String| {
        let name = format!("boot sector, copy in the last sector, {field}");
        findings.volume(severity, Damage::new(name, offset + position, expected, found));
    };
    let fields = [
        (
            0x0B,
            "bytes per sector",
            u64::from(first.bytes_per_sector),
            u64::from(copy.bytes_per_sector),
        ),
        (
            0x0D,
            "sectors per cluster",
            u64::from(first.sectors_per_cluster),
            u64::from(copy.sectors_per_cluster),
        ),
        (0x28, "total sectors", first.total_sectors, copy.total_sectors),
        (0x30, "$MFT LCN", first.mft_start_lcn, copy.mft_start_lcn),
        (0x38, "$MFTMirr LCN", first.mft2_start_lcn, copy.mft2_start_lcn),
        (
            0x40,
            "clusters per file record",
            u64::from(first.clusters_per_file_record_segment.cast_unsigned()),
            u64::from(copy.clusters_per_file_record_segment.cast_unsigned()),
        ),
        (
            0x44,
            "clusters per index block",
            u64::from(first.default_clusters_per_index_allocation_buffer.cast_unsigned()),
            u64::from(copy.default_clusters_per_index_allocation_buffer.cast_unsigned()),
        ),
        (0x48, "serial number", first.serial_number, copy.serial_number),
    ];
    let mut equal = true;
    for (position, field, in_first, in_copy) in fields {
        if in_first != in_copy {
            equal = false;
            differs(
                Severity::Warning,
                position,
                field,
                format!("{in_first:#x}"),
                format!("{in_copy:#x}"),
            );
        }
    }
    let (first, copy) = (first.to_bytes(), copy.to_bytes());
    let differing = first.iter().zip(&copy).position(|(left, right)| left != right);
    if let (true, Some(position)) = (equal, differing) {
        let found = format!("{:#04x}", copy[position]);
        differs(
            Severity::Note,
            position as u64,
            "other bytes",
            format!("{:#04x}", first[position]),
            found,
        );
    }
}
