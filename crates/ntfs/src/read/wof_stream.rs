//! Streams compressed by WOF.
//!
//! `WofCompressedData` begins with a table of where each chunk but the first begins behind the table: 32-bit numbers, 64-bit
//! ones where the content is longer than 4 GiB. A chunk as long as its content is stored as it is.

use crate::compress::{lzx, xpress};
use crate::read::stream::Stream;
use crate::structure::reparse::WofAlgorithm;
use cv_disk::{Damage, ReadAt, ReadError};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of content that are decoded at once at most.
const GROUP: u64 = 1 << 20;

pub(super) struct WofStream {
    algorithm: WofAlgorithm,
    size: u64,
    compressed: Stream,
    /// The chunk decoded last, for readers that take small pieces.
    last: Mutex<Option<(u64, Vec<u8>)>>,
}

impl WofStream {
    pub(super) fn new(algorithm: WofAlgorithm, size: u64, compressed: Stream) -> Self {
        Self {
            algorithm,
            size,
            compressed,
            last: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.size
    }

    fn chunk_size(&self) -> u64 {
        self.algorithm.chunk_size() as u64
    }

    /// Where in `WofCompressedData` the chunks `first..end` begin, and where the last one ends. Ascending, and within it.
    fn places(&self, first: u64, end: u64) -> Result<Vec<u64>, ReadError> {
        let chunks = self.size.div_ceil(self.chunk_size());
        let entry = if self.size > u64::from(u32::MAX) { 8 } else { 4 };
        let table = (chunks - 1) * entry;
        // Entry n is for chunk n + 1.
        let from = first.saturating_sub(1);
        let to = end.min(chunks - 1);
        let mut bytes = vec![0; ((to - from) * entry) as usize];
        self.compressed.read_at(&mut bytes, from * entry)?;
        let number = |entry: &[u8]| entry.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        let mut places = Vec::with_capacity((end - first) as usize + 1);
        places.extend((first == 0).then_some(table));
        places.extend(
            bytes
                .chunks_exact(entry as usize)
                .map(|entry| number(entry).saturating_add(table)),
        );
        places.extend((end == chunks).then_some(self.compressed.len()));
        let is_in_order = places.is_sorted() && places.last().is_some_and(|last| *last <= self.compressed.len());
        if is_in_order {
            Ok(places)
        } else {
            Err(Damage::new(
                "chunk table",
                from * entry,
                format!("ascending offsets up to {}", self.compressed.len()),
                "others",
            )
            .into())
        }
    }

    fn decode(&self, number: u64, input: &[u8], output: &mut [u8]) -> Result<(), ReadError> {
        if input.len() == output.len() {
            output.copy_from_slice(input);
            return Ok(());
        }
        let decoded = match self.algorithm {
            WofAlgorithm::Lzx => lzx::decode(input, output),
            WofAlgorithm::Xpress4k | WofAlgorithm::Xpress8k | WofAlgorithm::Xpress16k => xpress::decode(input, output),
        };
        decoded.map_err(|error| {
            Damage::new(
                format!("chunk {number}"),
                number * self.chunk_size(),
                format!("{:?}", self.algorithm),
                error.to_string(),
            )
            .into()
        })
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let mut done = 0;
        while done < buf.len() {
            let length = (buf.len() - done).min(GROUP as usize);
            self.read_group(&mut buf[done..done + length], offset + done as u64)?;
            done += length;
        }
        Ok(())
    }

    fn read_group(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let chunk_size = self.chunk_size();
        let end = offset + buf.len() as u64;
        let first = offset / chunk_size;
        let chunks = first..end.div_ceil(chunk_size);
        if chunks.end == first + 1 && self.read_last(first, (offset % chunk_size) as usize, buf) {
            return Ok(());
        }
        let places = self.places(chunks.start, chunks.end)?;
        let start = places[0];
        let most = (chunks.end - chunks.start) * chunk_size;
        let length = places[places.len() - 1] - start;
        if length > most {
            return Err(Damage::new(
                "chunk table",
                first * 4,
                format!("at most {most} bytes for {} chunks", chunks.end - chunks.start),
                length.to_string(),
            )
            .into());
        }
        let mut input = vec![0; length as usize];
        self.compressed.read_at(&mut input, start)?;
        for (number, place) in chunks.zip(places.windows(2)) {
            let input = &input[(place[0] - start) as usize..(place[1] - start) as usize];
            let chunk_start = number * chunk_size;
            let chunk_end = (chunk_start + chunk_size).min(self.size);
            if chunk_start >= offset && chunk_end <= end {
                let within = (chunk_start - offset) as usize..(chunk_end - offset) as usize;
                self.decode(number, input, &mut buf[within])?;
                continue;
            }
            let mut content = vec![0; (chunk_end - chunk_start) as usize];
            self.decode(number, input, &mut content)?;
            let from = chunk_start.max(offset);
            let to = chunk_end.min(end);
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&content[(from - chunk_start) as usize..(to - chunk_start) as usize]);
            *self.lock() = Some((number, content));
        }
        Ok(())
    }

    /// Whether chunk `number` was the last one decoded, and its bytes from `within` on were put into `buf`.
    fn read_last(&self, number: u64, within: usize, buf: &mut [u8]) -> bool {
        let last = self.lock();
        let content = match &*last {
            Some((kept, content)) if *kept == number => content,
            _ => return false,
        };
        match content.get(within..within + buf.len()) {
            Some(part) => {
                buf.copy_from_slice(part);
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(u64, Vec<u8>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
