//! Files compared: one pass over both indexes.

use super::aspect::{Aspect, Comparison, Links, Pair, text_of};
use super::hashing::{Hashed, undecided};
use super::side::Side;
use super::{ChangeKind, DiffError, DiffOptions, renames};
use crate::index::{Entry, EntryKind, compare_paths};
use crate::manifest::Shortcut;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A file, directory or script that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// What happened to it.
    pub change: ChangeKind,
    /// The path from the root of the layer's volume, `Files/…` or `Scripts/…`; as the second side spells it where it has it.
    #[serde(serialize_with = "text_of")]
    pub path: Vec<u8>,
    /// The path that a renamed file had.
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<u8>>,
    /// What it is, on the second side where that has it.
    pub kind: EntryKind,
    /// Bytes of its unnamed stream, there.
    pub size: u64,
    /// In what the sides differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aspects: Vec<Aspect>,
}

#[expect(clippy::ref_option, reason = "serde wants it so")]
fn optional_text<S: serde::Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    match bytes {
        Some(bytes) => text_of(bytes, serializer),
        None => serializer.serialize_none(),
    }
}

/// A change, and the entries that it is of, by number.
pub(super) struct Found {
    pub change: FileChange,
    pub before: Option<usize>,
    pub after: Option<usize>,
}

/// Entries of an index, and the number of the first.
type Numbered<'s> = (usize, &'s [Entry]);

/// Both sides' entries of one path, with their numbers.
type MaybePair<'s> = (Option<(usize, &'s Entry)>, Option<(usize, &'s Entry)>);

/// Both sides' entries in the order of their paths.
fn merge<'s>(before: Numbered<'s>, after: Numbered<'s>) -> impl Iterator<Item = MaybePair<'s>> {
    let numbered = |(start, entries): Numbered<'s>| {
        let numbered = entries.iter().enumerate();
        numbered.map(move |(number, entry)| (start + number, entry)).peekable()
    };
    let (mut before, mut after) = (numbered(before), numbered(after));
    std::iter::from_fn(move || {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((_, one)), Some((_, other))) => compare_paths(&one.path, &other.path),
        };
        let one = if order.is_le() { before.next() } else { None };
        let other = if order.is_ge() { after.next() } else { None };
        Some((one, other))
    })
}

/// Compares the files of two sides.
pub(super) fn diff(before: &Side<'_>, after: &Side<'_>, options: &DiffOptions) -> Result<Vec<FileChange>, DiffError> {
    let (ours, theirs) = (before.entries(after), after.entries(before));
    let mut hashed = Hashed::new(before, after);
    if !hashed.is_complete() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for pair in merge(ours, theirs) {
            if let (Some((old, before)), Some((new, after))) = pair {
                for stream in undecided(before, after) {
                    one.push((old, stream.clone()));
                    other.push((new, stream));
                }
            }
        }
        hashed.ask((before, after), (one, other), options.threads)?;
    }
    let mut comparison = Comparison {
        before,
        after,
        known: before.known.and(after.known),
        options,
        hashed,
    };
    let shortcuts = same_shortcuts(before, after, options);
    let links = (link_groups(ours), link_groups(theirs));
    let mut found = Vec::new();
    for pair in merge(ours, theirs) {
        match pair {
            (Some(one), Some(other)) => {
                let pair = Pair {
                    before: one,
                    after: other,
                };
                let mut aspects = comparison.aspects(&pair);
                links_aspect(&links, one.1, other.1, &mut aspects);
                if !aspects.is_empty() && shortcuts.contains_key(&folded(&other.1.path)) {
                    aspects.retain(|aspect| !matches!(aspect, Aspect::Content { .. }));
                }
                if !aspects.is_empty() {
                    found.push(Found {
                        change: change_of(ChangeKind::Changed, other.1, aspects),
                        before: Some(one.0),
                        after: Some(other.0),
                    });
                }
            }
            (Some((number, entry)), None) => found.push(Found {
                change: change_of(ChangeKind::Removed, entry, Vec::new()),
                before: Some(number),
                after: None,
            }),
            (None, Some((number, entry))) => found.push(Found {
                change: change_of(ChangeKind::Added, entry, Vec::new()),
                before: None,
                after: Some(number),
            }),
            (None, None) => {}
        }
    }
    if options.renames {
        renames::find(&mut comparison, &mut found)?;
    }
    Ok(found.into_iter().map(|found| found.change).collect())
}

fn change_of(change: ChangeKind, entry: &Entry, aspects: Vec<Aspect>) -> FileChange {
    FileChange {
        change,
        path: entry.path.clone(),
        from: None,
        kind: entry.kind,
        size: entry.size(),
        aspects,
    }
}

/// For each file with several names that an index has: the first of them, and how many they are.
fn link_groups((_, entries): Numbered<'_>) -> Groups<'_> {
    let mut groups = Groups::new();
    for entry in entries {
        if let Some(link) = entry.link {
            groups.entry(link).or_insert((&entry.path, 0)).1 += 1;
        }
    }
    groups.retain(|_, (_, count)| *count > 1);
    groups
}

type Groups<'s> = HashMap<u32, (&'s [u8], u32)>;

fn links_aspect(groups: &(Groups<'_>, Groups<'_>), one: &Entry, other: &Entry, aspects: &mut Vec<Aspect>) {
    let group = |groups: &Groups<'_>, entry: &Entry| {
        let (first, count) = *groups.get(&entry.link?)?;
        Some(Links {
            first: first.to_vec(),
            count,
        })
    };
    if one.link.is_none() && other.link.is_none() {
        return;
    }
    let (before, after) = (group(&groups.0, one), group(&groups.1, other));
    let is_same = match (&before, &after) {
        (None, None) => true,
        (Some(one), Some(other)) => one.count == other.count && compare_paths(&one.first, &other.first).is_eq(),
        _ => false,
    };
    if !is_same {
        aspects.push(Aspect::Links { before, after });
    }
}

/// A path by which shortcuts are found, whatever its case.
fn folded(path: &[u8]) -> String {
    String::from_utf8_lossy(path).to_lowercase()
}

/// In a semantic comparison, the shortcuts that both manifests describe alike.
fn same_shortcuts<'s>(before: &Side<'s>, after: &Side<'s>, options: &DiffOptions) -> HashMap<String, &'s Shortcut> {
    let (Some(one), Some(other), true) = (before.manifest, after.manifest, options.semantic) else {
        return HashMap::new();
    };
    // Paths as on drive C:, with or without the drive; in the index they begin with `Files`.
    let key = |shortcut: &Shortcut| {
        let path = shortcut.path.replace('\\', "/");
        let path = path
            .get(2..)
            .filter(|_| path.as_bytes().get(1) == Some(&b':'))
            .unwrap_or(&path);
        folded(format!("Files/{}", path.trim_start_matches('/')).as_bytes())
    };
    let known: HashMap<_, _> = one
        .applications
        .shortcuts
        .iter()
        .map(|shortcut| (key(shortcut), shortcut))
        .collect();
    let others = other.applications.shortcuts.iter();
    others
        .map(|shortcut| (key(shortcut), shortcut))
        .filter(|(key, shortcut)| known.get(key) == Some(shortcut))
        .collect()
}
