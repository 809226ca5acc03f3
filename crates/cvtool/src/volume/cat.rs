//! `cvtool cat`.

use super::source::Source;
use crate::{Outcome, interrupt, print};
use anyhow::{Context, bail};
use clap::Args;
use cv_disk::ReadAt;
use cv_ntfs::Volume;
use cv_volume::{find_stream, has_content};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

/// What to write.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,

    /// Files in the volume, or streams of them as `FILE:STREAM`. Names are separated by / or \
    #[arg(required = true)]
    paths: Vec<OsString>,
}

impl Arguments {
    /// Writes the contents one after the other.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let volume = self.source.open()?;
        let mut out = io::stdout().lock();
        let mut outcome = Outcome::Done;
        for path in &self.paths {
            let shown = || format!("{}: {}", self.source.name(), path.display());
            match self.write_stream(&volume, path, &mut out).with_context(shown) {
                Ok(()) => {}
                Err(error) if print::is_closed_pipe(&error) => return Err(error),
                Err(error) => {
                    print::error(&error, false);
                    outcome = Outcome::Incomplete;
                }
            }
        }
        out.flush()?;
        Ok(outcome)
    }

    fn write_stream(&self, volume: &Volume, path: &OsStr, out: &mut dyn Write) -> anyhow::Result<()> {
        const PIECE: u64 = 1 << 20;
        let found = find_stream(volume, &self.source.path(volume, path)?)?;
        let file = &found.found.file;
        if found.stream.is_empty() && file.is_directory() && !has_content(file) {
            bail!("it is a directory");
        }
        let stream = file.stream(&found.stream)?;
        let mut buffer = vec![0; stream.len().min(PIECE) as usize];
        let mut offset = 0;
        while offset < stream.len() {
            let length = (stream.len() - offset).min(PIECE);
            let piece = &mut buffer[..length as usize];
            stream.read_at(piece, offset)?;
            out.write_all(piece)?;
            offset += length;
            if interrupt::asked() {
                return Err(cv_disk::Cancelled.into());
            }
        }
        Ok(())
    }
}
