//! The checker on volumes that mean harm.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "../fuzz/bodies/check.rs"]
mod body;

use cv_disk::{Cancelled, MemoryDisk, Progress, Quiet, ReadAt, Severity, WriteAt};
use proptest::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The saved volumes.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/mount_and_walk");
        let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty());
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    })
}

#[test]
fn saved_volumes_are_sound() {
    for seed in seeds() {
        body::check(seed);
        let volume: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&seed[..]));
        let faults = cv_ntfs::check::check(&volume, &Quiet).unwrap();
        assert!(
            faults.listed().iter().all(|fault| fault.severity == Severity::Note),
            "{faults:#?}"
        );
    }
}

/// Where a volume holds anything but zeros: damage elsewhere changes little.
fn used(bytes: &[u8]) -> Vec<usize> {
    let words = bytes.chunks(8).enumerate();
    words
        .filter(|(_, word)| word.iter().any(|byte| *byte != 0))
        .map(|(number, _)| number * 8)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn damaged_volumes_do_no_harm(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..8, prop_oneof![any::<u8>(), Just(0), Just(0xFF), Just(0x80), Just(1)], 1_usize..5),
            1..30),
        moved in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<prop::sample::Index>())),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut bytes = seed.get(seeds()).clone();
        let places = used(&bytes);
        for (place, shift, value, length) in damage {
            let at = place.get(&places) + shift;
            let end = (at + length).min(bytes.len());
            bytes[at.min(end)..end].fill(value);
        }
        if let Some((from, to)) = moved {
            // A record or block where another belongs.
            let (from, to) = (from.get(&places) / 1024 * 1024, to.get(&places) / 1024 * 1024);
            let length = 1024.min(bytes.len() - from.max(to));
            bytes.copy_within(from..from + length, to);
        }
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        body::check(&bytes);
    }
}

/// Counts, and stops at a limit.
struct Meter {
    total: AtomicU64,
    done: AtomicU64,
    limit: u64,
}

impl Progress for Meter {
    fn begin(&self, bytes: u64) {
        assert_eq!(self.total.swap(bytes, Ordering::Relaxed), 0);
    }

    fn advance(&self, bytes: u64) -> Result<(), Cancelled> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if done > self.limit { Err(Cancelled) } else { Ok(()) }
    }
}

#[test]
fn progress_reaches_its_end_and_can_stop_the_check() {
    let volume: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&seeds()[0][..]));
    let meter = |limit| Meter {
        total: AtomicU64::new(0),
        done: AtomicU64::new(0),
        limit,
    };
    let patient = meter(u64::MAX);
    assert!(cv_ntfs::check::check(&volume, &patient).is_ok());
    assert!(patient.total.load(Ordering::Relaxed) > 0);
    assert_eq!(patient.done.into_inner(), patient.total.into_inner());
    assert!(matches!(
        cv_ntfs::check::check(&volume, &meter(1)),
        Err(cv_ntfs::check::CheckError::Cancelled(_))
    ));
}

#[test]
fn what_is_no_volume_is_said_so() {
    for bytes in [vec![], vec![0; 511], vec![0; 4096], vec![0xFF; 1 << 20]] {
        body::check(&bytes);
        let volume: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&bytes[..]));
        let faults = cv_ntfs::check::check(&volume, &Quiet).unwrap();
        assert_eq!(faults.listed()[0].severity, Severity::Error);
    }
}

#[cfg(unix)]
mod claims {
    use super::*;
    use cv_ntfs::structure::{AttributeType, Run, run_list};
    use std::time::{Duration, Instant};
    use support::lab::Lab;

    const DATA: AttributeType = AttributeType::DATA;
    /// 64 TiB in clusters of 4 KiB.
    const CLUSTERS: u64 = 1 << 34;

    /// The volume on a disk of 64 TiB, most of which is not stored.
    fn enlarged(lab: &mut Lab) -> Arc<dyn ReadAt> {
        let sectors = CLUSTERS * 8 - 1;
        lab.bytes[0x28..0x30].copy_from_slice(&sectors.to_le_bytes());
        let disk = MemoryDisk::new(CLUSTERS * 4096);
        let end = lab.bytes.len() - 512;
        disk.write_at(&lab.bytes[..end], 0).unwrap();
        disk.write_at(&lab.bytes[..512], sectors * 512).unwrap();
        Arc::new(disk)
    }

