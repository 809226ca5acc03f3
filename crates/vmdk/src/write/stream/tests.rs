//! Grains that come late, in parts, and from several threads.

use super::*;
use crate::structures::{COMPRESSION_DEFLATE, GD_AT_END, SECTOR, to_sector};
use cv_disk::{MemoryDisk, ReadAt, WriteAt};

const SIZE: u64 = 24 << 20;

fn stream() -> (Arc<MemoryDisk>, StreamWriter) {
    let header = SparseExtentHeader {
        version: 3,
        flags: STREAM_FLAGS,
        capacity: SIZE / SECTOR,
        grain_size: 128,
        descriptor_offset: 1,
        descriptor_size: 1,
        num_gtes_per_gt: 512,
        rgd_offset: 0,
        gd_offset: GD_AT_END,
        overhead: 128,
        unclean_shutdown: 0,
        newline_test: SparseExtentHeader::NEWLINE_TEST,
        compress_algorithm: COMPRESSION_DEFLATE,
    };
    let file = Arc::new(MemoryDisk::new(65_536));
    file.write_at(&to_sector(&header), 0).unwrap();
    let mut writer = StreamWriter::new(file.clone(), &header, 1);
    writer.patience = Duration::from_millis(20);
    (file, writer)
}

/// Bytes that do not compress.
fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(SIZE as usize).collect()
}

fn assert_holds(file: Arc<MemoryDisk>, expected: &[u8]) {
    let extent = crate::sparse::SparseExtent::open(file as Arc<dyn ReadAt>).unwrap();
    let mut found = vec![0; expected.len()];
    let zeros = |buf: &mut [u8], _| {
        buf.fill(0);
        Ok(())
    };
    extent.read(&mut found, 0, &zeros).unwrap();
    assert!(found == expected);
}

#[test]
fn announced_grains_that_come_last_hold_up_neither_memory_nor_the_others() {
    let (file, writer) = stream();
    let bytes = noise();
    writer.reserve(0..SIZE);
    for start in (0..SIZE >> 20).rev().map(|mib| mib << 20) {
        let piece = &bytes[start as usize..start as usize + (1 << 20)];
        writer.write(start, &Source::Bytes(piece), 1 << 20).unwrap();
        assert!(writer.lock().waiting_bytes <= WAITING_BYTES + (2 << 20));
    }
    writer.finish().unwrap();
    assert_holds(file, &bytes);
}

#[test]
fn grains_written_in_part_are_closed_and_opened_again() {
    let (file, writer) = stream();
    let bytes = noise();
    // Each grain in two halves, the second ones long after the first.
    for half in [0, 32_768] {
        for start in (half..SIZE).step_by(65_536) {
            let piece = &bytes[start as usize..start as usize + 32_768];
            writer.write(start, &Source::Bytes(piece), 32_768).unwrap();
            assert!(writer.lock().waiting_bytes <= WAITING_BYTES + (1 << 20));
        }
    }
    let mut found = vec![0; 100_000];
    writer.read(&mut found, 5_000_000).unwrap();
    assert!(found == bytes[5_000_000..5_100_000]);
    writer.finish().unwrap();
    assert_holds(file, &bytes);
}

#[test]
fn threads_that_share_grains_lose_nothing() {
    let (file, writer) = stream();
    let bytes = noise();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (writer, bytes) = (&writer, &bytes);
            scope.spawn(move || {
                for start in (thread * 8192..SIZE).step_by(4 * 8192) {
                    let piece = &bytes[start as usize..start as usize + 8192];
                    writer.write(start, &Source::Bytes(piece), 8192).unwrap();
                }
            });
        }
    });
    writer.finish().unwrap();
    assert_holds(file, &bytes);
}
