//! `$UpCase:$Info`: which table the volume has (Windows 8 and later).

use super::fixed_size;
use binrw::binrw;

/// The stream's content.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpcaseInfo {
    /// 0x00: bytes of the structure, 32.
    pub length: u32,
    /// 0x04: 0.
    pub reserved: u32,
    /// 0x08: [`crc64`] of the table.
    pub crc: u64,
    /// 0x10: major version of the Windows that wrote it, or 0.
    pub os_major_version: u32,
    /// 0x14: minor version.
    pub os_minor_version: u32,
    /// 0x18: build.
    pub build_number: u32,
    /// 0x1C: 0.
    pub service_pack: u32,
}

fixed_size!(UpcaseInfo, "$UpCase:$Info", 32);

impl UpcaseInfo {
    /// That of `table`, the content of `$UpCase`, without naming a Windows.
    pub fn of(table: &[u8]) -> Self {
        Self {
            length: 32,
            reserved: 0,
            crc: crc64(table),
            os_major_version: 0,
            os_minor_version: 0,
            build_number: 0,
            service_pack: 0,
        }
    }
}

/// CRC-64 with the reflected polynomial 0x9A6C9329AC4BC9B5, started from all ones and inverted at the end.
pub fn crc64(bytes: &[u8]) -> u64 {
    const TABLE: [u64; 256] = table();
    !bytes
        .iter()
        .fold(!0, |crc: u64, byte| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)])
}

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 256 {
        let mut crc = number as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x9A6C_9329_AC4B_C9B5
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[number] = crc;
        number += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_the_windows_table_is_that_of_windows() {
        let table = cv_winname::UpcaseTable::windows().to_bytes();
        assert_eq!(UpcaseInfo::of(&table).crc, 0xDADC_7E77_6B1B_690C);
    }
}
