//! `cvtool squash`.

use super::output::{LayerOutput, open};
use crate::image::source::Opening;
use crate::{Outcome, print};
use clap::Args;
use layerfmt::squash::{Part, squash};
use std::path::PathBuf;

/// What to make one.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layers in the order in which they are attached: the later stands above the earlier
    #[arg(required = true)]
    layers: Vec<PathBuf>,

    /// The new layer; a file there is replaced
    #[arg(short, long, value_name = "LAYER")]
    output: PathBuf,

    /// The new layer's name; without it that of the topmost
    #[arg(long)]
    name: Option<String>,

    /// The new layer's version; without it that of the topmost
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,

    #[command(flatten)]
    written: LayerOutput,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Makes one layer of them.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let mut parts = Vec::with_capacity(self.layers.len());
        let mut format = None;
        for path in &self.layers {
            let (layer, container) = open(path, &self.opening)?;
            format = Some((container, None));
            parts.push(Part {
                name: path.display().to_string(),
                layer,
            });
        }
        let mut squashed = squash(&parts)?;
        let manifest = &mut squashed.content.manifest;
        if let Some(name) = &self.name {
            manifest.name.clone_from(name);
        }
        if let Some(version) = &self.app_version {
            manifest.version.clone_from(version);
        }
        for warning in &squashed.warnings {
            print::warn(&print::printable(warning));
        }
        self.written.write(&squashed.content, &self.output, format)?;
        Ok(Outcome::Done)
    }
}
