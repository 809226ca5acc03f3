//! What else holds for images that are changed or rebuilt.

use crate::memory_files::{MemoryFiles, content, stamp};
use cv_disk::{Differencing, ExtentKind, MemoryDisk, ReadAt, WriteAt};
use cv_vmdk::{ExtentFiles, NoExtentFiles, ParentReference, Subformat, Vmdk, VmdkBuilder, VmdkWriter};
use std::sync::Arc;

const SIZE: u64 = 4 << 20;

fn parent_reference() -> ParentReference {
    ParentReference {
        cid: 0xAA,
        file_name_hint: Some("..\\base disks\\base.vmdk".into()),
    }
}

#[test]
fn threads_that_share_grains_lose_nothing() {
    for (zeroed, differencing) in [(false, false), (false, true), (true, true)] {
        let below = Arc::new(MemoryDisk::new(SIZE));
        below.write_at(&vec![0xBB; SIZE as usize], 0).unwrap();
        let mut builder = VmdkBuilder::new(SIZE).zeroed_grains(zeroed);
        if differencing {
            builder = builder.parent(parent_reference());
        }
        let file = Arc::new(MemoryDisk::new(0));
        builder.create(file.clone(), &NoExtentFiles).unwrap().finish().unwrap();
        let mut writer = VmdkWriter::open(file.clone(), &NoExtentFiles, 1).unwrap();
        writer.set_parent(below.clone());
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let writer = &writer;
                scope.spawn(move || {
                    for start in (thread * 4096..SIZE).step_by(4 * 4096) {
                        match (start / 4096) % 7 {
                            0 => writer.write_zeros_at(start..start + 1000).unwrap(),
                            _ => writer.write_at(&[thread as u8 + 1; 1000], start).unwrap(),
                        }
                    }
                });
            }
        });
        writer.close().unwrap();
        let image = Vmdk::open(file, &NoExtentFiles).unwrap().with_parent(below);
        let rest = if differencing { 0xBB } else { 0 };
        for (index, piece) in content(&image).chunks(4096).enumerate() {
            let value = if index % 7 == 0 { 0 } else { (index % 4) as u8 + 1 };
            assert!(piece[..1000].iter().all(|byte| *byte == value), "piece {index}");
            assert!(piece[1000..].iter().all(|byte| *byte == rest), "piece {index}");
        }
    }
}

#[test]
fn a_missing_parent_is_an_error_and_never_zeros() {
    let file = Arc::new(MemoryDisk::new(0));
    let builder = VmdkBuilder::new(SIZE).parent(parent_reference());
    let writer = builder.create(file.clone(), &NoExtentFiles).unwrap();
    writer.write_at(&vec![1; 65_536], 0).unwrap();
    assert!(
        writer.write_at(&[1], 100_000).is_err(),
        "a part of a grain needs the rest"
    );
    writer.finish().unwrap();
    let image = Vmdk::open(file, &NoExtentFiles).unwrap();
    let reference = image.parent_reference().unwrap();
    assert_eq!(reference, &parent_reference());
    assert_eq!(
        reference.candidate_paths().collect::<Vec<_>>(),
        ["..\\base disks\\base.vmdk"]
    );
    let mut bytes = [0; 512];
    image.read_at(&mut bytes, 0).unwrap();
    let refused = image.read_at(&mut bytes, 1 << 20).unwrap_err().to_string();
    assert!(
        refused.contains("base.vmdk") && refused.contains("000000aa"),
        "{refused}"
    );
    assert_eq!(image.own_extent_at(1 << 20).unwrap().kind, ExtentKind::Hole);
    // A parent that is smaller reads as zeros beyond its end.
    let image = image.with_parent(Arc::new(MemoryDisk::from(&vec![7; 70_000][..])));
    let mut across = [1; 1000];
    image.read_at(&mut across, 69_500).unwrap();
    assert!(across[..500] == [7; 500] && across[500..] == [0; 500]);
}

#[test]
fn the_first_change_draws_a_new_content_id_and_marks_the_image() {
    let files = MemoryFiles::default();
    let builder = VmdkBuilder::new(SIZE)
        .content_id(0x0BAD_CAFE)
        .entry("ddb.longContentID", "0123456789abcdef012345670badcafe");
    files.create_image("disk", builder).finish().unwrap();
    let before = files.get("disk.vmdk").unwrap().to_vec();
    let writer = files.change_image("disk.vmdk", 0x1111_2222);
    assert_eq!(writer.identity().cid, 0x0BAD_CAFE);
    drop(writer);
    assert!(
        files.get("disk.vmdk").unwrap().to_vec() == before,
        "opening changes nothing"
    );
    let writer = files.change_image("disk.vmdk", 0x1111_2222);
    writer.write_at(&[1], 0).unwrap();
    let open = files.open_image("disk.vmdk").info();
    assert!(open.extents[0].sparse.unwrap().was_not_closed);
    assert_eq!(open.identity.cid, 0x1111_2222);
    assert_eq!(
        open.identity.long_content_id.as_deref(),
        Some("0123456789abcdef0123456711112222")
    );
    writer.close().unwrap();
    assert!(
        !files.open_image("disk.vmdk").info().extents[0]
            .sparse
            .unwrap()
            .was_not_closed
    );
}

