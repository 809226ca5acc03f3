//! QEMU and libvhdi on our files, and we on QEMU's.

use crate::tools::{bytes, new_file, open, run, sample, succeed};
use cv_disk::{CopyOptions, MemoryDisk, Quiet, RawFile, ReadAt, WriteAt, copy};
use cv_vhd::vhd::{ParentReference, Vhd, VhdBuilder, VhdWriter};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Fills a new disk from `content`, and writes the content beside it, raw.
fn write(builder: &VhdBuilder, content: &MemoryDisk, path: &Path) {
    let disk = builder.create(new_file(path)).unwrap();
    copy(content, &disk, &CopyOptions::default(), &Quiet).unwrap();
    disk.finish().unwrap();
    let raw = path.with_extension("raw");
    if raw.exists() {
        std::fs::remove_file(&raw).unwrap();
    }
    let mut whole = content.to_vec();
    whole.resize(builder.size() as usize, 0);
    std::fs::write(raw, whole).unwrap();
}

/// The disk as libvhdi mounts it; `None` where it cannot.
fn through_libvhdi(path: &Path) -> Option<Vec<u8>> {
    let point = tempfile::tempdir().unwrap();
    let mounted = run("vhdimount", &[text(path), text(point.path())])?;
    if !mounted.status.success() {
        eprintln!(
            "skipped: vhdimount failed: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        return None;
    }
    let content = std::fs::read_dir(point.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .map(|newest| std::fs::read(newest).unwrap());
    run("fusermount", &["-u", text(point.path())]);
    content
}

/// QEMU and libvhdi find the size and the content that the raw file beside `path` has.
fn accepted(path: &Path) {
    let raw = path.with_extension("raw");
    let size = raw.metadata().unwrap().len();
    if let Some(info) = succeed("qemu-img", &["info", "-f", "vpc", "--output=json", text(path)]) {
        assert!(info.contains(&format!("\"virtual-size\": {size}")), "{info}");
    }
    succeed(
        "qemu-img",
        &["compare", "-f", "raw", "-F", "vpc", text(&raw), text(path)],
    );
    if let Some(info) = succeed("vhdiinfo", &[text(path)]) {
        assert!(
            info.contains(&format!("({size} bytes)")) || info.contains(&format!(": {size} bytes")),
            "{info}"
        );
    }
    if let Some(content) = through_libvhdi(path) {
        assert!(
            content == std::fs::read(&raw).unwrap(),
            "libvhdi reads {} differently",
            path.display()
        );
    }
}

#[test]
fn disks_are_accepted_by_qemu_and_libvhdi() {
    let folder = tempfile::tempdir().unwrap();
    // 9 MiB and 5 sectors is a size that no geometry reaches.
    for (number, builder) in [
        VhdBuilder::new(16 << 20),
        VhdBuilder::new((9 << 20) + 5 * 512),
        VhdBuilder::new((9 << 20) + 5 * 512).block_size(512 << 10),
        VhdBuilder::new(12 << 20).block_size(16 << 20),
        VhdBuilder::new((9 << 20) + 5 * 512).block_size(4096),
        VhdBuilder::new((9 << 20) + 5 * 512).packed(),
        VhdBuilder::new((9 << 20) + 5 * 512).fixed(),
        VhdBuilder::new((9 << 20) + 5 * 512).azure(),
    ]
    .into_iter()
    .enumerate()
    {
        let builder = builder.identity(Uuid::from_u128(number as u128 + 1));
        let path = folder.path().join(format!("{number}.vhd"));
        write(&builder, &sample((9 << 20) + 5 * 512), &path);
        accepted(&path);
        let disk = Vhd::open(open(&path)).unwrap();
        assert!(bytes(&disk) == std::fs::read(path.with_extension("raw")).unwrap());
    }
}

#[test]
fn large_disks_have_their_exact_size() {
    let folder = tempfile::tempdir().unwrap();
    for (number, size) in [512, 3 * 512, (127 << 30) + 512, 2040_u64 << 30]
        .into_iter()
        .enumerate()
    {
        let path = folder.path().join(format!("{number}.vhd"));
        VhdBuilder::new(size)
            .identity(Uuid::from_u128(7))
            .create(new_file(&path))
            .unwrap()
            .finish()
            .unwrap();
        if let Some(info) = succeed("qemu-img", &["info", "-f", "vpc", "--output=json", text(&path)]) {
            assert!(info.contains(&format!("\"virtual-size\": {size}")), "{info}");
        }
        succeed("vhdiinfo", &[text(&path)]);
        assert_eq!(Vhd::open(open(&path)).unwrap().len(), size);
    }
}

#[test]
fn a_fixed_disk_takes_no_room_on_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fixed.vhd");
    let file = new_file(&path);
    VhdBuilder::new(10 << 30)
        .fixed()
        .create(file.clone())
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(file.len(), (10 << 30) + 512);
    assert!(file.allocated().is_none_or(|allocated| allocated < 1 << 20));
    assert!(Vhd::probe(&*file).unwrap());
}

#[test]
fn disks_of_qemu_are_read_and_written_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("source.raw");
    let size = (23 << 20) + 17 * 512;
    std::fs::write(&raw, sample(size).to_vec()).unwrap();
    for (subformat, exact) in [("dynamic", "off"), ("dynamic", "on"), ("fixed", "off"), ("fixed", "on")] {
        let path = folder.path().join(format!("{subformat}-{exact}.vhd"));
        let options = format!("subformat={subformat},force_size={exact}");
        let converted = succeed(
            "qemu-img",
            &[
                "convert",
                "-f",
                "raw",
                "-O",
                "vpc",
                "-o",
                &options,
                text(&raw),
                text(&path),
            ],
        );
        if converted.is_none() {
            return;
        }
        let mut expected = std::fs::read(&raw).unwrap();
        {
            let disk = Vhd::open(open(&path)).unwrap();
            expected.resize(disk.len() as usize, 0);
            assert!(bytes(&disk) == expected, "{subformat} {exact}");
        }
        let disk = VhdWriter::open(Arc::new(RawFile::open_writable(&path).unwrap())).unwrap();
        for offset in [100_u64, 2 << 20, (5 << 20) + 7, 21 << 20] {
            let written = crate::tools::noise(offset, 300_000);
            disk.write_at(&written, offset).unwrap();
            expected[offset as usize..offset as usize + written.len()].copy_from_slice(&written);
        }
        disk.write_zeros_at(11 << 20..12 << 20).unwrap();
        expected[11 << 20..12 << 20].fill(0);
        disk.finish().unwrap();
        std::fs::write(path.with_extension("raw"), &expected).unwrap();
        accepted(&path);
    }
}

