//! Records of the change journal that NTFS and ReFS keep of a volume.
//!
//! [`records`] reads what `FSCTL_READ_USN_JOURNAL` gives: eight bytes, the number to go on from, and records of version 2 or 3,
//! each padded to eight bytes. Version 4, which tells of ranges of a file that is named by records of the others, is passed
//! over.
//!
//! ```
//! use cv_windows::usn::{Batch, records};
//!
//! let batch: Batch = records(&[16, 0, 0, 0, 0, 0, 0, 0])?;
//! assert_eq!((batch.next, batch.records.len()), (16, 0));
//! # Ok::<(), cv_windows::usn::UsnError>(())
//! ```

/// Something happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsnRecord {
    /// The file: on NTFS its record and sequence number; of version 3 the lower half of 128 bits.
    pub file: u64,
    /// The directory that its name is in.
    pub parent: u64,
    /// The number of this record, larger than those of all before it.
    pub usn: u64,
    /// When it happened, in 100 ns since 1601.
    pub time: u64,
    /// What happened, as the bits of Windows.
    pub reason: u32,
    /// The file's attributes.
    pub attributes: u32,
    /// Its name.
    pub name: Vec<u16>,
}

impl UsnRecord {
    /// Whether the file is gone.
    pub fn is_deletion(&self) -> bool {
        const FILE_DELETE: u32 = 0x200;
        self.reason & FILE_DELETE != 0
    }
}

/// Records read at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The number to go on from.
    pub next: u64,
    /// The records.
    pub records: Vec<UsnRecord>,
}

/// What is wrong with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsnError {
    /// They end too early.
    #[error("{length} bytes of a change journal are too few, expected {expected} at least")]
    Short {
        /// How many there are.
        length: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A record's length is impossible.
    #[error("the record of a change journal at byte {offset} has {length} bytes, of {left} that are left")]
    Length {
        /// Where it begins.
        offset: usize,
        /// What it says.
        length: u32,
        /// How many bytes there are.
        left: usize,
    },
    /// A record is of a version that nobody knows.
    #[error("the record of a change journal at byte {offset} is of version {version}, expected 2, 3 or 4")]
    Version {
        /// Where it begins.
        offset: usize,
        /// What it says.
        version: u16,
    },
    /// A record's name does not lie in it.
    #[error("the record of a change journal at byte {offset} has a name of {length} bytes at {start}, beyond its end")]
    Name {
        /// Where the record begins.
        offset: usize,
        /// Where the name begins in it.
        start: u16,
        /// How long the name is.
        length: u16,
    },
}

/// A record's fixed part, by version.
const FIXED: [(u16, usize); 2] = [(2, 60), (3, 76)];

/// Reads what the journal gave.
pub fn records(bytes: &[u8]) -> Result<Batch, UsnError> {
    let next = bytes.first_chunk::<8>().ok_or(UsnError::Short {
        length: bytes.len(),
        expected: 8,
    })?;
    let mut batch = Batch {
        next: u64::from_le_bytes(*next),
        records: Vec::new(),
    };
    let mut offset = 8;
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        let length = number(rest, 0, 4) as u32;
        let version = number(rest, 4, 2) as u16;
        let fixed = match FIXED.iter().find(|(known, _)| *known == version) {
            Some((_, fixed)) => *fixed,
            None if version == 4 => 8,
            // What says nothing of its length says nothing of its version.
            None if (length as usize) < 8 || length as usize > rest.len() => 8,
            None => return Err(UsnError::Version { offset, version }),
        };
        if (length as usize) < fixed || length as usize > rest.len() || !length.is_multiple_of(8) {
            return Err(UsnError::Length {
                offset,
                length,
                left: rest.len(),
            });
        }
        let record = &rest[..length as usize];
        if version != 4 {
            batch.records.push(parse(record, version, offset)?);
        }
        offset += length as usize;
    }
    Ok(batch)
}

fn parse(record: &[u8], version: u16, offset: usize) -> Result<UsnRecord, UsnError> {
    // References are of 8 bytes, or of 16 of which NTFS uses the first 8.
    let width = if version == 2 { 8 } else { 16 };
    let place = 8 + 2 * width;
    let (length, start) = (
        number(record, place + 32, 2) as u16,
        number(record, place + 34, 2) as u16,
    );
    let name = record
        .get(usize::from(start)..)
        .and_then(|rest| rest.get(..usize::from(length)))
        .filter(|_| usize::from(start) >= place + 36 && length.is_multiple_of(2));
    let name = name.ok_or(UsnError::Name { offset, start, length })?;
    Ok(UsnRecord {
        file: number(record, 8, 8),
        parent: number(record, 8 + width, 8),
        usn: number(record, place, 8),
        time: number(record, place + 8, 8),
        reason: number(record, place + 16, 4) as u32,
        attributes: number(record, place + 28, 4) as u32,
        name: cv_winname::wtf8::from_le_bytes(name),
    })
}

/// A number of up to eight bytes; what is beyond the end counts as zero.
fn number(bytes: &[u8], place: usize, width: usize) -> u64 {
    let mut value = [0; 8];
    let rest = bytes.get(place..).unwrap_or_default();
    let length = width.min(rest.len());
    value[..length].copy_from_slice(&rest[..length]);
    u64::from_le_bytes(value)
}
