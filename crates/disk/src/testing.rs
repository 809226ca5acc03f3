//! Disks that record what is done to them, to test what a kill or a power failure leaves behind.

use crate::access::{ReadAt, Resize, WriteAt};
use crate::error::{ReadError, WriteError};
use crate::extent::Extent;
use crate::memory::MemoryDisk;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One change to a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Bytes written at an offset.
    Write(u64, Vec<u8>),
    /// A range made to read as zeros.
    Zero(Range<u64>),
    /// The size changed.
    SetLen(u64),
    /// Everything before is on stable storage.
    Flush,
}

/// A disk in memory that remembers every change in order, and rebuilds what was there after any of them.
#[derive(Debug)]
pub struct RecordingDisk {
    before: MemoryDisk,
    now: MemoryDisk,
    operations: Mutex<Vec<Operation>>,
    /// The disk after some of the changes. Tests ask for one state after the other, each of which follows from that before.
    rebuilt: Mutex<(usize, MemoryDisk)>,
}

impl RecordingDisk {
    /// Starts recording with `disk` as it is.
    pub fn new(disk: MemoryDisk) -> Self {
        Self {
            before: disk.clone(),
            rebuilt: Mutex::new((0, disk.clone())),
            now: disk,
            operations: Mutex::default(),
        }
    }

    /// Number of changes so far; a session notes it after each step to know which state it must find again.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The changes so far.
    pub fn operations(&self) -> Vec<Operation> {
        self.lock().clone()
    }

    /// The disk as a kill right after the first `count` changes leaves it: all of those, none of the later ones.
    pub fn after(&self, count: usize) -> MemoryDisk {
        self.after_choosing(count, count, |_| true)
    }

    /// The disk as a kill in the middle of a write leaves it: the first `count` changes, then `bytes` of the next.
    pub fn after_torn(&self, count: usize, bytes: usize) -> MemoryDisk {
        let disk = self.after(count);
        if let Some(Operation::Write(offset, content)) = self.lock().get(count) {
            apply(
                &disk,
                &Operation::Write(*offset, content[..bytes.min(content.len())].to_vec()),
            );
        }
        disk
    }

    /// The disk as a power failure after the first `count` changes may leave it: all up to the last flush, and of the
    /// later ones those whose number `keep` chooses.
    pub fn after_power_failure(&self, count: usize, keep: impl Fn(usize) -> bool) -> MemoryDisk {
        let flushed = self.lock()[..count]
            .iter()
            .rposition(|operation| *operation == Operation::Flush)
            .unwrap_or(0);
        self.after_choosing(flushed, count, keep)
    }

    /// The disk after the first `all` changes, and those up to `count` that `keep` chooses.
    fn after_choosing(&self, all: usize, count: usize, keep: impl Fn(usize) -> bool) -> MemoryDisk {
        let operations = self.lock();
        let disk = {
            let mut rebuilt = self.rebuilt.lock().unwrap_or_else(PoisonError::into_inner);
            if rebuilt.0 > all {
                *rebuilt = (0, self.before.clone());
            }
            for operation in &operations[rebuilt.0..all] {
                apply(&rebuilt.1, operation);
            }
            rebuilt.0 = all;
            rebuilt.1.clone()
        };
        for number in (all..count).filter(|number| keep(*number)) {
            apply(&disk, &operations[number]);
        }
        disk
    }

    fn record(&self, operation: Operation) {
        self.lock().push(operation);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies a change, as far as the disk reaches: after a power failure the growth before it may be missing.
fn apply(disk: &MemoryDisk, operation: &Operation) {
    let reach = |end: u64| {
        if end > disk.len() {
            disk.set_len(end).expect("a disk in memory grows");
        }
    };
    match operation {
        Operation::Write(offset, bytes) => {
            reach(offset + bytes.len() as u64);
            disk.write_at(bytes, *offset).expect("within the disk");
        }
        Operation::Zero(range) => {
            reach(range.end);
            disk.write_zeros_at(range.clone()).expect("within the disk");
        }
        Operation::SetLen(len) => disk.set_len(*len).expect("a disk in memory takes any size"),
        Operation::Flush => {}
    }
}

impl ReadAt for RecordingDisk {
    fn len(&self) -> u64 {
        self.now.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.now.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.now.extent_at(offset)
    }
}

impl WriteAt for RecordingDisk {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        self.now.write_at(buf, offset)?;
        self.record(Operation::Write(offset, buf.to_vec()));
        Ok(())
    }

    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        self.now.write_zeros_at(range.clone())?;
        self.record(Operation::Zero(range));
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.record(Operation::Flush);
        Ok(())
    }
}

impl Resize for RecordingDisk {
    fn set_len(&self, len: u64) -> Result<(), WriteError> {
        self.now.set_len(len)?;
        self.record(Operation::SetLen(len));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_comes_back() {
        let disk = RecordingDisk::new(MemoryDisk::new(4));
        disk.write_at(b"ab", 0).unwrap();
        disk.flush().unwrap();
        disk.write_at(b"cd", 2).unwrap();
        disk.set_len(6).unwrap();
        disk.write_at(b"ef", 4).unwrap();
        assert_eq!(disk.after(0).to_vec(), [0; 4]);
        assert_eq!(disk.after(1).to_vec(), b"ab\0\0");
        assert_eq!(disk.after_torn(2, 1).to_vec(), b"abc\0");
        assert_eq!(disk.after(disk.count()).to_vec(), b"abcdef");
        assert_eq!(disk.after_power_failure(5, |number| number == 4).to_vec(), b"ab\0\0ef");
    }
}
