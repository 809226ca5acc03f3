//! The image that a command reads or changes, and what it may open besides.

use anyhow::{Context, anyhow};
use clap::Args;
use cv_image::{Format, Gate, Image, OpenError, OpenOptions};
use std::path::{Path, PathBuf};

/// Options of every command that opens an image.
#[derive(Debug, Default, Args)]
pub struct Opening {
    /// Take the image for this format instead of recognising it: raw, vhd, vhdx or vmdk
    #[arg(long, value_name = "FORMAT")]
    input_format: Option<Format>,

    /// Also open parents and extents in this folder and below; without it only those in the image's own folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,
}

impl Opening {
    /// The options for opening `file`.
    pub fn options(&self, file: &Path) -> anyhow::Result<OpenOptions> {
        let mut gate = Gate::beside(file).with_context(|| file.display().to_string())?;
        for folder in &self.allow {
            gate = gate.and_folder(folder).with_context(|| folder.display().to_string())?;
        }
        Ok(OpenOptions {
            gate,
            format: self.input_format,
        })
    }

    /// Opens `file` for reading, with its chain.
    pub fn open(&self, file: &Path) -> anyhow::Result<Image> {
        let opened = Image::open(file, &self.options(file)?).map_err(|error| match error {
            // A disk that was cut out of a fixed VHD may keep the footer at its end.
            OpenError::Vhd(_) if self.input_format.is_none() => {
                anyhow!("{error}; --input-format raw takes the file as it is")
            }
            error => error.into(),
        });
        opened.with_context(|| file.display().to_string())
    }
}
