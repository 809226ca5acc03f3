//! What the fuzz target and the mutation test do with a VHD that may hold anything.

use cv_disk::{Differencing, Extent, MemoryDisk, ReadAt, ReadError, Resize, Severity, WriteAt};
use cv_vhd::vhd::{ParentReference, Vhd, VhdWriter, check, repair};
use std::sync::Arc;

/// Bytes read of one disk at most: hostile ones claim to be huge.
const READ_AT_MOST: u64 = 1 << 20;
/// Extents looked at of one disk at most.
const EXTENTS_AT_MOST: usize = 500;

/// Opens, reads, checks, repairs and writes the VHD in `bytes`: as it is, and with the checksums put right, so that
/// damage behind the checksums is reached too.
pub fn vhd_disk(bytes: &[u8]) {
    exercise(bytes);
    exercise(&sealed(bytes));
}

/// The same bytes with the checksums of both footers and of the dynamic disk header made right.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    let field = bytes.get(16..24).and_then(|field| field.try_into().ok());
    let header = field.map_or(0, u64::from_be_bytes);
    let tail = bytes.len().saturating_sub(512) as u64;
    for (start, length, checksum) in [(0, 512, 64), (tail, 512, 64), (header, 1024, 36)] {
        let range = start..start.saturating_add(length);
        let range = range.start.min(usize::MAX as u64) as usize..range.end.min(usize::MAX as u64) as usize;
        if let Some(structure) = sealed.get_mut(range) {
            structure[checksum..checksum + 4].fill(0);
            let sum: u32 = structure.iter().map(|byte| u32::from(*byte)).sum();
            structure[checksum..checksum + 4].copy_from_slice(&(!sum).to_be_bytes());
        }
    }
    sealed
}

fn parent() -> Arc<dyn ReadAt> {
    Arc::new(MemoryDisk::from(&[0x50; 3000][..]))
}

fn open(file: &Arc<MemoryDisk>) -> Option<Vhd> {
    let disk = Vhd::open(file.clone()).ok()?;
    Some(disk.with_parent(parent()))
}

/// What can be read of a disk, or the error; the first and the last part of a huge one.
fn read(disk: &dyn ReadAt) -> Vec<Result<Vec<u8>, String>> {
    let length = disk.len().min(READ_AT_MOST);
    [0, disk.len() - length]
        .into_iter()
        .map(|offset| {
            let mut buffer = vec![0; length as usize];
            let result = disk.read_at(&mut buffer, offset);
            result.map(|()| buffer).map_err(|error| error.to_string())
        })
        .collect()
}

fn walk(disk: &Vhd, extent_at: impl Fn(u64) -> Result<Extent, ReadError>) {
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

fn exercise(bytes: &[u8]) {
    let file = Arc::new(MemoryDisk::from(bytes));
    let is_vhd = Vhd::probe(&*file).expect("a file in memory is readable");
    if let Ok(disk) = Vhd::open(file.clone()) {
        assert!(is_vhd);
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
    write(bytes);
}

/// A repair leaves nothing to repair, and the content as it is unless blocks claim the bytes of other structures.
fn mend(file: &Arc<MemoryDisk>, is_sound: bool) {
    let before = open(file).map(|disk| read(&disk));
    let repaired = Arc::new(MemoryDisk::clone(file));
    let resizable: Arc<dyn Resize> = repaired.clone();
    repair(&resizable).expect("a file in memory is writable");
    let after = open(&repaired).map(|disk| read(&disk));
    if is_sound {
        assert!(before.is_some() && after == before);
    }
    let readable: Arc<dyn ReadAt> = repaired;
    let left = check(&readable).expect("a file in memory is readable");
    assert!(left.listed().iter().all(|fault| !fault.repairable), "{left:?}");
}

/// Whatever may be opened for writing holds what is written.
fn write(bytes: &[u8]) {
    let file = Arc::new(MemoryDisk::from(bytes));
    let Ok(mut disk) = VhdWriter::open(file.clone()) else {
        return;
    };
    disk.set_parent(parent());
    let size = disk.len();
    let length = size.min(700);
    let places = [0, size / 2, size - length].map(|offset| offset.min(size - length));
    for offset in places {
        if disk.write_at(&vec![0xA7; length as usize], offset).is_err() {
            return;
        }
    }
    let zeros = places[1]..places[1] + length / 3;
    if disk.write_zeros_at(zeros.clone()).is_err() {
        return;
    }
    let expected = read(&disk);
    if size < 1 << 40 && disk.resize(size / 512 * 512 + 2048).is_ok() && disk.resize(size / 512 * 512 + 512).is_ok() {
        assert_eq!(disk.len(), size / 512 * 512 + 512);
        let mut buffer = vec![1; zeros.end as usize - zeros.start as usize];
        disk.read_at(&mut buffer, zeros.start).expect("written before");
        assert!(cv_disk::is_zero(&buffer));
    }
    let _ = disk.relink(&ParentReference::new(uuid::Uuid::nil()).relative(r".\parent.vhd"));
    disk.finish().expect("a file in memory is writable");
    let disk = open(&file).expect("written well");
    if disk.len() == size {
        assert!(read(&disk) == expected);
    }
    let mut last = vec![0; length as usize];
    disk.read_at(&mut last, places[2]).expect("written before");
    assert!(last.ends_with(&[0xA7]) || length == 0 || zeros.end == size);
}
