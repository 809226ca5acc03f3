//! Volumes that we write, read back by ourselves: every feature, every geometry, random trees, any number of threads.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_disk::{MemoryDisk, Quiet, ReadAt, ReadError, WriteAt, WriteError};
use cv_ntfs::Volume;
use cv_ntfs::write::{PlanError, PlanOptions, PopulateError, WriteOptions, default_security, plan, write};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use support::everything::everything;
use support::model::{Giving, Model, ModelFile, compare, read, units};

/// Writes the model, reads it back and compares; gives the disk.
fn round_trip(model: &Model, options: &PlanOptions, threads: usize) -> Arc<MemoryDisk> {
    let plan = plan(model.tree().unwrap(), options).unwrap();
    let disk = Arc::new(MemoryDisk::new(plan.volume_size()));
    let write_options = WriteOptions {
        hash: true,
        threads,
        tree_hash_from: Some(100_000),
    };
    let outcome = write(&plan, &model.source(), &*disk, &write_options, &Quiet).unwrap();
    assert!(outcome.used_size <= plan.used_size());
    for (stream, expected) in plan.tree().streams().zip(model.hashes()) {
        assert_eq!(outcome.hashes.get(stream), Some(&expected), "{stream:?}");
    }
    for (stream, expected) in plan.tree().streams().zip(model.tree_hashes(100_000)) {
        let root = outcome.hashes.tree(stream).map(|hash| hash.root);
        assert_eq!(root, expected, "{stream:?}");
    }
    let volume = Volume::open(disk.clone()).unwrap();
    assert_eq!(volume.serial_number(), plan.serial());
    support::check(&(disk.clone() as Arc<dyn ReadAt>));
    compare(&read(&volume), &model.shown(&default_security()));
    disk
}

