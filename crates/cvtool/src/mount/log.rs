//! What happens to mounts, as lines on standard error: with `-v`, or as far as an environment variable says.

use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::filter::LevelFilter;

/// How much is told: `error`, `warn`, `info`, `debug` or `trace`.
const VARIABLE: &str = "CVTOOL_LOG";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Begins to tell. What the variable says counts before `-v`, which means `info`.
pub fn begin(is_verbose: bool) {
    let said = std::env::var(VARIABLE).ok().and_then(|level| level.parse().ok());
    let level = said.unwrap_or(if is_verbose {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    });
    if level == LevelFilter::OFF {
        return;
    }
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    IS_ON.store(subscriber.try_init().is_ok(), Ordering::Relaxed);
}

/// Whether something is told.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}
