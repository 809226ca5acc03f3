//! Names in records against names in indexes, and directories against each other.
//!
//! The second pass reads every index and takes each entry's hash from the sum that the first pass kept for its file. Where a
//! sum is not 0 in the end, a third pass over the indexes tells which names differ; a sound volume does not need it.

use super::context::Context;
use super::file::quoted;
use super::findings::Findings;
use super::index;
use super::records::{Kind, RecordState, Records};
use super::scan::{Allowance, with_file};
use super::view::Rows;
use super::volume::Tally;
use crate::structure::file_name::FileNameHeader;
use crate::structure::index::I30;
use crate::structure::{
    AttributeType, FileAttributes, FileName, FileReference, IndexEntry, Structure, system_file, within,
};
use cv_disk::{Damage, Severity};
use std::collections::HashSet;

/// What one piece of the second pass found.
#[derive(Default)]
pub(super) struct Outcome {
    pub findings: Findings,
    /// What the indexes hold that are not of names.
    pub rows: Rows,
    /// How far in the records it is.
    pub end: u64,
}

/// Checks all indexes of the files whose records are `numbers`.
pub(super) fn check_indexes(
    context: &Context,
    records: &Records,
    allowance: &Allowance<'_>,
    numbers: &[u64],
) -> Outcome {
    let mut outcome = Outcome {
        end: numbers.last().map_or(0, |last| last + 1),
        ..Outcome::default()
    };
    for number in numbers {
        let mut rows = std::mem::take(&mut outcome.rows);
        walk(
            context,
            allowance,
            *number,
            &mut outcome.findings,
            &mut |directory, name, entry, place, findings| {
                if name == I30 {
                    check_entry(context, records, directory, entry, place, findings);
                } else if let Err(damage) = rows.add(directory.record(), name, entry) {
                    let damage = Damage {
                        offset: place,
                        ..damage
                    };
                    findings.record(
                        Severity::Error,
                        directory.record(),
                        within(damage, format!("index {}", super::context::shown(name))),
                    );
                }
            },
        );
        outcome.rows = rows;
    }
    outcome
}

