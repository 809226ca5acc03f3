//! The merged view, mounted: what programs see and what their writes leave behind.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod judged;
mod live;
mod model;
mod packed;
mod policy;
mod programs;
mod registry;
mod semantics;
mod suites;
mod support;
mod trust;
mod union;
mod windows;
