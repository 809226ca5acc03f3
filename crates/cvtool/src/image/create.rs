//! `cvtool image create`.

use super::source::Opening;
use crate::clock::source_date_epoch;
use crate::{Outcome, size};
use anyhow::{Context, bail};
use clap::Args;
use cv_image::{Format, Layout, Origin, create, create_child};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the new image is laid out; shared with `convert`.
#[derive(Debug, Args)]
pub struct Output {
    /// The format: raw, vhd, vhdx or vmdk; without it the output's extension decides
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// The kind within the format. VHD, VHDX: dynamic, fixed. VMDK: monolithicSparse, monolithicFlat,
    /// twoGbMaxExtentSparse, twoGbMaxExtentFlat, vmfs, streamOptimized
    #[arg(long, value_name = "KIND")]
    subformat: Option<String>,

    /// Bytes in a block of a dynamic VHD or VHDX, or in a grain of a VMDK
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    block_size: Option<u64>,

    /// Logical sector size of a VHDX: 512 or 4096
    #[arg(long, value_name = "BYTES", value_parser = size::parse)]
    sector_size: Option<u64>,

    /// A VHD as Azure takes it: fixed, and whole MiB
    #[arg(long)]
    azure: bool,
}

impl Output {
    /// The layout of an image of that name, of the format `otherwise` if neither an option nor the name says one.
    pub fn layout(&self, out: &Path, otherwise: Option<Format>) -> anyhow::Result<Layout> {
        let format = match (self.format.or_else(|| Format::of_name(out)).or(otherwise), self.azure) {
            (Some(Format::Vhd) | None, true) => Format::Vhd,
            (Some(other), true) => bail!("--azure makes a VHD, not a {other}"),
            (Some(format), false) => format,
            (None, false) => bail!("{}: the extension names no format; say --format", out.display()),
        };
        Ok(Layout {
            format,
            subformat: self.subformat.clone(),
            block_size: self.block_size,
            sector_size: self.sector_size,
            azure: self.azure,
            origin: origin(out)?,
        })
    }
}

/// Random identities and the clock's time, unless `SOURCE_DATE_EPOCH` asks for an output that is the same every time.
fn origin(out: &Path) -> anyhow::Result<Origin> {
    Ok(match source_date_epoch()? {
        Some(seconds) => Origin::reproducible(seconds, out.file_name().unwrap_or_default().to_string_lossy()),
        None => Origin::now(),
    })
}

/// What to make.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The new image; a file there is replaced
    out: PathBuf,

    /// Size of the disk, such as 40G; a child has its parent's unless told
    #[arg(value_parser = size::parse, required_unless_present = "parent")]
    size: Option<u64>,

    /// Make a differencing child of this image
    #[arg(long, value_name = "IMAGE")]
    parent: Option<PathBuf>,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    opening: Opening,
}

impl Arguments {
    /// Makes the image.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.out.display().to_string();
        if let Some(parent) = &self.parent {
            let parent = Arc::new(self.opening.open(parent)?);
            let layout = self.output.layout(&self.out, Some(parent.format()))?;
            create_child(&self.out, &parent, self.size, &layout).with_context(name)?;
        } else if let Some(size) = self.size {
            create(&self.out, size, &self.output.layout(&self.out, None)?).with_context(name)?;
        }
        Ok(Outcome::Done)
    }
}
