//! The checker on volumes that Windows made, and on damaged ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cv_disk::{Fault, Faults, Quiet, RawFile, ReadAt, Severity, Slice};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn check_from(image: &Path, start: u64) -> Faults {
    let disk = RawFile::open(image).unwrap();
    let end = disk.len();
    let volume: Arc<dyn ReadAt> = Arc::new(Slice::new(disk, start..end).unwrap());
    cv_ntfs::check::check(&volume, &Quiet).unwrap()
}

fn has_notes_alone(name: &str, faults: &Faults) {
    let serious: Vec<&Fault> = faults
        .listed()
        .iter()
        .filter(|fault| fault.severity > Severity::Note)
        .collect();
    assert!(serious.is_empty(), "{name}: {serious:#?}");
    assert_eq!(faults.omitted(), 0, "{name}");
}

#[test]
fn volumes_of_windows_are_sound() {
    for name in [
        "formatted_on_windows.img.tar.xz",
        "windows_repaired.img.tar.xz",
        "charlie.dd.bz2",
        "SampleTinyNtfsVolume.zip",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(image) = support::unpack(name, folder.path()) else {
            return;
        };
        has_notes_alone(name, &check_from(&image, 0));
    }
}

#[test]
fn the_volume_in_a_disk_of_vmware_is_sound() {
    let Some(packed) = support::corpus("../containers/monolithicSparse.vmdk.xz") else {
        return;
    };
    if !support::have(&["xz", "qemu-img"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (container, image) = (folder.path().join("disk.vmdk"), folder.path().join("disk.img"));
    std::fs::write(&container, support::run(Command::new("xz").arg("-dc").arg(packed))).unwrap();
    support::run(
        Command::new("qemu-img")
            .args(["convert", "-O", "raw"])
            .arg(&container)
            .arg(&image),
    );
    has_notes_alone("monolithicSparse.vmdk", &check_from(&image, 65_536));
}

/// The damaged volumes, and for each what the checker must say: texts that stand in one fault together.
const DAMAGED: [(&str, &[&str]); 30] = [
    (
        "attr_value_offset_corrupted",
        &["$EA_INFORMATION", "resident attribute value"],
    ),
    ("attrlist_length_corrupted3", &["$ATTRIBUTE_LIST", "record length"]),
    ("bs_filesystem_siganture", &["boot sector, OEM"]),
    ("bs_mft_cluster_number", &["boot sector, $MFT LCN"]),
    ("bs_mftmirror_cluster_number", &["boot sector, $MFTMirr LCN"]),
    ("bs_sector_signature", &["boot sector, signature"]),
    (
        "corrupted_attrlist_entry_and_cluster_run",
        &["$ATTRIBUTE_LIST entry", "no such attribute there"],
    ),
    (
        "data_size_init_size_bigger_than_alloc_size_ia",
        &["$INDEX_ALLOCATION:$I30, data size", "at most the allocated size"],
    ),
    (
        "deep_depth_orphaned_files",
        &["an entry in the index of directory", "an orphan"],
    ),
    ("entry_length_corrupted", &["index $I30: index entry, length"]),
    (
        "has_wrong_parent_dir_in_extent_mft",
        &["further record of a file", "an orphan"],
    ),
    (
        "idx_fn_mft_data_allocated_size_mismatch",
        &["entry `", "allocated size"],
    ),
    (
        "incompleted_multi_sector_transfer_before",
        &["FILE update sequence number"],
    ),
    (
        "index_block_valid_but_index_bitmap_cleared",
        &["$BITMAP", "marked, as the index uses it"],
    ),
    (
        "ir_missing_in_parent_orphaned_file",
        &["an entry in the index of directory"],
    ),
    (
        "lostfound_corrupted",
        &["an entry in the index of directory", "no such entry"],
    ),
    ("memory_leak1", &["$ATTRIBUTE_LIST", "record length"]),
    ("mft_attr_bad_fields", &["$DATA, compression"]),
    (
        "mft_bitmap_unset_mft_in_use_2",
        &["$MFT, $BITMAP", "marked, as the record is in use"],
    ),
    ("mft_file_bad_fixup_value_count", &["FILE update sequence array size"]),
    ("mft_file_bad_link_count", &["link count"]),
    (
        "mft_file_corrupt_attrlist",
        &["further record of a file", "$ATTRIBUTE_LIST"],
    ),
    (
        "mft_file_missing_bitmap_attr",
        &["$BITMAP", "a bitmap of the records in use"],
    ),
    (
        "mft_file_missing_filename_attr",
        &["$FILE_NAME", "at least one attribute"],
    ),
    ("mft_record_bad_fields", &["file record header, allocated size"]),
    ("mismatch_index_filename", &["entry `foo`", "a name of record 28"]),
    ("mismatch_seqno_illegal_seek2", &["with sequence number"]),
    ("paragon_ntfs_test2", &["entry `.libs`, file", "in use, found free"]),
    (
        "root_attribute_missing_in_directory",
        &["$INDEX_ROOT:$I30", "no such attribute there"],
    ),
    ("usb_unplug_test_1", &["$Bitmap", "marked, as a file has them"]),
];

#[test]
fn damage_is_named() {
    for (name, expected) in DAMAGED {
        let folder = tempfile::tempdir().unwrap();
        let Some(image) = support::unpack(&format!("damaged/{name}.img.tar.xz"), folder.path()) else {
            return;
        };
        let started = Instant::now();
        let faults = check_from(&image, 0);
        assert!(started.elapsed() < Duration::from_secs(60), "{name}");
        let texts: Vec<String> = faults.listed().iter().map(ToString::to_string).collect();
        assert!(
            texts
                .iter()
                .any(|fault| expected.iter().all(|part| fault.contains(part))),
            "{name}: no {expected:?} in {texts:#?}"
        );
    }
}

#[test]
fn every_damaged_volume_is_in_the_table() {
    let Some(folder) = support::corpus("damaged") else {
        return;
    };
    for entry in folder.read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.trim_end_matches(".img.tar.xz").to_owned();
        assert!(DAMAGED.iter().any(|(known, _)| *known == name), "{name}");
    }
}
