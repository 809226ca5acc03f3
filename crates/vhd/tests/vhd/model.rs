//! Random writes, resizes, snapshots and commits against plain bytes.

use crate::tools::{bytes, noise};
use cv_disk::{Differencing, ExtentKind, MemoryDisk, ReadAt, Severity, WriteAt};
use cv_vhd::vhd::{ParentReference, Vhd, VhdBuilder, VhdWriter, check};
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

#[derive(Debug, Clone)]
enum Step {
    Write {
        at: u64,
        length: usize,
        seed: u64,
    },
    WriteZeroBytes {
        at: u64,
        length: usize,
    },
    Zeros {
        at: u64,
        length: u64,
    },
    Reserve {
        at: u64,
        length: u64,
    },
    /// Finish and open again.
    Reopen,
    /// Open again without having finished.
    Abandon,
    Resize {
        sectors: u64,
    },
    Snapshot,
    Commit,
    Relink,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0_u64..300_000;
    prop_oneof![
        8 => (at.clone(), 1_usize..40_000, any::<u64>()).prop_map(|(at, length, seed)| Step::Write { at, length, seed }),
        3 => (at.clone(), 1_usize..2_000, any::<u64>()).prop_map(|(at, length, seed)| Step::Write { at, length, seed }),
        2 => (at.clone(), 1_usize..20_000).prop_map(|(at, length)| Step::WriteZeroBytes { at, length }),
        4 => (at.clone(), 1_u64..60_000).prop_map(|(at, length)| Step::Zeros { at, length }),
        1 => (at, 1_u64..60_000).prop_map(|(at, length)| Step::Reserve { at, length }),
        2 => Just(Step::Reopen),
        2 => Just(Step::Abandon),
        3 => (1_u64..700).prop_map(|sectors| Step::Resize { sectors }),
        2 => Just(Step::Snapshot),
        2 => Just(Step::Commit),
        1 => Just(Step::Relink),
    ]
}

/// A chain of disks in memory; the last is open for writing.
struct Chain {
    files: Vec<Arc<MemoryDisk>>,
    top: Option<VhdWriter>,
    expected: Vec<u8>,
    block_size: u32,
}

