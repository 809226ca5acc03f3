//! `$LogFile`: as much of it as says whether there is something to replay.
//!
//! A fresh log is filled with 0xFF; Windows then builds its restart areas at the first mount.

use super::fixup::{self, MultiSectorHeader};
use super::{Structure, fixed_size};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;

/// What a fresh log is filled with.
pub const FRESH: u8 = 0xFF;

/// `LFS_RESTART_PAGE_HEADER`: how each of the first two pages begins.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPageHeader {
    /// 0x00: [`RestartPageHeader::SIGNATURE`], or `CHKD` where chkdsk was here.
    pub multi_sector_header: MultiSectorHeader,
    /// 0x08: last log sequence number that chkdsk saw.
    pub check_disk_lsn: u64,
    /// 0x10: bytes of a restart page.
    pub system_page_size: u32,
    /// 0x14: bytes of a record page.
    pub log_page_size: u32,
    /// 0x18: where the restart area stands.
    pub restart_offset: u16,
    /// 0x1A: minor version: 1.1 when left by Windows 7, or by a later one that unmounted properly; 2.0 while mounted by
    /// Windows 8 and later.
    pub minor_version: i16,
    /// 0x1C: major version.
    pub major_version: i16,
}

fixed_size!(RestartPageHeader, "RSTR header", 0x1E);

impl RestartPageHeader {
    /// How a restart page begins.
    pub const SIGNATURE: [u8; 4] = *b"RSTR";
    /// How a restart page begins that chkdsk wrote.
    pub const CHECKED_SIGNATURE: [u8; 4] = *b"CHKD";
}

bitflags! {
    /// State of the log.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct RestartFlags: u16 {
        /// The last page holds one record only.
        const SINGLE_PAGE_IO = 0x0001;
        /// The volume was unmounted properly.
        const CLEAN_DISMOUNT = 0x0002;
    }
}

/// `LFS_RESTART_AREA`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartArea {
    /// 0x00: last log sequence number.
    pub current_lsn: u64,
    /// 0x08: number of clients, 1.
    pub log_clients: u16,
    /// 0x0A: first free client, or [`RestartArea::NO_CLIENT`].
    pub client_free_list: u16,
    /// 0x0C: first client in use, or [`RestartArea::NO_CLIENT`] where the log is closed.
    pub client_in_use_list: u16,
    /// 0x0E: state.
    #[br(map = RestartFlags::from_bits_retain)]
    #[bw(map = RestartFlags::bits)]
    pub flags: RestartFlags,
    /// 0x10: bits of a sequence number that count uses of the file.
    pub seq_number_bits: u32,
    /// 0x14: bytes of the restart area.
    pub restart_area_length: u16,
    /// 0x16: where the client records stand.
    pub client_array_offset: u16,
    /// 0x18: bytes of the log.
    pub file_size: u64,
    /// 0x20: bytes of the last record's data.
    pub last_lsn_data_length: u32,
    /// 0x24: bytes of a record's header.
    pub record_header_length: u16,
    /// 0x26: where data begins in a record page.
    pub log_page_data_offset: u16,
}

fixed_size!(RestartArea, "restart area", 0x28);

impl RestartArea {
    /// No client.
    pub const NO_CLIENT: u16 = 0xFFFF;
}

/// Whether the log holds changes that are not yet in their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// Fresh: filled with 0xFF, or (by some formatters) with zeros.
    Fresh,
    /// Closed: the volume was unmounted properly.
    Clean,
    /// Open: the volume's structures may be a mixture of old and new.
    Dirty,
}

/// The state that the log's first pages say; `bytes` is the log's beginning, 8 KiB at least where it is that long.
pub fn state(bytes: &[u8]) -> Result<LogState, Damage> {
    let is_filled_with = |value: u8| bytes.iter().all(|byte| *byte == value);
    if is_filled_with(FRESH) || is_filled_with(0) {
        return Ok(LogState::Fresh);
    }
    let first = restart_area(bytes, 0);
    let second = restart_area(bytes, 0x1000);
    let newest = match (first, second) {
        (Ok(first), Ok(second)) if second.current_lsn > first.current_lsn => second,
        (Ok(only), _) | (Err(_), Ok(only)) => only,
        (Err(damage), Err(_)) => return Err(damage),
    };
    let is_clean =
        newest.flags.contains(RestartFlags::CLEAN_DISMOUNT) || newest.client_in_use_list == RestartArea::NO_CLIENT;
    Ok(if is_clean { LogState::Clean } else { LogState::Dirty })
}

fn restart_area(bytes: &[u8], offset: usize) -> Result<RestartArea, Damage> {
    let header = RestartPageHeader::read_from(bytes, offset)?;
    let signature = match header.multi_sector_header.signature {
        RestartPageHeader::CHECKED_SIGNATURE => RestartPageHeader::CHECKED_SIGNATURE,
        _ => RestartPageHeader::SIGNATURE,
    };
    let size = header.system_page_size as usize;
    if !(512..=0x1_0000).contains(&size) || !size.is_power_of_two() {
        return Err(Damage::new(
            "RSTR header, system page size",
            offset as u64 + 0x10,
            "a power of two from 512 to 65536",
            size.to_string(),
        ));
    }
    let mut page = super::part(bytes, offset, size, "restart page")?.to_vec();
    fixup::apply(&mut page, signature)
        .and_then(|()| RestartArea::read_from(&page, usize::from(header.restart_offset)))
        .map_err(|damage| super::moved(damage, offset as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_clean_and_dirty_logs_are_told_apart() {
        assert_eq!(state(&[0xFF; 8192]).unwrap(), LogState::Fresh);
        let page = |lsn: u64, flags: u16, in_use: u16| {
            let mut page = vec![0; 4096];
            let header = RestartPageHeader {
                multi_sector_header: MultiSectorHeader {
                    signature: RestartPageHeader::SIGNATURE,
                    update_sequence_array_offset: 0x1E,
                    update_sequence_array_size: 9,
                },
                check_disk_lsn: 0,
                system_page_size: 4096,
                log_page_size: 4096,
                restart_offset: 0x30,
                minor_version: 1,
                major_version: 1,
            };
            header.write_to(&mut page, 0);
            page[0x30..0x38].copy_from_slice(&lsn.to_le_bytes());
            page[0x3C..0x3E].copy_from_slice(&in_use.to_le_bytes());
            page[0x3E..0x40].copy_from_slice(&flags.to_le_bytes());
            fixup::protect(&mut page, 1);
            page
        };
        let log = |first: Vec<u8>, second: Vec<u8>| [first, second].concat();
        assert_eq!(state(&log(page(1, 0, 0), page(2, 2, 0))).unwrap(), LogState::Clean);
        assert_eq!(state(&log(page(1, 0, 0), page(2, 0, 0xFFFF))).unwrap(), LogState::Clean);
        assert_eq!(state(&log(page(3, 0, 0), page(2, 2, 0))).unwrap(), LogState::Dirty);
        assert_eq!(state(&log(vec![7; 4096], page(2, 0, 0))).unwrap(), LogState::Dirty);
        assert!(state(&[7; 8192]).is_err());
    }
}
