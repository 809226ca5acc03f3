//! `cvtool image convert`.

use super::create::Output;
use super::source::Opening;
use crate::Outcome;
use crate::progress::Bar;
use anyhow::Context;
use clap::Args;
use cv_image::convert;
use std::path::PathBuf;

/// What to convert.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image to read, with its chain
    image: PathBuf,

    /// The image to write; a file there is replaced when the new one is complete
    out: PathBuf,

    /// Threads to work with
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Converts, with a progress bar.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let layout = self.output.layout(&self.out, None)?;
        let source = self.opening.open(&self.image)?;
        convert(&source, &self.out, &layout, self.threads, &Bar::new("Converting"))
            .with_context(|| format!("{} to {}", self.image.display(), self.out.display()))?;
        Ok(Outcome::Done)
    }
}
