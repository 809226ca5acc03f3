//! Random use against a plain disk in memory.

use crate::memory_files::{MemoryFiles, content, stamp};
use cv_disk::{Differencing, Extent, ExtentKind, ReadAt, WriteAt};
use cv_vmdk::{ParentReference, Subformat, VmdkBuilder, VmdkWriter};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Write(u64, usize, u8),
    Zeros(u64, u64),
    Reserve(u64, u64),
    Copy(u64, usize),
    Grow(u64),
    Flush,
    Reopen,
    Snapshot(bool),
    Commit,
}

const SIZE: u64 = 3 << 19;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = prop_oneof![0..SIZE, (0..SIZE / 65536).prop_map(|grain| grain * 65536)];
    let length = prop_oneof![1_usize..3000, 60_000_usize..200_000, Just(65_536)];
    let step = prop_oneof![
        6 => (offset.clone(), length.clone(), prop_oneof![Just(0_u8), any::<u8>()]).prop_map(|(o, l, v)| Step::Write(o, l, v)),
        3 => (offset.clone(), length.clone()).prop_map(|(o, l)| Step::Zeros(o, l as u64)),
        1 => (offset.clone(), length.clone()).prop_map(|(o, l)| Step::Reserve(o, l as u64)),
        1 => (offset, length).prop_map(|(o, l)| Step::Copy(o, l)),
        1 => (1_u64..400).prop_map(|sectors| Step::Grow(sectors * 512)),
        1 => Just(Step::Flush),
        2 => Just(Step::Reopen),
        1 => any::<bool>().prop_map(Step::Snapshot),
        1 => Just(Step::Commit),
    ];
    prop::collection::vec(step, 1..25)
}

/// The disk under test, and what it should hold.
struct Session {
    files: MemoryFiles,
    /// The images from the base to the one in use.
    chain: Vec<String>,
    writer: Option<VmdkWriter>,
    model: Vec<u8>,
    next_cid: u32,
}

impl Session {
    fn new(builder: VmdkBuilder) -> Self {
        let files = MemoryFiles::default();
        let writer = files.create_image("base", builder);
        Self {
            files,
            chain: vec!["base.vmdk".into()],
            writer: Some(writer),
            model: vec![0; SIZE as usize],
            next_cid: 1,
        }
    }

    fn writer(&mut self) -> &mut VmdkWriter {
        self.writer.as_mut().unwrap()
    }

    /// Closes the image in use and opens it again.
    fn reopen(&mut self) {
        self.writer.take().unwrap().close().unwrap();
        let name = self.chain.last().unwrap();
        let faults = self.files.faults(name);
        let serious: Vec<&String> = faults
            .iter()
            .filter(|fault| !fault.contains("that nothing names"))
            .collect();
        assert!(serious.is_empty(), "{name}: {serious:?}");
        assert!(
            content(&self.files.open_image(name)) == self.model,
            "{name} reads differently"
        );
        self.next_cid += 1;
        self.writer = Some(self.files.change_image(name, self.next_cid));
    }

    fn step(&mut self, step: &Step) {
        let size = self.model.len() as u64;
        let clip = |offset: u64, length: u64| offset.min(size - 1)..(offset + length).min(size);
        match step {
            Step::Write(offset, length, value) => {
                let range = clip(*offset, *length as u64);
                let bytes = vec![*value; (range.end - range.start) as usize];
                self.writer().write_at(&bytes, range.start).unwrap();
                self.model[range.start as usize..range.end as usize].copy_from_slice(&bytes);
            }
            Step::Zeros(offset, length) => {
                let range = clip(*offset, *length);
                self.writer().write_zeros_at(range.clone()).unwrap();
                self.model[range.start as usize..range.end as usize].fill(0);
            }
            Step::Reserve(offset, length) => self.writer().reserve(clip(*offset, *length)).unwrap(),
            Step::Copy(offset, length) => {
                use std::io::Write;
                let range = clip(*offset, *length as u64);
                let bytes: Vec<u8> = (0..range.end - range.start).map(|index| index as u8).collect();
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(b"....").unwrap();
                file.write_all(&bytes).unwrap();
                self.writer()
                    .copy_from_file(&file, 4, range.start, bytes.len() as u64)
                    .unwrap();
                self.model[range.start as usize..range.end as usize].copy_from_slice(&bytes);
            }
            Step::Grow(bytes) => {
                let files = std::mem::take(&mut self.files);
                self.writer().resize(size + bytes, &files).unwrap();
                self.files = files;
                self.model.resize((size + bytes) as usize, 0);
            }
            Step::Flush => self.writer().flush().unwrap(),
            Step::Reopen => self.reopen(),
            Step::Snapshot(zeroed_grains) => self.snapshot(*zeroed_grains),
            Step::Commit => self.commit(),
        }
        assert!(content(self.writer.as_ref().unwrap()) == self.model, "after {step:?}");
    }

