//! Writing the index.

use super::line::{Head, Line};
use super::{Index, SCHEMA};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::{self, Write};

/// The level at which zstd compresses: beyond it, time grows faster than bytes shrink.
const LEVEL: i32 = 3;

impl Index {
    /// The index as it stands in the layer. Its entries must be in order.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        self.write_text(&mut encoder)?;
        encoder.finish()
    }

    /// More bytes than [`to_bytes`](Self::to_bytes) gives, whatever the hashes are.
    pub(crate) fn longest(&self) -> io::Result<u64> {
        let mut counter = Counter(0);
        self.write_text(&mut counter)?;
        // What cannot be compressed grows by less than that.
        Ok(counter.0 + counter.0 / 128 + (64 << 10))
    }

    /// What the index says before streams are hashed, as 64 bits: the same for the same names, sizes, times and so on.
    pub(crate) fn fingerprint(&self) -> io::Result<u64> {
        let mut hash = Sha256::new();
        self.write_text(&mut hash)?;
        let sum: [u8; 32] = hash.finalize().into();
        Ok(sum.first_chunk().map_or(0, |first| u64::from_be_bytes(*first)))
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = Head {
            schema: Cow::Borrowed(SCHEMA),
            entries: self.entries.len() as u64,
            securities: self.securities.iter().map(|bytes| BASE64.encode(bytes)).collect(),
        };
        let mut text = serde_json::to_vec(&head)?;
        text.push(b'\n');
        for entry in &self.entries {
            serde_json::to_writer(&mut text, &Line::of(entry))?;
            text.push(b'\n');
            if text.len() >= 1 << 16 {
                out.write_all(&text)?;
                text.clear();
            }
        }
        out.write_all(&text)
    }
}

struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
