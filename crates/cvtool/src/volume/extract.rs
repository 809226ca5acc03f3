//! `cvtool extract`.

use super::source::Source;
use crate::{Outcome, print, progress};
use anyhow::Context;
use clap::{Args, ValueEnum};
use cv_volume::{ExtractOptions, ExtractOutcome, Links, StreamPlace, extract, open_top};
use std::ffi::OsString;
use std::path::PathBuf;

/// What to extract, and how.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,

    /// Files and directories in the volume, each with all below it; without any, everything. Names are separated by / or \
    paths: Vec<OsString>,

    /// The folder to extract to, made if it is not there; paths in it are those in the volume
    #[arg(short = 'C', long, value_name = "FOLDER", default_value = ".")]
    directory: PathBuf,

    /// Replace files that are there already
    #[arg(long)]
    overwrite: bool,

    /// Links: as symbolic links where they stay inside the volume, else as reparse data; always as reparse data; or not
    #[arg(long, value_name = "HOW", default_value = "inside")]
    links: HowLinks,

    /// Named streams: as extended attributes user.NAME, as files NAME:STREAM, or not
    #[arg(long, value_name = "WHERE", default_value = "xattr")]
    streams: WhereStreams,

    /// Leave security descriptors out
    #[arg(long)]
    no_security: bool,

    /// Also the volume's own files, such as $MFT
    #[arg(short, long)]
    all: bool,

    /// Threads that read and write
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HowLinks {
    Inside,
    Data,
    Skip,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WhereStreams {
    Xattr,
    Files,
    None,
}

impl Arguments {
    /// Extracts, and tells what is missing.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let volume = self.source.open()?;
        let usual = ExtractOptions::default();
        let options = ExtractOptions {
            paths: self
                .paths
                .iter()
                .map(|path| self.source.path(&volume, path))
                .collect::<Result<_, _>>()?,
            overwrite: self.overwrite,
            links: match self.links {
                HowLinks::Inside => Links::Inside,
                HowLinks::Data => Links::Data,
                HowLinks::Skip => Links::Skip,
            },
            streams: match self.streams {
                WhereStreams::Xattr => StreamPlace::Attributes,
                WhereStreams::Files => StreamPlace::Files,
                WhereStreams::None => StreamPlace::Nowhere,
            },
            security: !self.no_security,
            system_files: self.all,
            threads: self.threads.unwrap_or(usual.threads),
        };
        let folder = || self.directory.display().to_string();
        std::fs::create_dir_all(&self.directory).with_context(folder)?;
        let target = open_top(&self.directory).with_context(folder)?;
        let bar = progress::Bar::new("Extracting");
        let outcome = extract(&volume, target, &options, &bar).with_context(|| self.source.name())?;
        drop(bar);
        Ok(tell(&self.source.name(), &outcome))
    }
}

fn tell(image: &str, outcome: &ExtractOutcome) -> Outcome {
    for failure in &outcome.failures {
        let mut line = format!("{}: {}", print::name(&failure.path), failure.reason);
        let mut cause = std::error::Error::source(&failure.reason);
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&print::printable(&error.to_string()));
            cause = error.source();
        }
        print::warn(&line);
    }
    if outcome.omitted_failures > 0 {
        print::warn(&format!(
            "{image}: {} more could not be extracted",
            outcome.omitted_failures
        ));
    }
    for damage in &outcome.damage {
        print::warn(&format!("{image}: {}", print::printable(damage)));
    }
    if outcome.orphans > 0 {
        print::warn(&format!(
            "{image}: {} names are in no directory and not extracted",
            outcome.orphans
        ));
    }
    let first = |path: &Option<Vec<u8>>| {
        path.as_deref()
            .map(|path| print::name(path).into_owned())
            .unwrap_or_default()
    };
    let (count, path) = &outcome.links_kept;
    if *count > 0 {
        print::warn(&format!(
            "{image}: {count} links are kept as reparse data, the first is {}",
            first(path)
        ));
    }
    let (count, path) = &outcome.elsewhere;
    if *count > 0 {
        print::warn(&format!(
            "{image}: the content of {count} files lies elsewhere, the first is {}",
            first(path)
        ));
    }
    for (loss, count) in &outcome.lost {
        print::warn(&format!(
            "{image}: the folder cannot keep the {} of {count} files",
            loss.what()
        ));
    }
    if outcome.is_complete() {
        Outcome::Done
    } else {
        Outcome::Incomplete
    }
}
