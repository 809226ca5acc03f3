//! The bytes of the hive, put out in ascending order.

use super::error::WriteError;
use super::layout::Sink;
use crate::structure::{HiveBin, Structure, cell};
use std::io::Write;

/// Bytes that are gathered before they are put out.
const PIECE: usize = 1 << 18;

/// An output that takes cells, and puts them into bins of sizes that are known.
pub(super) struct Output<'w> {
    bins: &'w [u32],
    next: u32,
    /// The end of the current bin.
    end: u32,
    bytes: Vec<u8>,
    writer: &'w mut dyn Write,
    last_written: u64,
}

impl<'w> Output<'w> {
    /// An output that begins with `start`.
    pub fn new(writer: &'w mut dyn Write, start: Vec<u8>, bins: &'w [u32], last_written: u64) -> Self {
        Self {
            bins,
            next: 0,
            end: 0,
            bytes: start,
            writer,
            last_written,
        }
    }

    /// Makes a free cell of what is left of the bin.
    fn end_bin(&mut self) {
        let rest = self.end - self.next;
        if rest > 0 {
            self.bytes.extend(rest.to_le_bytes());
            self.bytes.resize(self.bytes.len() + rest as usize - 4, 0);
        }
    }

    fn begin_bin(&mut self) {
        self.end_bin();
        // The layout gave the same cells the same places, so there is a bin, and the cell fits in.
        let (size, later) = self
            .bins
            .split_first()
            .map_or((0, self.bins), |(size, later)| (*size, later));
        self.bins = later;
        let timestamp = if self.end == 0 { self.last_written } else { 0 };
        self.bytes.extend(HiveBin::new(self.end, size, timestamp).to_bytes());
        self.next = self.end + HiveBin::HEADER;
        self.end += size;
    }

    /// Puts out what is left.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.end_bin();
        self.writer.write_all(&self.bytes)?;
        self.writer.flush()?;
        Ok(())
    }
}

impl Sink for Output<'_> {
    fn cell(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> Result<u32, WriteError> {
        let size = cell::size_for(length);
        if size > self.end - self.next {
            self.begin_bin();
        }
        if self.bytes.len() >= PIECE {
            self.writer.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        let start = self.bytes.len();
        self.bytes.extend(size.wrapping_neg().to_le_bytes());
        self.bytes.resize(start + size as usize, 0);
        fill(&mut self.bytes[start + 4..start + 4 + length]);
        let offset = self.next;
        self.next += size;
        Ok(offset)
    }
}
