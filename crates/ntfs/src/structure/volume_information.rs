//! `$VOLUME_INFORMATION`.

use super::fixed_size;
use binrw::binrw;
use bitflags::bitflags;

bitflags! {
    /// The volume's state.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct VolumeFlags: u16 {
        /// It was not unmounted properly; chkdsk runs at the next start.
        const DIRTY = 0x0001;
        /// `$LogFile` is to be resized.
        const RESIZE_LOG_FILE = 0x0002;
        /// Written by an older Windows; to be upgraded.
        const UPGRADE_ON_MOUNT = 0x0004;
        /// Mounted by Windows NT 4.
        const MOUNTED_ON_NT4 = 0x0008;
        /// The change journal is being deleted.
        const DELETE_USN_UNDERWAY = 0x0010;
        /// Object ids are to be repaired.
        const REPAIR_OBJECT_ID = 0x0020;
        /// Set by Windows 10 and later; its meaning is not published.
        const WINDOWS_10 = 0x0080;
        /// chkdsk is at work.
        const CHKDSK_UNDERWAY = 0x4000;
        /// chkdsk changed it.
        const MODIFIED_BY_CHKDSK = 0x8000;
    }
}

/// The value of `$VOLUME_INFORMATION`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeInformation {
    /// 0x00: 0.
    pub reserved: u64,
    /// 0x08: 3.
    pub major_version: u8,
    /// 0x09: 1 since Windows XP, 0 in Windows 2000.
    pub minor_version: u8,
    /// 0x0A: the volume's state.
    #[br(map = VolumeFlags::from_bits_retain)]
    #[bw(map = VolumeFlags::bits)]
    pub volume_flags: VolumeFlags,
}

fixed_size!(VolumeInformation, "$VOLUME_INFORMATION", 12);
