//! What the fuzz targets do, also run as tests.
//!
//! An input is the file that is opened. Every extent that its descriptor names is what follows its first 512 bytes.
#![allow(dead_code, reason = "each fuzz target uses one of them")]

use cv_disk::{Differencing, MemoryDisk, ReadAt, Resize, Severity, WriteAt};
use cv_vmdk::{Descriptor, ExtentFiles, Vmdk, VmdkWriter, check, repair};
use std::io;
use std::sync::Arc;

/// Bytes that are read from an image at either end.
const READ: u64 = 1 << 20;

/// The only other file of an image.
struct OneExtent(Arc<MemoryDisk>);

impl OneExtent {
    fn of(bytes: &[u8]) -> Self {
        Self(Arc::new(MemoryDisk::from(bytes.get(512..).unwrap_or_default())))
    }
}

impl ExtentFiles for OneExtent {
    fn open(&self, _name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Ok(self.0.clone())
    }

    fn open_writable(&self, _name: &str) -> io::Result<Arc<dyn Resize>> {
        Ok(self.0.clone())
    }

    fn create(&self, _name: &str) -> io::Result<Arc<dyn Resize>> {
        Ok(Arc::new(MemoryDisk::new(0)))
    }
}

/// Reads both ends of a disk: what could be read, by piece.
fn read_ends(disk: &dyn ReadAt) -> Vec<Option<Vec<u8>>> {
    let mut pieces = Vec::new();
    for start in [0, disk.len().saturating_sub(READ)] {
        let end = disk.len().min(start + READ);
        let mut offset = start;
        while offset < end {
            let mut bytes = vec![0; (end - offset).min(50_000) as usize];
            pieces.push(disk.read_at(&mut bytes, offset).is_ok().then(|| bytes.clone()));
            offset += bytes.len() as u64;
        }
    }
    pieces
}

/// Opens, reads and changes an image.
pub fn vmdk_image(bytes: &[u8]) {
    let files = OneExtent::of(bytes);
    let file = Arc::new(MemoryDisk::from(bytes));
    let parent = Arc::new(MemoryDisk::new(100_000));
    let Ok(image) = Vmdk::open(file.clone(), &files) else {
        // What is refused for reading is refused for writing.
        assert!(VmdkWriter::open(file, &files, 1).is_err());
        return;
    };
    let info = image.info();
    assert_eq!(info.virtual_size, image.len());
    let image = image.with_parent(parent.clone());
    read_ends(&image);
    let mut offset = 0;
    for _ in 0..1000 {
        if offset >= image.len() {
            break;
        }
        let Ok(extent) = image.own_extent_at(offset) else { break };
        assert!(extent.start == offset && extent.length > 0 && extent.end() <= image.len());
        offset = extent.end();
    }
    let size = image.len();
    drop(image);

    let as_readable: Arc<dyn ReadAt> = file.clone();
    let faults = check(&as_readable, &files).expect("memory is always readable");
    let is_sound = faults.listed().iter().all(|fault| fault.severity != Severity::Error);
    let Ok(mut writer) = VmdkWriter::open(file.clone(), &files, 0x1234) else {
        return;
    };
    writer.set_parent(parent);
    let offset = size / 3;
    let length = (size - offset).min(70_000);
    let new: Vec<u8> = (0..length).map(|index| index as u8).collect();
    let outcome = writer.write_at(&new, offset);
    let zeros = writer.write_zeros_at(0..(size / 4).min(100_000));
    if writer.close().is_err() || outcome.is_err() || zeros.is_err() || !is_sound {
        return;
    }
    // Two extents in one file, or an extent in the descriptor's own, lie upon each other.
    if info.extents.len() > 1 {
        return;
    }
    let image = Vmdk::open(file, &files).expect("a changed image opens");
    let mut found = vec![0; length as usize];
    image.read_at(&mut found, offset).expect("what was written is read");
    assert!(found == new, "what was written is kept");
}

/// Checks and mends an image: what could be read before is the same afterwards.
pub fn vmdk_check(bytes: &[u8]) {
    let files = OneExtent::of(bytes);
    let file = Arc::new(MemoryDisk::from(bytes));
    let read = || {
        let image = Vmdk::open(file.clone(), &files).ok()?;
        let image = image.with_parent(Arc::new(MemoryDisk::new(0)));
        Some(read_ends(&image))
    };
    let before = read();
    let as_readable: Arc<dyn ReadAt> = file.clone();
    let faults = check(&as_readable, &files).expect("memory is always readable");
    let is_sound = faults.listed().iter().all(|fault| fault.severity != Severity::Error);
    let as_file: Arc<dyn Resize> = file.clone();
    let mended = repair(&as_file, &files).expect("memory is always writable");
    let repairable = faults.listed().iter().filter(|fault| fault.repairable).count();
    assert!(mended.is_empty() == (repairable == 0) || faults.omitted() > 0);
    let (Some(before), Some(after)) = (before, read()) else {
        return;
    };
    if is_sound {
        for (before, after) in before.into_iter().zip(after) {
            assert!(before.is_none() || before == after, "a repair changes no content");
        }
    }
}

/// Parses a descriptor, changes it, and parses it again.
pub fn descriptor(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let mut descriptor = Descriptor::parse(bytes);
    assert_eq!(descriptor.to_bytes(), &bytes[..end], "nothing is lost");
    Descriptor::probe(bytes);
    let extents = descriptor.extents();
    descriptor.set_extents(&extents);
    assert_eq!(
        descriptor.to_bytes(),
        &bytes[..end],
        "what stays the same keeps its bytes"
    );
    let entries: Vec<(String, String)> = descriptor.entries().collect();
    descriptor.set_cid(0x00AB_CDEF);
    descriptor.set("ddb.cvtool", "yes");
    let again = Descriptor::parse(&descriptor.to_bytes());
    assert_eq!(again.cid(), Some(0x00AB_CDEF));
    assert_eq!(again.get("ddb.cvtool").as_deref(), Some("yes"));
    assert!(again.entries().count() >= entries.len());
    assert_eq!(again.extents().len(), extents.len());
}
