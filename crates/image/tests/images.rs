//! Whole operations on images of every format, against a plain vector.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_disk::{Differencing, Extents, Quiet, RawFile, ReadAt, Severity};
use cv_image::{
    ChangeError, Format, Gate, Image, Layout, OpenError, OpenOptions, Origin, WritableImage, check, commit, compact,
    convert, create, create_child, flatten, rebase, relink, resize,
};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMATS: [Format; 3] = [Format::Vhd, Format::Vhdx, Format::Vmdk];

fn layout(format: Format) -> Layout {
    let mut layout = Layout::new(format, Origin::reproducible(1_700_000_000, "test"));
    layout.block_size = Some(match format {
        Format::Vmdk => 64 << 10,
        Format::Vhd => 512 << 10,
        _ => 1 << 20,
    });
    layout
}

fn options(path: &Path) -> OpenOptions {
    OpenOptions::new(Gate::beside(path).unwrap())
}

fn open(path: &Path) -> Image {
    Image::open(path, &options(path)).unwrap()
}

fn bytes(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; disk.len() as usize];
    disk.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[derive(Debug, Clone)]
enum Step {
    Write { offset: u64, length: usize, value: u8 },
    Zero { offset: u64, length: u64 },
    Child,
    Commit,
    Compact,
    Rebase { value: u8 },
    Flatten,
    Grow { bytes: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = 0_u64..(6 << 20);
    let step = prop_oneof![
        6 => (offset.clone(), 1_usize..300_000, 1_u8..255)
            .prop_map(|(offset, length, value)| Step::Write { offset, length, value }),
        3 => (offset, 1_u64..1_500_000).prop_map(|(offset, length)| Step::Zero { offset, length }),
        2 => Just(Step::Child),
        1 => Just(Step::Commit),
        1 => Just(Step::Compact),
        1 => any::<u8>().prop_map(|value| Step::Rebase { value }),
        1 => Just(Step::Flatten),
        1 => (1_u64..4096).prop_map(|sectors| Step::Grow { bytes: sectors * 512 }),
    ];
    prop::collection::vec(step, 1..14)
}

/// Plays steps on the newest image of a chain; `model` is what its disk must hold.
struct Session {
    folder: tempfile::TempDir,
    format: Format,
    image: PathBuf,
    model: Vec<u8>,
    files: usize,
}

impl Session {
    fn new(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join(format!("0.{format}"));
        create(&image, 5 << 20, &layout(format)).unwrap();
        Self {
            folder,
            format,
            image,
            model: vec![0; 5 << 20],
            files: 1,
        }
    }

    fn new_name(&mut self) -> PathBuf {
        self.files += 1;
        self.folder.path().join(format!("{}.{}", self.files, self.format))
    }

