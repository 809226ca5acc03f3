//! A kill after any write, and in the middle of any, leaves an image with every completed write.

use crate::memory_files::content;
use cv_disk::testing::{Operation, RecordingDisk};
use cv_disk::{MemoryDisk, ReadAt, Resize, WriteAt};
use cv_vmdk::{NoExtentFiles, ParentReference, Vmdk, VmdkBuilder, VmdkWriter, check, repair};
use std::sync::Arc;

/// Two grain tables, of grains of 4 KiB.
const SIZE: u64 = 3 << 20;

fn parent() -> Arc<MemoryDisk> {
    let parent = MemoryDisk::new(SIZE);
    parent.write_at(&vec![0xEE; 300_000], 100_000).unwrap();
    Arc::new(parent)
}

/// A closed image with some content.
fn image(differencing: bool, zeroed_grains: bool) -> MemoryDisk {
    let file = Arc::new(MemoryDisk::new(0));
    let mut builder = VmdkBuilder::new(SIZE).grain_size(4096).zeroed_grains(zeroed_grains);
    if differencing {
        builder = builder.parent(ParentReference {
            cid: 7,
            file_name_hint: Some("parent.vmdk".into()),
        });
    }
    let mut writer = builder.create(file.clone(), &NoExtentFiles).unwrap();
    writer.set_parent(parent());
    writer.write_at(&vec![1; 200_000], 10_000).unwrap();
    writer.finish().unwrap();
    (*file).clone()
}

fn open(file: Arc<dyn ReadAt>) -> Vmdk {
    Vmdk::open(file, &NoExtentFiles).unwrap().with_parent(parent())
}

/// Does `session` to `image`; then, for a kill after each change, asserts that the disk is one of those before and after
/// the step that was under way, in every sector.
fn survive(image: MemoryDisk, steps: &[&dyn Fn(&mut VmdkWriter)]) {
    let file = Arc::new(RecordingDisk::new(image));
    let mut states = vec![(0, content(&open(file.clone())))];
    let mut writer = VmdkWriter::open(file.clone(), &NoExtentFiles, 0xABCD).unwrap();
    writer.set_parent(parent());
    for step in steps {
        step(&mut writer);
        states.push((file.count(), content(&writer)));
    }
    writer.close().unwrap();
    assert!(content(&open(file.clone())) == states.last().unwrap().1);
    for count in 0..=file.count() {
        let under_way = states
            .iter()
            .position(|(end, _)| *end >= count)
            .unwrap_or(states.len() - 1);
        let before = &states[under_way.saturating_sub(1)].1;
        let after = &states[under_way].1;
        // A disk writes whole sectors, and the kernel whole pages: a torn write ends at a sector's end.
        let first_sector = match file.operations().get(count) {
            Some(Operation::Write(offset, _)) => Some(512 - (*offset % 512) as usize),
            _ => None,
        };
        for torn in [None, first_sector, first_sector.map(|bytes| bytes + 512)] {
            let killed = match torn {
                None => file.after(count),
                Some(bytes) => file.after_torn(count, bytes),
            };
            let killed = Arc::new(killed);
            let after = match torn {
                // The torn write is the next one, which may belong to the next step.
                Some(_) if states[under_way].0 == count => &states[(under_way + 1).min(states.len() - 1)].1,
                _ => after,
            };
            let before = if torn.is_some() && states[under_way].0 == count {
                &states[under_way].1
            } else {
                before
            };
            let found = content(&open(killed.clone()));
            let sectors = found.chunks(512).enumerate();
            for (sector, bytes) in sectors {
                let at = sector * 512;
                let old = before.get(at..at + 512).unwrap_or(&[0; 512]);
                let new = after.get(at..at + 512).unwrap_or(&[0; 512]);
                let mixed = torn.is_some()
                    && bytes
                        .iter()
                        .zip(old.iter().zip(new))
                        .all(|(b, (o, n))| b == o || b == n);
                assert!(
                    bytes == old || bytes == new || mixed,
                    "killed after {count} changes, torn {torn:?}: sector {sector} is neither old nor new"
                );
            }
            let as_readable: Arc<dyn ReadAt> = killed.clone();
            let faults = check(&as_readable, &NoExtentFiles).unwrap();
            let errors: Vec<String> = faults
                .listed()
                .iter()
                .filter(|fault| fault.severity == cv_disk::Severity::Error)
                .map(ToString::to_string)
                .collect();
            assert!(errors.is_empty(), "killed after {count} changes: {errors:?}");
            let as_file: Arc<dyn Resize> = killed.clone();
            repair(&as_file, &NoExtentFiles).unwrap();
            assert!(content(&open(killed.clone())) == found, "a repair changed the content");
            let left = check(&as_readable, &NoExtentFiles).unwrap();
            let serious = left
                .listed()
                .iter()
                .filter(|fault| !fault.to_string().contains("nothing names"));
            assert_eq!(serious.count(), 0, "killed after {count}: {left:?}");
        }
    }
}

fn write(offset: u64, length: usize, value: u8) -> impl Fn(&mut VmdkWriter) {
    move |writer| writer.write_at(&vec![value; length], offset).unwrap()
}

fn zero(offset: u64, length: u64) -> impl Fn(&mut VmdkWriter) {
    move |writer| writer.write_zeros_at(offset..offset + length).unwrap()
}

#[test]
fn changes_in_place_survive_a_kill() {
    for (differencing, zeroed) in [(false, false), (false, true), (true, false), (true, true)] {
        survive(
            image(differencing, zeroed),
            &[
                &write(50_000, 3_000, 2),
                &write(1 << 20, 50_000, 3),
                &write(SIZE - 4096, 100, 4),
                &zero(65_536, 131_072),
                &zero(20_000, 5_000),
                &|writer| writer.flush().unwrap(),
                &write((2 << 20) - 8192, 16_384, 5),
                &write(90_000, 100_000, 6),
            ],
        );
    }
}

#[test]
fn growing_survives_a_kill() {
    for differencing in [false, true] {
        survive(
            image(differencing, true),
            &[
                &write(SIZE - 100_000, 100_000, 9),
                // Beyond the reach of the tables that are there.
                &|writer| writer.resize((11 << 20) + 512, &NoExtentFiles).unwrap(),
                &write(10 << 20, 70_000, 8),
            ],
        );
    }
}

#[test]
fn a_power_failure_keeps_what_was_flushed() {
    let file = Arc::new(RecordingDisk::new(image(false, true)));
    let writer = VmdkWriter::open(file.clone(), &NoExtentFiles, 1).unwrap();
    writer.write_at(&vec![5; 65_536], 65_536).unwrap();
    writer.flush().unwrap();
    let flushed = file.count();
    let before = content(&writer);
    // The grain is given back, and must not be used again before the tables are on stable storage.
    writer.write_zeros_at(65_536..131_072).unwrap();
    writer.write_at(&vec![6; 65_536], 2 << 20).unwrap();
    for lost in flushed..file.count() {
        let disk = Arc::new(file.after_power_failure(file.count(), |number| number != lost));
        let found = content(&open(disk));
        for (found, before) in found[65_536..131_072]
            .chunks(4096)
            .zip(before[65_536..131_072].chunks(4096))
        {
            assert!(
                found == before || found.iter().all(|byte| *byte == 0),
                "change {lost} lost"
            );
        }
    }
}
