//! Work done by several threads whose outcome is that of one: room in the target is assigned in the order of the work.

use super::error::PopulateError;
use cv_disk::{Progress, RawFile, WriteAt, data_runs};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of the target that are looked at together: those that are all zero are not written.
const GRANULE: usize = 4096;

/// What a piece of work made for the target.
#[derive(Default)]
pub(super) struct Output {
    /// Where [`bytes`](Self::bytes) go.
    pub offset: u64,
    pub bytes: Vec<u8>,
    /// What the target is to copy by itself instead.
    pub copy: Option<FileCopy>,
    /// More bytes, and where they go.
    pub also: Vec<(u64, Vec<u8>)>,
    /// Memory that was used before.
    spare: Vec<Vec<u8>>,
    /// What counts as progress.
    pub done: u64,
}

/// Bytes of a host file that the target copies by itself.
pub(super) struct FileCopy {
    pub file: Arc<RawFile>,
    pub source_offset: u64,
    pub offset: u64,
    pub length: u64,
}

impl Output {
    /// Makes room for `length` zeros that go to `offset`.
    pub fn begin(&mut self, offset: u64, length: usize) -> &mut [u8] {
        let bytes = self.begin_filled(offset, length);
        bytes.fill(0);
        bytes
    }

    /// Makes room for `length` bytes, to be filled, that go to `offset`.
    pub fn begin_filled(&mut self, offset: u64, length: usize) -> &mut [u8] {
        self.begin_empty();
        self.offset = offset;
        self.bytes = self.room(length);
        &mut self.bytes
    }

    /// Begins with nothing.
    pub fn begin_empty(&mut self) {
        self.copy = None;
        self.done = 0;
        self.spare.extend(self.also.drain(..).map(|(_, bytes)| bytes));
        if self.bytes.capacity() > 0 {
            self.spare.push(std::mem::take(&mut self.bytes));
        }
    }

    /// Memory that has something in it.
    fn room(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.resize(length, 0);
        bytes
    }

    /// Makes room for `length` more bytes, to be filled, that go to `offset`.
    pub fn also(&mut self, offset: u64, length: usize) -> &mut [u8] {
        let bytes = self.room(length);
        self.also.push((offset, bytes));
        self.also.last_mut().map_or(&mut [], |(_, bytes)| bytes)
    }
}

/// Whose turn it is, and whether anything failed.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    failure: Option<PopulateError>,
    /// A thread panicked, so that its turn never ends.
    is_abandoned: bool,
}

impl State {
    fn is_over(&self) -> bool {
        self.is_abandoned || self.failure.is_some()
    }
}

/// Lets the other threads end when one panics.
struct Abandon<'a, T>(&'a Turns, &'a Order<T>);

impl<T> Drop for Abandon<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().is_abandoned = true;
            self.0.changed.notify_all();
            self.1.wake();
        }
    }
}

/// Another thread failed.
pub(super) struct Stopped;

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, failure: PopulateError) {
        self.lock().failure.get_or_insert(failure);
        self.changed.notify_all();
    }

    /// Waits until `sequence` is `number`, which an earlier piece of work sees to.
    pub fn wait_for(&self, sequence: &AtomicU64, number: u64) -> Result<(), Stopped> {
        let mut state = self.lock();
        while sequence.load(Ordering::Acquire) != number {
            if state.is_over() {
                return Err(Stopped);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Lets the one who waits for the next number go on.
    pub fn step(&self, sequence: &AtomicU64) {
        let state = self.lock();
        sequence.fetch_add(1, Ordering::AcqRel);
        drop(state);
        self.changed.notify_all();
    }
}

/// Why a piece of work made nothing.
pub(super) enum Failed {
    /// Something failed here.
    Here(PopulateError),
    /// Something failed elsewhere.
    Elsewhere,
}

impl<E: Into<PopulateError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Here(error.into())
    }
}

impl From<Stopped> for Failed {
    fn from(_: Stopped) -> Self {
        Self::Elsewhere
    }
}

/// Does the work of `items`, of which each thread takes the next as soon as it is free: `work` makes an output, which is then
/// written, all but its zeros.
pub(super) fn run<I: Send>(
    target: &dyn WriteAt,
    threads: usize,
    progress: &dyn Progress,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I, &mut Output, &Turns) -> Result<(), Failed> + Sync,
) -> Result<(), PopulateError> {
    run_and_settle(target, threads, progress, items, work, |(), _| {})
}

