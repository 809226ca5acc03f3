//! `cvtool image info`.

use super::source::Opening;
use crate::{Outcome, print};
use anyhow::Context;
use clap::Args;
use cv_image::Image;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

/// What to show.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The image
    image: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Shows the image and its chain.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let chain = Image::describe(&self.image, &self.opening.options(&self.image)?)
            .with_context(|| self.image.display().to_string())?;
        if self.json {
            let mut links = chain.links.iter().map(print::facts_to_json);
            let mut json = links.next().unwrap_or_default();
            json["chain"] = links.collect();
            json["chain_error"] = chain
                .broken
                .as_ref()
                .map_or(serde_json::Value::Null, |error| json!(error));
            print::json(&json)?;
        } else {
            let mut out = std::io::stdout().lock();
            for (depth, link) in chain.links.iter().enumerate() {
                if depth > 0 {
                    writeln!(out, "\nparent {depth}:")?;
                }
                print::facts(&mut out, link, if depth > 0 { 2 } else { 0 })?;
            }
            if let Some(error) = &chain.broken {
                writeln!(out, "\nparent {}: {}", chain.links.len(), print::printable(error))?;
            }
        }
        Ok(Outcome::Done)
    }
}
