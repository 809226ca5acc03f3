//! Images that other tools make.

use crate::tools::{assert_same, has, open, run, text, write_sample};
use cv_disk::RawFile;

#[test]
fn every_subformat_of_qemu_reads_identically() {
    if !has("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    // Not a whole number of grains.
    write_sample(&raw, (9 << 20) + 512 * 3, 7);
    let variants = [
        "subformat=monolithicSparse",
        "subformat=monolithicSparse,adapter_type=lsilogic",
        "subformat=monolithicSparse,compat6=on",
        "subformat=monolithicSparse,zeroed_grain=on",
        "subformat=monolithicFlat",
        "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat",
        "subformat=streamOptimized",
    ];
    for (index, variant) in variants.iter().enumerate() {
        let path = folder.path().join(format!("image{index}.vmdk"));
        run(
            "qemu-img",
            &[
                "convert",
                "-f",
                "raw",
                "-O",
                "vmdk",
                "-o",
                variant,
                text(&raw),
                text(&path),
            ],
        );
        eprintln!("{variant}");
        assert_same(&open(&path), &RawFile::open(&raw).unwrap());
    }
}

#[test]
fn a_large_split_image_of_qemu_reads_identically() {
    if !has("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (subformat, files) in [("twoGbMaxExtentSparse", 3), ("twoGbMaxExtentFlat", 3)] {
        let path = folder.path().join(format!("{subformat}.vmdk"));
        let option = format!("subformat={subformat}");
        run("qemu-img", &["create", "-f", "vmdk", "-o", &option, text(&path), "5G"]);
        let image = open(&path);
        assert_eq!(image.info().extents.len(), files);
        assert_eq!(cv_disk::ReadAt::len(&image), 5 << 30);
    }
}

#[test]
fn a_chain_of_qemu_reads_identically() {
    if !has("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (base_raw, child_raw) = (folder.path().join("base.raw"), folder.path().join("child.raw"));
    write_sample(&base_raw, 6 << 20, 3);
    write_sample(&child_raw, 6 << 20, 4);
    let (base, child) = (folder.path().join("base.vmdk"), folder.path().join("child.vmdk"));
    run(
        "qemu-img",
        &["convert", "-f", "raw", "-O", "vmdk", text(&base_raw), text(&base)],
    );
    run(
        "qemu-img",
        &[
            "create",
            "-f",
            "vmdk",
            "-F",
            "vmdk",
            "-b",
            text(&base),
            text(&child),
            "-o",
            "zeroed_grain=on",
        ],
    );
    // Only what differs from the base is written to the child.
    run(
        "qemu-img",
        &[
            "convert",
            "-n",
            "-f",
            "raw",
            "-O",
            "vmdk",
            text(&child_raw),
            text(&child),
        ],
    );
    assert_same(&open(&child), &RawFile::open(&child_raw).unwrap());
}
