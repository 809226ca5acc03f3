//! What the change journal of a volume adds to a snapshot: which files were written, whatever their times say.

use super::files::{EntryId, EntryKind, Files};
use super::machine::Problem;
use cv_windows::usn::UsnRecord;
use std::collections::HashMap;

/// Reasons that have to do with content: data and named streams overwritten, extended or cut, and files made.
const WRITTEN: u32 = 0x1 | 0x2 | 0x4 | 0x10 | 0x20 | 0x40 | 0x100;

/// Gives the files of a later snapshot the numbers by which the journal, asked since the earlier one, says that they were
/// written. So a file is seen to be changed that has kept its size and times.
///
/// The journal is checked by the snapshots: where these have a file that changed, and the journal does not name it, it is not
/// believed, and what is wrong is told.
pub fn apply_journal(before: &Files, after: &mut Files, records: &[UsnRecord]) -> Option<Problem> {
    let mut written: HashMap<EntryId, u64> = HashMap::new();
    let mut named = std::collections::HashSet::new();
    for record in records {
        named.insert(EntryId(record.file));
        if record.reason & WRITTEN != 0 {
            written.insert(EntryId(record.file), record.usn);
        }
    }
    let known: HashMap<EntryId, (u64, u64)> = before
        .entries()
        .iter()
        .map(|entry| (entry.id, (entry.size, entry.modified)))
        .collect();
    let unnamed = |index: &u32| {
        let entry = after.entry(*index);
        let is_changed = known.get(&entry.id) != Some(&(entry.size, entry.modified));
        entry.kind == EntryKind::File && is_changed && !named.contains(&entry.id)
    };
    let mut missed = (0..after.len() as u32).filter(unnamed);
    if let Some(first) = missed.next() {
        let count = missed.count() + 1;
        return Some(Problem {
            path: String::new(),
            reason: format!(
                "the change journal does not name {count} files that changed, the first is {}; sizes and times decide alone",
                String::from_utf8_lossy(&after.path(first))
            ),
        });
    }
    after.set_usns(&written);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::files::{Difference, Parts, compare};
    use crate::snapshot::{Entry, FilesBuilder};

    /// Files of one volume, each of one byte, with the times given.
    fn files(times: &[(&str, u64)]) -> Files {
        let root = Entry::new(Vec::new(), EntryKind::Directory, EntryId(5));
        let mut builder = FilesBuilder::new(77, root);
        for (number, (name, time)) in times.iter().enumerate() {
            let mut entry = Entry::new(name.as_bytes().to_vec(), EntryKind::File, EntryId(100 + number as u64));
            (entry.size, entry.modified, entry.changed) = (1, *time, 9);
            builder.add(0, entry);
        }
        builder.finish().0
    }

    fn record(file: u64, usn: u64, reason: u32) -> UsnRecord {
        UsnRecord {
            file,
            parent: 5,
            usn,
            time: 0,
            reason,
            attributes: 0,
            name: Vec::new(),
        }
    }

    #[test]
    fn a_file_that_kept_its_size_and_times_is_seen_to_be_written() {
        let before = files(&[("a", 1), ("b", 1), ("c", 1)]);
        let mut after = before.clone();
        assert!(compare(&before, &after, None, 1, &mut Vec::new()).is_empty());
        // Overwritten and closed; renamed and back again.
        let records = [record(101, 50, 0x8000_0001), record(102, 60, 0x2000)];
        assert_eq!(apply_journal(&before, &mut after, &records), None);
        let changes = compare(&before, &after, None, 1, &mut Vec::new());
        assert_eq!(changes.len(), 1);
        assert_eq!(after.entry(changes[0].after.unwrap()).name, b"b");
        assert_eq!(changes[0].difference, Difference::Changed(Parts::CONTENT));
    }

    #[test]
    fn a_journal_that_misses_a_change_is_not_believed() {
        let before = files(&[("a", 1), ("b", 1)]);
        let mut after = files(&[("a", 2), ("b", 1), ("new", 1)]);
        let same = after.clone();
        let records = [record(101, 50, 1)];
        let problem = apply_journal(&before, &mut after, &records).unwrap();
        assert!(problem.reason.contains("does not name 2 files"), "{problem}");
        assert_eq!(after, same);
    }
}
