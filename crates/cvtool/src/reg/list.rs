//! `cvtool reg FILE [KEY]`.

use super::export::{self, FormName};
use super::{source, value};
use crate::volume::entry;
use crate::{Outcome, print};
use clap::Args;
use cv_disk::Faults;
use cv_hive::{AnyName, KeyPath, KeyState, Name, Next, VisitedKey, VisitedValue, Visitor};
use cv_ntfs::structure::NtfsTime;
use serde_json::{Value as Json, json};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// What to list.
#[derive(Debug, Args)]
pub struct List {
    /// The hive, .reg file or registry file of Wine
    file: PathBuf,

    /// The key; without it, the root
    key: Option<String>,

    /// Everything below, too
    #[arg(short, long)]
    recursive: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "export")]
    json: bool,

    /// Write the key and everything below it as a .reg file
    #[arg(long, value_name = "OUT.reg")]
    export: Option<PathBuf>,

    /// The form of the .reg file
    #[arg(long, value_name = "FORM", default_value = "5", requires = "export")]
    form: FormName,
}

impl List {
    /// Lists the key, or exports it.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let file = source::open(&self.file)?;
        let names = source::names(&file, &self.file, self.key.as_deref())?;
        if let Some(out) = &self.export {
            return export::run(&file, &self.file, &names, out, self.form);
        }
        let mut faults = Faults::new();
        let mut lister = Lister {
            out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
            json: self.json,
            recursive: self.recursive,
            top: file.standing().full_path(&names),
            path: Vec::new(),
            levels: Vec::new(),
            pending: None,
            is_first: true,
        };
        if self.json && self.recursive {
            write!(lister.out, "[")?;
        }
        let visited = file.visit(&names, &mut lister, &mut faults);
        visited.map_err(|error| anyhow::Error::from(error).context(self.file.display().to_string()))??;
        lister.flush_key()?;
        if self.json {
            writeln!(lister.out, "{}", if self.recursive { "\n]" } else { "" })?;
        }
        lister.out.flush()?;
        Ok(if source::tell(&self.file, &faults) {
            Outcome::Done
        } else {
            Outcome::Incomplete
        })
    }
}

/// Prints keys as they are told.
struct Lister {
    out: BufWriter<io::StdoutLock<'static>>,
    json: bool,
    recursive: bool,
    top: KeyPath,
    /// The names below the top of the key that was entered last.
    path: Vec<Name>,
    /// For each key that is entered, whether its name is in the path.
    levels: Vec<bool>,
    /// The key whose values are still told.
    pending: Option<Pending>,
    is_first: bool,
}

/// A key that is printed when all of it is told.
struct Pending {
    head: Json,
    values: Vec<Json>,
    subkeys: Vec<String>,
}

/// What a key of a delta hive says, in one word.
pub fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Merge => "merge",
        KeyState::Tombstone => "tombstone",
        KeyState::SupersedeLocal => "supersede-local",
        KeyState::SupersedeTree => "supersede-tree",
    }
}

impl Lister {
    fn path(&self) -> KeyPath {
        KeyPath::from([self.top.names(), &self.path].concat())
    }

    fn flush_key(&mut self) -> io::Result<()> {
        let Some(pending) = self.pending.take() else {
            return Ok(());
        };
        let mut object = pending.head;
        object["values"] = pending.values.into();
        if !self.recursive {
            object["subkeys"] = pending.subkeys.into();
            return serde_json::to_writer_pretty(&mut self.out, &object).map_err(io::Error::from);
        }
        let separator = if self.is_first { "\n" } else { ",\n" };
        self.is_first = false;
        self.out.write_all(separator.as_bytes())?;
        serde_json::to_writer(&mut self.out, &object).map_err(io::Error::from)
    }

    fn head(&self, key: &VisitedKey<'_>) -> Json {
        let text = |name: AnyName<'_>| print::json_units(Name::from(name).units());
        json!({
            "path": self.path().names().iter().map(|name| print::json_units(name.units())).collect::<Vec<_>>().join("\\"),
            "class": key.class.map(text),
            "last_written": (key.last_written != 0).then(|| entry::time(NtfsTime(key.last_written))),
            "link": key.is_link,
            "state": state(key.state),
        })
    }

    /// The line that begins a key.
    fn heading(&mut self, key: &VisitedKey<'_>) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            writeln!(self.out)?;
        }
        let mut line: Vec<String> = vec![
            self.path()
                .names()
                .iter()
                .map(value::name)
                .collect::<Vec<_>>()
                .join("\\"),
        ];
        if let Some(class) = key.class {
            line.push(format!("class {}", value::name(&class.into())));
        }
        if key.is_link {
            line.push("link".into());
        }
        if key.state != KeyState::Merge {
            line.push(state(key.state).into());
        }
        writeln!(self.out, "{}", line.join("  "))
    }
}

impl Visitor for Lister {
    type Error = io::Error;

    fn enter(&mut self, key: &VisitedKey<'_>) -> io::Result<Next> {
        let is_top = self.levels.is_empty();
        if !is_top && !self.recursive {
            // A subkey of the one that was asked for: its name is all that is told of it.
            let name = Name::from(key.name);
            if let Some(pending) = &mut self.pending {
                pending.subkeys.push(print::json_units(name.units()));
            } else {
                let path = KeyPath::from([self.top.names(), &[name]].concat());
                let path: Vec<_> = path.names().iter().map(value::name).collect();
                writeln!(self.out, "{}", path.join("\\"))?;
            }
            return Ok(Next::Skip);
        }
        if !is_top {
            self.path.push(key.name.into());
        }
        self.levels.push(!is_top);
        if self.json {
            self.flush_key()?;
            self.pending = Some(Pending {
                head: self.head(key),
                values: Vec::new(),
                subkeys: Vec::new(),
            });
        } else {
            self.heading(key)?;
        }
        Ok(Next::Into)
    }

    fn value(&mut self, value: &VisitedValue<'_>) -> io::Result<()> {
        match &mut self.pending {
            Some(pending) => pending.values.push(value::json(value)),
            None => writeln!(self.out, "{}", value::line(value))?,
        }
        Ok(())
    }

    fn leave(&mut self) -> io::Result<()> {
        if self.levels.pop() == Some(true) {
            self.path.pop();
        }
        Ok(())
    }
}
