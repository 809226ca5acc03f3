//! Random sessions against a plain disk in memory.

use crate::tools::{assert_same, guids, identity, noise};
use cv_disk::{CopyOptions, MemoryDisk, Quiet, ReadAt, WriteAt, copy};
use cv_vhd::vhdx::{ParentReference, Vhdx, VhdxBuilder, VhdxWriter};
use proptest::prelude::*;
use std::sync::Arc;

/// One step of a session.
#[derive(Debug, Clone)]
pub enum Step {
    Write { offset: u64, length: u64, seed: u64 },
    Zero { offset: u64, length: u64 },
    Flush,
    Reopen,
}

/// Steps on a disk of `size` bytes; every other offset is a multiple of 512.
pub fn steps(size: u64, count: usize) -> impl Strategy<Value = Vec<Step>> {
    let place =
        (0..size, any::<bool>()).prop_map(|(offset, aligned)| if aligned { offset / 512 * 512 } else { offset });
    let length = prop_oneof![
        1_u64..2000,
        (1_u64..64).prop_map(|sectors| sectors * 512),
        (1_u64..=3).prop_map(|mebibytes| mebibytes << 20),
    ];
    let clip = move |(offset, length): (u64, u64)| (offset, length.min(size - offset));
    let step = prop_oneof![
        6 => ((place.clone(), length.clone()), any::<u64>()).prop_map(move |(range, seed)| {
            let (offset, length) = clip(range);
            Step::Write { offset, length, seed }
        }),
        2 => (place, length).prop_map(move |range| {
            let (offset, length) = clip(range);
            Step::Zero { offset, length }
        }),
        1 => (0..size >> 20, 1_u64..4).prop_map(move |(start, count)| {
            let (offset, length) = clip((start << 20, count << 20));
            Step::Zero { offset, length }
        }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..count)
}

/// Does a step, which is not [`Step::Reopen`], on a disk.
pub fn act(disk: &dyn WriteAt, step: &Step) {
    match *step {
        Step::Write { offset, length, seed } => disk.write_at(&noise(length as usize, seed), offset).unwrap(),
        Step::Zero { offset, length } => disk.write_zeros_at(offset..offset + length).unwrap(),
        Step::Flush | Step::Reopen => disk.flush().unwrap(),
    }
}

/// Options of the files that sessions run on.
pub fn builder(size: u64, logical_sector_size: u32, differencing: bool) -> VhdxBuilder {
    let builder = VhdxBuilder::new(size)
        .identity(identity(7))
        .block_size(1 << 20)
        .sector_sizes(logical_sector_size, 4096);
    if differencing {
        builder.parent(parent_reference())
    } else {
        builder
    }
}

pub fn parent_reference() -> ParentReference {
    ParentReference {
        parent_linkage: identity(3).data_write_guid,
        relative_path: Some(".\\parent.vhdx".into()),
        ..ParentReference::default()
    }
}

/// A parent with data in every fourth part of a disk of `size` bytes.
pub fn parent(size: u64) -> Arc<MemoryDisk> {
    let disk = MemoryDisk::new(size);
    for start in (0..size).step_by(700_000) {
        let length = (size - start).min(180_000);
        disk.write_at(&noise(length as usize, start + 5), start).unwrap();
    }
    Arc::new(disk)
}

/// As `disk`, which may be larger or smaller, in `size` bytes.
pub fn sized(disk: &MemoryDisk, size: u64) -> MemoryDisk {
    let copy = disk.clone();
    cv_disk::Resize::set_len(&copy, size).unwrap();
    copy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_session_leaves_what_was_written(
        sectors in 8_u64..12_000,
        small in any::<bool>(),
        differencing in any::<bool>(),
        in_place in any::<bool>(),
        seed in any::<u64>(),
        script in steps(8 << 20, 24),
    ) {
        let sector = if small { 512 } else { 4096 };
        let size = (sectors * 512).next_multiple_of(u64::from(sector));
        let parent = parent(size + (seed % 3) * 512);
        let model = if differencing { sized(&parent, size) } else { MemoryDisk::new(size) };
        let file = Arc::new(MemoryDisk::new(0));
        let mut writer = builder(size, sector, differencing).create(file.clone()).unwrap();
        let attach = |writer: VhdxWriter| if differencing { writer.with_parent(parent.clone()) } else { writer };
        writer = attach(writer);
        if in_place {
            writer.finish().unwrap();
            writer = attach(VhdxWriter::open(file.clone(), guids()).unwrap());
        }
        for step in script {
            let step = match step {
                Step::Write { offset, .. } | Step::Zero { offset, .. } if offset >= size => continue,
                Step::Write { offset, length, seed } => Step::Write { offset, length: length.min(size - offset), seed },
                Step::Zero { offset, length } => Step::Zero { offset, length: length.min(size - offset) },
                step => step,
            };
            if let (Step::Reopen, true) = (&step, in_place) {
                writer.finish().unwrap();
                writer = attach(VhdxWriter::open(file.clone(), guids()).unwrap());
            } else {
                act(&writer, &step);
                act(&model, &step);
            }
        }
        assert_same(&writer, &model);
        if in_place {
            // Without finishing, the log says the rest.
            let killed: Arc<dyn ReadAt> = Arc::new((*file).clone());
            let image = Vhdx::open(killed).unwrap();
            assert_same(&if differencing { image.with_parent(parent.clone()) } else { image }, &model);
        }
        writer.finish().unwrap();
        let image = Vhdx::open(file).unwrap();
        prop_assert_eq!(image.info().log_to_replay, None);
        assert_same(&if differencing { image.with_parent(parent) } else { image }, &model);
    }
}

#[test]
fn threads_that_share_blocks_and_sectors_lose_nothing() {
    const SIZE: u64 = 24 << 20;
    /// Not a multiple of a sector, so that neighbours share one.
    const PIECE: u64 = 37_123;
    for differencing in [false, true] {
        for in_place in [false, true] {
            let parent = parent(SIZE);
            let model = if differencing {
                sized(&parent, SIZE)
            } else {
                MemoryDisk::new(SIZE)
            };
            let file = Arc::new(MemoryDisk::new(0));
            let builder = builder(SIZE, 512, differencing).block_size(4 << 20);
            let mut writer = builder.create(file.clone()).unwrap();
            if in_place {
                writer.finish().unwrap();
                writer = VhdxWriter::open(file.clone(), guids()).unwrap();
            }
            if differencing {
                writer.set_parent(parent.clone());
            }
            let pieces: Vec<_> = (0..SIZE / PIECE).filter(|piece| piece % 5 != 3).collect();
            let write = |disk: &dyn WriteAt, piece: u64| {
                if piece % 7 == 2 {
                    disk.write_zeros_at(piece * PIECE..(piece + 1) * PIECE).unwrap();
                } else {
                    disk.write_at(&noise(PIECE as usize, piece + 1), piece * PIECE).unwrap();
                }
            };
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (pieces, writer) = (&pieces, &writer);
                    scope.spawn(move || {
                        for piece in pieces.iter().skip(thread).step_by(4) {
                            write(writer, *piece);
                        }
                    });
                }
            });
            for piece in &pieces {
                write(&model, *piece);
            }
            assert_same(&writer, &model);
            writer.finish().unwrap();
            let image = Vhdx::open(file).unwrap();
            assert_same(&if differencing { image.with_parent(parent) } else { image }, &model);
        }
    }
}

