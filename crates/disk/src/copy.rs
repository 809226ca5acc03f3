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
    /// Bytes written to the target.
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
    let mut total = 0;
    for extent in Extents::all(source) {
        let extent = extent?;
        if extent.kind == ExtentKind::Data {
            total += extent.length;
        }
    }
    progress.begin(total);

    let granule = options.granule.next_power_of_two().min(CHUNK);
    let pass = Pass {
        source,
        target,
        granule,
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

struct Pass<'a> {
    source: &'a dyn ReadAt,
    target: &'a dyn WriteAt,
    granule: u64,
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
    outcome: CopyOutcome,
}

struct Chunk {
    ticket: u64,
    range: Range<u64>,
    is_data: bool,
}

impl Pass<'_> {
    fn run(&self) {
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
            if self.turn().failure.is_some() {
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
        // Below the holes is something that must not be covered, so there extents are cut exactly.
        let unit = if self.target_kind == CopyTarget::Below {
            1
        } else {
            self.granule
        };
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
                start = (extent.start & !(unit - 1)).max(queue.position);
                end = extent
                    .end()
                    .next_multiple_of(unit)
                    .min((start / CHUNK + 1) * CHUNK)
                    .min(size);
            } else {
                start = extent.start.max(queue.position);
                // What the following data's first granule covers is read with it.
                end = if extent.end() == size {
                    size
                } else {
                    extent.end() & !(unit - 1)
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
        while turn.ticket != chunk.ticket && turn.failure.is_none() {
            turn = self.turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        if turn.failure.is_some() {
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
