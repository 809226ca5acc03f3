//! The new layer of a command that makes one of others.

use crate::clock::{now, source_date_epoch};
use crate::image::create::Output as Container;
use crate::image::source::Opening;
use crate::progress;
use crate::sign::password::Password;
use crate::sign::signer::signer;
use crate::volume::source::threads;
use anyhow::Context;
use clap::Args;
use cv_disk::ReadAt;
use cv_image::Format;
use layerfmt::{Content, Layer, WriteOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the new layer is written.
#[derive(Debug, Args)]
pub struct LayerOutput {
    /// Sign it with the secret key in this file; signatures of what it is made of do not hold for it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    password: Password,

    /// Threads that read, hash and write; what is written does not depend on it
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    #[command(flatten)]
    container: Container,
}

impl LayerOutput {
    /// Whether the new layer is signed.
    pub fn signs(&self) -> bool {
        self.key.is_some()
    }

    /// Writes `content` to `target`, in the container that its name or an option says, else in `otherwise`.
    pub fn write(
        &self,
        content: &Content,
        target: &Path,
        otherwise: Option<(Format, Option<String>)>,
    ) -> anyhow::Result<()> {
        let (format, subformat) = otherwise.unzip();
        let mut layout = self.container.layout(target, format)?;
        if format == Some(layout.format) {
            layout.subformat = layout.subformat.or(subformat.flatten());
        }
        let mut options = WriteOptions::new(layout.format);
        options.container = layout;
        // A layer changed now is of now, not of the time of its newest file.
        options.created = Some(now()?.to_unix().0);
        options.threads = self.threads.unwrap_or_else(threads).max(1);
        if let Some(key) = &self.key {
            options.signer = Some(signer(key, &self.password, source_date_epoch()?)?);
        }
        let bar = progress::Bar::new("Writing");
        layerfmt::write(content, target, &options, &bar).with_context(|| target.display().to_string())?;
        Ok(())
    }
}

/// Opens the layer in an image; also gives the container that it is in.
pub fn open(path: &Path, opening: &Opening) -> anyhow::Result<(Layer, Format)> {
    let image = opening.open(path)?;
    let format = image.format();
    let disk: Arc<dyn ReadAt> = Arc::new(image);
    let layer = Layer::open(&disk).with_context(|| path.display().to_string())?;
    Ok((layer, format))
}
