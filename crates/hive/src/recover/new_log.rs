//! Logs of the new form: entries, each with a sequence number.

use std::ops::ControlFlow;

use cv_disk::Damage;

use super::{Log, Recovery};
use crate::structure::marvin32::marvin32;
use crate::structure::transaction_log::SECTOR;
use crate::structure::{DirtyPageReference, HiveBin, LogEntry, Structure};

/// Applies what `logs` hold and the hive does not.
pub(super) fn apply(recovery: &mut Recovery, mut logs: Vec<Log<'_>>) {
    // The log that was begun first is applied first, whichever file it is in.
    logs.sort_by_key(|log| log.base_block.primary_sequence_number);
    if recovery.base_block.is_none() {
        let Some(latest) = logs.pop() else { return };
        recovery.take_base_block(&latest);
        logs = vec![latest];
    }
    for log in &logs {
        apply_log(recovery, log);
    }
}

fn apply_log(recovery: &mut Recovery, log: &Log<'_>) {
    let entries_before = recovery.entries;
    let mut offset = SECTOR;
    while log
        .bytes
        .get(offset..)
        .is_some_and(|rest| rest.starts_with(&LogEntry::SIGNATURE))
    {
        let entry = match Entry::open(log.bytes, offset) {
            Ok(entry) => entry,
            Err(damage) => {
                recovery.stop(log.place, damage);
                break;
            }
        };
        match apply_entry(recovery, &entry) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(damage) => {
                recovery.stop(log.place, damage);
                break;
            }
        }
        offset = entry.end;
    }
    if recovery.entries > entries_before {
        recovery.logs.push(log.place);
    }
}

/// An entry whose hashes are right.
struct Entry<'a> {
    header: LogEntry,
    /// Where it stands in the log.
    offset: usize,
    /// Where the next one stands.
    end: usize,
    /// What follows its start.
    content: &'a [u8],
}

impl<'a> Entry<'a> {
    fn open(log: &'a [u8], offset: usize) -> Result<Self, Damage> {
        let place = offset as u64;
        let header = LogEntry::parse(&log[offset..], place)?;
        let damage = |field: &str, at: u64, expected: String, found: String| {
            let structure = format!("log entry {}, {field}", header.sequence_number);
            Err(Damage::new(structure, place + at, expected, found))
        };
        let size = header.size as usize;
        let entry = log[offset..]
            .get(..size)
            .filter(|_| size >= LogEntry::SIZE && size.is_multiple_of(SECTOR));
        let Some(entry) = entry else {
            let room = log.len() - offset;
            return damage(
                "size",
                4,
                format!("a multiple of {SECTOR}, up to {room}"),
                size.to_string(),
            );
        };
        let hashes = [
            ("hash 1", 24, header.hash_1, &entry[LogEntry::SIZE..]),
            ("hash 2", 32, header.hash_2, &entry[..32]),
        ];
        for (name, at, found, hashed) in hashes {
            let expected = marvin32(hashed);
            if expected != found {
                return damage(name, at, format!("{expected:#018x}"), format!("{found:#018x}"));
            }
        }
        Ok(Self {
            header,
            offset,
            end: offset + size,
            content: &entry[LogEntry::SIZE..],
        })
    }

    fn damage(&self, field: &str, at: usize, expected: String, found: impl std::fmt::Display) -> Damage {
        let structure = format!("log entry {}, {field}", self.header.sequence_number);
        Damage::new(structure, (self.offset + at) as u64, expected, found.to_string())
    }

    /// The pages, each with the offset in the hive bins data that it belongs to.
    fn pages(&self) -> Result<Vec<(usize, &'a [u8])>, Damage> {
        let count = self.header.dirty_pages_count as usize;
        let room = self.content.len() / DirtyPageReference::SIZE;
        if count > room {
            return Err(self.damage("dirty pages count", 20, format!("at most {room}"), count));
        }
        let (references, mut rest) = self.content.split_at(count * DirtyPageReference::SIZE);
        let size = self.header.hive_bins_data_size as usize;
        let mut pages = Vec::with_capacity(count);
        for (number, reference) in references.chunks_exact(DirtyPageReference::SIZE).enumerate() {
            let at = LogEntry::SIZE + number * DirtyPageReference::SIZE;
            let reference = DirtyPageReference::parse(reference, (self.offset + at) as u64)?;
            let (start, length) = (reference.offset as usize, reference.size as usize);
            if start.checked_add(length).is_none_or(|end| end > size) {
                let found = format!("{length} bytes at {start:#x}");
                return Err(self.damage("dirty page reference", at, format!("within {size:#x} bytes"), found));
            }
            let Some((page, after)) = rest.split_at_checked(length) else {
                return Err(self.damage(
                    "dirty page reference",
                    at + 4,
                    format!("at most {}", rest.len()),
                    length,
                ));
            };
            pages.push((start, page));
            rest = after;
        }
        Ok(pages)
    }
}

/// Applies an entry where its turn has come; passes over one that was applied to the hive before.
fn apply_entry(recovery: &mut Recovery, entry: &Entry<'_>) -> Result<ControlFlow<()>, Damage> {
    let Some(block) = &recovery.base_block else {
        return Ok(ControlFlow::Break(()));
    };
    let header = &entry.header;
    // What is applied next: after an entry, the one that follows it.
    let expected = match recovery.entries {
        0 => block.secondary_sequence_number,
        _ => block.secondary_sequence_number.wrapping_add(1),
    };
    if header.sequence_number < expected {
        return Ok(ControlFlow::Continue(()));
    }
    if header.sequence_number > expected {
        return Err(entry.damage("sequence number", 12, expected.to_string(), header.sequence_number));
    }
    let size = header.hive_bins_data_size;
    if !size.is_multiple_of(HiveBin::UNIT) {
        return Err(entry.damage(
            "hive bins data size",
            16,
            format!("a multiple of {}", HiveBin::UNIT),
            size,
        ));
    }
    let pages = entry.pages()?;
    // New hive bins are dirty throughout, so that the hive grows by no more than the log holds.
    let there = recovery.bins_length();
    let beyond = |(start, page): &(usize, &[u8])| (start + page.len()).saturating_sub(there.max(*start));
    let limit = there + pages.iter().map(beyond).sum::<usize>();
    if size as usize > limit {
        return Err(entry.damage(
            "hive bins data size",
            16,
            format!("at most {limit:#x}"),
            format!("{size:#x}"),
        ));
    }
    for (start, page) in pages {
        recovery.write(start, page);
    }
    if let Some(block) = &mut recovery.base_block {
        block.primary_sequence_number = header.sequence_number;
        block.secondary_sequence_number = header.sequence_number;
        block.hive_bins_data_size = size;
        block.flags = header.flags;
    }
    recovery.entries += 1;
    Ok(ControlFlow::Continue(()))
}
