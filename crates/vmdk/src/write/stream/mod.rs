//! Writing `streamOptimized`: compressed grains one behind the other, in the order in which they were announced.
//!
//! The threads that write compress; what they made waits until its turn comes. Waiting bytes are bounded: beyond the
//! bound a writer waits for the grain that is next.

mod compressor;
mod output;

pub(super) use output::STREAM_FLAGS;

use super::source::Source;
use crate::sparse::{Grain, GrainDecoder};
use crate::structures::SparseExtentHeader;
use compressor::Compressors;
use cv_disk::{Extent, ExtentKind, ReadError, Resize, WriteError, is_zero};
use output::StreamOutput;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes that wait for their turn at most, apart from those in the writers' hands.
const WAITING_BYTES: usize = 16 << 20;

/// How long a writer waits for a grain that was announced, before it gives the order up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes a stream.
pub(super) struct StreamWriter {
    grain_size: u64,
    length: u64,
    compressors: Compressors,
    decoder: GrainDecoder,
    queue: Mutex<Queue>,
    /// Told whenever a grain was appended or compressed.
    progressed: Condvar,
    patience: Duration,
}

/// What is announced or written and not yet appended.
struct Queue {
    /// The grains in the order of their announcement.
    order: VecDeque<u64>,
    waiting: HashMap<u64, Waiting>,
    waiting_bytes: usize,
    /// The highest grain announced.
    frontier: u64,
    /// Set when announced grains did not come: from then on the order is that of the writes.
    order_given_up: bool,
    output: StreamOutput,
}

#[derive(Default)]
struct Waiting {
    /// Bytes of the grain that were announced, and that were written.
    announced: u64,
    written: u64,
    state: State,
}

#[derive(Default)]
enum State {
    /// Announced only.
    #[default]
    Absent,
    /// Written in part.
    Gathering(Vec<u8>),
    /// In the hands of the thread that compresses it.
    Compressing,
    /// Ready to be appended, marker and padding included.
    Ready(Vec<u8>),
    /// Zeros.
    Nothing,
}

