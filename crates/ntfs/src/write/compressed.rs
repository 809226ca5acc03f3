//! Compressing streams on several threads and packing them one behind the other.

use super::core::Core;
use super::error::PopulateError;
use super::large::LargeStream;
use super::layout::Compressed;
use super::ordered::{self, Failed, Output, Turns};
use super::plan::Plan;
use super::streams::{Mover, PIECE};
use crate::compress::lznt1_encoder::Lznt1Encoder;
use crate::compress::wof_encoder;
use crate::compress::xpress_encoder::XpressEncoder;
use cv_disk::{Progress, WriteAt, is_zero};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Of a stream of several pieces, how many parts in a hundred the first must lose for WOF to be worth while.
const LEAST_SAVING: u64 = 5;

/// A stream being compressed.
struct Stream<'a> {
    content: LargeStream<'a>,
    is_lznt1: bool,
    /// 1 when it is known whether compression is worth while.
    decided: AtomicU64,
    is_worth_while: AtomicBool,
}

/// A piece of one.
struct Item<'a> {
    stream: Arc<Stream<'a>>,
    piece: u64,
}

/// How a piece turned out.
struct Piece {
    stream: u32,
    size: u64,
    is_first: bool,
    is_last: bool,
    parts: Parts,
}

/// What the piece's bytes are made of.
enum Parts {
    /// Units, by clusters.
    Units(Vec<u8>),
    /// WOF's chunks, by bytes.
    Chunks(Vec<u32>),
    /// The content itself.
    Plain,
}

/// Where the next bytes go, and what is known of the stream they belong to.
struct Packing {
    next: u64,
    outcomes: HashMap<u32, Compressed>,
    /// Bytes of the current stream so far.
    length: u64,
    units: Vec<u8>,
    chunks: Vec<u32>,
}

/// Writes all streams that are to be compressed; gives how each turned out, and the cluster behind the last.
pub(super) fn write(
    plan: &Plan,
    mover: &Mover<'_>,
    target: &dyn WriteAt,
    threads: usize,
    progress: &dyn Progress,
) -> Result<(HashMap<u32, Compressed>, u64), PopulateError> {
    let core = &plan.core;
    let packing = Mutex::new(Packing {
        next: plan.data_end,
        outcomes: HashMap::new(),
        length: 0,
        units: Vec::new(),
        chunks: Vec::new(),
    });
    let mut streams = plan.compressed.iter();
    let mut current: Option<Item<'_>> = None;
    let items = std::iter::from_fn(|| {
        let item = match current.take() {
            Some(item) if item.piece < item.stream.content.pieces() => item,
            _ => {
                let number = *streams.next()?;
                Item {
                    stream: Arc::new(Stream {
                        content: LargeStream::new(core, number, 0, None),
                        is_lznt1: Core::is_lznt1(&core.tree.streams[number as usize]),
                        decided: AtomicU64::new(0),
                        is_worth_while: AtomicBool::new(true),
                    }),
                    piece: 0,
                }
            }
        };
        current = Some(Item {
            stream: item.stream.clone(),
            piece: item.piece + 1,
        });
        Some(item)
    });
    ordered::run_and_settle(
        target,
        threads,
        progress,
        items,
        |item, output, turns| compress(core, mover, &item, output, turns),
        |piece, output| {
            let mut packing = packing.lock().unwrap_or_else(PoisonError::into_inner);
            packing.settle(core, &piece, output);
        },
    )?;
    let packing = packing.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((packing.outcomes, packing.next))
}