/// As [`run`], for outputs whose place depends on those before: `settle` is called with what `work` gave, in the order of the
/// items and never twice at once, and says where the output goes.
pub(super) fn run_and_settle<I: Send, T: Send>(
    target: &dyn WriteAt,
    threads: usize,
    progress: &dyn Progress,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I, &mut Output, &Turns) -> Result<T, Failed> + Sync,
    settle: impl Fn(T, &mut Output) + Sync,
) -> Result<(), PopulateError> {
    let turns = Turns::default();
    let order = Order::new(2 * threads + 2);
    let queue = Mutex::new((0_u64, items));
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = queue.0;
        let item = queue.1.next()?;
        queue.0 += 1;
        Some((ticket, item))
    };
    let thread = || {
        let _abandon = Abandon(&turns, &order);
        while !turns.lock().is_over() {
            let Some((ticket, item)) = next() else { return };
            let mut output = order.spare();
            let outcome = work(item, &mut output, &turns).and_then(|made| {
                let place = |made, output: &mut Output| {
                    settle(made, output);
                    output.reserve(target)
                };
                let write = |output: &Output| {
                    output.write(target)?;
                    Ok(progress.advance(output.done)?)
                };
                order.put(ticket, (made, output), &turns, place, write)
            });
            match outcome {
                Ok(()) => {}
                Err(Failed::Here(failure)) => {
                    turns.fail(failure);
                    order.wake();
                }
                Err(Failed::Elsewhere) => return,
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(thread);
        }
        thread();
    });
    let state = turns.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

/// Outputs that wait for those of earlier items, so that no thread has to.
struct Order<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
    /// How many may wait.
    most: usize,
}

struct Waiting<T> {
    /// Whose turn it is.
    ticket: u64,
    outputs: BTreeMap<u64, (T, Output)>,
    spare: Vec<Output>,
}

impl<T> Order<T> {
    fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                ticket: 0,
                outputs: BTreeMap::new(),
                spare: Vec::new(),
            }),
            changed: Condvar::new(),
            most,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those who wait find out that all is over.
    fn wake(&self) {
        let waiting = self.lock();
        self.changed.notify_all();
        drop(waiting);
    }

    /// An output that was used before.
    fn spare(&self) -> Output {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Takes an output. The one whose turn it is gets its place by `place`, as do those that wait for it, one after the other;
    /// then all of them are written.
    fn put(
        &self,
        ticket: u64,
        output: (T, Output),
        turns: &Turns,
        place: impl Fn(T, &mut Output) -> Result<(), PopulateError>,
        write: impl Fn(&Output) -> Result<(), PopulateError>,
    ) -> Result<(), Failed> {
        let mut waiting = self.lock();
        while waiting.ticket != ticket && waiting.outputs.len() >= self.most {
            if turns.lock().is_over() {
                return Err(Failed::Elsewhere);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.outputs.insert(ticket, output);
        let mut settled = Vec::new();
        loop {
            let ticket = waiting.ticket;
            let Some((made, mut output)) = waiting.outputs.remove(&ticket) else {
                break;
            };
            place(made, &mut output)?;
            settled.push(output);
            waiting.ticket += 1;
        }
        drop(waiting);
        if settled.is_empty() {
            return Ok(());
        }
        self.changed.notify_all();
        for output in &settled {
            write(output)?;
        }
        self.lock().spare.append(&mut settled);
        Ok(())
    }
}

impl Output {
    /// The bytes that are to be written, and where they go.
    fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let also = self.also.iter().map(|(offset, bytes)| (*offset, bytes));
        std::iter::once((self.offset, &self.bytes))
            .chain(also)
            .flat_map(|(offset, bytes)| {
                data_runs(bytes, GRANULE).map(move |run| (offset + run.start as u64, &bytes[run]))
            })
    }

    fn reserve(&self, target: &dyn WriteAt) -> Result<(), PopulateError> {
        for (offset, bytes) in self.pieces() {
            target.reserve(offset..offset + bytes.len() as u64)?;
        }
        if let Some(copy) = &self.copy {
            target.reserve(copy.offset..copy.offset + copy.length)?;
        }
        Ok(())
    }

    fn write(&self, target: &dyn WriteAt) -> Result<(), PopulateError> {
        for (offset, bytes) in self.pieces() {
            target.write_at(bytes, offset)?;
        }
        if let Some(copy) = &self.copy {
            target.copy_from_file(copy.file.file(), copy.source_offset, copy.offset, copy.length)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::{MemoryDisk, Quiet, ReadAt};

    #[test]
    fn a_failure_ends_all_threads() {
        let disk = MemoryDisk::new(1 << 20);
        let outcome = run(&disk, 3, &Quiet, 0..1000_u64, |item, output, _| {
            output.begin(item * 512, 512).fill(1);
            if item == 500 {
                return Err(Failed::Here(cv_disk::Cancelled.into()));
            }
            Ok(())
        });
        assert!(matches!(outcome, Err(PopulateError::Cancelled(_))));
    }

    #[test]
    fn zeros_are_not_written() {
        let disk = MemoryDisk::new(1 << 20);
        run(&disk, 2, &Quiet, 0..4_u64, |item, output, _| {
            let bytes = output.begin(item * 65536, 65536);
            bytes[5000] = item as u8;
            Ok(())
        })
        .unwrap();
        let data: u64 = cv_disk::Extents::all(&disk)
            .filter_map(Result::ok)
            .filter(|extent| extent.kind == cv_disk::ExtentKind::Data)
            .map(|extent| extent.length)
            .sum();
        assert_eq!(data, 3 * 4096);
        assert_eq!(disk.len(), 1 << 20);
    }
}