fn identity(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

impl Chain {
    fn new(sectors: u64, block_size: u32, is_fixed: bool) -> Self {
        let file = Arc::new(MemoryDisk::new(0));
        let builder = VhdBuilder::new(sectors * 512)
            .block_size(block_size)
            .identity(identity(0));
        let builder = if is_fixed { builder.fixed() } else { builder };
        Self {
            top: Some(builder.create(file.clone()).unwrap()),
            files: vec![file],
            expected: vec![0; sectors as usize * 512],
            block_size,
        }
    }

    fn parent(&self, count: usize) -> Option<Arc<dyn ReadAt>> {
        let mut parent: Option<Arc<dyn ReadAt>> = None;
        for file in &self.files[..count] {
            let mut disk = Vhd::open(file.clone()).unwrap();
            if let Some(parent) = parent.take() {
                disk.set_parent(parent);
            }
            parent = Some(Arc::new(disk));
        }
        parent
    }

    fn open_top(&mut self) {
        let mut top = VhdWriter::open(self.files.last().unwrap().clone()).unwrap();
        if let Some(parent) = self.parent(self.files.len() - 1) {
            assert!(top.parent_reference().unwrap().matches(&identity(self.files.len() - 2)));
            top.set_parent(parent);
        }
        self.top = Some(top);
    }

    fn top(&self) -> &VhdWriter {
        self.top.as_ref().unwrap()
    }

    fn finish(&mut self) {
        self.top.take().unwrap().finish().unwrap();
    }

    fn clip(&self, at: u64, length: u64) -> std::ops::Range<u64> {
        let size = self.expected.len() as u64;
        let at = at % size;
        at..size.min(at + length)
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Write { at, length, seed } => {
                let range = self.clip(at, length as u64);
                let data = noise(seed, (range.end - range.start) as usize);
                self.top().write_at(&data, range.start).unwrap();
                self.expected[range.start as usize..range.end as usize].copy_from_slice(&data);
            }
            Step::WriteZeroBytes { at, length } => {
                let range = self.clip(at, length as u64);
                self.top()
                    .write_at(&vec![0; (range.end - range.start) as usize], range.start)
                    .unwrap();
                self.expected[range.start as usize..range.end as usize].fill(0);
            }
            Step::Zeros { at, length } => {
                let range = self.clip(at, length);
                self.top().write_zeros_at(range.clone()).unwrap();
                self.expected[range.start as usize..range.end as usize].fill(0);
            }
            Step::Reserve { at, length } => self.top().reserve(self.clip(at, length)).unwrap(),
            Step::Reopen => {
                self.finish();
                self.open_top();
            }
            Step::Abandon => {
                self.top = None;
                self.open_top();
            }
            Step::Resize { sectors } => {
                self.top.as_mut().unwrap().resize(sectors * 512).unwrap();
                self.expected.resize(sectors as usize * 512, 0);
            }
            Step::Snapshot if self.files.len() < 4 => {
                self.finish();
                let number = self.files.len();
                let reference = ParentReference::new(identity(number - 1)).relative(r".\parent.vhd");
                let file = Arc::new(MemoryDisk::new(0));
                let mut top = VhdBuilder::new(self.expected.len() as u64)
                    .block_size(self.block_size)
                    .identity(identity(number))
                    .parent(reference)
                    .create(file.clone())
                    .unwrap();
                top.set_parent(self.parent(number).unwrap());
                self.files.push(file);
                self.top = Some(top);
            }
            Step::Commit if self.files.len() > 1 => self.commit(),
            Step::Relink if self.files.len() > 1 => {
                let reference = ParentReference::new(identity(self.files.len() - 2))
                    .relative(r"..\moved\parent.vhd")
                    .absolute(r"D:\moved\parent.vhd");
                self.top.as_mut().unwrap().relink(&reference).unwrap();
                assert_eq!(self.top().parent_reference().unwrap().paths[..2], reference.paths);
            }
            Step::Snapshot | Step::Commit | Step::Relink => {}
        }
    }

    /// Moves what the top holds into its parent, which becomes the top.
    fn commit(&mut self) {
        self.finish();
        let child = Vhd::open(self.files.pop().unwrap()).unwrap();
        self.open_top();
        self.top.as_mut().unwrap().resize(child.len()).unwrap();
        let mut offset = 0;
        while offset < child.len() {
            let extent = child.own_extent_at(offset).unwrap();
            match extent.kind {
                ExtentKind::Hole => {}
                ExtentKind::Zero => self.top().write_zeros_at(extent.range()).unwrap(),
                ExtentKind::Data => {
                    let mut data = vec![0; extent.length as usize];
                    child.read_at(&mut data, offset).unwrap();
                    self.top().write_at(&data, offset).unwrap();
                }
            }
            offset = extent.end();
        }
    }

    fn verify(&self) {
        assert_eq!(self.top().len(), self.expected.len() as u64);
        let found = bytes(self.top());
        if let Some(first) = (0..found.len()).find(|i| found[*i] != self.expected[*i]) {
            panic!("first difference at {first:#x} of {:#x}", found.len());
        }
        let mut offset = 0;
        while offset < self.top().len() {
            let extent = self.top().extent_at(offset).unwrap();
            assert!(extent.start == offset && extent.length > 0 && extent.end() <= self.top().len());
            let range = extent.start as usize..extent.end() as usize;
            assert!(extent.kind == ExtentKind::Data || cv_disk::is_zero(&self.expected[range]));
            offset = extent.end();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_chain_holds_what_was_written(
        sectors in 1_u64..700,
        block_shift in 9_u32..18,
        is_fixed in prop::bool::weighted(0.2),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut chain = Chain::new(sectors, 1 << block_shift, is_fixed);
        for step in &steps {
            chain.apply(step);
            chain.verify();
        }
        chain.finish();
        for file in &chain.files {
            let file: Arc<dyn ReadAt> = file.clone();
            let faults = check(&file).unwrap();
            let bad = faults.listed().iter().find(|fault| fault.severity > Severity::Note);
            prop_assert!(bad.is_none(), "{}", bad.unwrap());
        }
        chain.open_top();
        chain.verify();
    }
}

#[test]
fn threads_that_reserve_in_order_leave_the_same_file_as_one() {
    let size = 8 << 20;
    let source = crate::tools::sample(size);
    let mut files = Vec::new();
    for threads in [1, 2, 4] {
        let file = Arc::new(MemoryDisk::new(0));
        let disk = VhdBuilder::new(size).block_size(64 << 10).create(file.clone()).unwrap();
        let options = cv_disk::CopyOptions {
            threads,
            ..cv_disk::CopyOptions::default()
        };
        cv_disk::copy(&source, &disk, &options, &cv_disk::Quiet).unwrap();
        disk.finish().unwrap();
        assert!(bytes(&Vhd::open(file.clone()).unwrap()) == source.to_vec());
        files.push(file.to_vec());
    }
    assert!(files[0] == files[1] && files[0] == files[2]);
}

#[test]
fn threads_that_share_sectors_and_blocks_lose_nothing() {
    let parent_file = Arc::new(MemoryDisk::new(0));
    let size = 256 << 10;
    let parent = VhdBuilder::new(size).create(parent_file.clone()).unwrap();
    let mut expected = noise(1, size as usize);
    parent.write_at(&expected, 0).unwrap();
    parent.finish().unwrap();
    let parent: Arc<dyn ReadAt> = Arc::new(Vhd::open(parent_file).unwrap());

    let file = Arc::new(MemoryDisk::new(0));
    let mut child = VhdBuilder::new(size)
        .block_size(32 << 10)
        .parent(ParentReference::new(Uuid::nil()))
        .create(file.clone())
        .unwrap();
    child.set_parent(parent.clone());
    let data = noise(2, size as usize);
    // Pieces of 100 bytes, each written by one of four threads, so that most sectors are written by several.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (child, data) = (&child, &data);
            scope.spawn(move || {
                for piece in (thread..data.len() / 100).step_by(4).filter(|piece| piece % 3 > 0) {
                    let range = piece * 100..(piece + 1) * 100;
                    child.write_at(&data[range.clone()], range.start as u64).unwrap();
                }
            });
        }
    });
    for piece in (0..data.len() / 100).filter(|piece| piece % 3 > 0) {
        let range = piece * 100..(piece + 1) * 100;
        expected[range.clone()].copy_from_slice(&data[range]);
    }
    child.finish().unwrap();
    assert!(bytes(&Vhd::open(file).unwrap().with_parent(parent)) == expected);
}

#[test]
fn a_host_file_is_copied_into_every_kind_of_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source");
    let content = noise(5, 200_000);
    std::fs::write(&path, &content).unwrap();
    let source = std::fs::File::open(&path).unwrap();
    let parent: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&noise(6, 300_032)[..]));
    for (number, builder) in [
        VhdBuilder::new(300_032).block_size(65536),
        VhdBuilder::new(300_032).fixed(),
        VhdBuilder::new(300_032)
            .block_size(65536)
            .parent(ParentReference::new(Uuid::nil())),
    ]
    .into_iter()
    .enumerate()
    {
        let is_child = number == 2;
        let mut disk = builder
            .create(crate::tools::new_file(&folder.path().join(number.to_string())))
            .unwrap();
        let mut expected = if is_child { bytes(&*parent) } else { vec![0; 300_032] };
        if is_child {
            disk.set_parent(parent.clone());
        }
        disk.copy_from_file(&source, 77, 1_001, 150_000).unwrap();
        expected[1_001..151_001].copy_from_slice(&content[77..150_077]);
        assert!(bytes(&disk) == expected);
        disk.finish().unwrap();
    }
}