/// Reads a piece and replaces it by its compressed form.
fn compress<'a>(
    core: &Core,
    mover: &Mover<'a>,
    item: &Item<'a>,
    output: &mut Output,
    turns: &Turns,
) -> Result<Piece, Failed> {
    let stream = &*item.stream;
    mover.large(&stream.content, item.piece, false, output, turns)?;
    let size = core.tree.streams[stream.content.number as usize].size;
    let is_only = stream.content.pieces() == 1;
    let parts = if stream.is_lznt1 {
        Parts::Units(compress_units(core, &mut output.bytes))
    } else {
        if item.piece > 0 {
            turns.wait_for(&stream.decided, 1)?;
        }
        let mut parts = Parts::Plain;
        if item.piece == 0 || stream.is_worth_while.load(Ordering::Acquire) {
            let (bytes, chunks) = compress_chunks(&output.bytes);
            let is_worth_while = if is_only {
                let whole = wof_encoder::table_size(size) + bytes.len() as u64;
                core.clusters_for(whole) < core.clusters_for(size)
            } else {
                (bytes.len() as u64) * 100 <= output.bytes.len() as u64 * (100 - LEAST_SAVING)
            };
            if item.piece > 0 || is_worth_while {
                output.bytes = bytes;
                parts = Parts::Chunks(chunks);
            }
            if item.piece == 0 {
                stream.is_worth_while.store(is_worth_while, Ordering::Release);
                turns.step(&stream.decided);
            }
        }
        parts
    };
    Ok(Piece {
        stream: stream.content.number,
        size,
        is_first: item.piece == 0,
        is_last: item.piece + 1 == stream.content.pieces(),
        parts,
    })
}

/// Compresses a piece by LZNT1, each unit to whole clusters; gives how many each takes: all 16 where it is stored as it is,
/// none where it is zero.
fn compress_units(core: &Core, bytes: &mut Vec<u8>) -> Vec<u8> {
    let cluster = core.cluster_size as usize;
    let unit = core.compression_unit() as usize;
    let mut encoder = Lznt1Encoder::default();
    let mut packed = Vec::with_capacity(bytes.len());
    let mut sizes = Vec::new();
    for content in bytes.chunks(unit) {
        let start = packed.len();
        if !is_zero(content) {
            encoder.encode(content, &mut packed);
            if packed.len() - start > unit - cluster {
                packed.truncate(start);
                packed.extend_from_slice(content);
                packed.resize(start + unit, 0);
            }
        }
        packed.resize(start + (packed.len() - start).next_multiple_of(cluster), 0);
        sizes.push(((packed.len() - start) / cluster) as u8);
    }
    *bytes = packed;
    sizes
}

/// Compresses a piece by XPRESS; gives the chunks and the size of each.
fn compress_chunks(bytes: &[u8]) -> (Vec<u8>, Vec<u32>) {
    const { assert!(PIECE.is_multiple_of(wof_encoder::CHUNK as u64)) };
    let mut encoder = XpressEncoder::default();
    let mut packed = Vec::with_capacity(bytes.len());
    let chunks = bytes
        .chunks(wof_encoder::CHUNK)
        .map(|chunk| {
            let start = packed.len();
            if !encoder.encode(chunk, &mut packed) {
                packed.extend_from_slice(chunk);
            }
            (packed.len() - start) as u32
        })
        .collect();
    (packed, chunks)
}

impl Packing {
    /// Says where the piece's bytes go, and notes how its stream turned out when it is the last.
    fn settle(&mut self, core: &Core, piece: &Piece, output: &mut Output) {
        let is_wof = matches!(piece.parts, Parts::Chunks(_));
        if piece.is_first {
            self.length = if is_wof { wof_encoder::table_size(piece.size) } else { 0 };
            self.units.clear();
            self.chunks.clear();
        }
        output.offset = core.offset(self.next) + self.length;
        self.length += output.bytes.len() as u64;
        match &piece.parts {
            Parts::Units(units) => self.units.extend_from_slice(units),
            Parts::Chunks(chunks) => self.chunks.extend_from_slice(chunks),
            Parts::Plain => {}
        }
        if !piece.is_last {
            return;
        }
        let lcn = self.next;
        self.next += core.clusters_for(self.length);
        let outcome = match piece.parts {
            Parts::Units(_) => Compressed::Lznt1 {
                lcn,
                units: self.units.as_slice().into(),
            },
            Parts::Chunks(_) => {
                let table = wof_encoder::table(piece.size, self.chunks.iter().copied());
                output.also.push((core.offset(lcn), table));
                Compressed::Wof { lcn, size: self.length }
            }
            Parts::Plain => Compressed::Plain { lcn },
        };
        self.outcomes.insert(piece.stream, outcome);
    }
}
