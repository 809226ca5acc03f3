//! Whether two disks hold the same bytes.

use cv_disk::{Cancelled, ExtentKind, Extents, Progress, ReadAt, ReadError, is_zero};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes compared at once by each thread.
const CHUNK: u64 = 1 << 20;

/// Why a comparison failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The first disk could not be read.
    #[error("cannot read the first disk")]
    First(#[source] ReadError),
    /// The second disk could not be read.
    #[error("cannot read the second disk")]
    Second(#[source] ReadError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The offset of the first byte in which two disks differ, `None` where they hold the same. Beyond the end of the
/// shorter one the longer one must be zero: containers round sizes up.
pub fn first_difference(
    first: &dyn ReadAt,
    second: &dyn ReadAt,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Option<u64>, CompareError> {
    let size = first.len().max(second.len());
    progress.begin(size);
    let next = AtomicU64::new(0);
    let found = AtomicU64::new(u64::MAX);
    let failure = Mutex::new(None);
    let work = || {
        let mut buffers = (vec![0; CHUNK as usize], vec![0; CHUNK as usize]);
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= size || start > found.load(Ordering::Relaxed) {
                return;
            }
            let length = CHUNK.min(size - start);
            let step = difference_in(first, second, start, length, &mut buffers)
                .and_then(|found| Ok(progress.advance(length).map(|()| found)?));
            match step {
                Ok(Some(offset)) => {
                    found.fetch_min(offset, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(error) => {
                    next.store(size, Ordering::Relaxed);
                    failure
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(Some(found.into_inner()).filter(|offset| *offset != u64::MAX)),
    }
}

fn difference_in(
    first: &dyn ReadAt,
    second: &dyn ReadAt,
    start: u64,
    length: u64,
    (a, b): &mut (Vec<u8>, Vec<u8>),
) -> Result<Option<u64>, CompareError> {
    let has_data = |disk: &dyn ReadAt| -> Result<bool, ReadError> {
        let end = (start + length).min(disk.len());
        if start >= end {
            return Ok(false);
        }
        for extent in Extents::new(disk, start..end)? {
            if extent?.kind == ExtentKind::Data {
                return Ok(true);
            }
        }
        Ok(false)
    };
    let fill = |disk: &dyn ReadAt, buffer: &mut [u8]| -> Result<(), ReadError> {
        let inside = disk.len().saturating_sub(start).min(length) as usize;
        buffer[inside..].fill(0);
        disk.read_at(&mut buffer[..inside], start)
    };
    let first_has_data = has_data(first).map_err(CompareError::First)?;
    let second_has_data = has_data(second).map_err(CompareError::Second)?;
    let (a, b) = (&mut a[..length as usize], &mut b[..length as usize]);
    let position_of_data = |bytes: &[u8]| {
        if is_zero(bytes) {
            None
        } else {
            bytes.iter().position(|byte| *byte != 0)
        }
    };
    let position = match (first_has_data, second_has_data) {
        (false, false) => None,
        (true, false) => {
            fill(first, a).map_err(CompareError::First)?;
            position_of_data(a)
        }
        (false, true) => {
            fill(second, b).map_err(CompareError::Second)?;
            position_of_data(b)
        }
        (true, true) => {
            fill(first, a).map_err(CompareError::First)?;
            fill(second, b).map_err(CompareError::Second)?;
            if a == b {
                None
            } else {
                a.iter().zip(b.iter()).position(|(a, b)| a != b)
            }
        }
    };
    Ok(position.map(|position| start + position as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, Quiet, WriteAt};

    #[test]
    fn the_first_of_several_differences_is_found() {
        let first = MemoryDisk::new(5 << 20);
        let second = MemoryDisk::new(5 << 20);
        assert_eq!(first_difference(&first, &second, 2, &Quiet).unwrap(), None);
        for offset in [4 << 20, (3 << 20) + 18, (3 << 20) + 17] {
            second.write_at(&[1], offset).unwrap();
            assert_eq!(first_difference(&first, &second, 3, &Quiet).unwrap(), Some(offset));
            assert_eq!(first_difference(&second, &first, 3, &Quiet).unwrap(), Some(offset));
        }
    }

    #[test]
    fn a_longer_disk_may_end_in_zeros_only() {
        let first = MemoryDisk::new(1000);
        let second = MemoryDisk::new(3 << 20);
        assert_eq!(first_difference(&first, &second, 1, &Quiet).unwrap(), None);
        second.write_at(&[1], 2 << 20).unwrap();
        assert_eq!(first_difference(&first, &second, 1, &Quiet).unwrap(), Some(2 << 20));
    }
}
