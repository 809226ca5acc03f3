//! `cvtool diff`.

mod print_text;
mod source;

use crate::image::source::Opening;
use crate::{Outcome, print, whole_file};
use anyhow::Context;
use clap::{Args, ValueEnum};
use layerfmt::diff::{ChangeKind, Diff, DiffOptions, diff, write_html};
use serde_json::json;
use source::{Opened, open};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

/// What to compare.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Arguments {
    /// The first side: a layer, a folder, or an image with an NTFS volume
    before: PathBuf,

    /// The second side
    after: PathBuf,

    /// Leave out what means nothing to an application: times, object ids, 8.3 names, case and order, generated ids
    #[arg(long)]
    semantic: bool,

    /// Tell a renamed file as one that was removed and one that was added
    #[arg(long)]
    no_renames: bool,

    /// Print numbers alone
    #[arg(long, conflicts_with = "json")]
    stat: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Also write a page that a browser shows by itself, with a field to search it
    #[arg(long, value_name = "OUT")]
    html: Option<PathBuf>,

    /// When to colour: on a terminal, always or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,

    #[command(flatten)]
    opening: Opening,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    fn is_wanted(self) -> bool {
        match self {
            Self::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Arguments {
    /// Compares, and prints what differs.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        // Both at once: most of the time goes into reading the indexes.
        let (before, after) = std::thread::scope(|scope| {
            let after = scope.spawn(|| open(&self.after, &self.opening));
            (open(&self.before, &self.opening), after.join())
        });
        let (before, after) = (before?, after.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        let options = DiffOptions {
            renames: !self.no_renames,
            ..if self.semantic {
                DiffOptions::semantic()
            } else {
                DiffOptions::strict()
            }
        };
        let (one, other) = (before.prepared(), after.prepared());
        let found = diff(&one.side()?, &other.side()?, &options).context("cannot compare")?;
        if let Some(page) = &self.html {
            self.write_page(&found, page)
                .with_context(|| page.display().to_string())?;
        }
        if self.json {
            self.print_json(&found, &before, &after)?;
        } else {
            let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
            if self.stat {
                print_text::stat(&mut out, &found)?;
            } else if self.html.is_none() {
                print_text::all(&mut out, &found, self.color.is_wanted())?;
            }
            out.flush()?;
        }
        Ok(if found.is_empty() {
            Outcome::Done
        } else {
            Outcome::Found
        })
    }

    fn write_page(&self, found: &Diff, page: &std::path::Path) -> anyhow::Result<()> {
        let names = [&self.before, &self.after].map(|path| path.display().to_string());
        whole_file::stream(page, |out| write_html(out, found, [&names[0], &names[1]]))?;
        Ok(())
    }

    fn print_json(&self, found: &Diff, before: &Opened, after: &Opened) -> anyhow::Result<()> {
        let count = |kind| found.files.iter().filter(|change| change.change == kind).count();
        let side = |path: &PathBuf, opened: &Opened| {
            json!({
                "path": path.display().to_string(),
                "is": opened.what(),
            })
        };
        print::json(&json!({
            "before": side(&self.before, before),
            "after": side(&self.after, after),
            "semantic": self.semantic,
            "identical": found.is_empty(),
            "compared_all": found.compared_all,
            "counts": {
                "files_added": count(ChangeKind::Added),
                "files_removed": count(ChangeKind::Removed),
                "files_changed": count(ChangeKind::Changed),
                "files_renamed": count(ChangeKind::Renamed),
                "registry": found.registry.len(),
                "applications": found.applications.len(),
                "manifest": found.manifest.len(),
            },
            "manifest": found.manifest,
            "applications": found.applications,
            "files": found.files,
            "registry": found.registry,
        }))
    }
}
