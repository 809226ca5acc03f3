//! `cvtool image resize`.

use super::source::Opening;
use crate::{Outcome, size};
use anyhow::{Context, bail};
use clap::Args;
use cv_disk::ReadAt;
use cv_image::resize;
use std::path::PathBuf;

/// What to resize.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image
    image: PathBuf,

    /// The new size, such as 80G, or +10G or -10G for so much more or less
    #[arg(allow_hyphen_values = true)]
    size: String,

    /// Allow the disk to become smaller; what lies beyond the new end is lost
    #[arg(long)]
    shrink: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Resizes in place.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let options = self.opening.options(&self.image)?;
        let old = self.opening.open(&self.image)?.len();
        let amount = |text: &str| size::parse(text).map_err(anyhow::Error::msg);
        let new = if let Some(more) = self.size.strip_prefix('+') {
            old.checked_add(amount(more)?).context("the new size is too large")?
        } else if let Some(less) = self.size.strip_prefix('-') {
            old.checked_sub(amount(less)?)
                .context("the disk is smaller than that")?
        } else {
            amount(&self.size)?
        };
        if new < old && !self.shrink {
            bail!(
                "{}: the disk has {}; to cut it to {} and lose what lies beyond, say --shrink",
                self.image.display(),
                size::human(old),
                size::human(new)
            );
        }
        resize(&self.image, new, &options).with_context(|| self.image.display().to_string())?;
        Ok(Outcome::Done)
    }
}
