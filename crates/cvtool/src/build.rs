//! `cvtool build`.

use crate::clock::source_date_epoch;
use crate::image::create::Output;
use crate::sign::password::Password;
use crate::sign::signer::signer;
use crate::{Outcome, print, progress};
use anyhow::{Context, anyhow, bail};
use clap::Args;
use cv_image::{Format, Gate};
use cv_ntfs::structure::NtfsTime;
use layerfmt::WriteOptions;
use layerfmt::recipe::{BuildOptions, Recipe, RecipeError, RecipeFolder, Variables, build};
use layerfmt::write::Sign;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What to build, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The recipe, a TOML file (see docs/recipe.md)
    recipe: PathBuf,

    /// The new layer; a file there is replaced
    #[arg(short, long, value_name = "LAYER")]
    output: PathBuf,

    /// Give a variable of the recipe a value
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    settings: Vec<(String, String)>,

    /// Let the recipe also use files in this folder and below; without it only those in the recipe's own folder and below
    #[arg(long, value_name = "FOLDER")]
    allow: Vec<PathBuf>,

    /// Sign the layer with the secret key in this file, instead of the one that the recipe names
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    password: Password,

    /// Threads that read, hash and write; what is written does not depend on it
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    #[command(flatten)]
    layout: Output,
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

impl Arguments {
    /// Builds the layer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let name = || self.recipe.display().to_string();
        let text = std::fs::read_to_string(&self.recipe).with_context(name)?;
        let environment = |name: &str| std::env::var(name).ok();
        let set: BTreeMap<String, String> = self.settings.iter().cloned().collect();
        let recipe = Recipe::parse(&text, Variables::new(set, &environment)).map_err(|mistakes| {
            let file = self.recipe.clone();
            tell(RecipeError::Mistakes { file, mistakes })
        })?;
        let mut gate = Gate::beside(&self.recipe).with_context(name)?;
        for folder in &self.allow {
            gate = gate.and_folder(folder).with_context(|| folder.display().to_string())?;
        }
        let epoch = source_date_epoch()?;
        let mut options = self.write_options(&recipe, epoch)?;
        options.signer = self.signer(&recipe, &gate, epoch)?;

        let host = RecipeFolder::new(&self.recipe, gate);
        let build_options = BuildOptions {
            time: self.time(epoch)?,
            latest: epoch.map(ntfs_time).transpose()?,
        };
        let bar = progress::Bar::new("Gathering");
        let content = build(&recipe, &self.recipe, &host, &build_options, &bar).map_err(tell)?;
        drop(bar);
        let bar = progress::Bar::new("Building");
        layerfmt::write(&content, &self.output, &options, &bar).with_context(|| self.output.display().to_string())?;
        Ok(Outcome::Done)
    }

    fn write_options(&self, recipe: &Recipe, epoch: Option<i64>) -> anyhow::Result<WriteOptions> {
        let at = |position: layerfmt::recipe::Position, error: &dyn std::fmt::Display| {
            let (line, column) = (position.line, position.column);
            anyhow!("{}:{line}:{column}: {error}", self.recipe.display())
        };
        let format = match &recipe.output.format {
            Some(word) => Some(
                word.value
                    .parse::<Format>()
                    .map_err(|error| at(word.position, &error))?,
            ),
            None => None,
        };
        let mut container = self.layout.layout(&self.output, format)?;
        // What the recipe says of its own container says nothing of another one.
        if format.is_none_or(|format| format == container.format) {
            let subformat = recipe.output.subformat.as_ref().map(|word| word.value.clone());
            container.subformat = container.subformat.or(subformat);
            container.block_size = container.block_size.or(recipe.output.block_size);
        }
        let mut options = WriteOptions::new(container.format);
        options.container = container;
        options.disk_size = recipe.output.disk_size;
        options.cluster_size = recipe.output.cluster_size.map(u32::try_from).transpose()?;
        options.created = epoch;
        if let Some(threads) = self.threads {
            if threads == 0 {
                bail!("--threads is at least 1");
            }
            options.threads = threads;
        }
        Ok(options)
    }

    /// When what the recipe itself makes was made: the time that the environment says, or that of the recipe.
    fn time(&self, epoch: Option<i64>) -> anyhow::Result<NtfsTime> {
        let seconds = if let Some(seconds) = epoch {
            seconds
        } else {
            let metadata = std::fs::metadata(&self.recipe)?;
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(modified.as_secs())?
        };
        ntfs_time(seconds)
    }

    fn signer(&self, recipe: &Recipe, gate: &Gate, epoch: Option<i64>) -> anyhow::Result<Option<Arc<dyn Sign>>> {
        let path = match (&self.key, &recipe.signing_key) {
            (Some(path), _) => path.clone(),
            (None, Some(key)) => {
                let folder = self.recipe.parent().unwrap_or(Path::new(""));
                let at = || {
                    format!(
                        "{}:{}:{}: {}",
                        self.recipe.display(),
                        key.position.line,
                        key.position.column,
                        key.value
                    )
                };
                gate.pass(&folder.join(&key.value)).with_context(at)?.with_context(at)?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(signer(&path, &self.password, epoch)?))
    }
}

fn ntfs_time(seconds: i64) -> anyhow::Result<NtfsTime> {
    NtfsTime::from_unix(seconds, 0).ok_or_else(|| anyhow!("{seconds} s since 1970 is no time that a volume can hold"))
}

/// Lists the mistakes of a recipe, one a line; gives what is to be said at the end.
fn tell(error: RecipeError) -> anyhow::Error {
    match error {
        RecipeError::Mistakes { file, mistakes } => {
            for mistake in &mistakes {
                print::warn(&print::printable(&format!("{}:{mistake}", file.display())));
            }
            match mistakes.len() {
                1 => anyhow!("{}: the recipe has a mistake", file.display()),
                count => anyhow!("{}: the recipe has {count} mistakes", file.display()),
            }
        }
        error => error.into(),
    }
}
