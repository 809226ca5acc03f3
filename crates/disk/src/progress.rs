//! Telling a long operation's caller how far it is, and being told to stop.

/// The caller asked a long operation to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Where a long operation reports to.
pub trait Progress: Send + Sync {
    /// The whole work is `bytes` long; said once, before the first [`advance`](Self::advance).
    fn begin(&self, bytes: u64);

    /// Another `bytes` of the work are done. An error makes the operation stop and clean up.
    fn advance(&self, bytes: u64) -> Result<(), Cancelled>;
}

/// A [`Progress`] that nobody watches and that never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _bytes: u64) {}

    fn advance(&self, _bytes: u64) -> Result<(), Cancelled> {
        Ok(())
    }
}
