//! Verifying a part of a large stream without the rest of it.

use crate::index::{BLOCK_SIZE, StreamEntry};
use cv_disk::{ReadAt, ReadError};
use cv_ntfs::write::tree_hash::{ChainingValue, chaining_values, root_of};
use std::ops::Range;

/// Why a part of a stream could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// It has no block hashes.
    #[error("the stream has no block hashes")]
    None,
    /// The block hashes are not those of the stream.
    #[error("the block hashes are not those of the stream's BLAKE3 hash")]
    Hashes,
    /// A block is not what it was.
    #[error("the block at byte {0} of the stream was changed")]
    Changed(u64),
    /// Something cannot be read.
    #[error("cannot read the stream")]
    Read(#[from] ReadError),
}

/// The block hashes of a stream, held against its BLAKE3 hash once, so that any part of it can be verified when it is read.
pub(super) fn root_in(all: &[u8], stream: &StreamEntry) -> Option<[u8; 32]> {
    let place = stream.blocks?;
    let start = usize::try_from(place.offset).ok()?;
    let length = usize::try_from(stream.size.div_ceil(BLOCK_SIZE).checked_mul(32)?).ok()?;
    let groups: Vec<ChainingValue> = all.get(start..start.checked_add(length)?)?.as_chunks().0.to_vec();
    root_of(&groups, stream.size)
}

/// The block hashes of one stream, held against its BLAKE3 hash, so that any part of it can be verified when it is read. They
/// take 32 bytes for each 64 KiB of the stream.
#[derive(Debug)]
pub struct StreamHashes {
    size: u64,
    groups: Vec<ChainingValue>,
}

impl StreamHashes {
    /// Those of the stream that the index describes by `entry`, from `layer.blk`.
    pub fn load(entry: &StreamEntry, blocks: &dyn ReadAt) -> Result<Self, BlockError> {
        let place = entry.blocks.ok_or(BlockError::None)?;
        let length = entry
            .size
            .div_ceil(BLOCK_SIZE)
            .checked_mul(32)
            .ok_or(BlockError::Hashes)?;
        ReadError::check_range(place.offset, length, blocks.len())?;
        let mut hashes = vec![0; length as usize];
        blocks.read_at(&mut hashes, place.offset)?;
        let groups: Vec<ChainingValue> = hashes.as_chunks().0.to_vec();
        if root_of(&groups, entry.size) != Some(place.root) {
            return Err(BlockError::Hashes);
        }
        Ok(Self {
            size: entry.size,
            groups,
        })
    }

    /// Reads whole blocks of the stream, each verified; the range begins at a multiple of [`BLOCK_SIZE`].
    pub fn read_blocks(&self, stream: &dyn ReadAt, blocks: Range<u64>) -> Result<Vec<u8>, BlockError> {
        let end = blocks.end.min(self.size);
        ReadError::check_range(blocks.start, end.saturating_sub(blocks.start), self.size)?;
        let mut bytes = vec![0; end.saturating_sub(blocks.start) as usize];
        stream.read_at(&mut bytes, blocks.start)?;
        let first = (blocks.start / BLOCK_SIZE) as usize;
        for (number, found) in (first..).zip(chaining_values(&bytes, blocks.start)) {
            if self.groups.get(number) != Some(&found) {
                return Err(BlockError::Changed(number as u64 * BLOCK_SIZE));
            }
        }
        Ok(bytes)
    }
}

/// Reads `range` of a stream that the index describes by `entry`, verified: `stream` gives its bytes, `blocks` is `layer.blk`.
/// The range is widened to whole blocks while it is read; what is given is the range itself.
///
/// A caller that reads the same stream again and again keeps its [`StreamHashes`].
pub fn read_verified(
    stream: &dyn ReadAt,
    entry: &StreamEntry,
    blocks: &dyn ReadAt,
    range: Range<u64>,
) -> Result<Vec<u8>, BlockError> {
    ReadError::check_range(range.start, range.end.saturating_sub(range.start), entry.size)?;
    let hashes = StreamHashes::load(entry, blocks)?;
    let start = range.start / BLOCK_SIZE * BLOCK_SIZE;
    let mut bytes = hashes.read_blocks(stream, start..range.end.next_multiple_of(BLOCK_SIZE))?;
    bytes.truncate((range.end - start) as usize);
    bytes.drain(..(range.start - start) as usize);
    Ok(bytes)
}