impl State {
    fn bytes(&self) -> usize {
        match self {
            Self::Gathering(bytes) | Self::Ready(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

impl Queue {
    /// The waiting entry of `grain`, which takes its place in the order when it is new.
    fn entry(&mut self, grain: u64) -> &mut Waiting {
        self.waiting.entry(grain).or_insert_with(|| {
            self.order.push_back(grain);
            self.frontier = self.frontier.max(grain);
            Waiting::default()
        })
    }

    fn set_state(&mut self, grain: u64, state: State) {
        let new = state.bytes();
        let old = std::mem::replace(&mut self.entry(grain).state, state).bytes();
        self.waiting_bytes = self.waiting_bytes + new - old;
    }

    fn take_state(&mut self, grain: u64, left: State) -> State {
        let new = left.bytes();
        let old = std::mem::replace(&mut self.entry(grain).state, left);
        self.waiting_bytes = self.waiting_bytes + new - old.bytes();
        old
    }

    fn is_full(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES
    }
}

impl StreamWriter {
    /// A writer of a stream whose header and descriptor stand in `file` already.
    pub fn new(file: Arc<dyn Resize>, header: &SparseExtentHeader, level: i32) -> Self {
        let grain_size = header.grain_bytes();
        Self {
            grain_size,
            length: header.capacity * crate::structures::SECTOR,
            compressors: Compressors::new(level),
            decoder: GrainDecoder::new(grain_size, true),
            queue: Mutex::new(Queue {
                order: VecDeque::new(),
                waiting: HashMap::new(),
                waiting_bytes: 0,
                frontier: 0,
                order_given_up: false,
                output: StreamOutput::new(file, header.clone()),
            }),
            progressed: Condvar::new(),
            patience: PATIENCE,
        }
    }

    /// Announces writes to `range`.
    pub fn reserve(&self, range: Range<u64>) {
        let mut queue = self.lock();
        for (grain, part) in self.grains(range) {
            queue.entry(grain).announced += part.end - part.start;
        }
    }

    /// Writes `length` bytes of the source from `offset` on.
    pub fn write(&self, offset: u64, source: &Source<'_>, length: u64) -> Result<(), WriteError> {
        for (grain, part) in self.grains(offset..offset + length) {
            let from = grain * self.grain_size + part.start - offset;
            let within_source = from..from + (part.end - part.start);
            if part.end - part.start == self.grain_length(grain) {
                self.write_whole(grain, source, within_source)?;
            } else {
                self.write_part(grain, part, source, within_source)?;
            }
        }
        Ok(())
    }

    fn write_whole(&self, grain: u64, source: &Source<'_>, within_source: Range<u64>) -> Result<(), WriteError> {
        let mut queue = self.wait_for_turn(grain)?;
        queue.entry(grain).written = self.grain_length(grain);
        queue.set_state(grain, State::Compressing);
        drop(queue);
        let state = if let Source::Bytes(bytes) = source {
            self.compress(grain, &bytes[within_source.start as usize..within_source.end as usize])
        } else {
            let mut bytes = vec![0; (within_source.end - within_source.start) as usize];
            source
                .read(&mut bytes, within_source)
                .and_then(|()| self.compress(grain, &bytes))
        };
        self.compressed(grain, state)
    }

    fn write_part(
        &self,
        grain: u64,
        part: Range<u64>,
        source: &Source<'_>,
        within_source: Range<u64>,
    ) -> Result<(), WriteError> {
        let mut bytes = vec![0; (part.end - part.start) as usize];
        source.read(&mut bytes, within_source)?;
        let mut queue = self.wait_for_turn(grain)?;
        let mut gathered = match queue.take_state(grain, State::Absent) {
            State::Gathering(gathered) => gathered,
            State::Ready(stored) => {
                let mut gathered = vec![0; self.grain_length(grain) as usize];
                self.decoder.inflate(&stored, 0, &mut gathered)?;
                gathered
            }
            State::Nothing => vec![0; self.grain_length(grain) as usize],
            State::Absent | State::Compressing => {
                let mut gathered = vec![0; self.grain_length(grain) as usize];
                self.read_appended(&mut queue, grain, 0, &mut gathered)?;
                gathered
            }
        };
        gathered[part.start as usize..part.end as usize].copy_from_slice(&bytes);
        let entry = queue.entry(grain);
        entry.written += part.end - part.start;
        entry.announced = entry.announced.max(entry.written);
        if entry.written < self.grain_length(grain) {
            queue.set_state(grain, State::Gathering(gathered));
            return self.append_ready(queue, false);
        }
        queue.set_state(grain, State::Compressing);
        drop(queue);
        let state = self.compress(grain, &gathered);
        self.compressed(grain, state)
    }

    /// Makes `range` read as zeros.
    pub fn write_zeros(&self, range: Range<u64>) -> Result<(), WriteError> {
        let per_table = self.lock().output.entries_per_table();
        let table_bytes = per_table * self.grain_size;
        let mut position = range.start;
        while position < range.end {
            let table = position / table_bytes;
            let stop = ((table + 1) * table_bytes).min(range.end);
            let mut queue = self.lock();
            let touched = queue.output.has_table(table) || queue.waiting.keys().any(|grain| grain / per_table == table);
            let mut known = Vec::new();
            if touched {
                for (grain, part) in self.grains(position..stop) {
                    if queue.waiting.contains_key(&grain) || queue.output.place(grain)?.is_some() {
                        known.push((grain, part));
                    }
                }
            }
            drop(queue);
            for (grain, part) in known {
                if part.end - part.start == self.grain_length(grain) {
                    let mut queue = self.wait_for_turn(grain)?;
                    queue.entry(grain).written = part.end;
                    queue.set_state(grain, State::Nothing);
                    self.append_ready(queue, false)?;
                } else {
                    let length = part.end - part.start;
                    self.write_part(grain, part, &Source::Zeros, 0..length)?;
                }
            }
            position = stop;
        }
        Ok(())
    }

    /// Appends everything that still waits, then the tables and the footer.
    pub fn finish(&self) -> Result<(), WriteError> {
        let mut queue = self.lock();
        queue.order_given_up = true;
        self.append_ready(queue, true)?;
        self.lock().output.finish()
    }

    /// Returns when everything appended so far is on stable storage.
    pub fn flush(&self) -> Result<(), WriteError> {
        self.lock().output.flush()
    }

    /// Fills `buf` with the bytes from `offset` on, appended or waiting.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.length)?;
        let mut done = 0;
        for (grain, part) in self.grains(offset..offset + buf.len() as u64) {
            let target = &mut buf[done..done + (part.end - part.start) as usize];
            let mut queue = self.wait_while_compressing(grain);
            match queue.waiting.get(&grain).map(|waiting| &waiting.state) {
                Some(State::Gathering(bytes)) => target.copy_from_slice(&bytes[part.start as usize..part.end as usize]),
                Some(State::Ready(stored)) => {
                    let mut bytes = vec![0; self.grain_length(grain) as usize];
                    self.decoder.inflate(stored, 0, &mut bytes)?;
                    target.copy_from_slice(&bytes[part.start as usize..part.end as usize]);
                }
                Some(State::Nothing) => target.fill(0),
                Some(State::Absent | State::Compressing) | None => {
                    self.read_appended(&mut queue, grain, part.start, target)?;
                }
            }
            done += target.len();
        }
        Ok(())
    }

    /// The grain at `offset`, stored or not.
    pub fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.length)?;
        let grain = offset / self.grain_size;
        let mut queue = self.lock();
        let waits = match queue.waiting.get(&grain).map(|waiting| &waiting.state) {
            Some(State::Gathering(_) | State::Compressing | State::Ready(_)) => Some(true),
            Some(State::Nothing) => Some(false),
            Some(State::Absent) | None => None,
        };
        let is_stored = match waits {
            Some(stored) => stored,
            None => queue.output.place(grain)?.is_some(),
        };
        Ok(Extent {
            start: offset,
            length: grain * self.grain_size + self.grain_length(grain) - offset,
            kind: if is_stored { ExtentKind::Data } else { ExtentKind::Hole },
        })
    }

    /// Fills `target` with the bytes from `start` on of a grain as it was appended; zeros where it was not.
    fn read_appended(&self, queue: &mut Queue, grain: u64, start: u64, target: &mut [u8]) -> Result<(), ReadError> {
        let Some(place) = queue.output.place(grain)? else {
            target.fill(0);
            return Ok(());
        };
        let file = queue.output.readable()?;
        self.decoder.read(file, &[Grain::At(place)], None, target, start)
    }

    /// Waits until `grain` is in no other thread's hands and there is room for it.
    fn wait_for_turn(&self, grain: u64) -> Result<MutexGuard<'_, Queue>, WriteError> {
        let mut queue = self.lock();
        queue.entry(grain);
        loop {
            let in_hands = matches!(
                queue.waiting.get(&grain).map(|waiting| &waiting.state),
                Some(State::Compressing)
            );
            let is_next = queue.order.front() == Some(&grain);
            if !in_hands && (is_next || !queue.is_full()) {
                // The entry may have been appended while this thread waited.
                queue.entry(grain);
                return Ok(queue);
            }
            if !in_hands {
                self.append_ready(queue, false)?;
                queue = self.lock();
                if !queue.is_full() {
                    continue;
                }
            }
            let (after, outcome) = self
                .progressed
                .wait_timeout(queue, self.patience)
                .unwrap_or_else(PoisonError::into_inner);
            queue = after;
            if outcome.timed_out() && !in_hands {
                queue.order_given_up = true;
                self.append_ready(queue, false)?;
                queue = self.lock();
            }
        }
    }