    fn play(&mut self, step: &Step) {
        let has_parent = open(&self.image).parent().is_some();
        let size = self.model.len() as u64;
        match *step {
            Step::Write { offset, length, value } => {
                let offset = offset % size;
                let length = length.min((size - offset) as usize);
                let image = WritableImage::open(&self.image, &options(&self.image)).unwrap();
                image.disk().write_at(&vec![value; length], offset).unwrap();
                image.close().unwrap();
                self.model[offset as usize..offset as usize + length].fill(value);
            }
            Step::Zero { offset, length } => {
                let start = offset % size;
                let end = size.min(start + length);
                let image = WritableImage::open(&self.image, &options(&self.image)).unwrap();
                image.disk().write_zeros_at(start..end).unwrap();
                image.close().unwrap();
                self.model[start as usize..end as usize].fill(0);
            }
            Step::Child => {
                let parent = Arc::new(open(&self.image));
                let child = self.new_name();
                create_child(&child, &parent, None, &layout(self.format)).unwrap();
                self.image = child;
            }
            Step::Commit if has_parent => {
                commit(&self.image, &options(&self.image), &Quiet).unwrap();
                let image = open(&self.image);
                for extent in Extents::all(&image.parent().unwrap()) {
                    extent.unwrap();
                }
                assert!(
                    bytes(&**image.parent().unwrap()) == self.model,
                    "the parent after a commit"
                );
            }
            Step::Compact => {
                compact(&self.image, &options(&self.image), &Quiet).unwrap();
            }
            Step::Rebase { value } if has_parent => {
                let parent = self.new_name();
                create(&parent, 5 << 20, &layout(self.format)).unwrap();
                let writer = WritableImage::open(&parent, &options(&parent)).unwrap();
                writer.disk().write_at(&vec![value; 1 << 20], 1 << 20).unwrap();
                writer.close().unwrap();
                rebase(&self.image, &Arc::new(open(&parent)), &options(&self.image), &Quiet).unwrap();
            }
            Step::Flatten if has_parent => flatten(&self.image, &options(&self.image), &Quiet).unwrap(),
            // Without a parent there is nothing to do.
            Step::Commit | Step::Rebase { .. } | Step::Flatten => {}
            Step::Grow { bytes } => {
                resize(&self.image, size + bytes, &options(&self.image)).unwrap();
                self.model.resize((size + bytes) as usize, 0);
            }
        }
        let image = open(&self.image);
        assert_eq!(image.len(), self.model.len() as u64, "{step:?}");
        let difference = bytes(&image)
            .iter()
            .zip(&self.model)
            .position(|(found, expected)| found != expected);
        assert_eq!(difference, None, "{step:?} left other bytes");
        check_stored(&image, &self.model);
        let report = check(&self.image, &options(&self.image)).unwrap();
        let is_sound = report
            .faults
            .listed()
            .iter()
            .all(|fault| fault.severity == Severity::Note);
        assert!(is_sound, "{step:?}: {:?}", report.faults);
    }
}

/// What is said to be in a file of the host is there.
fn check_stored(image: &Image, model: &[u8]) {
    let mut offset = 0;
    while offset < image.len() {
        let Some(stored) = image.stored_at(offset).unwrap() else {
            offset += 512;
            continue;
        };
        let file = RawFile::from_file(stored.file.try_clone().unwrap()).unwrap();
        let mut found = vec![0; stored.length as usize];
        file.read_at(&mut found, stored.offset).unwrap();
        assert!(found == model[offset as usize..][..found.len()], "at {offset:#x}");
        offset += stored.length;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_session_leaves_the_bytes_of_a_vector(format in prop::sample::select(FORMATS.to_vec()), steps in steps()) {
        let mut session = Session::new(format);
        for step in &steps {
            session.play(step);
        }
    }
}

#[test]
fn a_chain_that_bites_its_tail_is_refused() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(format!("{name}.{format}"));
        create(&path("a"), 4 << 20, &layout(format)).unwrap();
        create_child(&path("b"), &Arc::new(open(&path("a"))), None, &layout(format)).unwrap();
        create_child(&path("c"), &Arc::new(open(&path("b"))), None, &layout(format)).unwrap();
        // Asked politely, the tool refuses to make a loop; with the files exchanged there is one all the same.
        assert!(matches!(
            relink(&path("b"), &open(&path("c")), true, &options(&path("b"))),
            Err(ChangeError::ParentLoop(_))
        ));
        std::fs::copy(path("c"), path("b")).unwrap();
        let error = Image::open(&path("c"), &options(&path("c"))).unwrap_err();
        assert!(contains_loop(&error), "{format}: {error:?}");
    }
}

fn contains_loop(error: &OpenError) -> bool {
    match error {
        OpenError::Loop(_) => true,
        OpenError::InParent { source, .. } => contains_loop(source),
        _ => false,
    }
}

#[test]
fn an_image_in_use_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    create(&path, 4 << 20, &layout(Format::Vhdx)).unwrap();
    let held = WritableImage::open(&path, &options(&path)).unwrap();
    assert!(matches!(
        resize(&path, 8 << 20, &options(&path)),
        Err(ChangeError::InUse)
    ));
    held.close().unwrap();
    resize(&path, 8 << 20, &options(&path)).unwrap();
}

#[test]
fn own_extents_of_a_fresh_child_are_holes() {
    for format in FORMATS {
        let folder = tempfile::tempdir().unwrap();
        let (raw, base, child) = (
            folder.path().join("a.img"),
            folder.path().join("a.x"),
            folder.path().join("b.x"),
        );
        std::fs::write(&raw, vec![7; 3 << 20]).unwrap();
        convert(&open(&raw), &base, &layout(format), None, &Quiet).unwrap();
        create_child(&child, &Arc::new(open(&base)), None, &layout(format)).unwrap();
        let child = open(&child);
        assert_eq!(child.own_extent_at(0).unwrap().kind, cv_disk::ExtentKind::Hole);
        assert!(bytes(&child) == vec![7; 3 << 20]);
        let pieces: Vec<_> = child.map().map(Result::unwrap).collect();
        assert!(pieces.iter().all(|piece| piece.depth == 1), "{pieces:?}");
    }
}

#[test]
fn what_a_file_stores_is_found_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let model: Vec<u8> = (0..3_u32 << 20)
        .map(|place| (place / 512 * 7 % 251 + 1) as u8)
        .collect();
    let kinds = [
        (Format::Raw, None),
        (Format::Vhd, Some("fixed")),
        (Format::Vhdx, Some("fixed")),
        (Format::Vhdx, None),
        (Format::Vmdk, Some("monolithicFlat")),
        (Format::Vmdk, None),
    ];
    for (format, subformat) in kinds {
        let path = folder.path().join(format!("{}.{format}", subformat.unwrap_or("usual")));
        let mut layout = Layout::new(format, Origin::reproducible(0, "test"));
        layout.subformat = subformat.map(Into::into);
        create(&path, model.len() as u64, &layout).unwrap();
        let writer = WritableImage::open(&path, &options(&path)).unwrap();
        writer.disk().write_at(&model, 0).unwrap();
        writer.close().unwrap();
        let image = open(&path);
        assert!(image.stored_at(70_000).unwrap().is_some(), "{}", path.display());
        check_stored(&image, &model);
    }
}
