//! The bytes of a stream of a volume, verified or not.

use crate::integrity::VerifiedStream;
use cv_disk::{Extent, ReadAt, ReadError};
use cv_ntfs::Stream;

/// A stream as it is read for programs.
#[derive(Debug)]
pub enum Content {
    /// As the volume has it.
    Plain(Stream),
    /// As long as it is what the layer's index says.
    Verified(VerifiedStream),
}

impl ReadAt for Content {
    fn len(&self) -> u64 {
        match self {
            Self::Plain(stream) => stream.len(),
            Self::Verified(stream) => stream.len(),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        match self {
            Self::Plain(stream) => stream.read_at(buf, offset),
            Self::Verified(stream) => stream.read_at(buf, offset),
        }
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        match self {
            Self::Plain(stream) => stream.extent_at(offset),
            Self::Verified(stream) => stream.extent_at(offset),
        }
    }
}