type Look<'a> = &'a mut dyn FnMut(FileReference, &[u16], &IndexEntry<'_>, u64, &mut Findings);

/// Hands every entry of every index of record `number` to `look`.
fn walk(context: &Context, allowance: &Allowance<'_>, number: u64, findings: &mut Findings, look: Look<'_>) {
    // What is wrong with the record itself the first pass has told.
    let Ok(loaded) = context.mft.load(number, &context.volume) else {
        return;
    };
    with_file(context, &loaded, allowance, &mut Findings::default(), |file, _| {
        for root in file.of_type(AttributeType::INDEX_ROOT) {
            let name = root.attribute.name();
            let directory = file.reference();
            index::check(
                context,
                file,
                root,
                allowance,
                findings,
                &mut |entry, place, findings| {
                    look(directory, &name, entry, place, findings);
                },
            );
        }
    });
}

fn entry_fault(directory: FileReference, severity: Severity, damage: Damage, findings: &mut Findings) {
    findings.record(severity, directory.record(), within(damage, "index $I30"));
}

/// Checks an entry of `directory` against the record that it names.
fn check_entry(
    context: &Context,
    records: &Records,
    directory: FileReference,
    entry: &IndexEntry<'_>,
    place: u64,
    findings: &mut Findings,
) {
    let key = entry.key();
    let file = entry.header.file_reference;
    let name = match FileName::parse(key) {
        Ok(name) => name,
        Err(damage) => {
            let damage = Damage {
                offset: place + 0x10,
                ..damage
            };
            return entry_fault(directory, Severity::Error, damage, findings);
        }
    };
    let mut fault = |severity, field: &str, within: u64, expected: String, found: String| {
        let damage = Damage::new(
            format!("entry {}, {field}", quoted(&name.name)),
            place + within,
            expected,
            found,
        );
        entry_fault(directory, severity, damage, findings);
    };
    if key.len() != FileName::size(name.name.len()) {
        fault(
            Severity::Error,
            "key length",
            0x0A,
            FileName::size(name.name.len()).to_string(),
            key.len().to_string(),
        );
    }
    if name.parent() != directory {
        fault(
            Severity::Error,
            "parent directory",
            0x10,
            directory.to_string(),
            name.parent().to_string(),
        );
    }
    let state = match target(context, records, file) {
        Ok(state) => state,
        Err((expected, found)) => return fault(Severity::Error, "file", 0, expected, found),
    };
    if state.kind.contains(Kind::DAMAGED) {
        return;
    }
    state.remove_name(context.name_hash(directory, file, &key[..FileName::size(name.name.len())]));
    // Windows never brings those of its own files up to date.
    if file.record() >= system_file::FIRST_FREE_RECORD {
        check_copies(state, &name, &mut fault);
    }
}

/// The record that `file` names, or what is expected of it and what it is.
fn target<'a>(
    context: &Context,
    records: &'a Records,
    file: FileReference,
) -> Result<&'a RecordState, (String, String)> {
    let Some(state) = records.get(file.record()) else {
        let found = if file.record() < context.mft.records {
            "free".into()
        } else {
            format!("{} records in all", context.mft.records)
        };
        return Err((format!("record {} in use", file.record()), found));
    };
    if state.kind.contains(Kind::EXTENSION) {
        let expected = format!("record {} to be the first of a file", file.record());
        return Err((expected, format!("a further record of file {}", state.parent)));
    }
    // What cannot be read has a sequence number that nobody knows.
    if state.sequence != file.sequence() && !state.kind.contains(Kind::DAMAGED) {
        let found = format!("sequence number {}", file.sequence());
        return Err((
            format!("record {} with sequence number {}", file.record(), state.sequence),
            found,
        ));
    }
    Ok(state)
}

/// Compares what the entry repeats of the record. Windows brings it up to date when the file is closed, and only for the
/// name by which it was opened.
fn check_copies(state: &RecordState, name: &FileName, fault: &mut dyn FnMut(Severity, &str, u64, String, String)) {
    let header = &name.header;
    let is_directory = state.kind.contains(Kind::DIRECTORY);
    if is_directory != name.is_directory() {
        let text = |is_directory| if is_directory { "a directory" } else { "no directory" };
        let (expected, found) = (text(is_directory).into(), text(name.is_directory()).into());
        fault(Severity::Warning, "file attributes", 0x48, expected, found);
    }
    if !is_directory {
        if header.file_size != state.file_size {
            let (expected, found) = (state.file_size.to_string(), header.file_size.to_string());
            fault(Severity::Note, "data size", 0x40, expected, found);
        }
        if header.allocated_length != state.allocated {
            let (expected, found) = (state.allocated.to_string(), header.allocated_length.to_string());
            fault(Severity::Note, "allocated size", 0x38, expected, found);
        }
    }
    let copied = !(FileAttributes::DIRECTORY_INDEX | FileAttributes::VIEW_INDEX | FileAttributes::DIRECTORY);
    let in_record = FileAttributes::from_bits_retain(state.file_attributes) & copied;
    let in_entry = header.file_attributes & copied;
    if in_record != in_entry {
        let text = |attributes: FileAttributes| format!("{:#x}", attributes.bits());
        fault(Severity::Note, "file attributes", 0x48, text(in_record), text(in_entry));
    }
}

