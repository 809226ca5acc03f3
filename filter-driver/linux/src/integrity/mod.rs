//! Whether a layer is what it was, and made by somebody trusted: its signature when it is attached, and on request every byte
//! when it is read.

mod cache;
mod signature;
mod verifier;

pub use cache::VerifiedCache;
pub use signature::{Signature, TrustError, judge};
pub use verifier::{VerifiedStream, Verifier};

use crate::events::EventLog;
use layerfmt::sign::TrustFile;
use std::sync::Arc;

/// What is asked of layers.
#[derive(Debug, Clone, Default)]
pub struct Integrity {
    /// The keys that are accepted: a layer that none of them signed is not attached. `None` to attach any layer.
    pub trust: Option<Arc<TrustFile>>,
    /// Whether every byte that is read from a layer is held against its index.
    pub verify_reads: bool,
    /// What was verified lately.
    pub cache: Arc<VerifiedCache>,
    /// Where it is told what was found damaged.
    pub events: Arc<EventLog>,
}

impl Integrity {
    /// Whether the index must be the one that the manifest means.
    pub fn is_index_checked(&self) -> bool {
        self.trust.is_some() || self.verify_reads
    }
}