    fn snapshot(&mut self, zeroed_grains: bool) {
        if self.chain.len() > 3 {
            return;
        }
        self.writer.take().unwrap().close().unwrap();
        let parent = self.files.open_image(self.chain.last().unwrap());
        let stem = format!("child{}", self.next_cid);
        self.next_cid += 1;
        let mut writer = self.files.create_image(
            &stem,
            VmdkBuilder::new(self.model.len() as u64)
                .content_id(self.next_cid)
                .zeroed_grains(zeroed_grains)
                .parent(ParentReference {
                    cid: parent.identity().cid,
                    file_name_hint: self.chain.last().cloned(),
                }),
        );
        writer.set_parent(Arc::new(parent));
        self.chain.push(format!("{stem}.vmdk"));
        self.writer = Some(writer);
    }

    /// Moves what the image in use holds itself into its parent, which then is the one in use.
    fn commit(&mut self) {
        if self.chain.len() < 2 {
            return;
        }
        self.writer.take().unwrap().close().unwrap();
        let child = self.files.open_image(&self.chain.pop().unwrap());
        let name = self.chain.last().unwrap().clone();
        self.next_cid += 1;
        let mut parent = self.files.change_image(&name, self.next_cid);
        if parent.len() < child.len() {
            parent.resize(child.len(), &self.files).unwrap();
        }
        let mut offset = 0;
        while offset < child.len() {
            let Extent { length, kind, .. } = child.own_extent_at(offset).unwrap();
            match kind {
                ExtentKind::Data => {
                    let mut bytes = vec![0; length as usize];
                    child.read_at(&mut bytes, offset).unwrap();
                    parent.write_at(&bytes, offset).unwrap();
                }
                ExtentKind::Zero => parent.write_zeros_at(offset..offset + length).unwrap(),
                ExtentKind::Hole => {}
            }
            offset += length;
        }
        self.writer = Some(parent);
    }
}

fn run(builder: VmdkBuilder, steps: &[Step]) {
    let mut session = Session::new(builder);
    for step in steps {
        session.step(step);
    }
    session.reopen();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn monolithic_sparse_holds_what_was_written(steps in steps(), zeroed in any::<bool>(), grain in 12_u32..18) {
        run(VmdkBuilder::new(SIZE).zeroed_grains(zeroed).grain_size(1 << grain), &steps);
    }

    #[test]
    fn split_sparse_holds_what_was_written(steps in steps()) {
        run(VmdkBuilder::new(SIZE).subformat(Subformat::TwoGbMaxExtentSparse), &steps);
    }

    #[test]
    fn flat_holds_what_was_written(
        steps in steps(),
        subformat in prop::sample::select(vec![
            Subformat::MonolithicFlat, Subformat::TwoGbMaxExtentFlat, Subformat::Vmfs,
        ]),
    ) {
        run(VmdkBuilder::new(SIZE).subformat(subformat), &steps);
    }

    #[test]
    fn a_stream_holds_what_was_written(steps in steps(), grain in 12_u32..18) {
        let builder = VmdkBuilder::new(SIZE).subformat(Subformat::StreamOptimized).grain_size(1 << grain);
        let mut session = Session::new(builder);
        for step in &steps {
            if matches!(step, Step::Write(..) | Step::Zeros(..) | Step::Reserve(..) | Step::Copy(..) | Step::Flush) {
                session.step(step);
            }
        }
        session.writer.take().unwrap().finish().unwrap();
        prop_assert!(session.files.faults("base.vmdk").is_empty(), "{:?}", session.files.faults("base.vmdk"));
        prop_assert!(content(&session.files.open_image("base.vmdk")) == session.model);
    }
}

#[test]
fn a_split_image_grows_over_its_files() {
    for subformat in [Subformat::TwoGbMaxExtentSparse, Subformat::TwoGbMaxExtentFlat] {
        let files = MemoryFiles::default();
        let old = (2047 << 20) - 4096;
        let writer = files.create_image("disk", VmdkBuilder::new(old).subformat(subformat));
        stamp(&writer, old - 1000, 1000, 1);
        writer.finish().unwrap();
        let mut writer = files.change_image("disk.vmdk", 2);
        writer.resize(5 << 30, &files).unwrap();
        assert_eq!(writer.info().extents.len(), 3);
        stamp(&writer, (2047 << 20) - 500, 1000, 2);
        writer.close().unwrap();
        let image = files.open_image("disk.vmdk");
        assert_eq!(image.len(), 5 << 30);
        let mut seen = vec![0; 1000];
        image.read_at(&mut seen, (2047 << 20) - 500).unwrap();
        let expected: Vec<u8> = (0..1000_u32).map(|index| 2 + (index / 7) as u8).collect();
        assert_eq!(seen, expected);
        image.read_at(&mut seen, old - 1000).unwrap();
        assert_eq!(seen[..8], [1, 1, 1, 1, 1, 1, 1, 2]);
        assert_eq!(files.faults("disk.vmdk"), Vec::<String>::new());
    }
}
