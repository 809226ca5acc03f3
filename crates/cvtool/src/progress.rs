//! The progress bar.

use crate::interrupt;
use cv_disk::{Cancelled, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error with throughput, shown on a terminal for what takes over a second; also where Ctrl-C
/// reaches the work.
#[derive(Debug)]
pub struct Bar {
    what: &'static str,
    started: Instant,
    total: AtomicU64,
    done: AtomicU64,
    drawn: OnceLock<ProgressBar>,
}

impl Bar {
    /// A bar for the work that `what` names, such as "Converting".
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            started: Instant::now(),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
            drawn: OnceLock::new(),
        }
    }

    fn draw(&self, done: u64) {
        let bar = self.drawn.get_or_init(|| {
            let total = self.total.load(Ordering::Relaxed);
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = "{msg} [{bar:30}] {percent:>3}% {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(self.what);
            bar.with_elapsed(self.started.elapsed())
        });
        bar.set_position(done);
    }
}

impl Progress for Bar {
    fn begin(&self, bytes: u64) {
        self.total.store(bytes, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) -> Result<(), Cancelled> {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.started.elapsed() >= PATIENCE && std::io::stderr().is_terminal() {
            self.draw(done);
        }
        if interrupt::asked() { Err(Cancelled) } else { Ok(()) }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.drawn.get() {
            bar.finish_and_clear();
        }
    }
}
