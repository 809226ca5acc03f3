//! What the fuzz target and the mutation test do with a volume that may hold anything.

use cv_disk::{Extents, MemoryDisk, ReadAt};
use cv_ntfs::structure::AttributeType;
use cv_ntfs::{File, Listing, Order, Volume};
use std::collections::HashSet;
use std::sync::Arc;

/// Files looked at, and bytes read of a stream and extents looked at, at most.
const FILES: usize = 300;
const BYTES: u64 = 300_000;
const EXTENTS: usize = 1000;

/// Opens `bytes` as a volume and reads all there is: by directories, by record numbers and by scan.
pub fn mount_and_walk(bytes: &[u8]) {
    let disk = Arc::new(MemoryDisk::from(bytes));
    if let Ok(volume) = Volume::open(disk.clone()) {
        walk(&volume);
    }
    assert_eq!(Arc::strong_count(&disk), 1, "nothing outlives the volume");
}

fn walk(volume: &Volume) {
    for number in 0..volume.record_count().min(FILES as u64) {
        if let Ok(file) = volume.file(number) {
            read_file(&file);
        }
    }
    let mut entered = HashSet::new();
    let mut pending = vec![volume.root()];
    let mut looked_at = 0;
    while let Some(file) = pending.pop() {
        looked_at += 1;
        if looked_at > FILES {
            break;
        }
        let Ok(file) = file else { continue };
        if !file.is_directory() || !entered.insert(file.reference()) {
            continue;
        }
        let Ok(directory) = file.directory() else { continue };
        let entries: Vec<_> = directory.all_entries().take(FILES).filter_map(Result::ok).collect();
        for entry in entries.iter().take(20) {
            let _ = directory.find(entry.name());
        }
        pending.extend(entries.iter().map(|entry| volume.file_by_reference(entry.reference)));
    }
    let _ = volume.open_str(r"\$Extend\$ObjId");
    for id in 0x100..0x104 {
        let _ = volume.security_descriptor(id);
    }
    let listing = Listing::of(volume, 1);
    listing.walk(volume, Order::Names, |path, _| assert!(!path.is_empty()));
    let _ = listing.orphans(volume);
}

fn read_file(file: &File) {
    let _ = (file.standard_information(), file.reparse_point(), file.object_id());
    let _ = (
        file.security_descriptor(),
        file.extended_attributes(),
        file.names().count(),
    );
    for info in file.streams() {
        if let Ok(stream) = file.stream(&info.name) {
            read_stream(&stream);
        }
    }
    for attribute in file.attributes() {
        if let Ok(stream) = file.attribute_stream(attribute) {
            read_stream(&stream);
        }
        if attribute.type_code != AttributeType::INDEX_ROOT {
            continue;
        }
        if let Ok(index) = file.index(&attribute.name) {
            let keys = index.entries(|entry| Ok(entry.key().to_vec())).take(FILES);
            for key in keys.collect::<Vec<_>>().into_iter().flatten().take(20) {
                let _ = index.find(&key, |entry| entry.data().map(<[u8]>::to_vec));
            }
        }
    }
}

fn read_stream(stream: &cv_ntfs::Stream) {
    let mut buffer = vec![0; 7000];
    let mut offset = 0;
    while offset < stream.len().min(BYTES) {
        let length = (stream.len() - offset).min(buffer.len() as u64) as usize;
        if stream.read_at(&mut buffer[..length], offset).is_err() {
            break;
        }
        offset += length as u64;
    }
    // The end, and everything at once.
    let length = stream.len().min(100_000);
    let _ = stream.read_at(&mut vec![0; length as usize], stream.len() - length);
    let mut covered = 0;
    for extent in Extents::all(stream).take(EXTENTS) {
        let Ok(extent) = extent else { break };
        assert_eq!(extent.start, covered);
        covered = extent.end();
        assert!(extent.length > 0 && covered <= stream.len());
    }
}
