//! Volumes that we write, read back by ourselves: every feature, every geometry, random trees, any number of threads.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_disk::{MemoryDisk, Quiet, ReadAt, ReadError, WriteAt, WriteError};
use cv_ntfs::Volume;
use cv_ntfs::structure::FileAttributes;
use cv_ntfs::structure::extended_attribute::ExtendedAttribute;
use cv_ntfs::structure::reparse::ReparsePoint;
use cv_ntfs::write::{Compression, PlanError, PlanOptions, PopulateError, WriteOptions, default_security, plan, write};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use support::everything::everything;
use support::model::{Giving, Model, ModelFile, ModelStream, compare, read, units};

/// Writes the model, reads it back and compares; gives the disk.
fn round_trip(model: &Model, options: &PlanOptions, threads: usize) -> Arc<MemoryDisk> {
    let plan = plan(model.tree().unwrap(), options).unwrap();
    let disk = Arc::new(MemoryDisk::new(plan.volume_size()));
    let write_options = WriteOptions { hash: true, threads };
    let outcome = write(&plan, &model.source(), &*disk, &write_options, &Quiet).unwrap();
    assert!(outcome.used_size <= plan.used_size());
    for (stream, expected) in plan.tree().streams().zip(model.hashes()) {
        assert_eq!(outcome.hashes.get(stream), Some(&expected), "{stream:?}");
    }
    let volume = Volume::open(disk.clone()).unwrap();
    assert_eq!(volume.serial_number(), plan.serial());
    support::check(&(disk.clone() as Arc<dyn ReadAt>));
    compare(&read(&volume), &model.shown(&default_security()));
    disk
}

