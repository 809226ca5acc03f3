//! The parts of streams that were verified lately, so that a reader of small pieces does not have the same block hashed again
//! and again. What it holds is bounded, however many files are open.

use crate::view::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Bytes kept at most.
const LIMIT: usize = 16 << 20;

/// Which part of which stream: the verifier's number, the stream's place in its table, and where the part begins.
pub(super) type Part = (u64, usize, u64);

/// What was verified lately.
#[derive(Debug, Default)]
pub struct VerifiedCache {
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    /// The latest last. A block has 64 KiB and a small stream at most 1 MiB, so there are some hundred.
    latest: VecDeque<(Part, Arc<[u8]>)>,
    bytes: usize,
}

impl VerifiedCache {
    pub(super) fn get(&self, part: Part) -> Option<Arc<[u8]>> {
        let parts = lock(&self.parts);
        let found = parts.latest.iter().rev().find(|(other, _)| *other == part);
        found.map(|(_, bytes)| bytes.clone())
    }

    pub(super) fn put(&self, part: Part, bytes: Arc<[u8]>) {
        let mut parts = lock(&self.parts);
        // An empty or tiny stream counts as a page, so that their number is bounded as well.
        parts.bytes += bytes.len().max(4096);
        parts.latest.push_back((part, bytes));
        while parts.bytes > LIMIT {
            match parts.latest.pop_front() {
                Some((_, gone)) => parts.bytes -= gone.len().max(4096),
                None => break,
            }
        }
    }
}
