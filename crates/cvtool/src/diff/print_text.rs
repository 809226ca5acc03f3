//! A comparison as lines for people.

use crate::print::{name, printable};
use layerfmt::diff::{
    ApplicationChange, Aspect, ChangeKind, Diff, FileChange, KeyState, MemberChange, RegistryChange, RegistryWhat,
    StreamSummary, ValueSummary,
};
use serde_json::Value as Json;
use std::io::{self, Write};

/// Characters of a value that are shown.
const MOST: usize = 120;

fn sign(change: ChangeKind) -> char {
    match change {
        ChangeKind::Added => '+',
        ChangeKind::Removed => '-',
        ChangeKind::Changed => '~',
        ChangeKind::Renamed => '>',
    }
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    is_coloured: bool,
}

impl Lines<'_> {
    fn line(&mut self, change: ChangeKind, text: &str) -> io::Result<()> {
        let sign = sign(change);
        if !self.is_coloured {
            return writeln!(self.out, "{sign} {text}");
        }
        let color = match change {
            ChangeKind::Added => 32,
            ChangeKind::Removed => 31,
            ChangeKind::Changed => 33,
            ChangeKind::Renamed => 36,
        };
        writeln!(self.out, "\x1b[{color}m{sign} {text}\x1b[0m")
    }
}

/// Every difference, a line each.
pub fn all(out: &mut dyn Write, found: &Diff, is_coloured: bool) -> io::Result<()> {
    let mut lines = Lines { out, is_coloured };
    for change in &found.manifest {
        lines.line(ChangeKind::Changed, &format!("layer: {}", member(change)))?;
    }
    for change in &found.applications {
        lines.line(change.change, &application(change))?;
    }
    for change in &found.files {
        lines.line(change.change, &file(change))?;
    }
    for change in &found.registry {
        lines.line(change.change, &registry(change))?;
    }
    Ok(())
}

/// How many differences there are of what kind.
pub fn stat(out: &mut dyn Write, found: &Diff) -> io::Result<()> {
    fn row(out: &mut dyn Write, what: &str, changes: impl Iterator<Item = ChangeKind>) -> io::Result<()> {
        let mut counts = [0_u64; 4];
        for change in changes {
            counts[change as usize] += 1;
        }
        let [added, removed, changed, renamed] = counts;
        writeln!(out, "{what:14} {added:>10} {removed:>10} {changed:>10} {renamed:>10}")
    }
    writeln!(
        out,
        "{:14} {:>10} {:>10} {:>10} {:>10}",
        "", "added", "removed", "changed", "renamed"
    )?;
    row(out, "layer", found.manifest.iter().map(|_| ChangeKind::Changed))?;
    row(
        out,
        "applications",
        found.applications.iter().map(|change| change.change),
    )?;
    row(out, "files", found.files.iter().map(|change| change.change))?;
    row(out, "registry", found.registry.iter().map(|change| change.change))?;
    let bytes = |kind: ChangeKind| -> u64 {
        let changes = found.files.iter().filter(|change| change.change == kind);
        changes.map(|change| change.size).sum()
    };
    let (added, removed) = (bytes(ChangeKind::Added), bytes(ChangeKind::Removed));
    writeln!(out, "{:14} {added:>10} {removed:>10}", "bytes of files")
}

fn short(text: &str) -> String {
    let mut shown: String = printable(text).chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

fn json(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_owned(),
        Json::String(text) => short(text),
        other => short(&other.to_string()),
    }
}

fn member(change: &MemberChange) -> String {
    format!(
        "{}: {} -> {}",
        printable(&change.member),
        json(&change.before),
        json(&change.after)
    )
}

