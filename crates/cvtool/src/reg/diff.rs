//! `cvtool reg diff`.

use super::{export, source, value};
use crate::volume::entry;
use crate::{Outcome, print, whole_file};
use anyhow::Context;
use clap::Args;
use cv_disk::Faults;
use cv_hive::diff::{Change, DiffOptions, What, diff, to_patch};
use cv_hive::file::{Content, RegistryFile};
use cv_hive::reg::Exporter;
use cv_hive::{AnyName, Key, KeyFlags, KeyPath, Name, Value, VisitedValue};
use cv_ntfs::structure::NtfsTime;
use serde_json::{Value as Json, json};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What to compare.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A hive, .reg file or registry file of Wine
    before: PathBuf,

    /// Another
    after: PathBuf,

    /// Compare only this key and what is below it
    #[arg(long)]
    key: Option<String>,

    /// Times, the case of names and the order of values count too
    #[arg(long)]
    strict: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "export")]
    json: bool,

    /// Write a .reg file that makes the keys and values of the first those of the second
    #[arg(long, value_name = "OUT.reg")]
    export: Option<PathBuf>,
}

impl Arguments {
    /// Compares, and tells the differences.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let [one, other] = [&self.before, &self.after];
        let files = [source::open(one)?, source::open(other)?];
        let mut is_complete = true;
        let mut trees = Vec::new();
        for (place, path) in [one, other].into_iter().enumerate() {
            let names = self.names(&files[place], &files[1 - place], path)?;
            let mut faults = Faults::new();
            let tree = files[place].tree(&names, &mut faults);
            trees.push((names, tree.with_context(|| path.display().to_string())?));
            is_complete &= source::tell(path, &faults);
        }
        let top = files[0].standing().full_path(&trees[0].0);
        let (Some((_, mut after)), Some((_, mut before))) = (trees.pop(), trees.pop()) else {
            return Ok(Outcome::Incomplete);
        };
        let kept = Kept::by(&files);
        kept.strip(&mut before);
        kept.strip(&mut after);
        let options = if self.strict {
            DiffOptions::strict()
        } else {
            DiffOptions::default()
        };
        let changes = diff(&before, &after, &options);
        if let Some(out) = &self.export {
            is_complete &= export_patch(out, &changes, &top)?;
        } else if self.json {
            let changes: Vec<_> = changes.iter().map(|change| change_to_json(change, &top)).collect();
            print::json(&changes.into())?;
        } else {
            let mut out = BufWriter::new(io::stdout().lock());
            changes.iter().try_for_each(|change| print(&mut out, change, &top))?;
            out.flush()?;
        }
        Ok(match (is_complete, changes.is_empty()) {
            (false, _) => Outcome::Incomplete,
            (true, true) => Outcome::Done,
            (true, false) => Outcome::Found,
        })
    }

    /// The names of what is compared in `file`: without a key its root, but in a .reg file, which has all of the registry, what
    /// the other file is.
    fn names(&self, file: &RegistryFile, other: &RegistryFile, path: &Path) -> anyhow::Result<Vec<Name>> {
        if self.key.is_none() && file.standing().root().names().is_empty() {
            return Ok(other.standing().root().names().to_vec());
        }
        source::names(file, path, self.key.as_deref())
    }
}

/// What both files can hold besides keys and values.
struct Kept {
    class_and_link: bool,
    security: bool,
    times: bool,
}

impl Kept {
    fn by(files: &[RegistryFile]) -> Self {
        let all = |holds: fn(&Content) -> bool| files.iter().all(|file| holds(&file.content));
        Self {
            class_and_link: all(|content| !matches!(content, Content::Reg(_))),
            security: all(|content| matches!(content, Content::Hive(_))),
            times: all(|content| !matches!(content, Content::Reg(_))),
        }
    }

    fn strip(&self, key: &mut Key) {
        if !self.class_and_link {
            key.class = None;
            key.is_link = false;
            key.inherits_class = false;
        }
        if !self.security {
            key.security = None;
            key.flags = KeyFlags::empty();
        }
        if !self.times {
            key.last_written = 0;
        }
        for subkey in &mut key.subkeys {
            self.strip(subkey);
        }
    }
}

/// Writes the patch; whether it holds everything.
fn export_patch(out: &Path, changes: &[Change], top: &KeyPath) -> anyhow::Result<bool> {
    let in_out = || out.display().to_string();
    let delta = to_patch(changes, top).into_delta(top, 0).with_context(in_out)?;
    let omitted = whole_file::stream(out, |writer| {
        let mut exporter = Exporter::new(writer, export::FormName::Version5.form(), top)?;
        delta.visit(&mut exporter)?;
        Ok::<_, io::Error>(exporter.finish()?.1)
    });
    Ok(export::tell_omitted(out, &omitted.with_context(in_out)?))
}

