//! Every disk of this crate against a plain vector, and what only a host file can do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use cv_disk::testing::RecordingDisk;
use cv_disk::{
    DurableFile, Extent, ExtentKind, Extents, MemoryDisk, RawFile, ReadAt, ReadError, Resize, Slice, WriteAt,
    WriteError,
};
use proptest::prelude::*;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

/// One step of a session, in terms of whatever size the disk has then.
#[derive(Debug, Clone)]
enum Step {
    Write(u64, usize, u8),
    Zero(u64, u64),
    SetLen(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = 0_u64..40_000;
    let step = prop_oneof![
        (offset.clone(), 0_usize..10_000, 1..=u8::MAX)
            .prop_map(|(offset, count, value)| Step::Write(offset, count, value)),
        (offset.clone(), 0_u64..20_000).prop_map(|(offset, count)| Step::Zero(offset, count)),
        offset.prop_map(Step::SetLen),
    ];
    prop::collection::vec(step, 0..30)
}

/// Takes the steps on the disk and on a vector; a step beyond the end must be refused and change nothing.
fn compare(disk: &dyn WriteAt, resize: Option<&dyn Resize>, steps: &[Step]) {
    let mut model = vec![0; disk.len() as usize];
    for step in steps {
        match step {
            Step::Write(offset, count, value) => {
                let end = *offset as usize + count;
                let outcome = disk.write_at(&vec![*value; *count], *offset);
                if end <= model.len() {
                    outcome.unwrap();
                    model[*offset as usize..end].fill(*value);
                } else {
                    assert!(matches!(outcome, Err(WriteError::BeyondEnd { .. })));
                }
            }
            Step::Zero(offset, count) => {
                let end = offset + count;
                let outcome = disk.write_zeros_at(*offset..end);
                if end as usize <= model.len() {
                    outcome.unwrap();
                    model[*offset as usize..end as usize].fill(0);
                } else {
                    assert!(matches!(outcome, Err(WriteError::BeyondEnd { .. })));
                }
            }
            Step::SetLen(length) => {
                if let Some(resize) = resize {
                    resize.set_len(*length).unwrap();
                    model.resize(*length as usize, 0);
                }
            }
        }
        assert_eq!(disk.len(), model.len() as u64);
    }
    let mut content = vec![1; model.len()];
    disk.read_at(&mut content, 0).unwrap();
    assert!(content == model, "content differs");
    assert!(disk.read_at(&mut [0], disk.len()).is_err());
    assert!(disk.extent_at(disk.len()).is_err());
    expect_honest_extents(disk, &model);
}

/// Extents follow each other without a gap, neighbours differ, and what is no data is zero.
fn expect_honest_extents(disk: &dyn ReadAt, content: &[u8]) {
    let extents: Vec<Extent> = Extents::all(disk).collect::<Result<_, _>>().unwrap();
    let mut position = 0;
    for pair in extents.windows(2) {
        assert_ne!(pair[0].kind, pair[1].kind);
    }
    for extent in extents {
        assert_eq!(extent.start, position);
        assert!(extent.length > 0);
        position = extent.end();
        let range = extent.start as usize..position as usize;
        assert!(extent.kind == ExtentKind::Data || content[range].iter().all(|byte| *byte == 0));
    }
    assert_eq!(position, disk.len());
}

fn temporary(length: u64) -> RawFile {
    let disk = RawFile::from_file(tempfile::tempfile().unwrap()).unwrap();
    disk.set_len(length).unwrap();
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn disks_agree_with_a_vector(length in 0_u64..40_000, steps in steps()) {
        let memory = MemoryDisk::new(length);
        compare(&memory, Some(&memory), &steps);
        let file = temporary(length);
        compare(&file, Some(&file), &steps);
        let recording = RecordingDisk::new(MemoryDisk::new(length));
        compare(&recording, Some(&recording), &steps);
        prop_assert!(recording.after(recording.count()).to_vec() == memory.to_vec());
        let shared: Arc<dyn Resize> = Arc::new(MemoryDisk::new(length));
        compare(&shared, Some(&shared), &steps);
        let slice = Slice::new(MemoryDisk::new(length + 9000), 5000..5000 + length).unwrap();
        compare(&slice, None, &steps);
    }

    #[test]
    fn a_slice_changes_nothing_outside(
        start in 0_u64..9000,
        length in 0_u64..9000,
        steps in steps(),
    ) {
        let disk = Arc::new(MemoryDisk::new(20_000));
        disk.write_at(&vec![0xEE; 20_000], 0).unwrap();
        let slice = Slice::new(disk.clone(), start..start + length).unwrap();
        slice.write_zeros_at(0..length).unwrap();
        compare(&slice, None, &steps);
        let content = disk.to_vec();
        prop_assert!(content[..start as usize].iter().all(|byte| *byte == 0xEE));
        prop_assert!(content[(start + length) as usize..].iter().all(|byte| *byte == 0xEE));
    }

    #[test]
    fn extents_of_a_part_are_a_part_of_the_extents(length in 1_u64..40_000, steps in steps(), from in 0_u64..40_000, count in 0_u64..40_000) {
        let disk = MemoryDisk::new(length);
        for step in &steps {
            if let Step::Write(offset, count, value) = step {
                let _ = disk.write_at(&vec![*value; *count], *offset);
            }
        }
        let range = from.min(length)..(from + count).min(length);
        let part: Vec<Extent> = Extents::new(&disk, range.clone()).unwrap().collect::<Result<_, _>>().unwrap();
        let expected: Vec<Extent> = Extents::all(&disk)
            .map(Result::unwrap)
            .filter_map(|extent| {
                let start = extent.start.max(range.start);
                let end = extent.end().min(range.end);
                (start < end).then(|| Extent { start, length: end - start, ..extent })
            })
            .collect();
        prop_assert_eq!(part, expected);
        prop_assert!(Extents::new(&disk, 0..length + 1).is_err());
    }
}

#[test]
fn an_empty_or_reversed_range_of_zeros_changes_nothing() {
    let memory = MemoryDisk::from(&[7; 9000][..]);
    let file = temporary(9000);
    file.write_at(&[7; 9000], 0).unwrap();
    for disk in [&memory as &dyn WriteAt, &file] {
        for range in [Range { start: 8500, end: 10 }, 5000..5000, 9000..9000] {
            disk.write_zeros_at(range).unwrap();
        }
        let mut content = [0; 9000];
        disk.read_at(&mut content, 0).unwrap();
        assert_eq!(content, [7; 9000]);
    }
}

#[test]
fn extents_end_after_an_error() {
    struct Failing;
    impl ReadAt for Failing {
        fn len(&self) -> u64 {
            100
        }
        fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<(), ReadError> {
            Ok(())
        }
        fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
            ReadError::check_range(offset, 1, 50)?;
            Ok(Extent {
                start: offset,
                length: 50 - offset,
                kind: ExtentKind::Zero,
            })
        }
    }
    let found: Vec<_> = Extents::all(&Failing).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].as_ref().unwrap().range(), 0..50);
    assert!(found[1].is_err());
}

