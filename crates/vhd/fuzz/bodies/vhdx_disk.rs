//! What the fuzz target and the mutation test do with a VHDX that may hold anything.

use cv_disk::{Differencing, Extent, MemoryDisk, ReadAt, ReadError, Resize, Severity, WriteAt};
use cv_vhd::vhdx::{Vhdx, VhdxWriter, check, repair};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Bytes read of one disk at most, at each of its ends: hostile ones claim to be huge.
const READ_AT_MOST: u64 = 256 << 10;
/// Extents looked at of one disk at most.
const EXTENTS_AT_MOST: usize = 500;
/// Largest file that a packed one may claim to be.
const FILE_AT_MOST: u64 = 64 << 20;
/// Bytes of the parts that [`pack`] looks at.
const PART: usize = 64;

/// Opens, reads, checks, repairs and writes the VHDX that `packed` stands for: as it is, and with the checksums put
/// right, so that damage behind the checksums is reached too.
pub fn vhdx_disk(packed: &[u8]) {
    let file = unpack(packed);
    exercise(&file);
    seal(&file);
    exercise(&file);
}

/// Packs a file, most of which is zero, small enough to be mutated: its size, then what is not zero, each part with
/// its place and length.
#[allow(dead_code, reason = "only the makers of seeds pack")]
pub fn pack(file: &[u8]) -> Vec<u8> {
    let mut packed = (file.len() as u32).to_le_bytes().to_vec();
    for run in cv_disk::data_runs(file, PART) {
        for start in run.clone().step_by(0xFFC0) {
            let part = &file[start..run.end.min(start + 0xFFC0)];
            packed.extend((start as u32).to_le_bytes());
            packed.extend((part.len() as u16).to_le_bytes());
            packed.extend(part);
        }
    }
    packed
}

/// The file that was packed; of any bytes.
pub fn unpack(packed: &[u8]) -> MemoryDisk {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let (size, mut rest) = packed.split_at(packed.len().min(4));
    let size = number(size).min(FILE_AT_MOST);
    let file = MemoryDisk::new(size);
    while rest.len() > 6 {
        let (start, length) = (number(&rest[..4]), number(&rest[4..6]) as usize);
        let part = &rest[6..rest.len().min(6 + length)];
        let end = size.saturating_sub(start).min(part.len() as u64) as usize;
        if end > 0 {
            file.write_at(&part[..end], start).expect("within the file");
        }
        rest = &rest[6 + part.len()..];
    }
    file
}

/// Puts the checksums of headers, region tables and log entries right.
pub fn seal(file: &MemoryDisk) {
    let sum = |start: u64, length: u64| {
        if start + length > file.len() {
            return;
        }
        let mut bytes = vec![0; length as usize];
        file.read_at(&mut bytes, start).expect("within the file");
        bytes[4..8].fill(0);
        file.write_at(&crc32c::crc32c(&bytes).to_le_bytes(), start + 4)
            .expect("within the file");
    };
    for start in [64 << 10, 128 << 10] {
        sum(start, 4096);
    }
    for start in [192 << 10, 256 << 10] {
        sum(start, 64 << 10);
    }
    for start in (1 << 20..(2 << 20).min(file.len().saturating_sub(4096))).step_by(4096) {
        let mut head = [0; 12];
        file.read_at(&mut head, start).expect("within the file");
        let length = u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]]));
        if head[..4] == *b"loge" && (12..=1 << 20).contains(&length) {
            sum(start, length);
        }
    }
}

fn parent() -> Arc<dyn ReadAt> {
    Arc::new(MemoryDisk::from(&[0x50; 3000][..]))
}

