//! `cvtool import`.

use super::output::LayerOutput;
use crate::{Outcome, progress};
use anyhow::Context;
use clap::Args;
use cv_disk::Progress;
use layerfmt::Content;
use layerfmt::oci::{read_image, read_tar};
use std::path::PathBuf;

/// What to import.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A tar of a Windows container's layer, plain or packed by gzip or zstd; the folder of an OCI image; or a plain folder
    /// with Files and Hives
    source: PathBuf,

    /// The new layer; a file there is replaced
    #[arg(short, long, value_name = "LAYER")]
    output: PathBuf,

    /// Which layer of an image with several, from 1
    #[arg(long = "layer", value_name = "NUMBER")]
    number: Option<usize>,

    /// The layer's name
    #[arg(long)]
    name: Option<String>,

    /// The version of what is in it
    #[arg(long, value_name = "VERSION")]
    app_version: Option<String>,

    #[command(flatten)]
    written: LayerOutput,
}

impl Arguments {
    /// Imports it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let bar = progress::Bar::new("Reading");
        let mut content = self.content(&bar).with_context(|| self.source.display().to_string())?;
        drop(bar);
        let manifest = &mut content.manifest;
        for (member, text) in [
            (&mut manifest.name, &self.name),
            (&mut manifest.version, &self.app_version),
        ] {
            if let Some(text) = text {
                member.clone_from(text);
            }
        }
        self.written.write(&content, &self.output, None)?;
        Ok(Outcome::Done)
    }

    fn content(&self, progress: &dyn Progress) -> anyhow::Result<Content> {
        let name = self.name.as_deref();
        if !self.source.is_dir() {
            return Ok(read_tar(&self.source, name, progress)?);
        }
        if self.source.join("oci-layout").is_file() {
            return Ok(read_image(&self.source, self.number, name, progress)?);
        }
        #[cfg(any(target_os = "linux", windows))]
        return Ok(layerfmt::oci::read_folder(&self.source, name, progress)?);
        #[cfg(not(any(target_os = "linux", windows)))]
        anyhow::bail!("folders are read on Linux and Windows alone");
    }
}
