//! Differencing chains: snapshots, commits, other parents, no parent.

use crate::model::{Step, act, sized, steps};
use crate::tools::{arg, assert_same, guids, identity, installed, noise, run};
use cv_disk::{Differencing, ExtentKind, MemoryDisk, RawFile, ReadAt, WriteAt};
use cv_vhd::vhdx::{ParentPathKind, ParentReference, Vhdx, VhdxBuilder, VhdxSubformat, VhdxWriter, check};
use proptest::prelude::*;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn assert_clean(file: &Arc<MemoryDisk>) {
    let readable: Arc<dyn ReadAt> = file.clone();
    let found = check(&readable).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// Copies what `child` holds by itself into `target`.
fn commit(child: &Vhdx, target: &dyn WriteAt) {
    let mut offset = 0;
    while offset < child.len() {
        let extent = child.own_extent_at(offset).unwrap();
        match extent.kind {
            ExtentKind::Data => {
                let mut bytes = vec![0; extent.length as usize];
                child.read_at(&mut bytes, offset).unwrap();
                target.write_at(&bytes, offset).unwrap();
            }
            ExtentKind::Zero => target.write_zeros_at(extent.range()).unwrap(),
            ExtentKind::Hole => {}
        }
        offset = extent.end();
    }
}

fn clip(step: &Step, size: u64) -> Option<Step> {
    Some(match *step {
        Step::Write { offset, .. } | Step::Zero { offset, .. } if offset >= size => return None,
        Step::Write { offset, length, seed } => Step::Write {
            offset,
            length: length.min(size - offset),
            seed,
        },
        Step::Zero { offset, length } => Step::Zero {
            offset,
            length: length.min(size - offset),
        },
        Step::Flush | Step::Reopen => Step::Flush,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn snapshots_and_commits_keep_the_disk(
        small in any::<bool>(),
        scripts in prop::collection::vec((steps(5 * MIB, 10), 1_u64..1200), 1..4),
    ) {
        let sector = if small { 512 } else { 4096 };
        let mut size = 4 * MIB;
        let mut model = MemoryDisk::new(size);
        let mut files: Vec<Arc<MemoryDisk>> = Vec::new();
        let view = |files: &[Arc<MemoryDisk>]| -> Option<Arc<dyn ReadAt>> {
            files.iter().fold(None, |parent: Option<Arc<dyn ReadAt>>, file| {
                let image = Vhdx::open(file.clone()).unwrap();
                Some(match parent {
                    Some(parent) => Arc::new(image.with_parent(parent)),
                    None => Arc::new(image),
                })
            })
        };
        for (number, (script, change)) in scripts.iter().enumerate() {
            let file = Arc::new(MemoryDisk::new(0));
            let mut builder = VhdxBuilder::new(size)
                .identity(identity(number as u128 + 1))
                .block_size(MIB as u32)
                .sector_sizes(sector, 4096);
            if let Some(parent) = files.last() {
                let identity = Vhdx::open(parent.clone()).unwrap().identity();
                builder = builder.parent(ParentReference {
                    parent_linkage: identity.data_write_guid,
                    relative_path: Some("parent.vhdx".into()),
                    ..ParentReference::default()
                });
            }
            builder.create(file.clone()).unwrap().finish().unwrap();
            let mut writer = VhdxWriter::open(file.clone(), guids()).unwrap();
            if let Some(parent) = view(&files) {
                writer.set_parent(parent);
            }
            for step in script.iter().filter_map(|step| clip(step, size)) {
                act(&writer, &step);
                act(&model, &step);
            }
            // Every other file is resized while it is the last one.
            if change % 2 == 0 {
                size = change * 4096;
                writer.resize(size).unwrap();
                model = sized(&model, size);
            }
            for step in script.iter().filter_map(|step| clip(step, size)) {
                act(&writer, &step);
                act(&model, &step);
            }
            writer.finish().unwrap();
            assert_clean(&file);
            files.push(file);
            assert_same(&*view(&files).unwrap(), &model);
        }
        // From the top down, each file is committed to the one below.
        while files.len() > 1 {
            let child = Vhdx::open(files.pop().unwrap()).unwrap();
            let mut writer = VhdxWriter::open(files.last().unwrap().clone(), guids()).unwrap();
            if let Some(parent) = view(&files[..files.len() - 1]) {
                writer.set_parent(parent);
            }
            let identity = writer.identity();
            prop_assert!(child.parent_reference().unwrap().matches(&identity));
            writer.resize(child.len()).unwrap();
            commit(&child, &writer);
            writer.finish().unwrap();
            assert_clean(files.last().unwrap());
            assert_same(&*view(&files).unwrap(), &model);
        }
    }
}

#[test]
fn a_parent_that_changed_is_noticed() {
    let file = Arc::new(MemoryDisk::new(0));
    let builder = VhdxBuilder::new(4 * MIB).identity(identity(1));
    builder.create(file.clone()).unwrap().finish().unwrap();
    let reference = ParentReference {
        parent_linkage: identity(1).data_write_guid,
        ..ParentReference::default()
    };
    assert!(reference.matches(&Vhdx::open(file.clone()).unwrap().identity()));
    // Opening changes nothing, writing does, and says before what the identity will be.
    let writer = VhdxWriter::open(file.clone(), guids()).unwrap();
    let next = writer.next_data_write_guid();
    assert!(reference.matches(&writer.identity()));
    writer.write_at(&[1], 0).unwrap();
    assert_eq!(writer.identity().data_write_guid, next);
    assert_ne!(writer.identity().file_write_guid, identity(1).file_write_guid);
    writer.finish().unwrap();
    let identity = Vhdx::open(file).unwrap().identity();
    assert!(!reference.matches(&identity));
    let both = ParentReference {
        parent_linkage2: Some(next),
        ..reference
    };
    assert!(both.matches(&identity));
}

#[test]
fn explicit_zeros_hide_the_parent_and_are_told_apart() {
    let parent = Arc::new(MemoryDisk::from(&noise(4 << 20, 1)[..]));
    let file = Arc::new(MemoryDisk::new(0));
    let reference = ParentReference {
        parent_linkage: identity(3).data_write_guid,
        relative_path: Some("p.vhdx".into()),
        ..ParentReference::default()
    };
    let builder = VhdxBuilder::new(4 * MIB).identity(identity(1)).block_size(MIB as u32);
    let writer = builder
        .parent(reference)
        .create(file.clone())
        .unwrap()
        .with_parent(parent);
    writer.write_zeros_at(0..MIB).unwrap();
    writer.write_zeros_at(MIB + 4096..MIB + 8192).unwrap();
    writer.write_at(&[7; 4096], 2 * MIB).unwrap();
    writer.finish().unwrap();
    let image = Vhdx::open(file).unwrap();
    let own = |offset| {
        let extent = image.own_extent_at(offset).unwrap();
        (extent.kind, extent.length)
    };
    assert_eq!(own(0), (ExtentKind::Zero, MIB));
    assert_eq!(own(MIB), (ExtentKind::Hole, 4096));
    assert_eq!(own(MIB + 4096), (ExtentKind::Zero, 4096));
    assert_eq!(own(2 * MIB), (ExtentKind::Data, 4096));
    assert_eq!(own(2 * MIB + 4096).0, ExtentKind::Hole);
    assert_eq!(own(3 * MIB), (ExtentKind::Hole, MIB));
}

#[test]
fn a_file_gets_another_parent_and_then_none() {
    let parent = crate::model::parent(4 * MIB);
    let file = Arc::new(MemoryDisk::new(0));
    let reference = crate::model::parent_reference();
    let builder = VhdxBuilder::new(4 * MIB).identity(identity(1)).block_size(MIB as u32);
    let builder = builder.parent(reference.clone());
    let writer = builder.create(file.clone()).unwrap().with_parent(parent.clone());
    let model = sized(&parent, 4 * MIB);
    writer.write_at(&noise(9000, 5), MIB + 700).unwrap();
    model.write_at(&noise(9000, 5), MIB + 700).unwrap();
    writer.finish().unwrap();

    let long = ParentReference {
        parent_linkage: identity(4).data_write_guid,
        parent_linkage2: Some(identity(5).data_write_guid),
        relative_path: Some(format!("..\\{}\\base.vhdx", "folder".repeat(2000))),
        volume_path: Some("\\\\?\\Volume{26A21BDA-A627-11D7-9931-806E6F6E6963}\\base.vhdx".into()),
        absolute_win32_path: Some("\\\\?\\C:\\base.vhdx".into()),
        others: vec![("key".into(), "value".into())],
    };
    for reference in [long, reference] {
        let mut writer = VhdxWriter::open(file.clone(), guids()).unwrap();
        writer.relink(reference.clone()).unwrap();
        assert_eq!(writer.parent_reference(), Some(&reference));
        writer.finish().unwrap();
        assert_clean(&file);
        let image = Vhdx::open(file.clone()).unwrap();
        assert_eq!(image.parent_reference(), Some(&reference));
        assert_eq!(image.identity().data_write_guid, identity(1).data_write_guid);
        assert_eq!(reference.candidates().next().unwrap().0, ParentPathKind::Relative);
        assert_same(&image.with_parent(parent.clone()), &model);
    }

    // What the parent holds is copied, then the parent is not needed any more.
    let mut writer = VhdxWriter::open(file.clone(), guids()).unwrap().with_parent(parent);
    let mut bytes = vec![0; 3 << 20];
    model.read_at(&mut bytes, 0).unwrap();
    writer.write_at(&bytes, 0).unwrap();
    writer.remove_parent().unwrap();
    writer.finish().unwrap();
    assert_clean(&file);
    model.write_zeros_at(3 * MIB..4 * MIB).unwrap();
    let image = Vhdx::open(file).unwrap();
    assert_eq!(image.info().subformat, VhdxSubformat::Dynamic);
    assert_same(&image, &model);
}

#[test]
fn libvhdi_reads_a_chain() {
    if !installed("vhdimount") || !installed("fusermount") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, b"").unwrap();
        (path.clone(), Arc::new(RawFile::open_writable(&path).unwrap()))
    };
    let size = 40 * MIB;
    let model = MemoryDisk::new(size);
    let (parent_path, parent) = create("parent.vhdx");
    let writer = VhdxBuilder::new(size).identity(identity(1)).create(parent).unwrap();
    for disk in [&writer as &dyn WriteAt, &model] {
        disk.write_at(&noise(3 << 20, 1), 3 * MIB).unwrap();
    }
    writer.finish().unwrap();
    let (child_path, child) = create("child.vhdx");
    let reference = ParentReference {
        parent_linkage: identity(1).data_write_guid,
        relative_path: Some(".\\parent.vhdx".into()),
        absolute_win32_path: Some("\\\\?\\C:\\parent.vhdx".into()),
        ..ParentReference::default()
    };
    let parent: Arc<dyn ReadAt> = Arc::new(Vhdx::open(Arc::new(RawFile::open(&parent_path).unwrap())).unwrap());
    let builder = VhdxBuilder::new(size).identity(identity(2)).parent(reference);
    let writer = builder.create(child).unwrap().with_parent(parent);
    for disk in [&writer as &dyn WriteAt, &model] {
        disk.write_at(&noise(10_000, 2), 4 * MIB + 100).unwrap();
        disk.write_at(&noise(4 << 20, 3), 20 * MIB).unwrap();
        disk.write_zeros_at(5 * MIB..5 * MIB + 8192).unwrap();
    }
    writer.finish().unwrap();
    let information = run("vhdiinfo", &[arg(&child_path)]);
    assert!(information.contains("Differential"), "{information}");
    let mount = folder.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    run("vhdimount", &[arg(&child_path), arg(&mount)]);
    let mut theirs = Vec::new();
    let read = std::fs::File::open(mount.join("vhdi2"))
        .and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut theirs));
    run("fusermount", &["-u", arg(&mount)]);
    read.unwrap();
    assert!(theirs == model.to_vec());
}