fn path_text(path: &KeyPath) -> String {
    path.names().iter().map(value::name).collect::<Vec<_>>().join("\\")
}

fn value_line(value: &Value) -> String {
    value::line(&visited(value)).trim_start().to_owned()
}

fn visited(value: &Value) -> VisitedValue<'_> {
    VisitedValue {
        name: AnyName::from(&value.name),
        value_type: value.value_type,
        data: &value.data,
        state: value.state,
    }
}

/// One change for people: + for what is new, - for what is gone, ! for what is other than it was.
fn print(out: &mut dyn Write, change: &Change, top: &KeyPath) -> io::Result<()> {
    let full = change.full_path(top);
    let path = path_text(&full);
    match &change.what {
        What::KeyAdded(key) => print_added(out, &path, key),
        What::KeyRemoved => writeln!(out, "- {path}"),
        What::ValueAdded(value) => writeln!(out, "+ {path}  {}", value_line(value)),
        What::ValueRemoved(value) => writeln!(out, "- {path}  {}", value_line(value)),
        What::ValueChanged { from, to } => {
            writeln!(out, "- {path}  {}", value_line(from))?;
            writeln!(out, "+ {path}  {}", value_line(to))
        }
        What::Renamed(name) => writeln!(out, "! {path}  name {}", value::name(name)),
        What::Class(Some(class)) => writeln!(out, "! {path}  class {}", value::name(class)),
        What::Class(None) => writeln!(out, "! {path}  no class"),
        What::Security(_) => writeln!(out, "! {path}  security"),
        What::LastWritten(time) => writeln!(out, "! {path}  written {}", entry::time(NtfsTime(*time))),
        What::Link(is_link) => writeln!(out, "! {path}  {}", if *is_link { "a link" } else { "no link" }),
        What::Flags(_) => writeln!(out, "! {path}  flags"),
        What::State { state, .. } => writeln!(out, "! {path}  state {}", super::list::state(*state)),
        What::ValueOrder(_) => writeln!(out, "! {path}  order of values"),
        _ => writeln!(out, "! {path}"),
    }
}

fn print_added(out: &mut dyn Write, path: &str, key: &Key) -> io::Result<()> {
    writeln!(out, "+ {path}")?;
    for value in &key.values {
        writeln!(out, "+ {path}  {}", value_line(value))?;
    }
    key.subkeys
        .iter()
        .try_for_each(|subkey| print_added(out, &format!("{path}\\{}", value::name(&subkey.name)), subkey))
}

fn change_to_json(change: &Change, top: &KeyPath) -> Json {
    let units = |name: &Name| print::json_units(name.units());
    let value = |value: &Value| value::json(&visited(value));
    let path: Vec<_> = change.full_path(top).names().iter().map(units).collect();
    let (what, from, to) = match &change.what {
        What::KeyAdded(key) => {
            let (keys, values) = counts(key);
            ("key-added", Json::Null, json!({ "keys": keys, "values": values }))
        }
        What::KeyRemoved => ("key-removed", Json::Null, Json::Null),
        What::ValueAdded(to) => ("value-added", Json::Null, value(to)),
        What::ValueRemoved(from) => ("value-removed", value(from), Json::Null),
        What::ValueChanged { from, to } => ("value-changed", value(from), value(to)),
        What::Renamed(name) => ("name", Json::Null, json!(units(name))),
        What::Class(class) => ("class", Json::Null, json!(class.as_ref().map(units))),
        What::Security(security) => {
            let bytes = security.as_ref().map(|bytes| value::hexadecimal(bytes));
            ("security", Json::Null, json!(bytes))
        }
        What::LastWritten(time) => ("last_written", Json::Null, json!(entry::time(NtfsTime(*time)))),
        What::Link(is_link) => ("link", Json::Null, json!(is_link)),
        What::Flags(flags) => ("flags", Json::Null, json!(flags.bits())),
        What::State { state, .. } => ("state", Json::Null, json!(super::list::state(*state))),
        What::ValueOrder(names) => ("value-order", Json::Null, names.iter().map(units).collect()),
        _ => ("other", Json::Null, Json::Null),
    };
    json!({ "path": path.join("\\"), "change": what, "from": from, "to": to })
}

/// How many keys there are, the key itself among them, and how many values.
fn counts(key: &Key) -> (u64, u64) {
    key.subkeys
        .iter()
        .map(counts)
        .fold((1, key.values.len() as u64), |sum, below| {
            (sum.0 + below.0, sum.1 + below.1)
        })
}
