//! Changed files.

use super::content::{Contents, is_same, shared_from};
use crate::snapshot::{ContentError, EntryKind, Files, Problem, Storage};
use bitflags::bitflags;
use cv_ntfs::structure::FileAttributes;
use std::cmp::Ordering;
use std::collections::HashMap;

bitflags! {
    /// What of a file changed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Parts: u32 {
        /// Its content.
        const CONTENT = 1;
        /// Its named streams.
        const STREAMS = 2;
        /// Its attributes.
        const ATTRIBUTES = 4;
        /// Its security descriptor.
        const SECURITY = 8;
        /// Its reparse data.
        const REPARSE = 16;
        /// How its name is written.
        const NAME = 32;
        /// What it is: a file, a directory or a link.
        const KIND = 64;
        /// Its times, and nothing else.
        const TIMES = 128;
    }
}

/// How a name differs between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It is there in the later one alone.
    Added,
    /// It is there in the earlier one alone.
    Deleted,
    /// It is there in both, and these parts of it differ.
    Changed(Parts),
}

/// A name that differs between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileChange {
    /// Its entry in the earlier snapshot.
    pub before: Option<u32>,
    /// Its entry in the later snapshot.
    pub after: Option<u32>,
    /// How it differs.
    pub difference: Difference,
    /// Of one that was added: the entry of the earlier snapshot that the same file had and has no more.
    pub renamed_from: Option<u32>,
}

/// Attributes that say something of a file; the others follow from what it holds, or say whether it was saved.
const TELLING: FileAttributes = FileAttributes::READONLY
    .union(FileAttributes::HIDDEN)
    .union(FileAttributes::SYSTEM)
    .union(FileAttributes::OFFLINE)
    .union(FileAttributes::NOT_CONTENT_INDEXED)
    .union(FileAttributes::ENCRYPTED);

/// The names that differ, a directory before what is in it, each directory's by folded name. What cannot be read counts as
/// changed and is added to `problems`.
///
/// A file is taken for unchanged without being read where the snapshots are of one volume and its identity, size, times and
/// journal number are the same. Without `contents`, one of the same size whose time of change differs counts as changed.
pub fn compare(
    before: &Files,
    after: &Files,
    contents: Option<&Contents>,
    threads: usize,
    problems: &mut Vec<Problem>,
) -> Vec<FileChange> {
    let mut walk = Walk {
        before,
        after,
        is_one_volume: before.volume == after.volume && before.volume != 0,
        changes: Vec::new(),
        candidates: Vec::new(),
    };
    walk.directory(Files::ROOT, Files::ROOT);
    let Walk {
        mut changes,
        candidates,
        ..
    } = walk;
    let looked = crate::snapshot::in_parallel(threads, &candidates, |place| {
        let change = &changes[*place];
        match (change.before, change.after, contents) {
            (Some(one), Some(other), Some(contents)) => differing_content((before, one), (after, other), contents),
            _ => Ok(Parts::CONTENT),
        }
    });
    for (place, looked) in candidates.iter().zip(looked) {
        let parts = looked.unwrap_or_else(|error| {
            problems.extend(changes[*place].after.map(|entry| Problem {
                path: String::from_utf8_lossy(&after.path(entry)).into_owned(),
                reason: error.to_string(),
            }));
            Parts::CONTENT
        });
        if let Difference::Changed(known) = &mut changes[*place].difference {
            *known |= parts;
            if *known != Parts::TIMES {
                known.remove(Parts::TIMES);
            }
        }
    }
    changes.retain(|change| change.difference != Difference::Changed(Parts::empty()));
    if before.volume == after.volume {
        find_renames(before, after, &mut changes);
    }
    changes
}

struct Walk<'a> {
    before: &'a Files,
    after: &'a Files,
    is_one_volume: bool,
    changes: Vec<FileChange>,
    /// Changes whose content is to be looked at.
    candidates: Vec<usize>,
}

