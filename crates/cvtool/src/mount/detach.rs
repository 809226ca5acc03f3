//! `cvtool detach`.

use super::{ask, tell_scripts};
use crate::{Outcome, print};
use anyhow::bail;
use clap::Args;
use layerfs::control::{Reply, Request};
use std::path::PathBuf;

/// Which layer, and from which mount.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mount
    mountpoint: PathBuf,

    /// The layer: its disk image, its name, its id, or its number in `cvtool status`
    layer: String,

    /// Even while files of it are open; those stay readable until they are closed
    #[arg(long)]
    force: bool,

    /// Run the layer's scripts on-disable and on-detach before, as the user who mounted
    #[arg(long)]
    run_scripts: bool,
}

impl Arguments {
    /// Detaches.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let request = Request::Detach {
            layer: self.layer.clone(),
            force: self.force,
            run_scripts: self.run_scripts,
        };
        match ask(&self.mountpoint, &request)? {
            Reply::Detached { scripts, .. } => Ok(tell_scripts(&scripts)),
            Reply::InUse { holders } => {
                let open: Vec<String> = holders
                    .iter()
                    .map(|held| {
                        let pids: Vec<String> = held.pids.iter().map(ToString::to_string).collect();
                        format!("{} by process {}", print::printable(&held.path), pids.join(", "))
                    })
                    .collect();
                bail!(
                    "{} is in use: {}; --force detaches it nevertheless",
                    self.layer,
                    open.join("; ")
                )
            }
            _ => bail!("the mount gave another answer than expected"),
        }
    }
}
