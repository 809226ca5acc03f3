//! Writing the index.

use super::line::{Head, Line};
use super::{Index, SCHEMA};
use data_encoding::BASE64;
use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};

/// The level at which zstd compresses: beyond it, time grows faster than bytes shrink.
const LEVEL: i32 = 3;
/// Pieces of text that wait to be compressed at most.
const PIECES_WAITING: usize = 4;

impl Index {
    /// The index as it stands in the layer. Its entries must be in order.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        // One thread makes the text that the other compresses.
        std::thread::scope(|scope| {
            let (pieces, receiver) = mpsc::sync_channel::<Vec<u8>>(PIECES_WAITING);
            let compressing = scope.spawn(move || {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
                encoder.include_checksum(true)?;
                for piece in receiver {
                    encoder.write_all(&piece)?;
                }
                encoder.finish()
            });
            let made = self.write_text(&mut Pieces(pieces));
            let compressed = compressing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            made.and(Ok(compressed))
        })
    }

    /// What the index says before streams are hashed.
    pub(crate) fn forecast(&self) -> io::Result<Forecast> {
        let mut told = Told::default();
        self.write_text(&mut told)?;
        let sum = told.hasher.finalize();
        Ok(Forecast {
            // What cannot be compressed grows by less than that.
            longest: told.length + told.length / 128 + (64 << 10),
            fingerprint: sum
                .as_bytes()
                .first_chunk()
                .map_or(0, |first| u64::from_be_bytes(*first)),
        })
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

/// Hands text to the thread that compresses it.
struct Pieces(SyncSender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The other end is gone when compressing failed, which says why.
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is known of an index whose hashes are not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forecast {
    /// More bytes than [`Index::to_bytes`] gives, whatever the hashes are.
    pub longest: u64,
    /// The same for the same names, sizes, times and so on.
    pub fingerprint: u64,
}

/// Counts and hashes what is written.
#[derive(Default)]
struct Told {
    length: u64,
    hasher: blake3::Hasher,
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length += bytes.len() as u64;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
