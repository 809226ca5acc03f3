//! Layers written, read, verified, and judged by other tools.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod damaged;
mod diff;
mod manifest_schema;
mod oci;
mod registry_judged;
mod round_trip;
mod sign;
#[cfg(target_os = "linux")]
mod sources;
mod squash;
mod stack;
mod support;
mod verified;
