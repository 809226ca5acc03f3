//! Waiting for stable storage together.

use cv_disk::{WriteAt, WriteError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets threads that each need their writes flushed share the flushes.
#[derive(Debug, Default)]
pub(super) struct Stability {
    flushes: Mutex<Flushes>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct Flushes {
    started: u64,
    succeeded: u64,
    running: bool,
}

impl Stability {
    /// Returns when everything that was written to `file` before the call is on stable storage.
    pub fn reach(&self, file: &dyn WriteAt) -> Result<(), WriteError> {
        let mut flushes = self.lock();
        // A flush under way may have begun before the last write; the next one has not.
        let needed = flushes.started + 1;
        while flushes.succeeded < needed {
            if flushes.running {
                flushes = self.finished.wait(flushes).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            flushes.running = true;
            flushes.started += 1;
            let number = flushes.started;
            drop(flushes);
            let outcome = file.flush();
            flushes = self.lock();
            flushes.running = false;
            if outcome.is_ok() {
                flushes.succeeded = number;
            }
            self.finished.notify_all();
            outcome?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
