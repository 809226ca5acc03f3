//! The structures of programs, declared once. Names are those of "PE Format" and `winver.h` in Rust's spelling.

use binrw::binrw;

/// `IMAGE_FILE_HEADER`, 20 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// 0: the processor.
    pub machine: u16,
    /// 2: how many sections follow the optional header.
    pub number_of_sections: u16,
    /// 4: when it was linked, in seconds since 1970.
    pub time_date_stamp: u32,
    /// 8: where the symbol table is.
    pub pointer_to_symbol_table: u32,
    /// 12: how many symbols it has.
    pub number_of_symbols: u32,
    /// 16: bytes of the optional header.
    pub size_of_optional_header: u16,
    /// 18: flags.
    pub characteristics: u16,
}

impl FileHeader {
    /// Its bytes.
    pub const SIZE: usize = 20;
    /// In the characteristics: it is a library.
    pub const DLL: u16 = 0x2000;
}

/// `IMAGE_SECTION_HEADER`, 40 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionHeader {
    /// 0: its name.
    pub name: [u8; 8],
    /// 8: bytes in memory.
    pub virtual_size: u32,
    /// 12: where it begins in memory.
    pub virtual_address: u32,
    /// 16: bytes in the file.
    pub size_of_raw_data: u32,
    /// 20: where it begins in the file.
    pub pointer_to_raw_data: u32,
    /// 24: relocations and line numbers, of object files alone.
    pub object_file_fields: [u8; 12],
    /// 36: flags.
    pub characteristics: u32,
}

impl SectionHeader {
    /// Its bytes.
    pub const SIZE: usize = 40;
}

/// `IMAGE_RESOURCE_DIRECTORY`, 16 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceDirectory {
    /// 0: flags, unused.
    pub characteristics: u32,
    /// 4: when it was made.
    pub time_date_stamp: u32,
    /// 8: the version, for the maker.
    pub version: u32,
    /// 12: how many entries with names follow.
    pub number_of_named_entries: u16,
    /// 14: how many entries with numbers follow them.
    pub number_of_id_entries: u16,
}

impl ResourceDirectory {
    /// Its bytes.
    pub const SIZE: usize = 16;
}

/// `IMAGE_RESOURCE_DIRECTORY_ENTRY`, 8 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceDirectoryEntry {
    /// 0: a number; with the highest bit, where a name is.
    pub name: u32,
    /// 4: where the data entry is; with the highest bit, where a directory is.
    pub offset_to_data: u32,
}

impl ResourceDirectoryEntry {
    /// Its bytes.
    pub const SIZE: usize = 8;
    /// The highest bit of either member.
    pub const HIGH_BIT: u32 = 1 << 31;
}

/// `IMAGE_RESOURCE_DATA_ENTRY`, 16 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceDataEntry {
    /// 0: where the data is in memory.
    pub offset_to_data: u32,
    /// 4: its bytes.
    pub size: u32,
    /// 8: the code page of its texts.
    pub code_page: u32,
    /// 12: zero.
    pub reserved: u32,
}

impl ResourceDataEntry {
    /// Its bytes.
    pub const SIZE: usize = 16;
}

/// `VS_FIXEDFILEINFO`, 52 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedFileInfo {
    /// 0: [`SIGNATURE`](Self::SIGNATURE).
    pub signature: u32,
    /// 4: the version of this structure.
    pub struc_version: u32,
    /// 8: the file's version, its first two numbers.
    pub file_version_ms: u32,
    /// 12: its last two.
    pub file_version_ls: u32,
    /// 16: the product's version, its first two numbers.
    pub product_version_ms: u32,
    /// 20: its last two.
    pub product_version_ls: u32,
    /// 24: which flags count.
    pub file_flags_mask: u32,
    /// 28: debug, prerelease, patched, private, special.
    pub file_flags: u32,
    /// 32: for which system.
    pub file_os: u32,
    /// 36: 1 for a program, 2 for a library, 3 for a driver, 4 for a font.
    pub file_type: u32,
    /// 40: which driver or font.
    pub file_subtype: u32,
    /// 44: when it was made, its high half.
    pub file_date_ms: u32,
    /// 48: its low half.
    pub file_date_ls: u32,
}

impl FixedFileInfo {
    /// Its bytes.
    pub const SIZE: usize = 52;
    /// What it begins with.
    pub const SIGNATURE: u32 = 0xFEEF_04BD;
}

/// `GRPICONDIRENTRY`, 14 bytes: an icon of a group. In an `.ico` file its last member is a 32-bit offset instead.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupIconEntry {
    /// 0: width in pixels, 0 for 256.
    pub width: u8,
    /// 1: height in pixels, 0 for 256.
    pub height: u8,
    /// 2: colours of the palette.
    pub color_count: u8,
    /// 3: zero.
    pub reserved: u8,
    /// 4: planes.
    pub planes: u16,
    /// 6: bits of a pixel.
    pub bit_count: u16,
    /// 8: bytes of the icon.
    pub bytes_in_resource: u32,
    /// 12: number of its resource.
    pub id: u16,
}

impl GroupIconEntry {
    /// Its bytes.
    pub const SIZE: usize = 14;
}
