//! Where the bytes of streams come from.

use crate::Sha256Sum;
use cv_ntfs::write::{OpenStream, SourceError};
use std::fmt;
use std::sync::Arc;

/// A source of streams: a folder, an archive, a volume. Shared between threads.
pub trait Origin: fmt::Debug + Send + Sync {
    /// Opens the stream that the source knows as `item`. May be asked more than once.
    fn open(&self, item: u64) -> Result<OpenStream<'_>, SourceError>;

    /// The block hashes of the stream, as [`Blocks`](crate::index::Blocks) has them in `layer.blk`, where the source knows
    /// them.
    fn block_hashes(&self, item: u64) -> Result<Option<Vec<u8>>, SourceError> {
        let _ = item;
        Ok(None)
    }

    /// Gives away the stream where it was read before anybody asked, which ends here: what was not read until now is to be
    /// [opened](Self::open).
    fn read_ahead(&self, item: u64) -> Option<ReadAhead> {
        let _ = item;
        None
    }
}

/// A small stream that was read before anybody asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAhead {
    /// All of its bytes: fewer than [`SMALL_STREAM`](cv_ntfs::write::SMALL_STREAM).
    pub bytes: Vec<u8>,
    /// Their hash.
    pub sha256: Sha256Sum,
}

/// The bytes of a stream, or where they are.
#[derive(Debug, Clone)]
pub enum StreamContent {
    /// They are here.
    Bytes(Arc<[u8]>),
    /// An origin has them.
    Origin {
        /// Which one.
        origin: Arc<dyn Origin>,
        /// What it knows them as.
        item: u64,
    },
}
