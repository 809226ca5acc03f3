//! Large streams that are hashed together: SHA-256 of one stream keeps a core busy for long, that of several takes little more.

use super::core::Core;
use super::large::LargeStream;
use super::ordered::{Failed, Output, Turns};
use super::streams::{self, Made, Mover, Wanted};
use super::tree::StreamId;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};

/// Bytes of each stream that are moved in one step: whole blocks and grains of most containers.
const PIECE: u64 = 256 << 10;

/// What one core hashes of a stream by itself, of a stream beside others, and of all that are side by side, about, in MB/s. It
/// decides what is done how, so it is the same on every machine: containers get their room in the order of the work.
const ALONE: u64 = 300;
const BESIDE_OTHERS: u64 = 190;
const ALL_LANES: u64 = 2000;

/// How many of some streams, the largest first, one core is to hash by themselves while another has the rest side by side.
fn alone(sizes: &[u64]) -> usize {
    let mut beside: u64 = sizes.iter().sum();
    let mut by_themselves = 0;
    let costs = (0..=sizes.len()).map(|count| {
        let size = sizes.get(count).copied().unwrap_or(0);
        let cost = (size / BESIDE_OTHERS)
            .max(beside / ALL_LANES)
            .max(by_themselves / ALONE);
        beside -= size;
        by_themselves += size;
        (cost, count)
    });
    costs.min().map_or(0, |(_, count)| count)
}

/// Takes the streams that are to be hashed by themselves from `streams`, each given by its number and first cluster.
pub(super) fn take_alone<'a>(core: &Core, streams: &mut Vec<(u32, u64)>) -> Vec<Arc<LargeStream<'a>>> {
    let size = |number: u32| core.tree.streams[number as usize].size;
    // The largest begin, so that none of them is left alone at the end.
    streams.sort_by_key(|(number, _)| std::cmp::Reverse(size(*number)));
    let sizes: Vec<u64> = streams.iter().map(|(number, _)| size(*number)).collect();
    let taken = streams.drain(..alone(&sizes));
    taken
        .map(|(number, lcn)| Arc::new(LargeStream::aligned(core, number, lcn, streams::PIECE)))
        .collect()
}

/// The next pieces of several streams.
pub(super) struct Step<'a> {
    number: u64,
    /// The step whose turn it is.
    turn: Arc<AtomicU64>,
    pieces: Vec<(Arc<LargeStream<'a>>, u64)>,
}

/// All pieces of some streams, each given by its number and first cluster. Which are together does not depend on the machine.
pub(super) fn steps<'a>(core: &'a Core, streams: Vec<(u32, u64)>) -> impl Iterator<Item = Step<'a>> + Send + 'a {
    let mut streams = streams.into_iter();
    let mut moving: Vec<(Arc<LargeStream<'a>>, u64)> = Vec::new();
    let turn = Arc::new(AtomicU64::new(0));
    let mut number = 0;
    std::iter::from_fn(move || {
        moving.retain(|(stream, next)| *next < stream.pieces());
        // As many as there are lanes, or smaller ones that follow each other in a lane.
        let length = |stream: &LargeStream<'_>| core.tree.streams[stream.number as usize].size.min(PIECE);
        let mut filled: u64 = moving.iter().map(|(stream, _)| length(stream)).sum();
        while filled < cv_sha256::LANES as u64 * PIECE
            && let Some((number, lcn)) = streams.next()
        {
            let stream = Arc::new(LargeStream::aligned(core, number, lcn, PIECE));
            filled += length(&stream);
            moving.push((stream, 0));
        }
        if moving.is_empty() {
            return None;
        }
        let step = Step {
            number,
            turn: turn.clone(),
            pieces: moving.clone(),
        };
        number += 1;
        for (_, next) in &mut moving {
            *next += 1;
        }
        Some(step)
    })
}

impl<'a> Mover<'a> {
    /// Reads and hashes the pieces of a step.
    pub fn side_by_side(&self, step: &Step<'a>, output: &mut Output, turns: &Turns) -> Result<(), Failed> {
        output.begin_empty();
        let mut done = 0;
        for (stream, number) in &step.pieces {
            let piece = stream.piece(*number);
            let wanted = Wanted {
                sum: false,
                ..self.wanted(stream.number)
            };
            let bytes = output.also(piece.offset, piece.length as usize);
            self.piece(stream, *number, wanted, bytes, turns)?;
            done += self.done(stream, piece);
        }
        output.done = done;
        turns.wait_for(&step.turn, step.number)?;
        let sums = step.pieces.iter();
        let mut sums: Vec<_> = sums
            .map(|(stream, _)| stream.sum.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let pieces = output.also.iter().map(|(_, bytes)| bytes.as_slice());
        cv_sha256::update_all(sums.iter_mut().map(|sum| &mut **sum).zip(pieces));
        let ended = sums.iter_mut().zip(&step.pieces);
        let ended = ended.filter(|(_, (stream, number))| stream.is_last(*number));
        self.keep(ended.map(|(sum, (stream, _))| Made {
            stream: StreamId(stream.number),
            sum: Some(std::mem::take(&mut **sum).finish()),
            tree: None,
        }));
        drop(sums);
        turns.step(&step.turn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::alone;

    #[test]
    fn what_would_end_long_after_the_others_is_hashed_by_itself() {
        const MB: u64 = 1_000_000;
        assert_eq!(alone(&[]), 0);
        assert_eq!(alone(&[27 * MB, 13 * MB, 12 * MB, 12 * MB, 8 * MB, 2 * MB]), 1);
        assert_eq!(alone(&[10 * MB]), 1);
        assert_eq!(alone(&[10 * MB; 8]), 0);
    }
}
