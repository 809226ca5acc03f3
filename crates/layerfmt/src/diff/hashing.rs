//! Hashes of streams that an index does not know.

use super::DiffError;
use super::aspect::{StreamSummary, text};
use super::side::Side;
use crate::Sha256Sum;
use crate::index::{Entry, StreamEntry};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A stream of a side: the number of its entry, and its name.
pub(super) type Wanted = (usize, Vec<u8>);

/// The hashes of one side.
#[derive(Debug)]
enum Sums {
    /// Those of its index.
    Index,
    /// Those that were asked for.
    Asked(HashMap<Wanted, Sha256Sum>),
}

impl Sums {
    fn of(side: &Side<'_>) -> Self {
        match side.hasher {
            None => Self::Index,
            Some(_) => Self::Asked(HashMap::new()),
        }
    }

    fn summary(&self, entry: usize, stream: &StreamEntry) -> StreamSummary {
        StreamSummary {
            size: stream.size,
            sha256: match self {
                Self::Index => Some(stream.sha256),
                Self::Asked(sums) => sums.get(&(entry, stream.name.clone())).copied(),
            },
        }
    }

    fn ask(&mut self, side: &Side<'_>, wanted: Vec<Wanted>, threads: usize) -> Result<(), DiffError> {
        let (Self::Asked(sums), Some(hasher)) = (self, side.hasher) else {
            return Ok(());
        };
        let wanted: Vec<Wanted> = wanted.into_iter().filter(|wanted| !sums.contains_key(wanted)).collect();
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Ok(Vec::with_capacity(wanted.len())));
        let work = || {
            while let Some((entry, stream)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sum = hasher.sha256(*entry, stream);
                let Ok(mut done) = done.lock() else { return };
                match (&mut *done, sum) {
                    (Ok(sums), Ok(sum)) => sums.push(((*entry, stream.clone()), sum)),
                    (Ok(_), Err(source)) => {
                        let path = side.index.entries.get(*entry).map_or(&[][..], |entry| &entry.path);
                        *done = Err(DiffError::Read {
                            path: text(path),
                            source,
                        });
                        next.store(wanted.len(), Ordering::Relaxed);
                    }
                    (Err(_), _) => return,
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(wanted.len()) {
                scope.spawn(work);
            }
            work();
        });
        sums.extend(done.into_inner().unwrap_or_else(|_| Ok(Vec::new()))?);
        Ok(())
    }
}

/// The hashes of both sides, as far as they are known.
#[derive(Debug)]
pub(super) struct Hashed {
    before: Sums,
    after: Sums,
}

impl Hashed {
    pub fn new(before: &Side<'_>, after: &Side<'_>) -> Self {
        Self {
            before: Sums::of(before),
            after: Sums::of(after),
        }
    }

    /// Whether each side knows everything by itself.
    pub fn is_complete(&self) -> bool {
        matches!((&self.before, &self.after), (Sums::Index, Sums::Index))
    }

    pub fn before(&self, entry: usize, stream: &StreamEntry) -> StreamSummary {
        self.before.summary(entry, stream)
    }

    pub fn after(&self, entry: usize, stream: &StreamEntry) -> StreamSummary {
        self.after.summary(entry, stream)
    }

    /// Hashes these streams, where their side does not know their hashes.
    pub fn ask(
        &mut self,
        sides: (&Side<'_>, &Side<'_>),
        wanted: (Vec<Wanted>, Vec<Wanted>),
        threads: usize,
    ) -> Result<(), DiffError> {
        self.before.ask(sides.0, wanted.0, threads)?;
        self.after.ask(sides.1, wanted.1, threads)
    }
}

/// The streams of two entries whose sizes are equal, so that only their hashes can tell them apart.
pub(super) fn undecided(one: &Entry, other: &Entry) -> impl Iterator<Item = Vec<u8>> {
    let streams = one.streams.iter().filter(|stream| stream.size > 0);
    streams
        .filter(|stream| other.stream(&stream.name).is_some_and(|twin| twin.size == stream.size))
        .map(|stream| stream.name.clone())
}