/// Whether the folder for temporary files has holes, as every common Linux file system does.
fn has_holes() -> bool {
    let file = temporary(4 * MIB);
    let found = file.extent_at(0).unwrap().kind == ExtentKind::Hole;
    if !found {
        eprintln!("skipped: the file system of temporary files has no holes");
    }
    found
}

#[cfg(target_os = "linux")]
#[test]
fn holes_of_a_file_are_seen_and_made() {
    if !has_holes() {
        return;
    }
    let file = temporary(16 * MIB);
    assert_eq!(file.allocated(), Some(0));
    file.write_at(&vec![1; 2 * MIB as usize], 4 * MIB).unwrap();
    file.write_at(&vec![2; MIB as usize], 15 * MIB).unwrap();
    let kinds = |file: &RawFile| -> Vec<(Range<u64>, ExtentKind)> {
        Extents::all(file)
            .map(|extent| extent.map(|extent| (extent.range(), extent.kind)).unwrap())
            .collect()
    };
    let (hole, data) = (ExtentKind::Hole, ExtentKind::Data);
    assert_eq!(
        kinds(&file),
        [
            (0..4 * MIB, hole),
            (4 * MIB..6 * MIB, data),
            (6 * MIB..15 * MIB, hole),
            (15 * MIB..16 * MIB, data)
        ]
    );
    assert_eq!(file.extent_at(5 * MIB).unwrap().range(), 5 * MIB..6 * MIB);
    file.flush().unwrap();
    assert_eq!(file.allocated(), Some(3 * MIB));

    file.write_zeros_at(4 * MIB..5 * MIB).unwrap();
    file.write_zeros_at(15 * MIB + 100..16 * MIB).unwrap();
    let after = kinds(&file);
    assert_eq!(after[0], (0..5 * MIB, hole));
    assert_eq!(after[1], (5 * MIB..6 * MIB, data));
    file.flush().unwrap();
    assert!(file.allocated().unwrap() < 2 * MIB);
    assert_eq!(file.len(), 16 * MIB, "punching a hole leaves the size");
    let mut bytes = [9; 200];
    file.read_at(&mut bytes, 15 * MIB).unwrap();
    assert_eq!((bytes[99], bytes[100]), (2, 0));
}

