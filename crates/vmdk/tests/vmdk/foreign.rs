//! Images that other tools make.

use crate::create::convert;
use crate::tools::{assert_same, folder_of, has, new_file, open, open_writable, run, text, write_sample};
use cv_disk::{CopyOptions, RawFile, ReadAt, WriteAt};
use cv_vmdk::{ParentReference, Subformat, VmdkBuilder};
use std::io::Read;
use std::sync::Arc;

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
        assert_eq!(image.len(), 5 << 30);
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

#[test]
fn images_of_qemu_are_changed_in_place_and_qemu_reads_them() {
    if !has("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, 9 << 20, 17);
    let variants = [
        "subformat=monolithicSparse",
        "subformat=monolithicSparse,zeroed_grain=on",
        "subformat=monolithicFlat",
        "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat",
    ];
    for (index, variant) in variants.iter().enumerate() {
        let path = folder.path().join(format!("image{index}.vmdk"));
        let target = text(&path);
        run(
            "qemu-img",
            &["convert", "-O", "vmdk", "-o", variant, text(&raw), target],
        );
        let expected = folder.path().join(format!("expected{index}.raw"));
        std::fs::copy(&raw, &expected).unwrap();
        let model = RawFile::open_writable(&expected).unwrap();
        let mut writer = open_writable(&path, 0x77);
        for disk in [&model as &dyn WriteAt, &writer] {
            disk.write_at(&vec![0xC3; 300_000], 1_234_567).unwrap();
            disk.write_zeros_at(3 << 20..5 << 20).unwrap();
            disk.write_at(b"tail", (9 << 20) - 4).unwrap();
        }
        writer.resize((40 << 20) + 1024, &folder_of(&path)).unwrap();
        cv_disk::Resize::set_len(&model, (40 << 20) + 1024).unwrap();
        for disk in [&model as &dyn WriteAt, &writer] {
            disk.write_at(&vec![0x3C; 100_000], 39 << 20).unwrap();
        }
        assert_same(&writer, &model);
        assert_eq!(writer.identity().cid, 0x77);
        writer.close().unwrap();
        assert_eq!(open(&path).identity().cid, 0x77);
        run("qemu-img", &["check", "-f", "vmdk", target]);
        run(
            "qemu-img",
            &["compare", "-f", "vmdk", "-F", "raw", target, text(&expected)],
        );
        let file: Arc<dyn ReadAt> = Arc::new(RawFile::open(&path).unwrap());
        let faults = cv_vmdk::check(&file, &folder_of(&path)).unwrap();
        let serious = faults
            .listed()
            .iter()
            .filter(|fault| !fault.to_string().contains("nothing names"));
        assert_eq!(serious.count(), 0, "{variant}: {faults:?}");
    }
}

#[test]
fn a_chain_of_this_crate_is_read_by_qemu() {
    if !has("qemu-img") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let size = 6 << 20;
    let expected = folder.path().join("expected.raw");
    write_sample(&expected, size, 3);
    let model = RawFile::open_writable(&expected).unwrap();
    let base = folder.path().join("base.vmdk");
    run(
        "qemu-img",
        &["convert", "-f", "raw", "-O", "vmdk", text(&expected), text(&base)],
    );
    for zeroed_grains in [true, false] {
        let stem = format!("child-{zeroed_grains}");
        let child = folder.path().join(format!("{stem}.vmdk"));
        let parent = open(&base);
        let mut writer = VmdkBuilder::new(size)
            .name(&stem)
            .content_id(0x55)
            .zeroed_grains(zeroed_grains)
            .parent(ParentReference {
                cid: parent.identity().cid,
                file_name_hint: Some("base.vmdk".into()),
            })
            .create(new_file(&child).unwrap(), &folder_of(&child))
            .unwrap();
        writer.set_parent(Arc::new(parent));
        for disk in [&model as &dyn WriteAt, &writer] {
            disk.write_at(&vec![0x99; 100_000], 777_777).unwrap();
            disk.write_zeros_at(2 << 20..4 << 20).unwrap();
            disk.write_zeros_at(100_000..100_100).unwrap();
        }
        assert_same(&writer, &model);
        writer.finish().unwrap();
        assert_same(&open(&child), &model);
        run("qemu-img", &["check", "-f", "vmdk", text(&child)]);
        run(
            "qemu-img",
            &["compare", "-f", "vmdk", "-F", "raw", text(&child), text(&expected)],
        );
        if has("vmdkinfo") {
            let info = run("vmdkinfo", &[text(&child)]);
            assert!(info.contains("base.vmdk"), "{info}");
        }
    }
}

#[test]
fn vmdk_core_reads_what_this_crate_writes() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("sample.raw");
    write_sample(&raw, 5 << 20, 29);
    let source = RawFile::open(&raw).unwrap();
    let mut expected = vec![0; 5 << 20];
    source.read_at(&mut expected, 0).unwrap();
    for subformat in Subformat::ALL {
        let options = CopyOptions::default();
        let path = convert(&raw, folder.path(), subformat.create_type(), subformat, &options);
        let mut reader = vmdk::VmdkReader::open_path(&path).unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert!(bytes == expected, "{subformat:?}");
    }
}