impl Walk<'_> {
    fn push(&mut self, before: Option<u32>, after: Option<u32>, difference: Difference) {
        self.changes.push(FileChange {
            before,
            after,
            difference,
            renamed_from: None,
        });
    }

    fn directory(&mut self, before: u32, after: u32) {
        enum Step {
            Both(u32, u32),
            Added(u32),
            Deleted(u32),
        }
        let mut pending = vec![Step::Both(before, after)];
        while let Some(step) = pending.pop() {
            let (one, other) = match step {
                Step::Both(one, other) => {
                    self.pair(one, other);
                    (Some(one), Some(other))
                }
                Step::Added(entry) => {
                    self.push(None, Some(entry), Difference::Added);
                    (None, Some(entry))
                }
                Step::Deleted(entry) => {
                    self.push(Some(entry), None, Difference::Deleted);
                    (Some(entry), None)
                }
            };
            let mut left = one.map_or(0..0, |entry| self.before.children(entry)).peekable();
            let mut right = other.map_or(0..0, |entry| self.after.children(entry)).peekable();
            let start = pending.len();
            loop {
                let order = match (left.peek(), right.peek()) {
                    (Some(one), Some(other)) => {
                        let (one, other) = (&self.before.entry(*one).name, &self.after.entry(*other).name);
                        compare_names(one, other)
                    }
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (None, None) => break,
                };
                pending.extend(match order {
                    Ordering::Less => left.next().map(Step::Deleted),
                    Ordering::Greater => right.next().map(Step::Added),
                    Ordering::Equal => left.next().zip(right.next()).map(|(one, other)| Step::Both(one, other)),
                });
            }
            pending[start..].reverse();
        }
    }

    /// Compares an entry that is in both.
    fn pair(&mut self, before: u32, after: u32) {
        let (one, other) = (self.before.entry(before), self.after.entry(after));
        let mut parts = Parts::empty();
        if one.name != other.name {
            parts |= Parts::NAME;
        }
        if one.kind != other.kind {
            self.push(Some(before), Some(after), Difference::Changed(parts | Parts::KIND));
            return;
        }
        if (one.attributes ^ other.attributes) & TELLING.bits() != 0 {
            parts |= Parts::ATTRIBUTES;
        }
        if self.before.security(before) != self.after.security(after) {
            parts |= Parts::SECURITY;
        }
        if one.reparse != other.reparse {
            parts |= Parts::REPARSE;
        }
        if one.streams != other.streams {
            parts |= Parts::STREAMS;
        }
        if one.size != other.size {
            parts |= Parts::CONTENT;
        }
        let is_same_time = one.modified == other.modified;
        let is_known = self.is_one_volume
            && one.id == other.id
            && is_same_time
            && one.changed == other.changed
            && one.usn == other.usn
            && one.created == other.created;
        let has_content = one.kind == EntryKind::File || !one.streams.is_empty();
        if has_content && !is_known && !parts.contains(Parts::CONTENT) {
            if one.kind == EntryKind::File && !is_same_time {
                parts |= Parts::TIMES;
            }
            self.candidates.push(self.changes.len());
            self.push(Some(before), Some(after), Difference::Changed(parts));
        } else if !parts.is_empty() {
            self.push(Some(before), Some(after), Difference::Changed(parts));
        }
    }
}

fn compare_names(one: &[u8], other: &[u8]) -> Ordering {
    if one == other {
        return Ordering::Equal;
    }
    crate::snapshot::folded(one).cmp(&crate::snapshot::folded(other))
}

/// Which of the content and the named streams of two entries differ. Their sizes are the same.
fn differing_content(
    (before, one): (&Files, u32),
    (after, other): (&Files, u32),
    contents: &Contents,
) -> Result<Parts, ContentError> {
    let mut parts = Parts::empty();
    if before.entry(one).kind == EntryKind::File && !is_same_stream((before, one), (after, other), &[], contents)? {
        parts |= Parts::CONTENT;
    }
    if before.entry(one).streams == after.entry(other).streams {
        for stream in &before.entry(one).streams {
            if !is_same_stream((before, one), (after, other), &stream.name, contents)? {
                parts |= Parts::STREAMS;
                break;
            }
        }
    }
    Ok(parts)
}

fn is_same_stream(
    (before, one): (&Files, u32),
    (after, other): (&Files, u32),
    name: &[u16],
    contents: &Contents,
) -> Result<bool, ContentError> {
    if name.is_empty() && before.entry(one).size == 0 {
        return Ok(true);
    }
    if let (Storage::Volume(left), Storage::Volume(right), Some(shared)) =
        (&contents.before, &contents.after, &contents.shared)
    {
        let cluster_size = u64::from(left.geometry().cluster_size);
        if cluster_size == u64::from(right.geometry().cluster_size) {
            let left = Storage::stream(left, before.entry(one).id, name)?;
            let right = Storage::stream(right, after.entry(other).id, name)?;
            let known = |position| shared_from(&left, &right, shared, cluster_size, position);
            return is_same(&left, &right, &known);
        }
    }
    let left = contents.before.open(before, one, name)?;
    let right = contents.after.open(after, other, name)?;
    is_same(&*left, &*right, &|_| 0)
}

/// Notes of added names which deleted names of the same files they take the place of.
fn find_renames(before: &Files, after: &Files, changes: &mut [FileChange]) {
    let mut gone = HashMap::new();
    for change in changes.iter() {
        if let (Difference::Deleted, Some(entry)) = (change.difference, change.before) {
            gone.insert(before.entry(entry).id, entry);
        }
    }
    if gone.is_empty() {
        return;
    }
    for change in changes {
        if let (Difference::Added, Some(entry)) = (change.difference, change.after) {
            let now = after.entry(entry);
            let from = gone.get(&now.id).copied();
            // An id is used again; the time at which a file was made is not.
            let is_one = |from: &u32| {
                let then = before.entry(*from);
                then.kind == now.kind && then.created == now.created
            };
            change.renamed_from = from.filter(is_one);
        }
    }
}
