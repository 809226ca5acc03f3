//! Moving one disk into another.

use crate::access::{ReadAt, WriteAt};
use crate::error::{ReadError, WriteError};
use crate::extent::{Extent, ExtentKind, Extents};
use crate::progress::{Cancelled, Progress};
use crate::zeros::data_runs;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that a thread moves at once: large enough to pay for the calls, small enough to stay in its core's cache
/// between the read and the write.
const CHUNK: u64 = 1 << 20;

/// What a copy's target holds before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyTarget {
    /// Zeros everywhere: neither zeros nor holes are written.
    Zero,
    /// Anything: zeros and holes are written as zeros.
    Used,
    /// What the source's holes are to show, such as the parent's content under a child: zeros are written, holes are not.
    Below,
}

/// How to copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Threads that read and write, at least one.
    pub threads: usize,
    /// Data is looked at in pieces of this many bytes, a power of two up to 1 MiB; those that are zero are not written.
    pub granule: u64,
    /// What the target holds before.
    pub target: CopyTarget,
}

impl Default for CopyOptions {
    /// As many threads as the machine has, up to four; 4 KiB pieces; a fresh target.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        Self {
            threads,
            granule: 4096,
            target: CopyTarget::Zero,
        }
    }
}

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyOutcome {
    /// Bytes of data written to the target, the zeros that it stores none of not counted.
    pub written: u64,
    /// Bytes read from the source.
    pub read: u64,
}

/// Why a copy failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The source could not be read.
    #[error("cannot read the source")]
    Read(#[from] ReadError),
    /// The target could not be written.
    #[error("cannot write the target")]
    Write(#[from] WriteError),
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Copies all of `source` to the beginning of `target`, skipping what is not there.
///
/// The target's layout is the same for any number of threads, see [`WriteAt::reserve`].
pub fn copy(
    source: &dyn ReadAt,
    target: &dyn WriteAt,
    options: &CopyOptions,
    progress: &dyn Progress,
) -> Result<CopyOutcome, CopyError> {
    WriteError::check_range(0, source.len(), target.len())?;
    let granule = options.granule.min(CHUNK).next_power_of_two();
    // Below the holes is something that must not be covered, so there extents are cut exactly.
    let unit = if options.target == CopyTarget::Below {
        1
    } else {
        granule
    };
    let mut total = 0;
    let mut counted = 0;
    for extent in Extents::all(source) {
        let extent = extent?;
        if extent.kind == ExtentKind::Data {
            let whole = whole_units(&extent, unit, source.len());
            total += whole.end.saturating_sub(whole.start.max(counted));
            counted = whole.end;
        }
    }
    progress.begin(total);

    let pass = Pass {
        source,
        target,
        granule,
        unit,
        target_kind: options.target,
        progress,
        queue: Mutex::new(Queue {
            extents: Extents::all(source),
            position: 0,
            current: None,
            next_ticket: 0,
        }),
        turn: Mutex::new(Turn::default()),
        turned: Condvar::new(),
    };
    let threads = options.threads.clamp(1, total.div_ceil(CHUNK).clamp(1, 64) as usize);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| pass.run());
        }
        pass.run();
    });
    let turn = pass.turn.into_inner().unwrap_or_else(PoisonError::into_inner);
    match turn.failure {
        Some(failure) => Err(failure),
        None => Ok(turn.outcome),
    }
}

/// What an extent touches in units of `unit` bytes, a power of two, cut at the end of the disk.
fn whole_units(extent: &Extent, unit: u64, size: u64) -> Range<u64> {
    let end = extent.end().checked_next_multiple_of(unit).unwrap_or(size);
    (extent.start & !(unit - 1))..end.min(size)
}

struct Pass<'a> {
    source: &'a dyn ReadAt,
    target: &'a dyn WriteAt,
    granule: u64,
    /// What the ends of chunks are multiples of.
    unit: u64,
    target_kind: CopyTarget,
    progress: &'a dyn Progress,
    queue: Mutex<Queue<'a>>,
    turn: Mutex<Turn>,
    turned: Condvar,
}

/// What is still to be handed out, in ascending order.
struct Queue<'a> {
    extents: Extents<'a, dyn ReadAt + 'a>,
    position: u64,
    current: Option<Extent>,
    next_ticket: u64,
}

/// Whose turn it is to reserve room in the target.
#[derive(Default)]
struct Turn {
    ticket: u64,
    failure: Option<CopyError>,
    panicked: bool,
    outcome: CopyOutcome,
}

