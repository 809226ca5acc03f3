//! The merged view: `mount`, `run`, `attach`, `detach`, `status`, `explain` on a live stack.

pub mod attach;
pub mod detach;
pub mod run;
pub mod start;
pub mod status;

use anyhow::bail;
use layerfs::control::{self, Reply, Request};
use std::path::Path;

/// Asks a mount; what it could not do is an error.
fn ask(mountpoint: &Path, request: &Request) -> anyhow::Result<Reply> {
    match control::ask(mountpoint, request)? {
        Reply::Failed { message } => bail!(message),
        reply => Ok(reply),
    }
}
