//! Layers written, read, verified, and judged by other tools.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod round_trip;
mod support;
