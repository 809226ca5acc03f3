//! Images that this crate makes, read by itself and by others.

use crate::tools::{Folder, assert_same, has, new_file, open, output, run, text, write_sample};
use cv_disk::{CopyOptions, CopyTarget, Quiet, RawFile, ReadAt, WriteAt, copy};
use cv_vmdk::{NoExtentFiles, Subformat, Vmdk, VmdkBuilder};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Converts the raw file to an image of that subformat.
pub fn convert(raw: &Path, folder: &Path, stem: &str, subformat: Subformat, options: &CopyOptions) -> PathBuf {
    let source = RawFile::open(raw).unwrap();
    let path = folder.join(format!("{stem}.vmdk"));
    let writer = VmdkBuilder::new(source.len())
        .subformat(subformat)
        .name(stem)
        .content_id(0x1234_5678)
        .create(new_file(&path).unwrap(), &Folder(folder.to_path_buf()))
        .unwrap();
    copy(&source, &writer, options, &Quiet).unwrap();
    assert_same(&writer, &source);
    writer.finish().unwrap();
    path
}

fn options(threads: usize, granule: u64) -> CopyOptions {
    CopyOptions {
        threads,
        granule,
        target: CopyTarget::Zero,
    }
}

#[test]
fn every_subformat_is_read_by_others_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, (9 << 20) + 512 * 5, 11);
    for subformat in Subformat::ALL {
        for granule in [4096, 65536] {
            let stem = format!("{}-{granule}", subformat.create_type());
            let path = convert(&raw, folder.path(), &stem, subformat, &options(3, granule));
            assert_same(&open(&path), &RawFile::open(&raw).unwrap());
            if has("qemu-img") {
                run("qemu-img", &["check", "-f", "vmdk", text(&path)]);
                let info = run("qemu-img", &["info", text(&path)]);
                assert!(info.contains(subformat.create_type()), "{info}");
                let compared = ["compare", "-f", "vmdk", "-F", "raw", text(&path), text(&raw)];
                run("qemu-img", &compared);
            }
            if has("vmdkinfo") {
                let info = run("vmdkinfo", &[text(&path)]);
                assert!(info.contains("Media size"), "{info}");
            }
        }
    }
}

#[test]
fn vmdkmount_reads_every_subformat() {
    if !has("vmdkmount") || !Path::new("/dev/fuse").exists() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, 5 << 20, 5);
    // It knows neither monolithicFlat nor vmfs.
    for subformat in [
        Subformat::MonolithicSparse,
        Subformat::TwoGbMaxExtentSparse,
        Subformat::TwoGbMaxExtentFlat,
        Subformat::StreamOptimized,
    ] {
        let path = convert(
            &raw,
            folder.path(),
            subformat.create_type(),
            subformat,
            &options(2, 65536),
        );
        let mount = folder.path().join(format!("mount-{}", subformat.create_type()));
        std::fs::create_dir(&mount).unwrap();
        let mounted = output("vmdkmount", &[text(&path), text(&mount)]);
        assert!(
            mounted.status.success(),
            "{subformat:?}: {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        let outcome = std::panic::catch_unwind(|| {
            let seen = RawFile::open(&mount.join("vmdk1")).unwrap();
            let source = RawFile::open(&raw).unwrap();
            assert_eq!(seen.len(), source.len());
            let (mut one, mut other) = (vec![0; 5 << 20], vec![0; 5 << 20]);
            seen.read_at(&mut one, 0).unwrap();
            source.read_at(&mut other, 0).unwrap();
            assert!(one == other, "{subformat:?}");
        });
        let _ = output("fusermount", &["-u", text(&mount)]);
        outcome.unwrap();
    }
}

#[test]
fn any_number_of_threads_leaves_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, 40 << 20, 23);
    for subformat in [Subformat::MonolithicSparse, Subformat::StreamOptimized] {
        for granule in [4096, 65536] {
            let files: Vec<Vec<u8>> = [1, 2, 5]
                .map(|threads| {
                    let inner = tempfile::tempdir_in(folder.path()).unwrap();
                    let path = convert(&raw, inner.path(), "disk", subformat, &options(threads, granule));
                    std::fs::read(path).unwrap()
                })
                .into();
            assert!(files[0] == files[1] && files[1] == files[2], "{subformat:?} {granule}");
        }
    }
}

#[test]
fn a_stream_is_laid_out_as_esx_does_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = new_file(&folder.path().join("stream.vmdk")).unwrap();
    let writer = VmdkBuilder::new(80 << 20)
        .subformat(Subformat::StreamOptimized)
        .create(file.clone(), &NoExtentFiles)
        .unwrap();
    writer.write_at(&vec![7; 65536], 0).unwrap();
    writer.write_at(&vec![8; 65536], 70 << 20).unwrap();
    writer.finish().unwrap();
    let bytes = std::fs::read(folder.path().join("stream.vmdk")).unwrap();
    assert_eq!(bytes.len() % 512, 0);
    let u32_at = |offset: usize| u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
    let u64_at = |offset: usize| u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap());
    assert_eq!((u32_at(4), u32_at(8)), (3, 0x30001));
    assert_eq!((u64_at(0x30), u64_at(0x38), u64_at(0x40)), (0, u64::MAX, 128));
    // Grain, its table, grain, its table, directory, footer, end.
    let mut at = 65536;
    let mut seen = Vec::new();
    while at < bytes.len() {
        let (value, size, kind) = (u64_at(at), u32_at(at + 8), u32_at(at + 12));
        if size > 0 {
            seen.push(format!("grain {value}"));
            at += (12 + size as usize).next_multiple_of(512);
        } else {
            seen.push(format!("marker {kind} {value}"));
            at += 512 * (1 + value as usize);
        }
    }
    assert_eq!(
        seen,
        [
            "grain 0",
            "marker 1 4",
            "grain 143360",
            "marker 1 4",
            "marker 2 1",
            "marker 3 1",
            "marker 0 0"
        ]
    );
    let footer = bytes.len() - 1024;
    assert_eq!(&bytes[footer..footer + 4], b"KDMV");
    assert_eq!(u64_at(footer + 0x38) as usize * 512, footer - 512 - 512);
    let image = Vmdk::open(
        Arc::new(RawFile::open(&folder.path().join("stream.vmdk")).unwrap()),
        &NoExtentFiles,
    )
    .unwrap();
    assert_eq!(image.len(), 80 << 20);
}
