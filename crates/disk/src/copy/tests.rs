use super::*;
use crate::{MemoryDisk, Quiet};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_disk_arrives_on_any_target(
        length in 1_u64..(3 << 20),
        writes in prop::collection::vec((0_u64..(3 << 20), 1_usize..70_000, any::<u8>()), 0..12),
        threads in 1_usize..4,
        granule in prop::sample::select(vec![512_u64, 4096, 65536]),
        target_kind in prop::sample::select(vec![CopyTarget::Zero, CopyTarget::Used]),
    ) {
        let source = MemoryDisk::new(length);
        for (offset, count, value) in writes {
            let offset = offset % length;
            let count = count.min((length - offset) as usize);
            source.write_at(&vec![value; count], offset).unwrap();
        }
        let target = MemoryDisk::new(length);
        if target_kind == CopyTarget::Used {
            target.write_at(&vec![0xAA; length as usize], 0).unwrap();
        }
        copy(&source, &target, &CopyOptions { threads, granule, target: target_kind }, &Quiet).unwrap();
        prop_assert!(source.to_vec() == target.to_vec());
    }
}

/// A disk with three kinds of extents whose ends lie on no granule.
struct Mixed;

impl ReadAt for Mixed {
    fn len(&self) -> u64 {
        40_000
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        for (byte, position) in buf.iter_mut().zip(offset..) {
            *byte = u8::from((512..5632).contains(&position));
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let (end, kind) = match offset {
            0..512 => (512, ExtentKind::Hole),
            512..5632 => (5632, ExtentKind::Data),
            5632..9216 => (9216, ExtentKind::Hole),
            9216..20_000 => (20_000, ExtentKind::Zero),
            _ => (40_000, ExtentKind::Hole),
        };
        Ok(Extent {
            start: offset,
            length: end - offset,
            kind,
        })
    }
}

#[test]
fn holes_leave_what_is_below_them() {
    let target = MemoryDisk::new(40_000);
    target.write_at(&vec![0xAA; 40_000], 0).unwrap();
    copy(
        &Mixed,
        &target,
        &CopyOptions {
            target: CopyTarget::Below,
            ..CopyOptions::default()
        },
        &Quiet,
    )
    .unwrap();
    let mut expected = vec![0xAA; 40_000];
    expected[512..5632].fill(1);
    expected[9216..20_000].fill(0);
    assert!(target.to_vec() == expected);
}

/// A disk whose extents are what a test says, and whose byte at any offset follows from the offset.
struct Patchwork(Vec<Extent>);

impl Patchwork {
    fn new(extents: &[(ExtentKind, u64)]) -> Self {
        let mut start = 0;
        Self(
            extents
                .iter()
                .map(|&(kind, length)| {
                    start += length;
                    Extent {
                        start: start - length,
                        length,
                        kind,
                    }
                })
                .collect(),
        )
    }
}

impl ReadAt for Patchwork {
    fn len(&self) -> u64 {
        self.0.last().map_or(0, Extent::end)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        buf.fill(0);
        let end = offset + buf.len() as u64;
        for extent in self.0.iter().filter(|extent| extent.kind == ExtentKind::Data) {
            for position in extent.start.max(offset)..extent.end().min(end) {
                // Data has runs of zeros of its own.
                if position / 1500 % 3 != 0 {
                    buf[(position - offset) as usize] = (position % 251) as u8;
                }
            }
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let found = self.0[self.0.partition_point(|extent| extent.end() <= offset)];
        Ok(Extent {
            start: offset,
            length: found.end() - offset,
            kind: found.kind,
        })
    }
}

/// A target that notes what is reserved, and fails or panics where a test says.
struct Target {
    disk: MemoryDisk,
    reserved: Mutex<Vec<Range<u64>>>,
    on_reserve: fn(&Range<u64>) -> Result<(), WriteError>,
    on_write: fn(u64) -> Result<(), WriteError>,
}

impl Target {
    fn new(length: u64) -> Self {
        Self {
            disk: MemoryDisk::new(length),
            reserved: Mutex::default(),
            on_reserve: |_| Ok(()),
            on_write: |_| Ok(()),
        }
    }
}

impl ReadAt for Target {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.disk.read_at(buf, offset)
    }
}

impl WriteAt for Target {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        (self.on_write)(offset)?;
        self.disk.write_at(buf, offset)
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        (self.on_reserve)(&range)?;
        self.reserved.lock().unwrap().push(range);
        Ok(())
    }

    fn flush(&self) -> Result<(), WriteError> {
        Ok(())
    }
}

#[derive(Default)]
struct Counter {
    total: Mutex<u64>,
    done: Mutex<u64>,
}

impl Progress for Counter {
    fn begin(&self, bytes: u64) {
        *self.total.lock().unwrap() += bytes;
    }

    fn advance(&self, bytes: u64) -> Result<(), Cancelled> {
        *self.done.lock().unwrap() += bytes;
        Ok(())
    }
}

