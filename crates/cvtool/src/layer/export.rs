//! `cvtool export`.

use super::output::open;
use crate::image::source::Opening;
use crate::{Outcome, progress, whole_file};
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use layerfmt::oci::{Compression, Contents, ExportError, write_folder, write_image, write_tar};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What to export, and as what.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The layer
    layer: PathBuf,

    /// The tar, or the folder of the image, which must not be there yet
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// As what; without it a tar where OUT ends in .tar, .tar.gz, .tgz or .tar.zst, else an OCI image
    #[arg(long = "as", value_name = "FORM")]
    form: Option<Form>,

    /// How a tar is packed; without it as OUT says, and by gzip in an image
    #[arg(long, value_name = "HOW")]
    compression: Option<Packing>,

    /// Leave the manifest and the scripts out of a tar: the Windows container host knows neither
    #[arg(long)]
    files_and_hives: bool,

    #[command(flatten)]
    opening: Opening,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A folder that is an OCI image of one layer
    Oci,
    /// The tar of such a layer
    Tar,
    /// A plain folder
    Folder,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

impl From<Packing> for Compression {
    fn from(packing: Packing) -> Self {
        match packing {
            Packing::None => Self::None,
            Packing::Gzip => Self::Gzip,
            Packing::Zstd => Self::Zstd,
        }
    }
}

/// How a tar of this name is packed; `None` where the name is not that of a tar.
fn packing_of_name(path: &Path) -> Option<Compression> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let known = [
        (".tar", Compression::None),
        (".tar.gz", Compression::Gzip),
        (".tgz", Compression::Gzip),
        (".tar.zst", Compression::Zstd),
    ];
    known
        .into_iter()
        .find(|(end, _)| name.ends_with(end))
        .map(|(_, packing)| packing)
}

impl Arguments {
    /// Exports the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let out = || self.output.display().to_string();
        let (layer, _) = open(&self.layer, &self.opening)?;
        let named = packing_of_name(&self.output);
        let form = self.form.unwrap_or(if named.is_some() { Form::Tar } else { Form::Oci });
        let chosen = self.compression.map(Compression::from);
        if self.files_and_hives && form != Form::Tar {
            bail!("--files-and-hives is for a tar");
        }
        let bar = progress::Bar::new("Exporting");
        match form {
            Form::Folder => write_folder(&layer, &self.output, &bar).with_context(out)?,
            Form::Oci => {
                let content = layer.content().with_context(|| self.layer.display().to_string())?;
                write_image(&content, &self.output, chosen.unwrap_or_default(), &bar).with_context(out)?;
            }
            Form::Tar => {
                let content = layer.content().with_context(|| self.layer.display().to_string())?;
                let contents = if self.files_and_hives {
                    Contents::FilesAndHives
                } else {
                    Contents::All
                };
                let packing = chosen.or(named).unwrap_or(Compression::None);
                let write = |out: &mut dyn Write| -> Result<(), ExportError> {
                    packing.pack(out, |out| write_tar(&content, contents, out, &bar))?;
                    Ok(())
                };
                whole_file::stream(&self.output, write).with_context(out)?;
            }
        }
        Ok(Outcome::Done)
    }
}
