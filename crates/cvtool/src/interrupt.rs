//! Ctrl-C: long operations ask here whether to stop, and clean up by themselves when they do.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Begins to notice Ctrl-C and a polite kill.
pub fn listen() {
    // Without a handler the signal ends the process at once, which is all that could be done here as well.
    let _ = ctrlc::set_handler(|| ASKED.store(true, Ordering::Relaxed));
}

/// Whether the user asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
