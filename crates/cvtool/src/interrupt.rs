//! Ctrl-C: long operations ask here whether to stop, and clean up by themselves when they do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whom to tell at once.
static LISTENER: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Begins to notice Ctrl-C and a polite kill.
pub fn listen() {
    // Without a handler the signal ends the process at once, which is all that could be done here as well.
    let _ = ctrlc::set_handler(|| {
        ASKED.store(true, Ordering::Relaxed);
        if let Some(listener) = &*LISTENER.lock().unwrap_or_else(PoisonError::into_inner) {
            listener();
        }
    });
}

/// Has `listener` called when the user asks to stop, for what waits instead of asking.
#[cfg(target_os = "linux")]
pub fn tell(listener: impl Fn() + Send + 'static) {
    *LISTENER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(listener));
}

/// Whether the user asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}
