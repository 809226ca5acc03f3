//! Holding what is read from a layer against its index. A large stream is verified by blocks of 64 KiB, by their BLAKE3
//! hashes; a small one whole, by its SHA-256.

use super::cache::VerifiedCache;
use crate::events::{EventLog, What};
use crate::view::lock;
use cv_disk::{ReadAt, ReadError};
use cv_ntfs::{File, Stream};
use cv_winname::wtf8;
use layerfmt::Sha256Sum;
use layerfmt::index::{BLOCK_SIZE, BLOCKS_FROM, Blocks, Index, StreamEntry};
use layerfmt::verify::StreamHashes;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Files of one layer that are told as damaged, each once.
const TOLD: usize = 4096;

/// What the index says of one stream.
#[derive(Debug)]
struct Known {
    /// The beginning of the SHA-256 of path and stream name. The strings themselves would take most of the room.
    key: [u8; 16],
    size: u64,
    sha256: Sha256Sum,
    blocks: Option<Blocks>,
}

/// The hashes of a layer's streams.
#[derive(Debug)]
pub struct Verifier {
    number: u64,
    image: PathBuf,
    /// By key.
    streams: Vec<Known>,
    blocks: Option<Stream>,
    cache: Arc<VerifiedCache>,
    events: Arc<EventLog>,
    told: Mutex<HashSet<Vec<u8>>>,
}

fn key(path: &[u8], stream: &[u8]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(path);
    // No name has a zero.
    hash.update([0]);
    hash.update(stream);
    let mut key = [0; 16];
    key.copy_from_slice(&hash.finalize()[..16]);
    key
}

impl Verifier {
    /// Takes the hashes of all streams from an index that was verified; `blocks` is `layer.blk`.
    pub fn new(
        image: PathBuf,
        index: &Index,
        blocks: Option<Stream>,
        cache: Arc<VerifiedCache>,
        events: Arc<EventLog>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut streams: Vec<Known> = index
            .entries
            .iter()
            .flat_map(|entry| {
                entry.streams.iter().map(|stream| Known {
                    key: key(&entry.path, &stream.name),
                    size: stream.size,
                    sha256: stream.sha256,
                    blocks: stream.blocks,
                })
            })
            .collect();
        streams.sort_unstable_by_key(|known| known.key);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            image,
            streams,
            blocks,
            cache,
            events,
            told: Mutex::default(),
        }
    }

    /// The stream of a file at a path from the volume's root, which gives nothing but what the index says.
    pub fn open(self: &Arc<Self>, path: Vec<u8>, file: &File, name: &[u16]) -> Result<VerifiedStream, ReadError> {
        let stream = file.stream(name).map_err(|error| damage(0, 0, error.to_string()))?;
        let found = self
            .streams
            .binary_search_by_key(&key(&path, &wtf8::encode(name)), |known| known.key);
        let place = found.map_err(|_| self.damaged(&path, 0, 0, "the index does not list it"))?;
        let known = &self.streams[place];
        if stream.len() != known.size {
            let message = format!("it has {} bytes, expected {}", stream.len(), known.size);
            return Err(self.damaged(&path, 0, 0, &message));
        }
        let hashes = match &self.blocks {
            Some(blocks) if known.blocks.is_some() => {
                let entry = StreamEntry {
                    size: known.size,
                    blocks: known.blocks,
                    ..StreamEntry::default()
                };
                let loaded = StreamHashes::load(&entry, blocks);
                Some(loaded.map_err(|error| self.damaged(&path, 0, 0, &error.to_string()))?)
            }
            _ if known.size > BLOCKS_FROM => {
                return Err(self.damaged(&path, 0, 0, "there are no block hashes of it in layer.blk"));
            }
            _ => None,
        };
        Ok(VerifiedStream {
            verifier: self.clone(),
            path,
            place,
            stream,
            hashes,
        })
    }

    /// Tells that a file is damaged, once.
    fn damaged(&self, path: &[u8], offset: u64, length: u64, message: &str) -> ReadError {
        let mut told = lock(&self.told);
        if told.len() < TOLD && told.insert(path.to_vec()) {
            drop(told);
            self.events.tell(What::Damaged {
                layer: self.image.clone(),
                path: String::from_utf8_lossy(path).into_owned(),
                message: message.to_owned(),
            });
        }
        damage(offset, length, message.to_owned())
    }
}

fn damage(offset: u64, length: u64, message: String) -> ReadError {
    ReadError::Io {
        offset,
        length,
        source: io::Error::new(io::ErrorKind::InvalidData, message),
    }
}

/// A stream of which no byte is given that is not what the index says.
#[derive(Debug)]
pub struct VerifiedStream {
    verifier: Arc<Verifier>,
    path: Vec<u8>,
    /// In the verifier's table.
    place: usize,
    stream: Stream,
    hashes: Option<StreamHashes>,
}

impl VerifiedStream {
    /// The verified part of the stream from `start` on: a block, or all of a small stream.
    fn part(&self, start: u64) -> Result<Arc<[u8]>, ReadError> {
        let verifier = &*self.verifier;
        let part = (verifier.number, self.place, start);
        if let Some(known) = verifier.cache.get(part) {
            return Ok(known);
        }
        let bytes: Arc<[u8]> = if let Some(hashes) = &self.hashes {
            let read = hashes.read_blocks(&self.stream, start..start + BLOCK_SIZE);
            read.map_err(|error| verifier.damaged(&self.path, start, BLOCK_SIZE, &error.to_string()))?
                .into()
        } else {
            let mut bytes = vec![0; self.stream.len() as usize];
            self.stream.read_at(&mut bytes, 0)?;
            let expected = verifier.streams.get(self.place).map(|known| known.sha256);
            let found = Sha256Sum(Sha256::digest(&bytes).into());
            if expected != Some(found) {
                return Err(verifier.damaged(&self.path, 0, self.stream.len(), "its SHA-256 is not that of the index"));
            }
            bytes.into()
        };
        verifier.cache.put(part, bytes.clone());
        Ok(bytes)
    }
}

// What the volume says of holes is not verified, so the stream is data from end to end.
impl ReadAt for VerifiedStream {
    fn len(&self) -> u64 {
        self.stream.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let start = match self.hashes {
                Some(_) => at / BLOCK_SIZE * BLOCK_SIZE,
                None => 0,
            };
            let part = self.part(start)?;
            let from = (at - start) as usize;
            let length = part.len().saturating_sub(from).min(buf.len() - done);
            let bytes = part.get(from..from + length).filter(|bytes| !bytes.is_empty());
            let bytes = bytes.ok_or(ReadError::BeyondEnd {
                offset: at,
                length: 1,
                size: self.len(),
            })?;
            buf[done..done + length].copy_from_slice(bytes);
            done += length;
        }
        Ok(())
    }
}