fn with_threads(threads: usize) -> CopyOptions {
    CopyOptions {
        threads,
        ..CopyOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn extents_off_the_granule_arrive_in_order_and_are_counted_once(
        extents in prop::collection::vec(
            (
                prop::sample::select(vec![ExtentKind::Data, ExtentKind::Zero, ExtentKind::Hole]),
                prop_oneof![6 => 1_u64..3000, 3 => 1_u64..70_000, 1 => Just(2 << 20)],
            ),
            1..12,
        ),
        granule in prop::sample::select(vec![0_u64, 1, 512, 4096, 65536, 1 << 20, u64::MAX]),
        target_kind in prop::sample::select(vec![CopyTarget::Zero, CopyTarget::Used, CopyTarget::Below]),
    ) {
        let source = Patchwork::new(&extents);
        let mut expected = vec![0; source.len() as usize];
        source.read_at(&mut expected, 0).unwrap();
        if target_kind == CopyTarget::Below {
            for hole in source.0.iter().filter(|extent| extent.kind == ExtentKind::Hole) {
                expected[hole.start as usize..hole.end() as usize].fill(0xAA);
            }
        }
        let mut reserved = Vec::new();
        for threads in [1, 3] {
            let target = Target::new(source.len());
            if target_kind != CopyTarget::Zero {
                target.disk.write_at(&vec![0xAA; expected.len()], 0).unwrap();
            }
            let counter = Counter::default();
            let options = CopyOptions { threads, granule, target: target_kind };
            let outcome = copy(&source, &target, &options, &counter).unwrap();
            prop_assert!(target.disk.to_vec() == expected);
            let total = counter.total.into_inner().unwrap();
            prop_assert_eq!(counter.done.into_inner().unwrap(), total);
            prop_assert_eq!(outcome.read, total);
            reserved.push(target.reserved.into_inner().unwrap());
            prop_assert_eq!(outcome.written, reserved[0].iter().map(|range| range.end - range.start).sum::<u64>());
        }
        prop_assert_eq!(&reserved[0], &reserved[1]);
        prop_assert!(reserved[0].is_sorted_by_key(|range| range.start));
    }
}

#[test]
fn a_failure_in_any_thread_ends_the_others() {
    let source = Patchwork::new(&[(ExtentKind::Data, 40 << 20)]);
    for threads in [1, 2, 4] {
        let mut target = Target::new(source.len());
        target.on_reserve = |range| if range.end > 7 << 20 { no_room() } else { Ok(()) };
        let failure = copy(&source, &target, &with_threads(threads), &Quiet).unwrap_err();
        assert!(matches!(failure, CopyError::Write(WriteError::Limit(_))), "{failure:?}");

        let mut target = Target::new(source.len());
        target.on_write = |offset| if offset > 7 << 20 { no_room() } else { Ok(()) };
        let failure = copy(&source, &target, &with_threads(threads), &Quiet).unwrap_err();
        assert!(matches!(failure, CopyError::Write(WriteError::Limit(_))), "{failure:?}");
    }
}

fn no_room() -> Result<(), WriteError> {
    Err(WriteError::Limit("no room".to_string()))
}

#[test]
fn a_panic_in_any_thread_ends_the_others() {
    for threads in [1, 2, 4] {
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let source = Patchwork::new(&[(ExtentKind::Data, 40 << 20)]);
            let mut target = Target::new(source.len());
            target.on_reserve = |range| {
                assert!(range.end <= 7 << 20, "a bug in the target");
                Ok(())
            };
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                copy(&source, &target, &with_threads(threads), &Quiet).map(|_| ())
            }));
            done.send(outcome.is_err()).unwrap();
        });
        let panicked = ended.recv_timeout(std::time::Duration::from_secs(30));
        assert_eq!(panicked, Ok(true), "{threads} threads");
    }
}

#[test]
fn a_disk_as_large_as_offsets_reach_is_copied() {
    let source = MemoryDisk::new(u64::MAX);
    source.write_at(b"first", 0).unwrap();
    source.write_at(b"last", u64::MAX - 4).unwrap();
    for target_kind in [CopyTarget::Zero, CopyTarget::Used, CopyTarget::Below] {
        let target = MemoryDisk::new(u64::MAX);
        let options = CopyOptions {
            target: target_kind,
            ..CopyOptions::default()
        };
        copy(&source, &target, &options, &Quiet).unwrap();
        let mut end = [0; 4];
        target.read_at(&mut end, u64::MAX - 4).unwrap();
        assert_eq!(&end, b"last");
    }
}

#[test]
fn a_target_that_is_too_small_is_refused() {
    let failure = copy(
        &MemoryDisk::new(10),
        &MemoryDisk::new(9),
        &CopyOptions::default(),
        &Quiet,
    );
    assert!(matches!(failure, Err(CopyError::Write(WriteError::BeyondEnd { .. }))));
}

#[test]
fn cancelling_stops_every_thread() {
    struct Stop;
    impl Progress for Stop {
        fn begin(&self, _bytes: u64) {}
        fn advance(&self, _bytes: u64) -> Result<(), Cancelled> {
            Err(Cancelled)
        }
    }
    let source = MemoryDisk::new(16 << 20);
    source.write_at(&vec![1; 16 << 20], 0).unwrap();
    let target = MemoryDisk::new(16 << 20);
    let outcome = copy(
        &source,
        &target,
        &CopyOptions {
            threads: 3,
            ..CopyOptions::default()
        },
        &Stop,
    );
    assert!(matches!(outcome, Err(CopyError::Cancelled(_))));
}
