//! `cvtool tree`.

use super::entry::kind;
use super::ls::tell_skipped;
use super::source::{Source, threads};
use crate::{Outcome, print};
use anyhow::Context;
use clap::Args;
use cv_volume::{find, list_below};
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};

/// What to draw.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,

    /// The directory to begin at; without it, the root
    path: Option<OsString>,

    /// Only directories
    #[arg(short, long)]
    directories: bool,

    /// How many levels down
    #[arg(short = 'L', long, value_name = "LEVELS")]
    levels: Option<usize>,

    /// Also the volume's own files, such as $MFT
    #[arg(short, long)]
    all: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A line of the drawing: names lie in one piece of memory.
struct Line {
    end: usize,
    depth: u32,
    is_directory: bool,
    kind: &'static str,
    /// Whether another of the same directory follows.
    has_next: bool,
}

impl Arguments {
    /// Draws the tree.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let volume = self.source.open()?;
        let path = self.path.clone().unwrap_or_default();
        let shown = || format!("{}: {}", self.source.name(), path.display());
        let found = self
            .source
            .path(&volume, &path)
            .and_then(|units| Ok(find(&volume, &units)?))
            .with_context(shown)?;
        let above = found.names.len();
        let mut names = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        let skipped = list_below(&volume, &found, self.all, self.json, threads(), &mut |entry| {
            let depth = entry.depth.saturating_sub(above).max(1);
            if self.directories && !entry.is_directory || self.levels.is_some_and(|levels| depth > levels) {
                return;
            }
            cv_winname::wtf8::encode_into(entry.name, &mut names);
            lines.push(Line {
                end: names.len(),
                depth: u32::try_from(depth).unwrap_or(u32::MAX),
                is_directory: entry.is_directory,
                kind: kind(entry),
                has_next: false,
            });
        });
        let mut out = BufWriter::new(io::stdout().lock());
        let top = found
            .names
            .last()
            .map_or_else(|| b"/".to_vec(), |name| cv_winname::wtf8::encode(name));
        if self.json {
            write_json(&mut out, &top, &lines, &names)?;
        } else {
            draw(&mut out, &top, &mut lines, &names)?;
        }
        out.flush()?;
        let is_complete = tell_skipped(&self.source.name(), &skipped);
        Ok(if is_complete {
            Outcome::Done
        } else {
            Outcome::Incomplete
        })
    }
}

fn draw(out: &mut dyn Write, top: &[u8], lines: &mut [Line], names: &[u8]) -> io::Result<()> {
    // Whether a later line of that depth belongs to the same directory, seen from below.
    let mut open: Vec<bool> = Vec::new();
    for line in lines.iter_mut().rev() {
        let depth = line.depth as usize;
        open.resize(depth + 1, false);
        line.has_next = std::mem::replace(&mut open[depth], true);
    }
    writeln!(out, "{}", print::name(top))?;
    let mut bars: Vec<bool> = Vec::new();
    let mut start = 0;
    for line in &*lines {
        bars.truncate(line.depth as usize - 1);
        for bar in &bars {
            out.write_all(if *bar { "│   ".as_bytes() } else { b"    " })?;
        }
        bars.push(line.has_next);
        let branch = if line.has_next { "├── " } else { "└── " };
        writeln!(out, "{branch}{}", print::name(&names[start..line.end]))?;
        start = line.end;
    }
    let directories = lines.iter().filter(|line| line.is_directory).count();
    writeln!(out, "\n{directories} directories, {} files", lines.len() - directories)
}

/// Nested objects, written without nesting calls: a volume may be deeper than the stack.
fn write_json(out: &mut dyn Write, top: &[u8], lines: &[Line], names: &[u8]) -> io::Result<()> {
    let name = |out: &mut dyn Write, name: &[u8], kind: &str| -> io::Result<()> {
        out.write_all(b"{\"name\":")?;
        serde_json::to_writer(&mut *out, &print::json_name(name))?;
        write!(out, ",\"type\":\"{kind}\"")
    };
    name(out, top, "directory")?;
    out.write_all(b",\"children\":[")?;
    let close = |out: &mut dyn Write, line: &Line, up_to: u32| -> io::Result<()> {
        out.write_all(if line.is_directory { b"]}" } else { b"}" })?;
        (up_to..line.depth).try_for_each(|_| out.write_all(b"]}"))
    };
    let mut start = 0;
    let mut last: Option<&Line> = None;
    for line in lines {
        if let Some(last) = last.filter(|last| line.depth <= last.depth) {
            close(out, last, line.depth)?;
            out.write_all(b",")?;
        }
        name(out, &names[start..line.end], line.kind)?;
        if line.is_directory {
            out.write_all(b",\"children\":[")?;
        }
        start = line.end;
        last = Some(line);
    }
    if let Some(last) = last {
        close(out, last, 1)?;
    }
    writeln!(out, "]}}")
}