#[test]
fn qemu_writes_into_our_disks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhd");
    let builder = VhdBuilder::new(16 << 20);
    write(&builder, &sample(9 << 20), &path);
    let pattern = ["-c", "write -P 0x5a 14M 64k", "-c", "write -P 0xa5 1M 3M"];
    let arguments = ["-f", "vpc", text(&path), pattern[0], pattern[1], pattern[2], pattern[3]];
    if succeed("qemu-io", &arguments).is_none() {
        return;
    }
    let mut expected = std::fs::read(path.with_extension("raw")).unwrap();
    expected[14 << 20..(14 << 20) + (64 << 10)].fill(0x5A);
    expected[1 << 20..4 << 20].fill(0xA5);
    assert!(bytes(&Vhd::open(open(&path)).unwrap()) == expected);
}

#[test]
fn libvhdi_knows_the_parent_of_our_differencing_disks() {
    let folder = tempfile::tempdir().unwrap();
    let parent_path = folder.path().join("base.vhd");
    let identity = Uuid::from_u128(0x1234_5678);
    write(
        &VhdBuilder::new(8 << 20).identity(identity),
        &sample(8 << 20),
        &parent_path,
    );
    let path = folder.path().join("child.vhd");
    let reference = ParentReference::new(identity)
        .relative(r".\base.vhd")
        .absolute(r"C:\images\base.vhd");
    let mut child = VhdBuilder::new(8 << 20)
        .identity(Uuid::from_u128(9))
        .parent(reference)
        .create(new_file(&path))
        .unwrap();
    let parent = Arc::new(Vhd::open(open(&parent_path)).unwrap());
    child.set_parent(parent.clone());
    // libvhdi 20210425 takes a run of sectors to reach to the end of its byte in the bitmap: runs of eight it reads well.
    child.write_at(&[0xEE; 12_288], 122_880).unwrap();
    child.write_zeros_at(5 << 20..6 << 20).unwrap();
    let expected = bytes(&child);
    child.finish().unwrap();

    if let Some(info) = succeed("vhdiinfo", &[text(&path)]) {
        assert!(info.contains("Differential"), "{info}");
        assert!(info.contains(&format!("Parent identifier\t: {identity}")), "{info}");
        assert!(info.contains(r"C:\images\base.vhd"), "{info}");
    }
    let child = Vhd::open(open(&path)).unwrap().with_parent(parent);
    assert!(bytes(&child) == expected);
    if let Some(content) = through_libvhdi(&path) {
        assert!(content == expected, "libvhdi reads the chain differently");
    }
}