#[test]
fn everything_comes_back_in_every_geometry() {
    for sector_size in [512, 4096] {
        for shift in 9..=21 {
            let cluster_size = 1_u32 << shift;
            if cluster_size < sector_size || (shift > 17 && sector_size == 512) {
                continue;
            }
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
    for threads in [2, 4] {
        assert!(
            round_trip(&model, &options, threads).to_vec() == one,
            "{threads} threads"
        );
    }
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
fn room_is_announced_in_one_order_and_data_in_ascending_order() {
    let model = everything(true);
    let plan = plan(model.tree().unwrap(), &PlanOptions::default()).unwrap();
    let orders = [(1, false), (4, false), (4, true)].map(|(threads, hash)| {
        let target = Announced {
            disk: MemoryDisk::new(plan.volume_size()),
            order: Mutex::default(),
        };
        write(&plan, &model.source(), &target, &WriteOptions { hash, threads }, &Quiet).unwrap();
        target.order.into_inner().unwrap()
    });
    assert_eq!(orders[0], orders[1]);
    // Without hashes the target copies host files itself, zeros and all.
    let volume_end = plan.volume_size();
    for order in &orders {
        let descents = order.windows(2).filter(|pair| pair[1].start < pair[0].end).count();
        assert!(descents < 20, "{descents} steps back");
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
                let options = WriteOptions { hash, threads: 2 };
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

fn any_name() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![
        8 => (b'a'..=b'z').prop_map(u16::from),
        2 => (b'A'..=b'Z').prop_map(u16::from),
        1 => Just(u16::from(b'.')),
        1 => any::<u16>(),
        1 => 0xD800_u16..0xE000,
    ];
    prop_oneof![
        4 => prop::collection::vec(unit.clone(), 1..14),
        1 => prop::collection::vec(unit, 200..256),
    ]
    .prop_filter("Windows cannot use it", |name| {
        cv_winname::check_component(name).is_ok()
    })
}

fn any_stream() -> impl Strategy<Value = ModelStream> {
    let length = prop_oneof![3 => 0_usize..1200, 2 => 0_usize..30_000, 1 => 250_000_usize..1_200_000];
    let giving = prop::sample::select(vec![Giving::Bytes, Giving::Disk, Giving::Reader, Giving::Late]);
    let compression = prop::sample::select(vec![Compression::None, Compression::None, Compression::Lznt1]);
    let data = prop::option::weighted(0.2, prop::collection::vec((0_u64..1 << 21, 1_u64..100_000), 0..6));
    (length, giving, compression, data, any::<u8>()).prop_map(|(length, giving, compression, data, seed)| {
        let mut content = support::text(seed, length);
        if seed % 3 == 0 {
            content = support::random(seed, length);
        }
        let mut stream = ModelStream::of(content, giving);
        if let Some(ranges) = data {
            let mut sparse: Vec<Range<u64>> = Vec::new();
            stream.content = vec![0; 1 << 21];
            let mut ranges: Vec<_> = ranges;
            ranges.sort_unstable();
            for (start, length) in ranges {
                let start = start.max(sparse.last().map_or(0, |last| last.end));
                let end = (start + length).min(1 << 21);
                if start < end {
                    stream.content[start as usize..end as usize].fill(seed | 1);
                    sparse.push(start..end);
                }
            }
            stream.sparse = Some(sparse);
            stream.giving = Giving::Reader;
        } else if giving != Giving::Late {
            stream.compression = compression;
        }
        stream
    })
}

fn any_file() -> impl Strategy<Value = ModelFile> {
    let streams = prop::collection::btree_map(prop::collection::vec(b'a'..=b'z', 0..6), any_stream(), 0..3);
    let attributes = prop::sample::select(vec![
        FileAttributes::empty(),
        FileAttributes::ARCHIVE,
        FileAttributes::READONLY | FileAttributes::HIDDEN,
    ]);
    let extended = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..3);
    let reparse = prop::option::weighted(0.2, prop::collection::vec(any::<u16>(), 0..800));
    (
        streams,
        attributes,
        any::<[u32; 4]>(),
        extended,
        reparse,
        any::<[u8; 16]>(),
    )
        .prop_map(|(streams, attributes, times, extended, reparse, id)| ModelFile {
            attributes,
            times: times.map(|time| (u64::from(time) + 1) << 25),
            streams: streams
                .into_iter()
                .map(|(name, stream)| (name.into_iter().map(u16::from).collect(), stream))
                .collect(),
            security: (id[0] % 3 == 0).then(|| support::security(id[1] % 8)),
            extended_attributes: extended
                .into_iter()
                .enumerate()
                .map(|(number, value)| ExtendedAttribute {
                    flags: 0,
                    name: format!("NAME{number}").into_bytes(),
                    value,
                })
                .collect(),
            reparse: reparse.map(|name| {
                let point = ReparsePoint::Symlink {
                    substitute_name: name,
                    print_name: Vec::new(),
                    is_relative: true,
                };
                point.to_bytes().unwrap()
            }),
            object_id: (id[0] % 4 == 0).then_some(id),
            ..ModelFile::default()
        })
}

fn any_model() -> impl Strategy<Value = Model> {
    let entry = (
        any::<prop::sample::Index>(),
        any_name(),
        any_file(),
        0_u8..8,
        prop::option::of(any_name()),
    );
    prop::collection::vec(entry, 0..24).prop_map(|entries| {
        let upcase = cv_winname::UpcaseTable::windows();
        let mut model = Model::new();
        let mut taken = std::collections::BTreeSet::new();
        let mut directories = vec![0];
        for (parent, name, mut file, kind, link) in entries {
            let parent = directories[parent.index(directories.len())];
            let (mut name, mut link) = (name, link);
            if file.streams.values().any(|stream| stream.giving == Giving::Late) {
                // What shares a file with a late stream must fit into one record.
                name = units(&format!("late {}", model.files.len()));
                file.streams
                    .retain(|name, stream| name.is_empty() || stream.giving == Giving::Late);
                for stream in file.streams.values_mut() {
                    stream.compression = Compression::None;
                }
                file.extended_attributes.clear();
                file.reparse = None;
                link = None;
            }
            if !taken.insert((parent, upcase.fold(&name))) {
                continue;
            }
            file.names.push((parent, name));
            if kind < 3 {
                file.is_directory = true;
                file.streams.remove(&Vec::new());
            } else if let Some(link) = link.filter(|link| taken.insert((0, upcase.fold(link)))) {
                file.names.push((0, link));
            }
            for (name, stream) in &mut file.streams {
                if kind == 4 && name.is_empty() && file.reparse.is_none() && stream.compression == Compression::Lznt1 {
                    stream.compression = Compression::WofXpress4k;
                }
            }
            if file.is_directory {
                directories.push(model.files.len());
            }
            model.files.push(file);
        }
        model
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back(
        model in any_model(),
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