#[test]
fn a_range_of_a_file_is_copied_into_files_and_other_disks() {
    let content: Vec<u8> = (0..3 * MIB).map(|at| (at % 253) as u8).collect();
    let source = temporary(3 * MIB);
    source.write_at(&content, 0).unwrap();
    let file = temporary(4 * MIB);
    let memory = MemoryDisk::new(4 * MIB);
    let slice = Slice::new(temporary(5 * MIB), MIB..5 * MIB).unwrap();
    for target in [&file as &dyn WriteAt, &memory, &slice] {
        target.copy_from_file(source.file(), 1001, 77, 2 * MIB + 5).unwrap();
        target.copy_from_file(source.file(), 0, 4 * MIB, 0).unwrap();
        let mut copied = vec![0; 2 * MIB as usize + 7];
        target.read_at(&mut copied, 76).unwrap();
        assert_eq!((copied[0], copied[copied.len() - 1]), (0, 0));
        assert!(copied[1..copied.len() - 1] == content[1001..1001 + 2 * MIB as usize + 5]);

        let short = target.copy_from_file(source.file(), 3 * MIB - 10, 0, 20);
        assert!(
            matches!(short, Err(WriteError::Read(ReadError::Io { .. }))),
            "{short:?}"
        );
        let beyond = target.copy_from_file(source.file(), 0, 4 * MIB - 5, 6);
        assert!(matches!(beyond, Err(WriteError::BeyondEnd { .. })), "{beyond:?}");
    }
}

#[test]
fn a_file_that_shrinks_behind_our_back_is_an_error() {
    let file = temporary(MIB);
    file.file().set_len(1000).unwrap();
    let failure = file.read_at(&mut [0; 100], 950).unwrap_err();
    assert!(
        matches!(
            failure,
            ReadError::Io {
                offset: 950,
                length: 100,
                ..
            }
        ),
        "{failure}"
    );
}

#[test]
fn a_folder_is_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    assert!(RawFile::open(folder.path()).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_block_device_is_read_and_written() {
    use std::process::Command;
    struct Detach(String);
    impl Drop for Detach {
        fn drop(&mut self) {
            let _ = Command::new("losetup").args(["--detach", &self.0]).status();
        }
    }
    let backing = tempfile::NamedTempFile::new().unwrap();
    backing.as_file().set_len(2 * MIB).unwrap();
    let device = Command::new("losetup")
        .args(["--show", "--find"])
        .arg(backing.path())
        .output();
    let Some(device) = device.ok().filter(|output| output.status.success()) else {
        eprintln!("skipped: this machine lends no loop device");
        return;
    };
    let device = Detach(String::from_utf8(device.stdout).unwrap().trim().to_string());
    let disk = RawFile::open_writable(device.0.as_ref()).unwrap();
    assert_eq!(disk.len(), 2 * MIB);
    assert_eq!(disk.allocated(), None, "a device does not tell");
    disk.write_at(&[5; 3000], 1000).unwrap();
    disk.write_zeros_at(1500..2000).unwrap();
    disk.flush().unwrap();
    let mut content = vec![0; 2 * MIB as usize];
    disk.read_at(&mut content, 0).unwrap();
    let mut expected = vec![0; content.len()];
    expected[1000..4000].fill(5);
    expected[1500..2000].fill(0);
    assert!(content == expected);
    expect_honest_extents(&disk, &content);
    assert!(matches!(disk.set_len(MIB), Err(WriteError::SetLen { .. })));
    assert!(std::fs::read(backing.path()).unwrap() == expected);
    assert!(
        DurableFile::create(device.0.as_ref()).is_err(),
        "a device is not replaced by a file"
    );
}

#[test]
fn an_output_that_cannot_take_its_place_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(DurableFile::create(folder.path()).is_err());
    assert!(DurableFile::create(&folder.path().join("none").join("disk.img")).is_err());
}

#[cfg(unix)]
#[test]
fn a_replaced_file_keeps_its_permissions_and_may_have_the_longest_name() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("x".repeat(255));
    DurableFile::create(&target).unwrap().commit().unwrap();
    std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o600)).unwrap();
    DurableFile::create(&target).unwrap().commit().unwrap();
    assert_eq!(
        File::open(&target).unwrap().metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}
