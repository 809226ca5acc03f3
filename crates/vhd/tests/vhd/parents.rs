//! What a differencing disk notes of its parent.

use cv_disk::{MemoryDisk, ReadAt, WriteAt};
use cv_vhd::vhd::{ParentPath, ParentReference, PathKind, Vhd, VhdBuilder};
use std::sync::Arc;
use uuid::Uuid;

/// Offset of the first parent locator entry, in a file of the builder.
const ENTRIES: u64 = 512 + 576;

fn child(parent: ParentReference) -> Arc<MemoryDisk> {
    let file = Arc::new(MemoryDisk::new(0));
    VhdBuilder::new(1 << 20)
        .parent(parent)
        .create(file.clone())
        .unwrap()
        .finish()
        .unwrap();
    file
}

fn paths(file: &Arc<MemoryDisk>) -> Vec<ParentPath> {
    let disk = Vhd::open(file.clone()).unwrap();
    disk.parent_reference().unwrap().paths.clone()
}

#[test]
fn every_kind_of_path_is_written_and_read() {
    let mut parent = ParentReference::new(Uuid::from_u128(1));
    for (kind, path) in [
        (PathKind::RelativeUnicode, "..\\Größe\\base \u{1F4BE}.vhd"),
        (PathKind::AbsoluteUnicode, r"\\server\share\base.vhd"),
        (PathKind::RelativeAnsi, r".\base.vhd"),
        (PathKind::AbsoluteAnsi, r"C:\base.vhd"),
        (PathKind::MacUrl, "file://localhost/Volumes/base.vhd"),
        (PathKind::Name, "base.vhd"),
    ] {
        parent.paths.push(ParentPath {
            kind,
            path: path.to_owned(),
        });
    }
    assert_eq!(paths(&child(parent.clone())), parent.paths);
}

#[test]
fn a_path_given_twice_is_replaced() {
    let parent = ParentReference::new(Uuid::nil())
        .relative(r".\old.vhd")
        .relative(r".\new.vhd");
    assert_eq!(parent.paths.len(), 1);
    assert_eq!(parent.path(PathKind::RelativeUnicode), Some(r".\new.vhd"));
}

#[test]
fn a_long_path_is_kept_whole_by_its_locator() {
    let path = format!(r"C:\{}base.vhd", r"folder\".repeat(300));
    let found = paths(&child(ParentReference::new(Uuid::nil()).absolute(&path)));
    assert_eq!(found[0].path, path);
    assert_eq!(found[1].path, "base.vhd");
}

#[test]
fn the_room_of_a_locator_may_be_in_sectors() {
    let file = child(ParentReference::new(Uuid::nil()).relative(r".\base.vhd"));
    file.write_at(&[0, 0, 0, 1], ENTRIES + 4).unwrap();
    assert_eq!(paths(&file)[0].path, r".\base.vhd");
}

#[test]
fn locators_that_are_no_paths_are_left_out() {
    let file = child(
        ParentReference::new(Uuid::nil())
            .relative(r".\base.vhd")
            .absolute(r"C:\base.vhd"),
    );
    // An alias of Mac OS, and a path beyond the end.
    file.write_at(b"Mac ", ENTRIES).unwrap();
    file.write_at(&[0x7F; 8], ENTRIES + 24 + 16).unwrap();
    let found = paths(&file);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, PathKind::Name);
    let file: Arc<dyn ReadAt> = file;
    let faults = cv_vhd::vhd::check(&file).unwrap();
    assert!(
        faults
            .listed()
            .iter()
            .any(|fault| fault.damage.structure == "parent locator 1")
    );
}

#[test]
fn a_path_of_sixteen_bit_units_in_the_wrong_order_is_read() {
    let file = child(ParentReference::new(Uuid::nil()).relative(r".\b"));
    let mut offset = [0; 8];
    file.read_at(&mut offset, ENTRIES + 16).unwrap();
    file.write_at(b"\0.\0\\\0b", u64::from_be_bytes(offset)).unwrap();
    assert_eq!(paths(&file)[0].path, r".\b");
}
