//! `cvtool image map`.

use super::source::Opening;
use crate::{Outcome, print};
use clap::Args;
use cv_disk::ExtentKind;
use cv_image::Piece;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// What to list.
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
    /// Lists the extents in ascending order.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let image = self.opening.open(&self.image)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        if self.json {
            writeln!(out, "[")?;
        } else {
            writeln!(out, "{:>18} {:>18}  kind  file", "start", "length")?;
        }
        let mut first = true;
        for piece in image.map() {
            let Piece { extent, depth, file } = piece?;
            let kind = match extent.kind {
                ExtentKind::Data => "data",
                ExtentKind::Zero => "zero",
                ExtentKind::Hole => "hole",
            };
            if self.json {
                let separator = if first { "" } else { ",\n" };
                let line = json!({
                    "start": extent.start, "length": extent.length, "kind": kind, "depth": depth, "file": file,
                });
                write!(out, "{separator}{line}")?;
                first = false;
            } else {
                let file = file
                    .map(|file| print::printable(&file.display().to_string()))
                    .unwrap_or_default();
                writeln!(out, "{:>#18x} {:>#18x}  {kind}  {file}", extent.start, extent.length)?;
            }
        }
        if self.json {
            writeln!(out, "\n]")?;
        }
        out.flush()?;
        Ok(Outcome::Done)
    }
}
