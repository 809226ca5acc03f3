//! What is kept of every record in use: enough to compare it with the indexes and the bitmaps, in some 60 bytes.

use crate::structure::FileReference;
use bitflags::bitflags;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

bitflags! {
    /// What a record is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(super) struct Kind: u8 {
        /// It belongs to a file.
        const IN_USE = 0x01;
        /// It is a further record of a file.
        const EXTENSION = 0x02;
        /// It has an `$I30` index.
        const DIRECTORY = 0x04;
        /// It has another index.
        const VIEW_INDEX = 0x08;
        /// It cannot be read in full, so that nothing can be said of what it lacks.
        const DAMAGED = 0x10;
        /// The attribute list of its file names it.
        const LISTED = 0x20;
        /// What it says takes other records, or clusters, to know.
        const DEFERRED = 0x40;
    }
}

/// What is kept of a record.
#[derive(Debug, Default)]
pub(super) struct RecordState {
    /// The names in the record, summed up, less those in the indexes: 0 where they are the same.
    pub names: AtomicU64,
    /// Its directory; of a further record, the file's first.
    pub parent: FileReference,
    /// Bytes of the unnamed stream.
    pub file_size: u64,
    /// Bytes of that stream's clusters.
    pub allocated: u64,
    /// File attributes in `$STANDARD_INFORMATION`.
    pub file_attributes: u32,
    /// Number of its security descriptor in `$Secure`.
    pub security_id: u32,
    /// Its sequence number.
    pub sequence: u16,
    /// What it is.
    pub kind: Kind,
}

impl RecordState {
    /// Adds the hash of a name in the record.
    pub fn add_name(&mut self, hash: u64) {
        let names = self.names.get_mut();
        *names = names.wrapping_add(hash);
    }

    /// Takes away the hash of a name in an index.
    pub fn remove_name(&self, hash: u64) {
        self.names.fetch_sub(hash, Ordering::Relaxed);
    }

    /// Whether the names in the record and in the indexes differ.
    pub fn names_differ(&self) -> bool {
        self.names.load(Ordering::Relaxed) != 0
    }
}

/// Records kept together, one word of a bitmap.
pub(super) const PAGE: u64 = 64;

/// The records in use, by number.
#[derive(Debug, Default)]
pub(super) struct Records {
    pages: BTreeMap<u64, Box<[RecordState]>>,
}

impl Records {
    /// Keeps `state`.
    pub fn insert(&mut self, number: u64, state: RecordState) {
        let page = self
            .pages
            .entry(number / PAGE)
            .or_insert_with(|| (0..PAGE).map(|_| RecordState::default()).collect());
        page[(number % PAGE) as usize] = state;
    }

    /// The record, where it is in use.
    pub fn get(&self, number: u64) -> Option<&RecordState> {
        let state = self.pages.get(&(number / PAGE))?.get((number % PAGE) as usize)?;
        state.kind.contains(Kind::IN_USE).then_some(state)
    }

    /// The record, where it is in use, to be changed.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut RecordState> {
        let state = self
            .pages
            .get_mut(&(number / PAGE))?
            .get_mut((number % PAGE) as usize)?;
        state.kind.contains(Kind::IN_USE).then_some(state)
    }

    /// The records in use, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &RecordState)> {
        self.pages.iter().flat_map(|(page, states)| {
            let in_use = states.iter().enumerate();
            in_use
                .filter(|(_, state)| state.kind.contains(Kind::IN_USE))
                .map(move |(within, state)| (page * PAGE + within as u64, state))
        })
    }

    /// The pages that hold records in use, with their bits.
    pub fn words(&self) -> impl Iterator<Item = (u64, u64)> {
        self.pages.iter().map(|(page, states)| (*page, word(states)))
    }
}

fn word(states: &[RecordState]) -> u64 {
    let bits = states.iter().enumerate();
    bits.fold(0, |word, (bit, state)| {
        word | u64::from(state.kind.contains(Kind::IN_USE)) << bit
    })
}
