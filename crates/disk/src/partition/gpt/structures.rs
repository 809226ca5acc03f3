//! The GPT as it stands on the disk: a header and an array of partition entries, twice.

use crate::access::{ReadAt, WriteAt};
use crate::error::{Damage, ReadError, WriteError};
use crate::partition::SectorSize;
use binrw::{BinRead, BinWrite, binrw};
use std::io::Cursor;
use std::ops::Range;

/// `Signature` of the header.
pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
/// `Revision` of every UEFI version.
pub(super) const REVISION: u32 = 0x0001_0000;
/// Bytes of the header that the specification defines.
pub(super) const HEADER_SIZE: u32 = 92;
/// Bytes of a partition entry that the specification defines.
pub(super) const ENTRY_SIZE: u32 = 128;
/// The sector of the primary header.
pub(super) const PRIMARY_LBA: u64 = 1;
/// Bytes of an entry array that are read at most; the usual array has 16 KiB.
pub(super) const ARRAY_LIMIT: u64 = 4 << 20;
/// Bytes of an entry array read at once; a multiple of every entry size.
const CHUNK: u64 = 64 << 10;

/// The GPT header (UEFI specification 2.10, section 5.3.2, table 5.5).
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the specification's names")]
pub(super) struct Header {
    /// Byte 0.
    pub signature: [u8; 8],
    /// Byte 8.
    pub revision: u32,
    /// Byte 12: bytes that the checksum covers.
    pub header_size: u32,
    /// Byte 16: CRC-32 of the header with this field zero.
    pub header_crc32: u32,
    /// Byte 20.
    pub reserved: u32,
    /// Byte 24: the sector of this header.
    pub my_lba: u64,
    /// Byte 32: the sector of the other header.
    pub alternate_lba: u64,
    /// Byte 40: the first sector that a partition may use.
    pub first_usable_lba: u64,
    /// Byte 48: the last sector that a partition may use.
    pub last_usable_lba: u64,
    /// Byte 56, in the mixed byte order of GUIDs.
    pub disk_guid: [u8; 16],
    /// Byte 72: the first sector of the entry array.
    pub partition_entry_lba: u64,
    /// Byte 80.
    pub number_of_partition_entries: u32,
    /// Byte 84: 128 times a power of two.
    pub size_of_partition_entry: u32,
    /// Byte 88: CRC-32 of the entry array.
    pub partition_entry_array_crc32: u32,
}

/// A partition entry (section 5.3.3, table 5.6), 128 bytes.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Byte 0; zero where the entry is unused.
    pub partition_type_guid: [u8; 16],
    /// Byte 16.
    pub unique_partition_guid: [u8; 16],
    /// Byte 32.
    pub starting_lba: u64,
    /// Byte 40: the last sector itself.
    pub ending_lba: u64,
    /// Byte 48.
    pub attributes: u64,
    /// Byte 56: UTF-16, ended by zero where it is shorter.
    pub partition_name: [u16; 36],
}

/// One of the two copies, its checksums found right.
#[derive(Debug)]
pub(super) struct Copy {
    pub header: Header,
    /// The used entries with their numbers from 1.
    pub entries: Vec<(u32, Entry)>,
    /// The header's whole sector, whose bytes behind the defined ones are kept where the header is rewritten.
    sector: Vec<u8>,
}

impl Header {
    /// Bytes of the entry array.
    pub fn array_length(&self) -> u64 {
        u64::from(self.number_of_partition_entries) * u64::from(self.size_of_partition_entry)
    }

    /// Sectors of the entry array.
    pub fn array_sectors(&self, sector_size: SectorSize) -> u64 {
        self.array_length().div_ceil(sector_size.bytes())
    }

    /// The bytes of the whole sector of the header, its checksum set; `sector` holds what stands behind the defined
    /// fields.
    fn sealed(&self, mut sector: Vec<u8>) -> Vec<u8> {
        let mut put = |header: &Self| {
            header
                .write(&mut Cursor::new(&mut sector[..HEADER_SIZE as usize]))
                .expect("the header fills the buffer exactly");
            crc32fast::hash(&sector[..self.header_size as usize])
        };
        let mut header = Self {
            header_crc32: 0,
            ..self.clone()
        };
        header.header_crc32 = put(&header);
        put(&header);
        sector
    }

    /// Writes the header alone, which makes the copy valid.
    pub fn write_new(&self, disk: &dyn WriteAt, sector_size: SectorSize) -> Result<(), WriteError> {
        let sector = self.sealed(vec![0; sector_size.bytes() as usize]);
        disk.write_at(&sector, self.my_lba * sector_size.bytes())
    }
}

impl Entry {
    /// The bytes of the entry.
    pub fn to_bytes(&self) -> [u8; ENTRY_SIZE as usize] {
        let mut bytes = Cursor::new([0; ENTRY_SIZE as usize]);
        self.write(&mut bytes).expect("the entry fills the buffer exactly");
        bytes.into_inner()
    }
}

/// Sectors of `disk` that are whole.
pub(super) fn sector_count(disk: &dyn ReadAt, sector_size: SectorSize) -> u64 {
    disk.len() / sector_size.bytes()
}

/// The header in sector `lba` by its signature alone, whatever else is wrong with it.
pub(super) fn peek(disk: &dyn ReadAt, sector_size: SectorSize, lba: u64) -> Option<Header> {
    let mut bytes = [0; HEADER_SIZE as usize];
    let offset = lba.checked_mul(sector_size.bytes())?;
    ReadError::check_range(offset, sector_size.bytes(), disk.len()).ok()?;
    disk.read_at(&mut bytes, offset).ok()?;
    Header::read(&mut Cursor::new(&bytes))
        .ok()
        .filter(|header| header.signature == SIGNATURE)
}

