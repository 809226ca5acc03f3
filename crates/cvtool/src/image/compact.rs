//! `cvtool image compact`.

use super::source::Opening;
use crate::progress::Bar;
use crate::{Outcome, size};
use anyhow::Context;
use clap::Args;
use cv_image::compact;
use std::path::PathBuf;

/// What to compact.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image
    image: PathBuf,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Compacts, and tells what was won.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.image.display().to_string();
        let options = self.opening.options(&self.image)?;
        let outcome = compact(&self.image, &options, &Bar::new("Compacting")).with_context(name)?;
        println!(
            "{}: {} before, {} now",
            name(),
            size::human(outcome.before),
            size::human(outcome.after)
        );
        Ok(Outcome::Done)
    }
}