    fn wait_while_compressing(&self, grain: u64) -> MutexGuard<'_, Queue> {
        let mut queue = self.lock();
        while matches!(
            queue.waiting.get(&grain).map(|waiting| &waiting.state),
            Some(State::Compressing)
        ) {
            queue = self.progressed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue
    }

    /// The grain compressed, or nothing where it is zero.
    fn compress(&self, grain: u64, bytes: &[u8]) -> Result<State, WriteError> {
        if is_zero(bytes) {
            return Ok(State::Nothing);
        }
        let lba = grain * (self.grain_size / crate::structures::SECTOR);
        self.compressors.compress(lba, bytes).map(State::Ready)
    }

    /// Takes a grain back from the thread that compressed it.
    fn compressed(&self, grain: u64, state: Result<State, WriteError>) -> Result<(), WriteError> {
        let mut queue = self.lock();
        match state {
            Ok(state) => {
                queue.set_state(grain, state);
                self.append_ready(queue, false)
            }
            Err(error) => {
                queue.set_state(grain, State::Absent);
                drop(queue);
                self.progressed.notify_all();
                Err(error)
            }
        }
    }

    /// Appends the grains whose turn has come. Where too much waits, a grain is closed that was written only in part
    /// and to which nothing more was announced; with `all`, every one is.
    fn append_ready<'a>(&'a self, mut queue: MutexGuard<'a, Queue>, all: bool) -> Result<(), WriteError> {
        while let Some(&grain) = queue.order.front() {
            let press = queue.is_full() || all;
            let given_up = queue.order_given_up;
            let frontier = queue.frontier;
            let Some(waiting) = queue.waiting.get(&grain) else {
                queue.order.pop_front();
                continue;
            };
            let is_settled = waiting.written >= waiting.announced && frontier > grain;
            match waiting.state {
                State::Ready(_) | State::Nothing => {
                    let stored = match queue.take_state(grain, State::Absent) {
                        State::Ready(stored) => stored,
                        _ => Vec::new(),
                    };
                    queue.order.pop_front();
                    queue.waiting.remove(&grain);
                    queue.output.append(grain, &stored)?;
                }
                State::Gathering(_) if press && (is_settled || given_up) => {
                    if let State::Gathering(bytes) = queue.take_state(grain, State::Compressing) {
                        drop(queue);
                        let state = self.compress(grain, &bytes);
                        queue = self.lock();
                        match state {
                            Ok(state) => queue.set_state(grain, state),
                            Err(error) => {
                                queue.set_state(grain, State::Gathering(bytes));
                                return Err(error);
                            }
                        }
                    }
                }
                State::Absent if press && given_up => {
                    queue.order.pop_front();
                    queue.waiting.remove(&grain);
                }
                _ => break,
            }
            self.progressed.notify_all();
        }
        drop(queue);
        self.progressed.notify_all();
        Ok(())
    }

    /// The grains that `range` meets, with the part of each, in bytes from the grain's start.
    fn grains(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let grain_size = self.grain_size;
        (range.start / grain_size..range.end.div_ceil(grain_size)).filter_map(move |grain| {
            let start = (grain * grain_size).max(range.start) - grain * grain_size;
            let end = ((grain + 1) * grain_size).min(range.end) - grain * grain_size;
            (start < end).then_some((grain, start..end))
        })
    }

    /// Bytes of the disk that `grain` holds; the last one may be cut short.
    fn grain_length(&self, grain: u64) -> u64 {
        self.grain_size.min(self.length - grain * self.grain_size)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
