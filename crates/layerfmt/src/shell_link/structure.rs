//! The structures of \[MS-SHLLINK\], declared once for the reader and the writer.

use binrw::binrw;
use bitflags::bitflags;

/// `LinkCLSID`, `{00021401-0000-0000-C000-000000000046}`.
pub const LINK_CLSID: [u8; 16] = [1, 0x14, 2, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46];

/// The class of "This PC", at the top of every list of items that leads to a drive:
/// `{20D04FE0-3AEA-1069-A2D8-08002B30309D}`.
pub const MY_COMPUTER: [u8; 16] = [
    0xE0, 0x4F, 0xD0, 0x20, 0xEA, 0x3A, 0x69, 0x10, 0xA2, 0xD8, 0x08, 0x00, 0x2B, 0x30, 0x30, 0x9D,
];

bitflags! {
    /// `LinkFlags` (section 2.1.1), those that matter here.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LinkFlags: u32 {
        const HAS_LINK_TARGET_ID_LIST = 1;
        const HAS_LINK_INFO = 1 << 1;
        const HAS_NAME = 1 << 2;
        const HAS_RELATIVE_PATH = 1 << 3;
        const HAS_WORKING_DIR = 1 << 4;
        const HAS_ARGUMENTS = 1 << 5;
        const HAS_ICON_LOCATION = 1 << 6;
        const IS_UNICODE = 1 << 7;
        const FORCE_NO_LINK_INFO = 1 << 8;
        const HAS_EXP_STRING = 1 << 9;
        const HAS_DARWIN_ID = 1 << 12;
        const RUN_AS_USER = 1 << 13;
        const HAS_EXP_ICON = 1 << 14;
        const PREFER_ENVIRONMENT_PATH = 1 << 25;
    }
}

/// `ShellLinkHeader` (section 2.1), 76 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShellLinkHeader {
    /// 0: 76.
    pub header_size: u32,
    /// 4: [`LINK_CLSID`].
    pub link_clsid: [u8; 16],
    /// 20: [`LinkFlags`].
    pub link_flags: u32,
    /// 24: attributes of the target.
    pub file_attributes: u32,
    /// 28: when the target was made, in 100 ns since 1601.
    pub creation_time: u64,
    /// 36: when it was last read.
    pub access_time: u64,
    /// 44: when it was last written.
    pub write_time: u64,
    /// 52: the low half of its size.
    pub file_size: u32,
    /// 56: which icon of the icon location.
    pub icon_index: i32,
    /// 60: how the window opens.
    pub show_command: u32,
    /// 64: virtual key code below, modifiers above.
    pub hot_key: u16,
    /// 66: zeros.
    pub reserved: [u8; 10],
}

impl ShellLinkHeader {
    /// Its bytes.
    pub const SIZE: usize = 76;
}

/// `LinkInfo` without what follows its offsets (section 2.3), 28 bytes; all offsets count from its start.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfoHeader {
    /// 0: bytes of all of it.
    pub size: u32,
    /// 4: 28, or 36 and more where two offsets of Unicode texts follow.
    pub header_size: u32,
    /// 8: bit 0 for a local path, bit 1 for a network path.
    pub flags: u32,
    /// 12: where the `VolumeID` is.
    pub volume_id_offset: u32,
    /// 16: where the local path is.
    pub local_base_path_offset: u32,
    /// 20: where the `CommonNetworkRelativeLink` is.
    pub common_network_relative_link_offset: u32,
    /// 24: where the rest of the path is.
    pub common_path_suffix_offset: u32,
}

impl LinkInfoHeader {
    /// Its bytes.
    pub const SIZE: usize = 28;
    /// Its bytes with the offsets of Unicode texts.
    pub const UNICODE_SIZE: usize = 36;
    /// There are a `VolumeID` and a local path.
    pub const VOLUME_ID_AND_LOCAL_BASE_PATH: u32 = 1;
    /// There is a `CommonNetworkRelativeLink`.
    pub const COMMON_NETWORK_RELATIVE_LINK: u32 = 2;
}

/// `BlockSignature` of an `EnvironmentVariableDataBlock` (section 2.5.4).
pub const ENVIRONMENT_BLOCK: u32 = 0xA000_0001;
/// `BlockSignature` of a `DarwinDataBlock` (section 2.5.3).
pub const DARWIN_BLOCK: u32 = 0xA000_0006;
/// `BlockSignature` of an `IconEnvironmentDataBlock` (section 2.5.5).
pub const ICON_ENVIRONMENT_BLOCK: u32 = 0xA000_0007;
/// Bytes of each of these blocks.
pub const TEXTS_BLOCK_SIZE: usize = 0x314;
/// Characters of a text in them, the zero at its end included.
pub const BLOCK_TEXT: usize = 260;