#[test]
fn everything_comes_back_in_every_geometry() {
    let geometries = [
        (512, &[9, 10, 11, 12, 13, 16, 17][..]),
        (4096, &[12, 14, 15, 18, 19, 20, 21]),
    ];
    for (sector_size, shifts) in geometries {
        for shift in shifts {
            let cluster_size = 1_u32 << shift;
            let options = PlanOptions {
                cluster_size: Some(cluster_size),
                sector_size,
                label: units("Größe \u{1F600}"),
                short_names: shift % 2 == 0,
                ..PlanOptions::default()
            };
            round_trip(&everything(cluster_size <= 4096), &options, 2);
        }
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_on_the_order_of_entries() {
    let model = everything(true);
    let options = PlanOptions::default();
    let one = round_trip(&model, &options, 1).to_vec();
    assert!(round_trip(&model, &options, 3).to_vec() == one, "3 threads");
    // The same files, added in another order.
    let mut turned = Model {
        files: vec![model.files[0].clone()],
    };
    let mut numbers = BTreeMap::from([(0, 0)]);
    let mut pending: Vec<usize> = (1..model.files.len()).rev().collect();
    while !pending.is_empty() {
        pending.retain(|number| {
            let file = &model.files[*number];
            if file.names.iter().any(|(parent, _)| !numbers.contains_key(parent)) {
                return true;
            }
            let mut file = file.clone();
            for (parent, _) in &mut file.names {
                *parent = numbers[parent];
            }
            turned.files.push(file);
            numbers.insert(*number, turned.files.len() - 1);
            false
        });
    }
    assert!(round_trip(&turned, &options, 2).to_vec() == one, "another order");
}

/// A disk that notes what is announced, and that nothing else is written.
struct Announced {
    disk: MemoryDisk,
    order: Mutex<Vec<Range<u64>>>,
}

impl ReadAt for Announced {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.disk.read_at(buf, offset)
    }
}

impl WriteAt for Announced {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        let end = offset + buf.len() as u64;
        let is_announced = |range: &Range<u64>| range.start <= offset && end <= range.end;
        assert!(
            self.order.lock().unwrap().iter().any(is_announced),
            "{offset:#x}..{end:#x}"
        );
        self.disk.write_at(buf, offset)
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        self.order.lock().unwrap().push(range);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

#[test]
fn room_is_announced_in_one_order() {
    let model = everything(true);
    let plan = plan(model.tree().unwrap(), &PlanOptions::default()).unwrap();
    let orders = [(1, false), (4, false), (1, true), (4, true)].map(|(threads, hash)| {
        let target = Announced {
            disk: MemoryDisk::new(plan.volume_size()),
            order: Mutex::default(),
        };
        write(
            &plan,
            &model.source(),
            &target,
            &WriteOptions {
                hash,
                threads,
                tree_hash_from: None,
            },
            &Quiet,
        )
        .unwrap();
        target.order.into_inner().unwrap()
    });
    // Without hashes the target copies host files itself, zeros and all; with them, large streams come in turns.
    assert_eq!(orders[0], orders[1]);
    assert_eq!(orders[2], orders[3]);
    let descents = orders[0].windows(2).filter(|pair| pair[1].start < pair[0].end);
    assert!(descents.clone().count() < 20, "{} steps back", descents.count());
    let volume_end = plan.volume_size();
    for order in &orders {
        assert!(
            order
                .iter()
                .all(|range| range.start < range.end && range.end <= volume_end)
        );
    }
}

#[test]
fn a_directory_of_many_entries_is_found_through() {
    let mut model = Model::new();
    let directory = model.directory(0, "many");
    for number in 0..20_000 {
        let name = format!("entry number {:05} of many", number * 7919 % 20_000);
        model.add(directory, &name, ModelFile::default());
    }
    for cluster_size in [512, 4096, 65536] {
        let options = PlanOptions {
            cluster_size: Some(cluster_size),
            ..PlanOptions::default()
        };
        round_trip(&model, &options, 2);
    }
}

#[test]
fn volumes_of_any_size_are_sparse() {
    let mut model = Model::new();
    model.file(0, "a", vec![1; 100_000], Giving::Disk);
    for (size, cluster_size) in [(64_u64 << 40, None), (64 << 40, Some(65536)), (16 << 40, Some(2 << 20))] {
        let options = PlanOptions {
            volume_size: Some(size),
            cluster_size,
            ..PlanOptions::default()
        };
        let plan = plan(model.tree().unwrap(), &options).unwrap();
        let disk = Arc::new(MemoryDisk::new(size));
        write(&plan, &model.source(), &*disk, &WriteOptions::default(), &Quiet).unwrap();
        let volume = Volume::open(disk).unwrap();
        assert_eq!(read(&volume).len(), 2);
        assert_eq!(volume.geometry().total_sectors, size / 512 - 1);
    }
}

#[test]
fn a_volume_that_is_too_small_says_what_it_needs() {
    let mut model = Model::new();
    model.file(0, "a", vec![1; 1_000_000], Giving::Disk);
    let with_size = |size| PlanOptions {
        volume_size: Some(size),
        ..PlanOptions::default()
    };
    let Err(PlanError::TooSmall { needed, .. }) = plan(model.tree().unwrap(), &with_size(1 << 20)) else {
        panic!("it fits");
    };
    round_trip(&model, &with_size(needed), 1);
    assert!(plan(model.tree().unwrap(), &with_size(needed - 4096)).is_err());
}

#[test]
fn a_stream_that_changed_is_named() {
    let mut model = Model::new();
    let directory = model.directory(0, "folder");
    for giving in [Giving::Disk, Giving::File, Giving::Reader] {
        for length in [10, 5000, 3_000_000] {
            model.files.truncate(2);
            let file = model.file(directory, "file", vec![1; length], giving);
            let tree = model.tree().unwrap();
            model.files[file]
                .streams
                .values_mut()
                .next()
                .unwrap()
                .content
                .truncate(length - 1);
            let plan = plan(tree, &PlanOptions::default()).unwrap();
            let disk = MemoryDisk::new(plan.volume_size());
            for hash in [false, true] {
                let options = WriteOptions {
                    hash,
                    threads: 2,
                    tree_hash_from: None,
                };
                let outcome = write(&plan, &model.source(), &disk, &options, &Quiet);
                let Err(PopulateError::Length { path, found, .. }) = outcome else {
                    panic!("{giving:?} of {length}: {outcome:?}");
                };
                assert_eq!(path, r"\folder\file");
                assert!(found < length as u64);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back(
        model in support::any::any_model(),
        cluster_size in prop::sample::select(vec![512_u32, 1024, 4096]),
        sector_size in prop::sample::select(vec![512_u32, 512, 4096]),
        short_names in any::<bool>(),
        data_alignment in prop::sample::select(vec![1_u64, 65536]),
        threads in 1_usize..4,
    ) {
        let options = PlanOptions {
            cluster_size: Some(cluster_size.max(sector_size)),
            sector_size,
            short_names,
            data_alignment,
            ..PlanOptions::default()
        };
        round_trip(&model, &options, threads);
    }
}
