//! `cvtool image compare`.

use super::source::Opening;
use crate::progress::Bar;
use crate::{Outcome, print};
use clap::Args;
use cv_disk::ReadAt;
use cv_image::first_difference;
use serde_json::json;
use std::path::PathBuf;

/// What to compare.
#[derive(Debug, Args)]
pub struct Arguments {
    /// One image
    first: PathBuf,

    /// The other
    second: PathBuf,

    /// Count different sizes as a difference, even where the longer disk ends in zeros
    #[arg(long)]
    strict: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Compares, and tells the first difference.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let first = self.opening.open(&self.first)?;
        let second = self.opening.open(&self.second)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let difference = first_difference(&first, &second, threads, &Bar::new("Comparing"))?;
        let same_size = first.len() == second.len();
        let identical = difference.is_none() && (same_size || !self.strict);
        if self.json {
            print::json(&json!({
                "identical": identical,
                "first_difference": difference,
                "sizes": [first.len(), second.len()],
            }))?;
        } else if let Some(offset) = difference {
            println!("the disks differ first at byte {offset} ({offset:#x})");
        } else if !same_size {
            println!(
                "the disks are the same but for zeros at the end: {} and {} bytes",
                first.len(),
                second.len()
            );
        }
        Ok(if identical { Outcome::Done } else { Outcome::Found })
    }
}
