//! Writing the index.

use super::line::{Head, Line};
use super::{Index, SCHEMA};
use data_encoding::BASE64;
use std::borrow::Cow;
use std::io::{self, Write};

/// The level at which zstd compresses: beyond it, time grows faster than bytes shrink.
const LEVEL: i32 = 3;

impl Index {
    /// The index as it stands in the layer. Its entries must be in order.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
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
                encoder.write_all(&text)?;
                text.clear();
            }
        }
        encoder.write_all(&text)?;
        encoder.finish()
    }
}
