//! The two headers and which of them is current ([MS-VHDX] section 2.2.2).

use super::structures::{HEADER_OFFSETS, HEADER_SIZE, Header, MIB, checksum, decode, encode, seal, stored_checksum};
use cv_disk::{Damage, ReadAt, ReadError};
use std::ops::Range;

/// Both copies of the header as they were found.
#[derive(Debug, Clone)]
pub(super) struct Headers {
    /// Each copy, or why it is not valid.
    pub copies: [Result<Header, Damage>; 2],
}

impl Headers {
    /// Reads both copies.
    pub fn read(file: &dyn ReadAt) -> Result<Self, ReadError> {
        let [first, second] = HEADER_OFFSETS;
        Ok(Self {
            copies: [read_copy(file, first)?, read_copy(file, second)?],
        })
    }

    /// Which copy is current: the valid one with the greater sequence number; of two equal ones the first, since
    /// disk2vhd writes both with one number.
    pub fn current(&self) -> Result<usize, Damage> {
        match &self.copies {
            [Ok(first), Ok(second)] => Ok(usize::from(second.sequence_number > first.sequence_number)),
            [Ok(_), Err(_)] => Ok(0),
            [Err(_), Ok(_)] => Ok(1),
            [Err(damage), Err(_)] => Err(damage.clone()),
        }
    }

    /// The current header, whose version is one that this library reads, and where it stands.
    pub fn usable(&self) -> Result<(Header, u64), Damage> {
        let slot = self.current()?;
        let header = self.copies[slot].clone()?;
        let offset = HEADER_OFFSETS[slot];
        if header.version != 1 {
            return Err(Damage::new(
                "header Version",
                offset + 66,
                "1",
                header.version.to_string(),
            ));
        }
        if !header.log_guid.0.is_nil() && header.log_version != 0 {
            return Err(Damage::new(
                "header LogVersion",
                offset + 64,
                "0, as there is a log to replay",
                header.log_version.to_string(),
            ));
        }
        Ok((header, offset))
    }
}

fn read_copy(file: &dyn ReadAt, offset: u64) -> Result<Result<Header, Damage>, ReadError> {
    let mut bytes = [0; HEADER_SIZE];
    match file.read_at(&mut bytes, offset) {
        Ok(()) => {}
        Err(ReadError::BeyondEnd { size, .. }) => {
            return Ok(Err(Damage::new(
                "header",
                offset,
                format!("{HEADER_SIZE} bytes"),
                format!("the file's end at {size:#x}"),
            )));
        }
        Err(error) => return Err(error),
    }
    if bytes[..4] != Header::SIGNATURE {
        return Ok(Err(Damage::new(
            "header Signature",
            offset,
            "\"head\"",
            format!("\"{}\"", bytes[..4].escape_ascii()),
        )));
    }
    let (stored, computed) = (stored_checksum(&bytes), checksum(&bytes));
    if stored != computed {
        return Ok(Err(Damage::new(
            "header Checksum",
            offset + 4,
            format!("{computed:#010x}"),
            format!("{stored:#010x}"),
        )));
    }
    Ok(decode(&bytes, "header", offset))
}

impl Header {
    /// The 4 KiB to be written, with their checksum.
    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        let fields = encode(&self);
        bytes[..fields.len()].copy_from_slice(&fields);
        seal(&mut bytes);
        bytes
    }

    /// Where the log stands in a file of `length` bytes; `offset` is where this header stands.
    pub fn log_range(&self, offset: u64, length: u64) -> Result<Range<u64>, Damage> {
        let log_length = u64::from(self.log_length);
        if log_length == 0 || !log_length.is_multiple_of(MIB) {
            return Err(Damage::new(
                "header LogLength",
                offset + 68,
                "a multiple of 1 MiB",
                format!("{log_length:#x}"),
            ));
        }
        if self.log_offset < MIB || !self.log_offset.is_multiple_of(MIB) {
            return Err(Damage::new(
                "header LogOffset",
                offset + 72,
                "a multiple of 1 MiB, at least 1 MiB",
                format!("{:#x}", self.log_offset),
            ));
        }
        match self.log_offset.checked_add(log_length) {
            Some(end) if end <= length => Ok(self.log_offset..end),
            _ => Err(Damage::new(
                "header LogOffset",
                offset + 72,
                format!("a log within the file of {length:#x} bytes"),
                format!("{:#x} and {log_length:#x} bytes", self.log_offset),
            )),
        }
    }
}