impl Turn {
    /// Whether somebody failed, so that a turn waited for may never come.
    fn is_over(&self) -> bool {
        self.failure.is_some() || self.panicked
    }
}

/// Ends the pass where a disk panics in one thread, so that the others do not wait for that thread's turn.
struct EndOnPanic<'a, 'b>(&'a Pass<'b>);

impl Drop for EndOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.turn().panicked = true;
            self.0.turned.notify_all();
        }
    }
}

struct Chunk {
    ticket: u64,
    range: Range<u64>,
    is_data: bool,
}

impl Pass<'_> {
    fn run(&self) {
        let _end = EndOnPanic(self);
        let mut buffer = Vec::new();
        loop {
            let step = match self.next_chunk() {
                Ok(Some(chunk)) => self.copy_chunk(&chunk, &mut buffer),
                Ok(None) => return,
                Err(failure) => Err(failure.into()),
            };
            if let Err(failure) = step {
                self.turn().failure.get_or_insert(failure);
                self.turned.notify_all();
            }
            if self.turn().is_over() {
                return;
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the target already shows what an extent of this kind must show.
    fn is_left(&self, kind: ExtentKind) -> bool {
        match self.target_kind {
            CopyTarget::Zero => true,
            CopyTarget::Used => false,
            CopyTarget::Below => kind == ExtentKind::Hole,
        }
    }

    /// The next piece of work. Its ends lie on granules, so that a granule is looked at as a whole.
    fn next_chunk(&self) -> Result<Option<Chunk>, ReadError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = &mut *queue;
        let size = self.source.len();
        loop {
            let extent = match queue.current {
                Some(extent) if extent.end() > queue.position => extent,
                _ => match queue.extents.next().transpose()? {
                    Some(extent) => {
                        queue.current = Some(extent);
                        continue;
                    }
                    None => return Ok(None),
                },
            };
            let is_data = extent.kind == ExtentKind::Data;
            let start;
            let end;
            if is_data {
                let whole = whole_units(&extent, self.unit, size);
                start = whole.start.max(queue.position);
                end = whole.end.min((start / CHUNK + 1).saturating_mul(CHUNK));
            } else {
                // A granule that the extent ends within is left to what follows: data is read with its whole granule,
                // and a further extent of zeros begins where this one stopped.
                start = queue.position;
                end = if extent.end() == size {
                    size
                } else {
                    extent.end() & !(self.unit - 1)
                };
                if self.is_left(extent.kind) || end <= start {
                    queue.position = end.max(queue.position);
                    queue.current = None;
                    continue;
                }
            }
            queue.position = end;
            let ticket = queue.next_ticket;
            queue.next_ticket += 1;
            return Ok(Some(Chunk {
                ticket,
                range: start..end,
                is_data,
            }));
        }
    }

    fn copy_chunk(&self, chunk: &Chunk, buffer: &mut Vec<u8>) -> Result<(), CopyError> {
        let length = chunk.range.end - chunk.range.start;
        let runs: Vec<Range<usize>> = if chunk.is_data {
            buffer.resize(length as usize, 0);
            self.source.read_at(buffer, chunk.range.start)?;
            data_runs(buffer, self.granule as usize).collect()
        } else {
            Vec::new()
        };
        let at = |within: usize| chunk.range.start + within as u64;

        let mut turn = self.turn();
        while turn.ticket != chunk.ticket && !turn.is_over() {
            turn = self.turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        if turn.is_over() {
            return Ok(());
        }
        for run in &runs {
            self.target.reserve(at(run.start)..at(run.end))?;
        }
        turn.ticket += 1;
        drop(turn);
        self.turned.notify_all();

        let mut written = 0;
        let mut zero_start = chunk.range.start;
        for run in &runs {
            if self.target_kind != CopyTarget::Zero && zero_start < at(run.start) {
                self.target.write_zeros_at(zero_start..at(run.start))?;
            }
            self.target.write_at(&buffer[run.clone()], at(run.start))?;
            written += run.len() as u64;
            zero_start = at(run.end);
        }
        if self.target_kind != CopyTarget::Zero && zero_start < chunk.range.end {
            self.target.write_zeros_at(zero_start..chunk.range.end)?;
        }
        let read = if chunk.is_data { length } else { 0 };
        self.progress.advance(read)?;
        let mut turn = self.turn();
        turn.outcome.written += written;
        turn.outcome.read += read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
}
