//! The contents of streams against the hashes of the index, many streams at a time.

use super::finding::{Findings, Item, Problem};
use crate::Sha256Sum;
use crate::index::{Entry, StreamEntry};
use cv_disk::{Cancelled, Progress, ReadAt};
use cv_ntfs::{File, Stream};
use cv_sha256::Sha256;
use cv_winname::wtf8;

/// Bytes of a stream that are read at once.
const PIECE: u64 = 64 << 10;

/// Streams that one thread hashes at a time: several for each lane, as they end at different moments.
const STREAMS: usize = 4 * cv_sha256::LANES;

/// A stream that is being hashed.
struct Hashing<'a> {
    entry: &'a Entry,
    stream: &'a StreamEntry,
    content: Stream,
    /// Bytes of it that were read.
    position: u64,
    /// The last of them.
    piece: Vec<u8>,
    sum: Sha256,
}

/// Hashes the streams that it is given, and tells which differ.
pub(super) struct StreamHasher<'a> {
    findings: &'a Findings,
    progress: &'a dyn Progress,
    streams: Vec<Hashing<'a>>,
    /// Memory of pieces of those that ended.
    spare: Vec<Vec<u8>>,
}

impl<'a> StreamHasher<'a> {
    pub fn new(findings: &'a Findings, progress: &'a dyn Progress) -> Self {
        Self {
            findings,
            progress,
            streams: Vec::with_capacity(STREAMS),
            spare: Vec::new(),
        }
    }

    /// Adds a stream of `file`.
    pub fn add(&mut self, file: &File, entry: &'a Entry, stream: &'a StreamEntry) -> Result<(), Cancelled> {
        let item = || Item::of_stream(entry, stream);
        let opened = wtf8::decode(&stream.name).ok().map(|name| file.stream(&name));
        let content = match opened {
            Some(Ok(content)) => content,
            Some(Err(error)) => {
                self.findings.add(item(), Problem::Missing, &error);
                return Ok(());
            }
            None => {
                let text = "no stream can have that name";
                self.findings.tell(item(), Problem::Missing, text);
                return Ok(());
            }
        };
        if content.len() != stream.size {
            self.findings.differ(item(), Problem::Size, stream.size, content.len());
            return Ok(());
        }
        self.streams.push(Hashing {
            entry,
            stream,
            content,
            position: 0,
            piece: self.spare.pop().unwrap_or_default(),
            sum: Sha256::default(),
        });
        while self.streams.len() >= STREAMS {
            self.step()?;
        }
        Ok(())
    }

    /// Hashes what is left.
    pub fn finish(mut self) -> Result<(), Cancelled> {
        while !self.streams.is_empty() {
            self.step()?;
        }
        Ok(())
    }

    /// Reads and hashes the next piece of each stream.
    fn step(&mut self) -> Result<(), Cancelled> {
        let Self {
            findings,
            progress,
            streams,
            spare,
        } = self;
        let mut read = 0;
        streams.retain_mut(|hashing| {
            let length = PIECE.min(hashing.stream.size - hashing.position);
            hashing.piece.resize(length as usize, 0);
            let outcome = hashing.content.read_at(&mut hashing.piece, hashing.position);
            if let Err(error) = &outcome {
                let item = Item::of_stream(hashing.entry, hashing.stream);
                findings.add(item, Problem::Unreadable, error);
            }
            hashing.position += length;
            read += length;
            outcome.is_ok()
        });
        let pieces = streams.iter_mut();
        cv_sha256::update_all(pieces.map(|hashing| (&mut hashing.sum, hashing.piece.as_slice())));
        let has_ended = |hashing: &mut Hashing<'_>| hashing.position == hashing.stream.size;
        for hashing in streams.extract_if(.., has_ended) {
            let Hashing {
                entry,
                stream,
                sum,
                piece,
                ..
            } = hashing;
            let found = Sha256Sum(sum.finish());
            if found != stream.sha256 {
                findings.differ(Item::of_stream(entry, stream), Problem::Hash, stream.sha256, found);
            }
            findings.count(stream.size);
            spare.push(piece);
        }
        progress.advance(read)
    }
}