/// Says which names differ, where the sums do: `directories` are the records that have an `$I30` index.
pub(super) fn compare(
    context: &Context,
    records: &Records,
    allowance: &Allowance<'_>,
    directories: &[u64],
    findings: &mut Findings,
) {
    let differing: HashSet<u64> = records
        .iter()
        .filter(|(_, state)| state.names_differ() && !state.kind.contains(Kind::DAMAGED))
        .map(|(number, _)| number)
        .collect();
    if differing.is_empty() {
        return;
    }
    let mut sorted: Vec<u64> = differing.iter().copied().collect();
    sorted.sort_unstable();
    let mut wanted = HashSet::new();
    // Entries that mean the record by another sequence number are told already.
    let mut stale = HashSet::new();
    for number in &sorted {
        for_names(context, allowance, *number, |file, key, _| {
            wanted.insert(context.name_hash(parent(key), file, key));
        });
    }
    for directory in directories {
        walk(
            context,
            allowance,
            *directory,
            &mut Findings::default(),
            &mut |directory, name, entry, place, _| {
                let file = entry.header.file_reference;
                let key = entry.key();
                if name != I30 || !differing.contains(&file.record()) {
                    return;
                }
                let length = FileName::name_bytes(key).map_or(0, |name| FileNameHeader::SIZE + name.len());
                let hash = context.name_hash(directory, file, &key[..length]);
                if target(context, records, file).is_err() {
                    stale.insert(context.name_hash(directory, FileReference::new(file.record(), 0), &key[..length]));
                } else if !wanted.remove(&hash) {
                    let Ok(name) = FileName::parse(key) else { return };
                    let expected = format!("a name of record {}", file.record());
                    let damage = Damage::new(
                        format!("entry {}", quoted(&name.name)),
                        place,
                        expected,
                        "none in the record, or the same entry twice",
                    );
                    entry_fault(directory, Severity::Error, damage, findings);
                }
            },
        );
    }
    for number in &sorted {
        for_names(context, allowance, *number, |file, key, place| {
            let hash = context.name_hash(parent(key), file, key);
            let as_stale = context.name_hash(parent(key), FileReference::new(file.record(), 0), key);
            if wanted.contains(&hash) && !stale.contains(&as_stale) {
                let damage = missing(context, records, key, place);
                findings.record(Severity::Error, *number, damage);
            }
        });
    }
}

/// The directory that a `$FILE_NAME` value names.
fn parent(key: &[u8]) -> FileReference {
    key.first_chunk::<8>()
        .map_or(FileReference(0), |bytes| FileReference(u64::from_le_bytes(*bytes)))
}

fn missing(context: &Context, records: &Records, key: &[u8], place: u64) -> Damage {
    let name = FileName::parse(key).map(|name| quoted(&name.name)).unwrap_or_default();
    let parent = parent(key);
    let found = match target(context, records, parent) {
        Err((expected, found)) => format!("an orphan: expected {expected}, found {found}"),
        Ok(state) if !state.kind.contains(Kind::DIRECTORY) => "an orphan: that record is no directory".into(),
        Ok(_) => "no such entry".into(),
    };
    Damage::new(
        format!("$FILE_NAME {name}"),
        place,
        format!("an entry in the index of directory {parent}"),
        found,
    )
}

/// Calls `look` with every `$FILE_NAME` value of record `number`, cut to its length, and the value's place in the volume.
fn for_names(
    context: &Context,
    allowance: &Allowance<'_>,
    number: u64,
    mut look: impl FnMut(FileReference, &[u8], u64),
) {
    let Ok(loaded) = context.mft.load(number, &context.volume) else {
        return;
    };
    with_file(context, &loaded, allowance, &mut Findings::default(), |file, _| {
        for held in file.of_type(AttributeType::FILE_NAME) {
            let value = held.attribute.resident_value().unwrap_or_default();
            if let Ok(name) = FileName::name_bytes(value) {
                look(
                    file.reference(),
                    &value[..FileNameHeader::SIZE + name.len()],
                    held.value_place(context),
                );
            }
        }
    });
}