fn application(change: &ApplicationChange) -> String {
    let list = match change.list {
        "installed" => "application",
        "programs" => "program",
        "shortcuts" => "shortcut",
        "services" => "service",
        "file_types" => "file type",
        "com_classes" => "COM class",
        "fonts" => "font",
        "run" => "run entry",
        "tasks" => "task",
        _ => "environment",
    };
    let mut line = format!("{list}: {}", short(&change.name));
    let one = |value: &Json| (!value.is_null()).then(|| json(value));
    let members: Vec<String> = match change.change {
        ChangeKind::Changed | ChangeKind::Renamed => change.members.iter().map(member).collect(),
        // What only one side has is told by its version alone.
        ChangeKind::Added | ChangeKind::Removed => {
            let version = change.members.iter().filter(|change| change.member == "version");
            version
                .filter_map(|change| one(&change.after).or_else(|| one(&change.before)))
                .collect()
        }
    };
    if !members.is_empty() {
        line = format!("{line} ({})", members.join("; "));
    }
    line
}

fn stream(stream: Option<&StreamSummary>) -> String {
    stream.map_or_else(|| "nothing".to_owned(), |stream| format!("{} bytes", stream.size))
}

fn aspect(aspect: &Aspect) -> String {
    match aspect {
        Aspect::Kind { before, after } => format!("{before:?} -> {after:?}").to_lowercase(),
        Aspect::Content { before, after } => streams("content", before.as_ref(), after.as_ref()),
        Aspect::Stream {
            name: stream,
            before,
            after,
        } => streams(&format!("stream {}", name(stream)), before.as_ref(), after.as_ref()),
        Aspect::Attributes { before, after } => format!("attributes {before:#x} -> {after:#x}"),
        Aspect::Times { .. } => "times".to_owned(),
        Aspect::Security { .. } => "security".to_owned(),
        Aspect::Reparse { .. } => "link target".to_owned(),
        Aspect::ExtendedAttributes { .. } => "extended attributes".to_owned(),
        Aspect::ObjectId { .. } => "object id".to_owned(),
        Aspect::ShortName { .. } => "8.3 name".to_owned(),
        Aspect::Links { before, after } => {
            let count = |links: &Option<layerfmt::diff::Links>| links.as_ref().map_or(1, |links| links.count);
            format!("links {} -> {}", count(before), count(after))
        }
        Aspect::Case { before, .. } => format!("was spelled {}", name(before)),
        _ => "other".to_owned(),
    }
}

fn streams(what: &str, before: Option<&StreamSummary>, after: Option<&StreamSummary>) -> String {
    match (before, after) {
        (Some(one), Some(other)) if one.size == other.size => format!("{what}, {} bytes as before", one.size),
        _ => format!("{what} {} -> {}", stream(before), stream(after)),
    }
}

fn file(change: &FileChange) -> String {
    let mut line = match &change.from {
        Some(from) => format!("{} -> {}", name(from), name(&change.path)),
        None => name(&change.path).into_owned(),
    };
    if !change.aspects.is_empty() {
        let aspects: Vec<String> = change.aspects.iter().map(aspect).collect();
        line = format!("{line} ({})", aspects.join("; "));
    }
    line
}

fn value(value: Option<&ValueSummary>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) if value.tombstone => "(deleted)".to_owned(),
        Some(value) => format!("{} {}", value.value_type, short(&value.text)),
    }
}

fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Merge => "merge",
        KeyState::Tombstone => "tombstone",
        KeyState::SupersedeLocal => "supersede-local",
        KeyState::SupersedeTree => "supersede-tree",
    }
}

fn registry(change: &RegistryChange) -> String {
    let key = printable(&change.key);
    match &change.what {
        RegistryWhat::Key {
            state: KeyState::Merge, ..
        } => key,
        RegistryWhat::Key { state: of } => format!("{key} ({})", state(*of)),
        RegistryWhat::Value { name, before, after } => {
            let name = if name.is_empty() {
                "(default)".to_owned()
            } else {
                printable(name)
            };
            match (before, after) {
                (Some(_), Some(_)) => {
                    format!("{key}!{name}: {} -> {}", value(before.as_ref()), value(after.as_ref()))
                }
                _ => format!("{key}!{name}: {}", value(before.as_ref().or(after.as_ref()))),
            }
        }
        RegistryWhat::State { before, after } => format!("{key} ({} -> {})", state(*before), state(*after)),
        RegistryWhat::Other { name } => format!("{key} ({name})"),
    }
}