#[test]
fn a_moved_parent_is_relinked() {
    let file = Arc::new(MemoryDisk::new(0));
    let builder = VmdkBuilder::new(SIZE).parent(parent_reference());
    builder.create(file.clone(), &NoExtentFiles).unwrap().finish().unwrap();
    let mut writer = VmdkWriter::open(file.clone(), &NoExtentFiles, 1).unwrap();
    let moved = ParentReference {
        cid: 0xBB,
        file_name_hint: Some("/a much longer/path to the very same/base.vmdk".into()),
    };
    writer.relink(&moved).unwrap();
    writer.close().unwrap();
    let image = Vmdk::open(file, &NoExtentFiles).unwrap();
    assert_eq!(image.parent_reference(), Some(&moved));
    let info = image.info();
    assert_eq!((info.identity.cid, info.parent), (0xFFFF_FFFE, Some(moved)));
}

#[test]
fn an_image_like_another_keeps_every_identity() {
    let files = MemoryFiles::default();
    let builder = VmdkBuilder::new(SIZE)
        .content_id(5)
        .uuid([0x60; 16])
        .parent(parent_reference())
        .grain_size(8192)
        .entry("ddb.unheardOf", "kept");
    let mut writer = files.create_image("old", builder);
    writer.set_parent(Arc::new(MemoryDisk::new(0)));
    stamp(&writer, 100_000, 5000, 1);
    writer.write_zeros_at(1 << 20..2 << 20).unwrap();
    writer.finish().unwrap();
    let old_file: Arc<dyn ReadAt> = files.get("old.vmdk").unwrap();
    let old = Vmdk::open(old_file, &files).unwrap();
    let writer = files.create_image("new", VmdkBuilder::like(&old));
    writer.finish().unwrap();
    let new_file: Arc<dyn ReadAt> = files.get("new.vmdk").unwrap();
    let new = Vmdk::open(new_file, &files).unwrap();
    let (old, new) = (old.info(), new.info());
    assert_eq!(
        (new.identity, new.parent, new.uuid),
        (old.identity, old.parent, old.uuid)
    );
    assert_eq!(new.database, old.database);
    let (old, new) = (old.extents[0].sparse.unwrap(), new.extents[0].sparse.unwrap());
    assert_eq!((new.flags, new.grain_size), (old.flags, old.grain_size));
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let files = MemoryFiles::default();
    let stream = VmdkBuilder::new(SIZE).subformat(Subformat::StreamOptimized);
    files.create_image("stream", stream).finish().unwrap();
    let refused = VmdkWriter::open(files.get("stream.vmdk").unwrap(), &files, 1).unwrap_err();
    assert!(refused.to_string().contains("streamOptimized"), "{refused}");
    for size in [0, 100, 63 << 40] {
        let file = Arc::new(MemoryDisk::new(0));
        assert!(VmdkBuilder::new(size).create(file, &NoExtentFiles).is_err(), "{size}");
    }
    let mut writer = files.create_image("flat", VmdkBuilder::new(SIZE).subformat(Subformat::Vmfs));
    assert!(writer.resize(SIZE / 2, &files).is_err());
    for (kind, name) in [
        ("FLAT", r"\\.\PhysicalDrive0"),
        ("VMFSRDM", "disk-rdm.vmdk"),
        ("FLAT", "/dev/sda"),
    ] {
        let text = format!("# Disk DescriptorFile\nversion=1\ncreateType=\"custom\"\nRW 100 {kind} \"{name}\"\n");
        let refused = Vmdk::open(Arc::new(MemoryDisk::from(text.as_bytes())), &files).unwrap_err();
        assert!(refused.to_string().contains("cannot be opened"), "{refused}");
    }
}

#[test]
fn extents_without_files_read_as_they_say() {
    let files = MemoryFiles::default();
    let flat = files.create("e.bin").unwrap();
    flat.set_len(2048).unwrap();
    flat.write_at(&[5; 1024], 1024).unwrap();
    let text = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\nRW 2 ZERO\n\
        RDONLY 2 FLAT \"e.bin\" 2\nNOACCESS 1 FLAT \"e.bin\" 0\n";
    let file = Arc::new(MemoryDisk::from(text.as_bytes()));
    let image = Vmdk::open(file.clone(), &files).unwrap();
    assert_eq!(image.len(), 5 * 512);
    let mut bytes = [9; 2048];
    image.read_at(&mut bytes, 0).unwrap();
    assert!(bytes[..1024] == [0; 1024] && bytes[1024..] == [5; 1024]);
    assert_eq!(image.extent_at(0).unwrap().kind, ExtentKind::Zero);
    let refused = image.read_at(&mut bytes[..512], 2048).unwrap_err();
    let text = format!("{refused}: {}", std::error::Error::source(&refused).unwrap());
    assert!(text.contains("e.bin") && text.contains("NOACCESS"), "{text}");
    let writer = VmdkWriter::open(file, &files, 1).unwrap();
    assert!(writer.write_at(&[1], 0).is_err() && writer.write_at(&[1], 1024).is_err());
    writer.write_zeros_at(0..1024).unwrap();
}
