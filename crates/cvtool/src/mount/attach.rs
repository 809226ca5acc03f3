//! `cvtool attach`.

use super::{ask, tell_scripts};
use crate::Outcome;
use anyhow::{Context, bail};
use clap::Args;
use layerfs::control::{AttachRequest, Reply, Request};
use std::path::PathBuf;

/// Which layer, and to which mount.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The mount
    mountpoint: PathBuf,

    /// The layer's disk image
    layer: PathBuf,

    /// Layers of a higher priority stand above; of equal ones the later attached
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,

    /// Also open parents and extents in this folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,

    /// Run the layer's scripts on-attach and on-enable, as the user who mounted
    #[arg(long)]
    run_scripts: bool,

    /// Print how it went as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Attaches.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let full = |path: &PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        let request = Request::Attach(AttachRequest {
            image: full(&self.layer)?,
            priority: self.priority,
            allow: self.allow.iter().map(full).collect::<Result<_, _>>()?,
            run_scripts: self.run_scripts,
        });
        let Reply::Attached(timeline) = ask(&self.mountpoint, &request)? else {
            bail!("the mount gave another answer than expected");
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&timeline)?);
        }
        Ok(tell_scripts(&timeline.scripts))
    }
}
