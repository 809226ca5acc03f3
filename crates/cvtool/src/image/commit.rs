//! `cvtool image commit`.

use super::source::Opening;
use crate::Outcome;
use crate::progress::Bar;
use anyhow::Context;
use clap::Args;
use cv_image::commit;
use std::path::PathBuf;

/// What to commit.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The differencing image; it is empty afterwards and still a child of its parent
    image: PathBuf,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Commits, with a progress bar.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let options = self.opening.options(&self.image)?;
        commit(&self.image, &options, &Bar::new("Committing")).with_context(|| self.image.display().to_string())?;
        Ok(Outcome::Done)
    }
}