fn new_guid() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(0xF022, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn open(file: &Arc<MemoryDisk>) -> Option<Vhdx> {
    let disk = Vhdx::open(file.clone()).ok()?;
    Some(disk.with_parent(parent()))
}

/// What can be read of a disk, or nothing where it cannot be; the first and the last part of a huge one.
fn read(disk: &dyn ReadAt) -> Vec<Option<Vec<u8>>> {
    let length = disk.len().min(READ_AT_MOST);
    [0, disk.len() - length]
        .into_iter()
        .map(|offset| {
            let mut buffer = vec![0; length as usize];
            disk.read_at(&mut buffer, offset).ok().map(|()| buffer)
        })
        .collect()
}

fn walk(disk: &Vhdx, extent_at: impl Fn(u64) -> Result<Extent, ReadError>) {
    let mut offset = 0;
    for _ in 0..EXTENTS_AT_MOST {
        if offset >= disk.len() {
            break;
        }
        let Ok(extent) = extent_at(offset) else { break };
        assert!(extent.start == offset && extent.length > 0 && extent.end() <= disk.len());
        offset = extent.end();
    }
}

fn exercise(file: &MemoryDisk) {
    let file = Arc::new(file.clone());
    let is_vhdx = Vhdx::probe(&*file).expect("a file in memory is readable");
    if let Ok(disk) = Vhdx::open(file.clone()) {
        assert!(is_vhdx);
        let _ = disk.info();
        read(&disk);
        let disk = disk.with_parent(parent());
        read(&disk);
        walk(&disk, |offset| disk.extent_at(offset));
        walk(&disk, |offset| disk.own_extent_at(offset));
    }
    let readable: Arc<dyn ReadAt> = file.clone();
    let found = check(&readable).expect("a file in memory is readable");
    let is_sound = found.listed().iter().all(|fault| fault.severity < Severity::Error);
    assert!(!is_sound || open(&file).is_some(), "refused, but no error found");
    mend(&file, is_sound);
    write(&file, is_sound);
}

/// A repair leaves nothing to repair, and the content as it is.
fn mend(file: &Arc<MemoryDisk>, is_sound: bool) {
    let before = open(file).map(|disk| read(&disk));
    let repaired = Arc::new(MemoryDisk::clone(file));
    let resizable: Arc<dyn Resize> = repaired.clone();
    let outcome = repair(resizable, new_guid);
    assert!(!is_sound || outcome.is_ok(), "{outcome:?}");
    if outcome.is_ok() {
        assert!(!is_sound || open(&repaired).map(|disk| read(&disk)) == before);
        let readable: Arc<dyn ReadAt> = repaired;
        let left = check(&readable).expect("a file in memory is readable");
        assert!(left.listed().iter().all(|fault| !fault.repairable), "{left:?}");
    }
}

/// Whatever may be opened for writing holds what is written, also after a kill.
fn write(file: &Arc<MemoryDisk>, is_sound: bool) {
    let file = Arc::new(MemoryDisk::clone(file));
    let Ok(mut disk) = VhdxWriter::open(file.clone(), new_guid) else {
        assert!(!is_sound, "no error found, but not to be written");
        return;
    };
    disk.set_parent(parent());
    let size = disk.len();
    let length = size.min(700);
    for offset in [0, size / 2, size - length].map(|offset| offset.min(size - length)) {
        let bytes = vec![0xA7; length as usize];
        if disk.write_at(&bytes, offset).is_err() {
            return;
        }
        let mut found = vec![0; length as usize];
        disk.read_at(&mut found, offset).expect("what was written is readable");
        assert_eq!(found, bytes);
    }
    let zeroed = disk.write_zeros_at(size / 4..size / 4 + size.min(3 << 20) / 2);
    let smaller = (size - size.min(5000)) / 4096 * 4096;
    let resized = disk.resize(smaller).and_then(|()| disk.resize(smaller + (2 << 20)));
    let written = read(&disk);
    let killed = Arc::new(MemoryDisk::clone(&file));
    let image = open(&killed).expect("what was written may be opened");
    if zeroed.is_ok() && resized.is_ok() {
        assert!(read(&image) == written);
    }
    if disk.finish().is_ok() {
        assert!(open(&file).is_some_and(|image| read(&image) == written));
    }
}
