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
mod tests;