#[test]
fn the_layout_does_not_depend_on_the_number_of_threads() {
    let source = parent(60 << 20);
    let build = |threads| {
        let file = Arc::new(MemoryDisk::new(0));
        let writer = builder(60 << 20, 512, false).create(file.clone()).unwrap();
        let options = CopyOptions {
            threads,
            ..CopyOptions::default()
        };
        copy(&*source, &writer, &options, &Quiet).unwrap();
        writer.finish().unwrap();
        file.to_vec()
    };
    let one = build(1);
    for threads in [2, 4] {
        assert!(build(threads) == one);
    }
}

#[test]
fn room_reserved_and_never_written_is_cut_off_again() {
    let file = Arc::new(MemoryDisk::new(0));
    builder(8 << 20, 512, false)
        .create(file.clone())
        .unwrap()
        .finish()
        .unwrap();
    let before = file.len();
    let writer = VhdxWriter::open(file.clone(), guids()).unwrap();
    writer.reserve(0..8 << 20).unwrap();
    assert!(file.len() > before);
    writer.finish().unwrap();
    VhdxWriter::open(file.clone(), guids())
        .unwrap()
        .write_at(&[0], 0)
        .unwrap();
    let writer = VhdxWriter::open(file.clone(), guids()).unwrap();
    writer.write_zeros_at(0..1).unwrap();
    writer.finish().unwrap();
    assert_eq!(file.len(), before);
}
