//! Whether two streams hold the same bytes, reading as little as that takes.

use crate::snapshot::{ContentError, Storage};
use cv_disk::{ExtentKind, ReadAt};
use cv_ntfs::Stream;
use std::ops::Range;

/// Bytes compared at once.
const PIECE: u64 = 256 << 10;

/// Knows which parts of two disks are one: a disk and a differencing child of it.
pub trait SharedBlocks: std::fmt::Debug + Send + Sync {
    /// Whether both disks hold the very same stored bytes in this range of bytes.
    fn is_shared(&self, range: Range<u64>) -> bool;
}

/// Where the content of two snapshots is.
#[derive(Debug)]
pub struct Contents {
    /// That of the earlier one.
    pub before: Storage,
    /// That of the later one.
    pub after: Storage,
    /// What their disks share, with the places on them where the volumes begin.
    pub shared: Option<Shared>,
}

/// What two disks share.
#[derive(Debug)]
pub struct Shared {
    /// Who knows it.
    pub blocks: Box<dyn SharedBlocks>,
    /// Where the volume begins on both disks, in bytes.
    pub start: u64,
}

/// Whether two streams hold the same bytes.
pub fn is_same(before: &dyn ReadAt, after: &dyn ReadAt, is_known: &dyn Fn(u64) -> u64) -> Result<bool, ContentError> {
    if before.len() != after.len() {
        return Ok(false);
    }
    let length = before.len();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut position = 0;
    while position < length {
        let known = is_known(position);
        if known > 0 {
            position = position.saturating_add(known);
            continue;
        }
        let (one, other) = (before.extent_at(position)?, after.extent_at(position)?);
        let size = one.length.min(other.length).clamp(1, PIECE);
        if one.kind != ExtentKind::Data && other.kind != ExtentKind::Data {
            position += one.length.min(other.length).max(1);
            continue;
        }
        left.resize(size as usize, 0);
        right.resize(size as usize, 0);
        before.read_at(&mut left, position)?;
        after.read_at(&mut right, position)?;
        if left != right {
            return Ok(false);
        }
        position += size;
    }
    Ok(true)
}

/// How many bytes of two streams from `position` on lie in the same, shared place of their disks.
pub fn shared_from(before: &Stream, after: &Stream, shared: &Shared, cluster_size: u64, position: u64) -> u64 {
    let place = |stream: &Stream| {
        let clusters = stream.clusters()?;
        // Beyond what was written zeros are read, whatever lies there.
        let written = clusters.valid_data_length.checked_sub(position)?;
        let vcn = position / cluster_size;
        let run = clusters.runs.iter().find(|run| run.vcn <= vcn && vcn < run.end())?;
        let within = position - run.vcn * cluster_size;
        let start = run.lcn?.checked_mul(cluster_size)?.checked_add(within)?;
        let length = run.clusters.checked_mul(cluster_size)?.checked_sub(within)?;
        Some((start, length.min(written)))
    };
    match (place(before), place(after)) {
        (Some((one, length)), Some((other, size))) if one == other => {
            let length = length.min(size).min(PIECE);
            let start = shared.start.saturating_add(one);
            if length > 0 && shared.blocks.is_shared(start..start.saturating_add(length)) {
                length
            } else {
                0
            }
        }
        _ => 0,
    }
}
