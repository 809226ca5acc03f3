//! `cvtool attach`.

use super::ask;
use crate::Outcome;
use anyhow::{Context, bail};
use clap::Args;
use layerfs::control::{Reply, Request};
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

    /// Print how it went as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Attaches.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let full = |path: &PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        let request = Request::Attach {
            image: full(&self.layer)?,
            priority: self.priority,
            allow: self.allow.iter().map(full).collect::<Result<_, _>>()?,
        };
        let Reply::Attached(timeline) = ask(&self.mountpoint, &request)? else {
            bail!("the mount gave another answer than expected");
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&timeline)?);
        }
        Ok(Outcome::Done)
    }
}
