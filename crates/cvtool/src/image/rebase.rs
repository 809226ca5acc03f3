//! `cvtool image rebase`.

use super::source::Opening;
use crate::Outcome;
use crate::progress::Bar;
use anyhow::Context;
use clap::Args;
use cv_image::{flatten, rebase, relink};
use std::path::PathBuf;
use std::sync::Arc;

/// What to rebase.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The differencing image
    image: PathBuf,

    /// The new parent
    #[arg(long, value_name = "IMAGE", required_unless_present = "none")]
    parent: Option<PathBuf>,

    /// Need no parent any more: copy into the image what it has from its parents
    #[arg(long, conflicts_with_all = ["parent", "relink"])]
    none: bool,

    /// Only note where the parent is now: it was moved or renamed, its content is the same
    #[arg(long)]
    relink: bool,

    /// With --relink, take a parent whose identity is not the one that the image was made on
    #[arg(long, requires = "relink")]
    force: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Rebases; the disk's content stays the same.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.image.display().to_string();
        let options = self.opening.options(&self.image)?;
        match &self.parent {
            Some(parent) => {
                let parent = Arc::new(self.opening.open(parent)?);
                if self.relink {
                    relink(&self.image, &parent, self.force, &options).with_context(name)?;
                } else {
                    rebase(&self.image, &parent, &options, &Bar::new("Rebasing")).with_context(name)?;
                }
            }
            None => flatten(&self.image, &options, &Bar::new("Copying")).with_context(name)?,
        }
        Ok(Outcome::Done)
    }
}