impl Copy {
    /// The copy whose header stands in sector `lba`, with all that section 5.3.2 demands to be checked.
    pub fn load(disk: &dyn ReadAt, sector_size: SectorSize, lba: u64) -> Result<Self, ReadError> {
        let bytes = sector_size.bytes();
        let offset = lba.saturating_mul(bytes);
        let mut sector = vec![0; bytes as usize];
        disk.read_at(&mut sector, offset)?;
        if sector[..8] != SIGNATURE {
            let found = format!("\"{}\"", sector[..8].escape_ascii());
            return Err(Damage::new("GPT header signature", offset, "\"EFI PART\"", found).into());
        }
        let damaged = |field: &str, at: u64, expected: String, found: String| {
            Err(Damage::new(format!("GPT header {field}"), offset + at, expected, found).into())
        };
        let Ok(header) = Header::read(&mut Cursor::new(&sector)) else {
            return damaged("", 0, "92 bytes".into(), "fewer".into());
        };
        if !(u64::from(HEADER_SIZE)..=bytes).contains(&header.header_size.into()) {
            let found = header.header_size.to_string();
            return damaged("HeaderSize", 12, format!("{HEADER_SIZE} to {bytes}"), found);
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&sector[..16]);
        hasher.update(&[0; 4]);
        hasher.update(&sector[20..header.header_size as usize]);
        let crc = hasher.finalize();
        if crc != header.header_crc32 {
            let found = format!("{:#010x}", header.header_crc32);
            return damaged("HeaderCRC32", 16, format!("{crc:#010x}"), found);
        }
        if header.my_lba != lba {
            return damaged("MyLBA", 24, lba.to_string(), header.my_lba.to_string());
        }
        let entry_size = header.size_of_partition_entry;
        if !entry_size.is_power_of_two() || !(ENTRY_SIZE..=4096).contains(&entry_size) {
            let expected = "128 times a power of two, up to 4096".into();
            return damaged("SizeOfPartitionEntry", 84, expected, entry_size.to_string());
        }
        if header.array_length() > ARRAY_LIMIT {
            let expected = format!("at most {} entries", ARRAY_LIMIT / u64::from(entry_size));
            let found = header.number_of_partition_entries.to_string();
            return damaged("NumberOfPartitionEntries", 80, expected, found);
        }
        let array = header.partition_entry_lba.saturating_mul(bytes);
        if header.partition_entry_lba <= PRIMARY_LBA
            || ReadError::check_range(array, header.array_length(), disk.len()).is_err()
        {
            let expected = format!("a place behind the primary header and within {:#x} bytes", disk.len());
            let found = format!("sector {}", header.partition_entry_lba);
            return damaged("PartitionEntryLBA", 72, expected, found);
        }
        let (entries, crc) = read_entries(disk, &header, array)?;
        if crc != header.partition_entry_array_crc32 {
            let expected = format!("{:#010x}", header.partition_entry_array_crc32);
            return Err(Damage::new("GPT entry array CRC-32", array, expected, format!("{crc:#010x}")).into());
        }
        Ok(Self {
            header,
            entries,
            sector,
        })
    }

    /// The sectors of this copy, its header and its entry array, in bytes. Both were read, so that nothing overflows.
    pub fn byte_ranges(&self, sector_size: SectorSize) -> [Range<u64>; 2] {
        let bytes = sector_size.bytes();
        let header = self.header.my_lba * bytes;
        let array = self.header.partition_entry_lba * bytes;
        [
            header..header + bytes,
            array..array + self.header.array_sectors(sector_size) * bytes,
        ]
    }

    /// Writes this copy again under `header`, which differs in places alone: the entry array first, then, when that is
    /// on stable storage, the header that makes it count.
    pub fn write_as(&self, disk: &dyn WriteAt, sector_size: SectorSize, header: &Header) -> Result<(), WriteError> {
        let from = self.header.partition_entry_lba * sector_size.bytes();
        let to = header.partition_entry_lba * sector_size.bytes();
        if from != to {
            let mut buffer = vec![0; CHUNK.min(header.array_length()) as usize];
            let mut done = 0;
            while done < header.array_length() {
                let step = CHUNK.min(header.array_length() - done);
                let piece = &mut buffer[..step as usize];
                disk.read_at(piece, from + done)?;
                disk.write_at(piece, to + done)?;
                done += step;
            }
            disk.flush()?;
        }
        disk.write_at(&header.sealed(self.sector.clone()), header.my_lba * sector_size.bytes())?;
        disk.flush()
    }
}

/// The used entries of an array and its CRC-32; memory is taken only for entries that are there.
fn read_entries(disk: &dyn ReadAt, header: &Header, array: u64) -> Result<(Vec<(u32, Entry)>, u32), ReadError> {
    let entry_size = header.size_of_partition_entry as usize;
    let mut hasher = crc32fast::Hasher::new();
    let mut entries = Vec::new();
    let mut buffer = vec![0; CHUNK.min(header.array_length()) as usize];
    let mut number = 0;
    let mut done = 0;
    while done < header.array_length() {
        let step = CHUNK.min(header.array_length() - done);
        let piece = &mut buffer[..step as usize];
        disk.read_at(piece, array + done)?;
        hasher.update(piece);
        for bytes in piece.chunks_exact(entry_size) {
            number += 1;
            if bytes[..16] != [0; 16] {
                let entry = Entry::read(&mut Cursor::new(bytes)).map_err(|_| {
                    let offset = array + u64::from(number - 1) * entry_size as u64;
                    Damage::new("GPT partition entry", offset, "128 bytes", "fewer")
                })?;
                entries.push((number, entry));
            }
        }
        done += step;
    }
    Ok((entries, hasher.finalize()))
}
