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

/// Reads `range` of a stream that the index describes by `entry`, verified: `stream` gives its bytes, `blocks` is `layer.blk`.
/// The range is widened to whole blocks while it is read; what is given is the range itself.
///
/// A caller that reads the same stream again and again had best keep what `blocks` says of it.
pub fn read_verified(
    stream: &dyn ReadAt,
    entry: &StreamEntry,
    blocks: &dyn ReadAt,
    range: Range<u64>,
) -> Result<Vec<u8>, BlockError> {
    let place = entry.blocks.ok_or(BlockError::None)?;
    ReadError::check_range(range.start, range.end.saturating_sub(range.start), entry.size)?;
    let length = entry
        .size
        .div_ceil(BLOCK_SIZE)
        .checked_mul(32)
        .ok_or(BlockError::Hashes)?;
    ReadError::check_range(place.offset, length, blocks.len())?;
    let mut hashes = vec![0; length as usize];
    blocks.read_at(&mut hashes, place.offset)?;
    let groups: &[ChainingValue] = hashes.as_chunks().0;
    if root_of(groups, entry.size) != Some(place.root) {
        return Err(BlockError::Hashes);
    }
    let start = range.start / BLOCK_SIZE * BLOCK_SIZE;
    let end = range.end.next_multiple_of(BLOCK_SIZE).min(entry.size);
    let mut bytes = vec![0; end.saturating_sub(start) as usize];
    stream.read_at(&mut bytes, start)?;
    let first = (start / BLOCK_SIZE) as usize;
    for (number, found) in (first..).zip(chaining_values(&bytes, start)) {
        if groups.get(number) != Some(&found) {
            return Err(BlockError::Changed(number as u64 * BLOCK_SIZE));
        }
    }
    bytes.truncate((range.end - start) as usize);
    bytes.drain(..(range.start - start) as usize);
    Ok(bytes)
}