/// Finds directories from which no way leads up to the root. Where a directory is in no index, that was told already; what
/// is left are those that contain themselves.
pub(super) fn check_reachable(context: &Context, records: &Records, findings: &mut Findings) {
    let root = system_file::ROOT.record;
    let mut settled: HashSet<u64> = HashSet::from([root]);
    for (number, state) in records.iter() {
        if !state.kind.contains(Kind::DIRECTORY) || settled.contains(&number) {
            continue;
        }
        let mut way = Vec::new();
        let mut on_way = HashSet::new();
        let mut at = number;
        while !settled.contains(&at) {
            if !on_way.insert(at) {
                let circle = way.iter().rev().take_while(|one| **one != at).count() + 1;
                let expected = "a way up to the root directory";
                let found = format!("a circle of {circle} directories");
                findings.record(
                    Severity::Error,
                    at,
                    context.damage(at, 0, "$FILE_NAME, parent directory", expected, found),
                );
                break;
            }
            way.push(at);
            // A parent that is another directory by now was told already.
            let parent = records.get(at).map(|state| state.parent);
            let is_there = |parent: FileReference| {
                let state = target(context, records, parent);
                state.is_ok_and(|state| state.kind.contains(Kind::DIRECTORY))
            };
            match parent.filter(|parent| is_there(*parent)) {
                Some(parent) => at = parent.record(),
                None => break,
            }
        }
        settled.extend(way);
    }
}

/// Checks that `$MFT`'s bitmap has exactly the records in use.
pub(super) fn compare_bitmap(context: &Context, records: &Records, findings: &mut Findings) {
    let volume = &context.volume;
    let Some(bitmap) = &context.mft.bitmap else {
        return;
    };
    let size = bitmap.size(volume);
    let needed = context.mft.records.div_ceil(8);
    if size < needed {
        let expected = format!("at least {needed} bytes, a bit for each record");
        let damage = Damage::new(
            "$MFT, $BITMAP, data size",
            bitmap.place(0, volume),
            expected,
            size.to_string(),
        );
        findings.volume(Severity::Error, damage);
    }
    let mut in_use = records.words().peekable();
    let mut behind = Tally::default();
    let mut look = |word: u64, marked: u64, used: u64| {
        let inside = match context.mft.records.saturating_sub(word * 64) {
            left @ 0..64 => (1 << left) - 1,
            _ => u64::MAX,
        };
        behind.add(word, marked & !inside);
        let differing = (marked & inside) ^ used;
        for number in (0..64)
            .filter(|bit| differing >> bit & 1 == 1)
            .map(|bit| word * 64 + bit)
        {
            let place = bitmap.place(number / 8, volume);
            if used >> (number % 64) & 1 == 1 {
                let expected = "marked, as the record is in use";
                findings.record(
                    Severity::Error,
                    number,
                    Damage::new("$MFT, $BITMAP", place, expected, "clear"),
                );
            } else if number >= system_file::FIRST_FREE_RECORD {
                // Windows and others mark records that are set aside for the volume.
                let expected = format!("record {number} clear, as it is free");
                findings.volume(
                    Severity::Warning,
                    Damage::new("$MFT, $BITMAP", place, expected, "marked"),
                );
            }
        }
    };
    for word in bitmap.words(volume, "$MFT, $BITMAP") {
        // That it cannot be read the first pass has told.
        let Ok((word, marked)) = word else { break };
        while let Some((before, used)) = in_use.next_if(|(page, _)| *page < word) {
            look(before, 0, used);
        }
        let used = in_use.next_if(|(page, _)| *page == word).map_or(0, |(_, used)| used);
        if marked != used {
            look(word, marked, used);
        }
    }
    for (word, used) in in_use {
        look(word, 0, used);
    }
    if behind.count > 0 {
        let expected = format!("no bit set behind the last of {} records", context.mft.records);
        let place = bitmap.place(behind.first / 8, volume);
        findings.volume(
            Severity::Warning,
            Damage::new("$MFT, $BITMAP", place, expected, behind.to_string()),
        );
    }
}
