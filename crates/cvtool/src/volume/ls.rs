//! `cvtool ls`.

use super::entry::{self, kind, letters, short_time, target};
use super::source::{Source, threads};
use crate::{Outcome, print};
use anyhow::Context;
use clap::{Args, ValueEnum};
use cv_volume::{Entry, Skipped, find, list, list_below};
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};

/// What to list.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Arguments {
    #[command(flatten)]
    source: Source,

    /// Directories or files in the volume; without any, its root. Names are separated by / or \
    paths: Vec<OsString>,

    /// One line each with attributes, links, size, time and name, where links lead, and named streams
    #[arg(short, long)]
    long: bool,

    /// Everything below, one path a line
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Also the volume's own files, such as $MFT
    #[arg(short, long)]
    all: bool,

    /// The time that --long shows
    #[arg(long, value_name = "TIME", default_value = "modified")]
    time: Time,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Time {
    Created,
    Modified,
    Changed,
    Accessed,
}

impl Arguments {
    /// Lists the paths one after the other.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let volume = self.source.open()?;
        let mut printer = Printer {
            out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
            arguments: self,
            is_first: true,
            failed: None,
        };
        let root = [OsString::new()];
        let paths = if self.paths.is_empty() { &root[..] } else { &self.paths };
        let mut is_complete = true;
        if self.json {
            write!(printer.out, "[")?;
        }
        for path in paths {
            let shown = || format!("{}: {}", self.source.name(), path.display());
            let listed = self.source.path(&volume, path).and_then(|units| {
                let found = find(&volume, &units)?;
                let below = self.recursive && found.file.is_directory();
                Ok(if below {
                    let details = self.long || self.json;
                    list_below(&volume, &found, self.all, details, threads(), &mut |entry| {
                        printer.print(entry);
                    })
                } else {
                    list(&volume, &found, self.all, &mut |entry| printer.print(entry))?
                })
            });
            match listed.with_context(shown) {
                Ok(skipped) => is_complete &= tell_skipped(&self.source.name(), &skipped),
                Err(error) => {
                    print::error(&error, false);
                    is_complete = false;
                }
            }
            if let Some(error) = printer.failed.take() {
                return Err(error.into());
            }
        }
        if self.json {
            writeln!(printer.out, "\n]")?;
        }
        printer.out.flush()?;
        Ok(if is_complete {
            Outcome::Done
        } else {
            Outcome::Incomplete
        })
    }
}

/// Says what could not be read; whether that is nothing.
pub fn tell_skipped(image: &str, skipped: &Skipped) -> bool {
    for damage in &skipped.damage {
        print::warn(&format!("{image}: {}", print::printable(damage)));
    }
    if skipped.omitted > 0 {
        print::warn(&format!("{image}: and {} more", skipped.omitted));
    }
    if skipped.orphans > 0 {
        print::warn(&format!(
            "{image}: {} names are in no directory and not listed",
            skipped.orphans
        ));
    }
    skipped.is_empty()
}

struct Printer<'a> {
    out: BufWriter<io::StdoutLock<'static>>,
    arguments: &'a Arguments,
    is_first: bool,
    failed: Option<io::Error>,
}

impl Printer<'_> {
    fn print(&mut self, entry: &Entry<'_>) {
        if self.failed.is_none() {
            self.failed = self.try_print(entry).err();
        }
    }

    fn try_print(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if self.arguments.json {
            let separator = if self.is_first { "\n" } else { ",\n" };
            self.is_first = false;
            self.out.write_all(separator.as_bytes())?;
            return serde_json::to_writer(&mut self.out, &entry::json(entry)).map_err(io::Error::from);
        }
        // Without -R the names of one directory are listed, and their path is what was asked for.
        let path = if self.arguments.recursive {
            entry.path
        } else {
            let slash = entry.path.iter().rposition(|byte| *byte == b'/');
            &entry.path[slash.map_or(0, |slash| slash + 1)..]
        };
        let path = print::name(path);
        if !self.arguments.long {
            self.out.write_all(path.as_bytes())?;
            return self.out.write_all(b"\n");
        }
        let information = &entry.information;
        let time = short_time(match self.arguments.time {
            Time::Created => information.creation_time,
            Time::Modified => information.last_modification_time,
            Time::Changed => information.last_change_time,
            Time::Accessed => information.last_access_time,
        });
        write!(
            self.out,
            "{} {:>3} {:>14} {time}  {path}",
            letters(entry),
            entry.links,
            entry.size
        )?;
        let details = entry.details.as_ref();
        if let Some(point) = details.and_then(|details| details.reparse.as_ref()) {
            match target(point) {
                Some(target) => write!(self.out, " -> {}", print::name(&target))?,
                None if kind(entry) == "file" && details.is_some_and(|details| details.wof.is_some()) => {
                    write!(self.out, " [{:?}]", point.tag())?;
                }
                None => write!(self.out, " [{}]", point.tag())?,
            }
        }
        writeln!(self.out)?;
        for stream in details.map_or(&[][..], |details| &details.streams) {
            let name = cv_winname::wtf8::encode(&stream.name);
            let (blank, name) = ("", print::name(&name));
            writeln!(
                self.out,
                "{blank:15} {blank:>3} {:>14} {blank:19}  {path}:{name}",
                stream.size
            )?;
        }
        Ok(())
    }
}
