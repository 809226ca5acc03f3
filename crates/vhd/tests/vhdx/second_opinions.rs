//! What qemu-img, libvhdi and other crates say of our files, and we of theirs.

use crate::tools::{arg, assert_same, guids, identity, installed, noise, readable, run};
use cv_disk::{CopyOptions, MemoryDisk, Quiet, RawFile, ReadAt, Resize, WriteAt, copy};
use cv_vhd::vhdx::{Vhdx, VhdxBuilder, VhdxWriter};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;

/// A disk with data at its start, at its end and here and there, of a size that is no whole number of blocks.
fn source(path: &Path, size: u64) -> Arc<RawFile> {
    std::fs::write(path, b"").unwrap();
    let disk = Arc::new(RawFile::open_writable(path).unwrap());
    disk.set_len(size).unwrap();
    disk.write_at(&noise(70_000, 1), 0).unwrap();
    disk.write_at(&noise(3 << 20, 2), size / 3).unwrap();
    disk.write_at(&noise(5000, 3), size / 2 + 512).unwrap();
    disk.write_at(&noise(512, 4), size - 512).unwrap();
    disk
}

fn build(builder: &VhdxBuilder, source: &dyn ReadAt, target: &Path) {
    std::fs::write(target, b"").unwrap();
    let file = Arc::new(RawFile::open_writable(target).unwrap());
    let writer = builder.create(file).unwrap();
    copy(source, &writer, &CopyOptions::default(), &Quiet).unwrap();
    writer.finish().unwrap();
}

fn builders(size: u64) -> Vec<(&'static str, VhdxBuilder)> {
    let new = || VhdxBuilder::new(size).identity(identity(1));
    vec![
        ("dynamic", new()),
        ("fixed", new().fixed()),
        ("1 MiB blocks", new().block_size(1 << 20)),
        ("256 MiB blocks", new().block_size(256 << 20)),
        ("512 byte sectors", new().sector_sizes(512, 512)),
    ]
}

const SIZE: u64 = (300 << 20) + 512;

