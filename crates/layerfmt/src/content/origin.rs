//! Where the bytes of streams come from.

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