    /// Makes the value one run of `clusters` from where it begins.
    fn stretch(lab: &mut Lab, record: u64, type_code: AttributeType, clusters: u64) {
        let lcn = lab.runs(record, type_code, "")[0].lcn;
        let pairs = run_list::encode(&[Run { vcn: 0, lcn, clusters }]);
        lab.edit_attribute(record, type_code, "", |bytes| {
            let start = usize::from(u16::from_le_bytes([bytes[0x20], bytes[0x21]]));
            let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
            assert!(start + pairs.len() <= length, "the runs fit");
            bytes[start..length].fill(0);
            bytes[start..start + pairs.len()].copy_from_slice(&pairs);
            bytes[0x18..0x20].copy_from_slice(&(clusters - 1).to_le_bytes());
            for size in [0x28, 0x30, 0x38] {
                bytes[size..size + 8].copy_from_slice(&(clusters * 4096).to_le_bytes());
            }
        });
    }

    fn check_soon(volume: &Arc<dyn ReadAt>) -> cv_disk::Faults {
        let started = Instant::now();
        let faults = cv_ntfs::check::check(volume, &Quiet).unwrap();
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        faults
    }

    #[test]
    fn a_huge_mft_that_is_not_stored_takes_no_time() {
        let Some(mut lab) = Lab::new() else { return };
        stretch(&mut lab, 0, DATA, CLUSTERS / 2);
        let volume = enlarged(&mut lab);
        let faults = check_soon(&volume);
        assert!(!faults.is_empty());
    }

    #[test]
    fn a_huge_bitmap_that_is_not_stored_takes_no_time() {
        let Some(mut lab) = Lab::new() else { return };
        stretch(&mut lab, 6, DATA, (1 << 31) - 1);
        let file = lab.record("file");
        stretch(&mut lab, file, DATA, (1 << 31) - 1);
        let volume = enlarged(&mut lab);
        let faults = check_soon(&volume);
        let texts: Vec<String> = faults.listed().iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains("has too")), "{texts:#?}");
    }

    #[test]
    fn a_list_that_many_records_share_is_not_read_for_each() {
        // All records of many files say that their attribute list is one and the same 256 KiB.
        let Some(mut lab) = Lab::new() else { return };
        let lcn = lab.runs(lab.record("file"), DATA, "")[0].lcn;
        let pairs = run_list::encode(&[Run {
            vcn: 0,
            lcn,
            clusters: 64,
        }]);
        let first = lab.record("big\\entry 0100");
        for record in first..first + 250 {
            lab.edit(record, |bytes| {
                let start = 0x38;
                let mut list = cv_ntfs::structure::attribute::encode_non_resident(
                    AttributeType::ATTRIBUTE_LIST,
                    &[],
                    cv_ntfs::structure::AttributeFlags::empty(),
                    1,
                    &cv_ntfs::structure::NonResidentHeader {
                        lowest_vcn: 0,
                        highest_vcn: 63,
                        mapping_pairs_offset: 0,
                        compression_unit: 0,
                        reserved: [0; 5],
                        allocated_length: 64 * 4096,
                        file_size: 64 * 4096,
                        valid_data_length: 64 * 4096,
                    },
                    None,
                    &pairs,
                );
                list.extend([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
                bytes[start..start + list.len()].copy_from_slice(&list);
                let used = (start + list.len()) as u32;
                bytes[0x18..0x1C].copy_from_slice(&used.to_le_bytes());
            });
        }
        let volume: Arc<dyn ReadAt> = Arc::new(MemoryDisk::from(&lab.bytes[..]));
        let faults = check_soon(&volume);
        assert!(
            faults
                .listed()
                .iter()
                .any(|fault| fault.to_string().contains("$ATTRIBUTE_LIST"))
        );
    }
}