#[test]
fn qemu_accepts_what_is_built() {
    if !installed("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    let disk = source(&raw, SIZE);
    for (name, builder) in builders(SIZE) {
        let target = folder.path().join("disk.vhdx");
        build(&builder, &*disk, &target);
        assert_same(&Vhdx::open(readable(&target)).unwrap(), &*disk);
        let target = arg(&target);
        let information = run("qemu-img", &["info", target]);
        assert!(information.contains("file format: vhdx"), "{name}: {information}");
        run("qemu-img", &["check", "-f", "vhdx", target]);
        run("qemu-img", &["compare", "-f", "vhdx", "-F", "raw", target, arg(&raw)]);
    }
}

#[test]
fn what_qemu_makes_is_read_identically() {
    if !installed("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    let disk = source(&raw, SIZE);
    for options in [
        "subformat=dynamic",
        "subformat=fixed",
        "block_size=1M",
        "block_size=256M",
        "block_size=2M,block_state_zero=off",
        "log_size=4M",
    ] {
        let target = folder.path().join("qemu.vhdx");
        let convert = ["convert", "-O", "vhdx", "-o", options, arg(&raw), arg(&target)];
        run("qemu-img", &convert);
        assert_same(&Vhdx::open(readable(&target)).unwrap(), &*disk);
    }
}

#[test]
fn no_output_is_larger_than_that_of_qemu() {
    if !installed("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    for size in [64 << 20, SIZE, 3 << 30, 200 << 30] {
        let disk = source(&raw, size);
        for (format, fixed) in [("dynamic", false), ("fixed", true)] {
            let ours = folder.path().join("ours.vhdx");
            let theirs = folder.path().join("theirs.vhdx");
            let builder = VhdxBuilder::new(size).identity(identity(1));
            build(&if fixed { builder.fixed() } else { builder }, &*disk, &ours);
            let options = format!("subformat={format}");
            let convert = ["convert", "-O", "vhdx", "-o", &options, arg(&raw), arg(&theirs)];
            run("qemu-img", &convert);
            let sizes = |path| {
                let file = RawFile::open(path).unwrap();
                (file.len(), file.allocated().unwrap())
            };
            let (ours, theirs) = (sizes(&ours), sizes(&theirs));
            assert!(
                ours.0 <= theirs.0 && ours.1 <= theirs.1,
                "{format} {size}: {ours:?} {theirs:?}"
            );
        }
    }
}

#[test]
fn qemu_reads_what_was_written_in_place() {
    if !installed("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    run("qemu-img", &["create", "-f", "vhdx", arg(&path), "1G"]);
    let model = MemoryDisk::new(1 << 30);
    let file = Arc::new(RawFile::open_writable(&path).unwrap());
    let writer = VhdxWriter::open(file, guids()).unwrap();
    for step in 0..40_u64 {
        let bytes = noise(100_000, step + 1);
        let offset = (step * 37_199_111) % ((1 << 30) - 100_000);
        writer.write_at(&bytes, offset).unwrap();
        model.write_at(&bytes, offset).unwrap();
    }
    writer.write_zeros_at(100 << 20..200 << 20).unwrap();
    model.write_zeros_at(100 << 20..200 << 20).unwrap();
    writer.flush().unwrap();

    // A copy of the file as a kill leaves it now: we replay it in memory, qemu-img in the file.
    let killed = folder.path().join("killed.vhdx");
    std::fs::copy(&path, &killed).unwrap();
    let image = Vhdx::open(readable(&killed)).unwrap();
    assert!(image.info().log_to_replay.is_some());
    assert_same(&image, &model);
    run("qemu-img", &["check", "-r", "all", arg(&killed)]);
    writer.finish().unwrap();
    run("qemu-img", &["check", arg(&path)]);
    for path in [&path, &killed] {
        let raw = folder.path().join("disk.img");
        run("qemu-img", &["convert", "-O", "raw", arg(path), arg(&raw)]);
        assert_same(&*readable(&raw), &model);
    }
}

#[test]
fn other_crates_read_what_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    let disk = source(&raw, SIZE);
    for (_, builder) in builders(SIZE) {
        let target = folder.path().join("disk.vhdx");
        build(&builder, &*disk, &target);
        let mut reader = vhdx::VhdxReader::open(&target).unwrap();
        let content = MemoryDisk::new(SIZE);
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < SIZE {
            let step = (SIZE - offset).min(1 << 20) as usize;
            reader.read_exact(&mut buffer[..step]).unwrap();
            content.write_at(&buffer[..step], offset).unwrap();
            offset += step as u64;
        }
        assert_same(&content, &*disk);
    }
}

#[test]
fn the_vhdx_crate_reads_stored_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let size = 64 << 20;
    let disk = MemoryDisk::new(size);
    disk.write_at(&noise(size as usize, 9), 0).unwrap();
    let target = folder.path().join("disk.vhdx");
    build(&VhdxBuilder::new(size).identity(identity(1)), &disk, &target);
    let mut image = vhdx_crate::Vhdx::load(&target);
    let mut reader = image.reader();
    for offset in [0, 4096, (9 << 20) + 1024, size - 8192] {
        let mut theirs = vec![0; 8192];
        let mut ours = vec![0; 8192];
        reader.seek(std::io::SeekFrom::Start(offset)).unwrap();
        reader.read_exact(&mut theirs).unwrap();
        disk.read_at(&mut ours, offset).unwrap();
        assert!(theirs == ours, "at {offset:#x}");
    }
}

#[test]
fn libvhdi_reads_what_is_built() {
    if !installed("vhdiinfo") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    let disk = source(&raw, SIZE);
    for (name, builder) in builders(SIZE) {
        let target = folder.path().join("disk.vhdx");
        build(&builder, &*disk, &target);
        let information = run("vhdiinfo", &[arg(&target)]);
        assert!(information.contains("VHDX"), "{name}: {information}");
    }
}

#[test]
fn qemu_agrees_after_a_resize() {
    if !installed("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("disk.img");
    // Not a whole number of blocks, so that the last block of a fixed file of qemu-img is cut short.
    let disk = source(&raw, SIZE);
    for options in ["subformat=dynamic", "subformat=fixed", "block_size=1M"] {
        let path = folder.path().join("disk.vhdx");
        run(
            "qemu-img",
            &["convert", "-O", "vhdx", "-o", options, arg(&raw), arg(&path)],
        );
        disk.set_len(SIZE).unwrap();
        for size in [SIZE + (50 << 20) + 1024, SIZE - (100 << 20), SIZE] {
            let file = Arc::new(RawFile::open_writable(&path).unwrap());
            let mut writer = VhdxWriter::open(file, guids()).unwrap();
            writer.resize(size).unwrap();
            let file = File::open(&raw).unwrap();
            writer.copy_from_file(&file, 0, size - 5000, 5000).unwrap();
            writer.finish().unwrap();
            disk.set_len(size).unwrap();
            let mut bytes = vec![0; 5000];
            disk.read_at(&mut bytes, 0).unwrap();
            disk.write_at(&bytes, size - 5000).unwrap();
            run("qemu-img", &["check", "-f", "vhdx", arg(&path)]);
            run(
                "qemu-img",
                &["compare", "-f", "vhdx", "-F", "raw", arg(&path), arg(&raw)],
            );
        }
        let disk = source(&raw, SIZE);
        drop(disk);
    }
}