#[test]
fn resized_and_relinked_disks_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    // 512 bytes of BAT hold 128 entries: the larger sizes need a BAT that has moved.
    for (number, builder) in [
        VhdBuilder::new(8 << 20).block_size(64 << 10),
        VhdBuilder::new(8 << 20),
        VhdBuilder::new(8 << 20).fixed(),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{number}.vhd"));
        let raw = path.with_extension("raw");
        write(&builder.identity(Uuid::from_u128(1)), &sample(8 << 20), &path);
        let mut expected = std::fs::read(&raw).unwrap();
        for size in [(11 << 20) + 512, 33 << 20, (3 << 20) + 7 * 512, 9 << 20] {
            let mut disk = VhdWriter::open(Arc::new(RawFile::open_writable(&path).unwrap())).unwrap();
            disk.resize(size).unwrap();
            disk.write_at(&vec![7; 70_000], size - 70_000).unwrap();
            disk.finish().unwrap();
            expected.resize(size as usize, 0);
            expected[size as usize - 70_000..].fill(7);
            std::fs::write(&raw, &expected).unwrap();
            accepted(&path);
        }
    }

    let parent: Arc<dyn ReadAt> = Arc::new(sample(4 << 20));
    let path = folder.path().join("child.vhd");
    let mut child = VhdBuilder::new(4 << 20)
        .identity(Uuid::from_u128(2))
        .parent(ParentReference::new(Uuid::from_u128(3)).relative(r".\old.vhd"))
        .create(new_file(&path))
        .unwrap();
    child.set_parent(parent.clone());
    child.write_at(&[1; 4096], 1 << 20).unwrap();
    child.finish().unwrap();
    let mut child = VhdWriter::open(Arc::new(RawFile::open_writable(&path).unwrap())).unwrap();
    child.set_parent(parent.clone());
    child
        .relink(
            &ParentReference::new(Uuid::from_u128(4))
                .relative(r"..\new.vhd")
                .absolute(r"D:\new.vhd"),
        )
        .unwrap();
    let content = bytes(&child);
    child.finish().unwrap();
    if let Some(info) = succeed("vhdiinfo", &[text(&path)]) {
        assert!(info.contains(r"D:\new.vhd"), "{info}");
        assert!(
            info.contains(&format!("Parent identifier\t: {}", Uuid::from_u128(4))),
            "{info}"
        );
    }

    // With all its content stored, it can do without a parent.
    let mut child = VhdWriter::open(Arc::new(RawFile::open_writable(&path).unwrap())).unwrap();
    child.write_at(&content, 0).unwrap();
    child.detach_parent().unwrap();
    child.finish().unwrap();
    std::fs::write(path.with_extension("raw"), &content).unwrap();
    accepted(&path);
}

#[test]
fn a_packed_disk_is_as_long_as_that_of_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.vhd");
    let theirs = folder.path().join("theirs.vhd");
    write(&VhdBuilder::new(64 << 20).packed(), &sample(64 << 20), &ours);
    let raw = ours.with_extension("raw");
    let options = [
        "convert",
        "-f",
        "raw",
        "-O",
        "vpc",
        "-o",
        "force_size=on",
        text(&raw),
        text(&theirs),
    ];
    if succeed("qemu-img", &options).is_some() {
        assert!(ours.metadata().unwrap().len() <= theirs.metadata().unwrap().len());
    }
}
