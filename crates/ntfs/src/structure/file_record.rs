//! The header of a file record (`FILE_RECORD_SEGMENT_HEADER`).

use super::attribute::Attributes;
use super::file_reference::FileReference;
use super::fixup::MultiSectorHeader;
use super::{Structure, fixed_size};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;

bitflags! {
    /// What a file record is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct RecordFlags: u16 {
        /// It belongs to a file.
        const IN_USE = 0x0001;
        /// It has an `$I30` index: a directory.
        const FILE_NAME_INDEX_PRESENT = 0x0002;
        /// It is one of the files in `$Extend` (`$Quota`, `$ObjId`, `$Reparse`).
        const SYSTEM_FILE = 0x0004;
        /// It has an index other than `$I30`.
        const VIEW_INDEX_PRESENT = 0x0008;
    }
}

/// `FILE_RECORD_SEGMENT_HEADER` of NTFS 3.1.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRecordHeader {
    /// 0x00: [`FileRecordHeader::SIGNATURE`] and the update sequence array, at 0x30.
    pub multi_sector_header: MultiSectorHeader,
    /// 0x08: log sequence number of the last change in `$LogFile`; may be 0.
    pub lsn: u64,
    /// 0x10: how often the record was used, 1 for the first file in it.
    pub sequence_number: u16,
    /// 0x12: number of `$FILE_NAME` attributes, DOS names counted.
    pub reference_count: u16,
    /// 0x14: where the first attribute stands.
    pub first_attribute_offset: u16,
    /// 0x16: what the record is.
    #[br(map = RecordFlags::from_bits_retain)]
    #[bw(map = RecordFlags::bits)]
    pub flags: RecordFlags,
    /// 0x18: bytes up to the end of the end marker and its padding.
    pub first_free_byte: u32,
    /// 0x1C: bytes of the record.
    pub bytes_available: u32,
    /// 0x20: the file's first record, where this is a further one; 0 in the first.
    pub base_file_record_segment: FileReference,
    /// 0x28: the next attribute's instance.
    pub next_attribute_instance: u16,
    /// 0x2A: high 16 bits of the record's number, 0 as a rule.
    pub segment_number_high_part: u16,
    /// 0x2C: low 32 bits of the record's own number.
    pub segment_number_low_part: u32,
}

fixed_size!(FileRecordHeader, "file record header", 0x30);

impl FileRecordHeader {
    /// How a file record begins.
    pub const SIGNATURE: [u8; 4] = *b"FILE";
    /// What Windows writes over the signature where it found a torn write.
    pub const BAD_SIGNATURE: [u8; 4] = *b"BAAD";

    /// The header of a new record of `record_size` bytes, without attributes.
    pub fn new(record: u64, sequence_number: u16, flags: RecordFlags, record_size: u32) -> Self {
        let entries = super::fixup::entries(record_size as usize);
        Self {
            multi_sector_header: MultiSectorHeader {
                signature: Self::SIGNATURE,
                update_sequence_array_offset: Self::SIZE as u16,
                update_sequence_array_size: entries as u16,
            },
            lsn: 0,
            sequence_number,
            reference_count: 0,
            first_attribute_offset: Self::first_attribute_offset(record_size) as u16,
            flags,
            first_free_byte: 0,
            bytes_available: record_size,
            base_file_record_segment: FileReference(0),
            next_attribute_instance: 0,
            segment_number_high_part: (record >> 32) as u16,
            segment_number_low_part: record as u32,
        }
    }

    /// Where the first attribute of a record of `record_size` bytes stands: behind the header and the update sequence
    /// array, on eight bytes. 0x38 for 1024, 0x48 for 4096.
    pub const fn first_attribute_offset(record_size: u32) -> usize {
        super::aligned(Self::SIZE + 2 * super::fixup::entries(record_size as usize))
    }

    /// Whether the record belongs to a file.
    pub fn is_in_use(&self) -> bool {
        self.flags.contains(RecordFlags::IN_USE)
    }

    /// Whether this is a file's first record.
    pub fn is_base(&self) -> bool {
        self.base_file_record_segment.0 == 0
    }

    /// The attributes of the record whose bytes, fixups applied, are `record`.
    pub fn attributes<'a>(&self, record: &'a [u8]) -> Result<Attributes<'a>, Damage> {
        let used = self.first_free_byte as usize;
        let first = usize::from(self.first_attribute_offset);
        if used > record.len() {
            return Err(Damage::new(
                "file record, first free byte",
                0x18,
                format!("at most {}", record.len()),
                used.to_string(),
            ));
        }
        // Ends of arrays and a header of NTFS 3.0 (0x2A bytes) may come before it.
        if first < 0x2A || !first.is_multiple_of(8) || first > used {
            return Err(Damage::new(
                "file record, first attribute offset",
                0x14,
                format!("a multiple of 8 from 0x30 to {used:#x}"),
                format!("{first:#x}"),
            ));
        }
        Ok(Attributes::new(&record[..used], first))
    }
}
