//! `cvtool reg get`.

use super::{source, value};
use crate::{Outcome, print};
use anyhow::{Context, bail};
use clap::Args;
use cv_disk::Faults;
use cv_hive::{Data, Name, Next, ValueState, VisitedKey, VisitedValue, Visitor};
use cv_winname::wtf8;
use std::io::{self, Write};
use std::path::PathBuf;

/// Which value.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The hive, .reg file or registry file of Wine
    file: PathBuf,

    /// The key
    key: String,

    /// The name of the value; without it, or as @, the default value
    value: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Write the bytes as they are stored
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

impl Arguments {
    /// Prints the value: texts as lines, numbers in decimal, other bytes in hexadecimal.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let in_file = || self.file.display().to_string();
        let file = source::open(&self.file)?;
        let names = source::names(&file, &self.file, Some(&self.key))?;
        let mut faults = Faults::new();
        let mut finder = Finder {
            name: value_name(self.value.as_deref()),
            arguments: self,
            is_found: false,
            is_top: true,
        };
        file.visit(&names, &mut finder, &mut faults).with_context(in_file)??;
        if !finder.is_found {
            source::tell(&self.file, &faults);
            let path = file.standing().full_path(&names);
            let name = if finder.name.is_empty() {
                "default value".into()
            } else {
                format!("value {:?}", finder.name.to_string())
            };
            bail!("{}: {path} has no {name}", in_file());
        }
        Ok(Outcome::Done)
    }

    fn print(&self, value: &VisitedValue<'_>) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        if self.json {
            drop(out);
            return print::json(&value::json(value));
        }
        if self.raw {
            out.write_all(value.data)?;
            return Ok(out.flush()?);
        }
        let line = |text: &Name| wtf8::encode(text.units());
        match Data::decode(value.value_type, value.data) {
            Data::Text(text) => out.write_all(&line(&text))?,
            Data::Texts(texts) => out.write_all(&texts.iter().map(line).collect::<Vec<_>>().join(&b'\n'))?,
            Data::Number(number) => write!(out, "{number}")?,
            Data::Bytes(bytes) => out.write_all(value::hexadecimal(&bytes).as_bytes())?,
        }
        writeln!(out)?;
        Ok(())
    }
}

/// The name of a value as it is written on the command line.
pub fn value_name(text: Option<&str>) -> Name {
    match text {
        None | Some("@") => Name::default(),
        Some(text) => text.into(),
    }
}

/// Looks for a value of the key that it is told first.
struct Finder<'a> {
    name: Name,
    arguments: &'a Arguments,
    is_found: bool,
    is_top: bool,
}

impl Visitor for Finder<'_> {
    type Error = anyhow::Error;

    fn enter(&mut self, _: &VisitedKey<'_>) -> anyhow::Result<Next> {
        Ok(if std::mem::take(&mut self.is_top) {
            Next::Into
        } else {
            Next::Skip
        })
    }

    fn value(&mut self, value: &VisitedValue<'_>) -> anyhow::Result<()> {
        let is_it = Name::from(value.name).matches(self.name.units());
        if is_it && !self.is_found && value.state == ValueState::Present {
            self.is_found = true;
            self.arguments.print(value)?;
        }
        Ok(())
    }

    fn leave(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
