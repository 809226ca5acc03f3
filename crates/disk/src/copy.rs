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

/// How to copy.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Threads that read and write, at least one.
    pub threads: usize,
    /// Data is looked at in pieces of this many bytes, a power of two up to 1 MiB; those that are zero are not written.
    pub granule: u64,
    /// Whether the target reads as zeros already, so that zeros need not be written to it.
    pub target_is_zero: bool,
}

impl Default for CopyOptions {
    /// As many threads as the machine has, up to four; 4 KiB pieces; a fresh target.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        Self {
            threads,
            granule: 4096,
            target_is_zero: true,
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
        target_is_zero: options.target_is_zero,
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
    target_is_zero: bool,
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
                start = (extent.start & !(self.granule - 1)).max(queue.position);
                end = extent
                    .end()
                    .next_multiple_of(self.granule)
                    .min((start / CHUNK + 1) * CHUNK)
                    .min(size);
            } else {
                start = extent.start.max(queue.position);
                // What the following data's first granule covers is read with it.
                end = if extent.end() == size {
                    size
                } else {
                    extent.end() & !(self.granule - 1)
                };
                if self.target_is_zero || end <= start {
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
            if !self.target_is_zero && zero_start < at(run.start) {
                self.target.write_zeros_at(zero_start..at(run.start))?;
            }
            self.target.write_at(&buffer[run.clone()], at(run.start))?;
            written += run.len() as u64;
            zero_start = at(run.end);
        }
        if !self.target_is_zero && zero_start < chunk.range.end {
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
            target_is_zero in any::<bool>(),
        ) {
            let source = MemoryDisk::new(length);
            for (offset, count, value) in writes {
                let offset = offset % length;
                let count = count.min((length - offset) as usize);
                source.write_at(&vec![value; count], offset).unwrap();
            }
            let target = MemoryDisk::new(length);
            if !target_is_zero {
                target.write_at(&vec![0xAA; length as usize], 0).unwrap();
            }
            copy(&source, &target, &CopyOptions { threads, granule, target_is_zero }, &Quiet).unwrap();
            prop_assert!(source.to_vec() == target.to_vec());
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
