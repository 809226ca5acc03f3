//! What the fuzz target and the mutation test do with a disk that may hold anything.

use cv_disk::partition::{self, Gpt, PartitionTable, SectorSize};
use cv_disk::{MemoryDisk, ReadAt};

/// Reads, checks, repairs and moves whatever table `bytes` hold: as they are, and with the checksums put right, so that
/// damage behind the checksums is reached too.
pub fn partition_table(bytes: &[u8]) {
    exercise(bytes);
    let mut sealed = bytes.to_vec();
    for size in [512, 4096] {
        seal(&mut sealed, size, size);
        if let Some(last) = (bytes.len() / size).checked_sub(1) {
            seal(&mut sealed, size, last * size);
        }
    }
    exercise(&sealed);
}

fn exercise(bytes: &[u8]) {
    for sector_size in [None, Some(SectorSize::Bytes512), Some(SectorSize::Bytes4096)] {
        let disk = MemoryDisk::from(bytes);
        let read = partition::read(&disk, sector_size);
        if let Ok(table) = &read {
            table.damage().map(ToString::to_string);
            for partition in table.partitions() {
                if let Ok(slice) = table.slice(&disk, partition.number) {
                    assert!(slice.len() <= disk.len());
                }
            }
        }
        let found = partition::check(&disk, sector_size).expect("a disk in memory is readable");
        let mended = partition::repair(&disk, sector_size).expect("a fault called repairable can be mended");
        assert_eq!(found, mended);
        let left = partition::check(&disk, sector_size).expect("a disk in memory is readable");
        assert!(left.listed().iter().all(|fault| !fault.repairable), "{left:?}");

        // A repair changes no partition, a move may be refused, and what was read can be written again or is refused.
        if let Ok(PartitionTable::Gpt(gpt)) = read {
            let size = gpt.sector_size;
            let repaired = expect_gpt(&disk, size);
            assert_eq!((repaired.disk_id, &repaired.partitions), (gpt.disk_id, &gpt.partitions));
            for end in [bytes.len() as u64, bytes.len() as u64 / 2] {
                if partition::move_backup(&disk, size, end).is_ok() {
                    assert_eq!(expect_gpt(&disk, size).partitions, gpt.partitions);
                }
            }
            let copy = MemoryDisk::new(bytes.len() as u64);
            let gpt = Gpt {
                primary_damage: None,
                ..gpt
            };
            if gpt.write(&copy).is_ok() {
                assert_eq!(expect_gpt(&copy, size), gpt);
            }
        }
    }
}

fn expect_gpt(disk: &MemoryDisk, sector_size: SectorSize) -> Gpt {
    match partition::read(disk, Some(sector_size)) {
        Ok(PartitionTable::Gpt(gpt)) => gpt,
        other => panic!("a GPT was there, now {other:?}"),
    }
}

/// Puts both checksums of the header at `offset` right, where there is one.
fn seal(bytes: &mut [u8], sector_size: usize, offset: usize) {
    let Some(header) = bytes.get(offset..offset + sector_size) else {
        return;
    };
    if !header.starts_with(b"EFI PART") {
        return;
    }
    let field = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| header[at + i])) as usize;
    let array_start = field(72).saturating_mul(sector_size);
    let array_end = array_start.saturating_add(field(80).saturating_mul(field(84)));
    let header_size = field(12);
    if let Some(array) = bytes.get(array_start..array_end) {
        let crc = crc32fast::hash(array);
        bytes[offset + 88..offset + 92].copy_from_slice(&crc.to_le_bytes());
    }
    if (92..=sector_size).contains(&header_size) {
        bytes[offset + 16..offset + 20].fill(0);
        let crc = crc32fast::hash(&bytes[offset..offset + header_size]);
        bytes[offset + 16..offset + 20].copy_from_slice(&crc.to_le_bytes());
    }
}
