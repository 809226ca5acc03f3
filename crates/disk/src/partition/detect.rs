//! Which kind of partition table a disk has.

use super::SectorSize;
use super::gpt;
use super::mbr::{self, BootRecord};
use crate::access::ReadAt;
use crate::error::ReadError;

/// The kind of table, and the sectors it counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    None,
    Mbr(SectorSize),
    Gpt(SectorSize),
}

/// Recognises the table by the first sector, then by the GPT headers.
pub(super) fn detect(disk: &dyn ReadAt, sector_size: Option<SectorSize>) -> Result<Scheme, ReadError> {
    if disk.len() < SectorSize::Bytes512.bytes() {
        return Ok(Scheme::None);
    }
    let mut sector = [0; 512];
    disk.read_at(&mut sector, 0)?;
    let record = BootRecord::parse(&sector);
    let is_volume = is_volume_boot_sector(&sector);
    let is_protective = record.as_ref().is_some_and(BootRecord::is_protective);
    let has_mbr = !is_volume && record.as_ref().is_some_and(BootRecord::has_valid_boot_indicators);
    let has_partitions = has_mbr && record.as_ref().is_some_and(|record| record.used().next().is_some());
    let mbr_sector_size = sector_size.unwrap_or_default();

    if !is_protective {
        if has_partitions {
            return Ok(Scheme::Mbr(mbr_sector_size));
        }
        if is_volume {
            return Ok(Scheme::None);
        }
    }
    let given = sector_size.map(|size| [size; 1]);
    let sizes: &[SectorSize] = given.as_ref().map_or(&SectorSize::ALL, |given| given);
    if let Some(size) = gpt::find_primary(disk, sizes) {
        return Ok(Scheme::Gpt(size));
    }
    // Behind an empty MBR a backup GPT is a left-over of what the MBR replaced; behind a wiped first sector it is all
    // that is left.
    if (is_protective || record.is_none())
        && let Some(size) = gpt::find_backup(disk, sizes)
    {
        return Ok(Scheme::Gpt(size));
    }
    Ok(if is_protective {
        Scheme::Gpt(mbr_sector_size)
    } else if has_mbr {
        Scheme::Mbr(mbr_sector_size)
    } else {
        Scheme::None
    })
}

/// Whether this is the boot sector of a FAT, exFAT, NTFS, ReFS or BitLocker volume, whose code may look like an MBR's
/// partition records.
fn is_volume_boot_sector(sector: &[u8; 512]) -> bool {
    const OEM_NAMES: [&[u8; 8]; 4] = [b"NTFS    ", b"EXFAT   ", b"ReFS\0\0\0\0", b"-FVE-FS-"];
    if OEM_NAMES.iter().any(|name| sector[3..11] == name[..]) {
        return true;
    }
    let bytes_per_sector = u16::from_le_bytes([sector[11], sector[12]]);
    let sectors_per_cluster = sector[13];
    let reserved_sectors = u16::from_le_bytes([sector[14], sector[15]]);
    let fats = sector[16];
    let media = sector[21];
    mbr::has_signature(sector)
        && matches!(sector[0], 0xEB | 0xE9)
        && matches!(bytes_per_sector, 512 | 1024 | 2048 | 4096)
        && sectors_per_cluster.is_power_of_two()
        && reserved_sectors != 0
        && matches!(fats, 1 | 2)
        && (media == 0xF0 || media >= 0xF8)
}
