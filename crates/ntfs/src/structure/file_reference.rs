//! References to file records (`MFT_SEGMENT_REFERENCE`).

use binrw::binrw;
use std::fmt;

/// The number of a file record and the sequence number it had when the reference was made.
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileReference(
    /// Record number in the low 48 bits, sequence number in the high 16.
    pub u64,
);

impl FileReference {
    /// The largest record number.
    pub const MAX_RECORD: u64 = (1 << 48) - 1;

    /// The reference to `record` with `sequence`.
    pub const fn new(record: u64, sequence: u16) -> Self {
        Self(record & Self::MAX_RECORD | (sequence as u64) << 48)
    }

    /// The record's number.
    pub const fn record(self) -> u64 {
        self.0 & Self::MAX_RECORD
    }

    /// The record's sequence number; 0 asks for none in particular.
    pub const fn sequence(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

impl fmt::Debug for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for FileReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.record(), self.sequence())
    }
}
