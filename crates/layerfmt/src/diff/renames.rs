//! Files that were removed and added with the same content: renamed.

use super::aspect::{Aspect, Comparison, Pair};
use super::files::Found;
use super::{ChangeKind, DiffError};
use crate::Sha256Sum;
use crate::index::{Entry, EntryKind};
use std::collections::{HashMap, HashSet};

/// Makes one change of two where a removed and an added file have the same content. Of several with the same, files with the
/// same name go together first, then those that come first. Empty files are no evidence of anything.
pub(super) fn find(comparison: &mut Comparison<'_, '_>, found: &mut Vec<Found>) -> Result<(), DiffError> {
    let (before, after) = (comparison.before, comparison.after);
    let is_candidate = |entry: &Entry| entry.kind == EntryKind::File && entry.size() > 0;
    let entry = |change: &Found| match change.change.change {
        ChangeKind::Removed => change.before.and_then(|number| before.index.entries.get(number)),
        _ => change.after.and_then(|number| after.index.entries.get(number)),
    };
    let sizes = |kind: ChangeKind| -> HashSet<u64> {
        let candidates = found
            .iter()
            .filter(|change| change.change.change == kind)
            .filter_map(&entry);
        candidates
            .filter(|entry| is_candidate(entry))
            .map(Entry::size)
            .collect()
    };
    let common: HashSet<u64> = &sizes(ChangeKind::Removed) & &sizes(ChangeKind::Added);
    if common.is_empty() {
        return Ok(());
    }
    let candidates = |kind: ChangeKind| -> Vec<usize> {
        (0..found.len())
            .filter(|place| found[*place].change.change == kind)
            .filter(|place| {
                entry(&found[*place]).is_some_and(|entry| is_candidate(entry) && common.contains(&entry.size()))
            })
            .collect()
    };
    let (removed, added) = (candidates(ChangeKind::Removed), candidates(ChangeKind::Added));
    let wanted = |places: &[usize], number: fn(&Found) -> Option<usize>| {
        let numbers = places.iter().filter_map(|place| number(&found[*place]));
        numbers.map(|number| (number, Vec::new())).collect()
    };
    let wanted = (
        wanted(&removed, |found| found.before),
        wanted(&added, |found| found.after),
    );
    comparison
        .hashed
        .ask((before, after), wanted, comparison.options.threads)?;

    let sum_of = |place: usize| -> Option<Sha256Sum> {
        let change = &found[place];
        let stream = entry(change)?.stream(b"")?;
        match change.change.change {
            ChangeKind::Removed => comparison.hashed.before(change.before?, stream).sha256,
            _ => comparison.hashed.after(change.after?, stream).sha256,
        }
    };
    let mut renamed = Vec::new();
    let mut taken = HashSet::new();
    for by_name in [true, false] {
        let key = |place: usize| {
            let name = if by_name {
                name_of(&found[place].change.path)
            } else {
                b""
            };
            sum_of(place).map(|sum| (sum, name))
        };
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        // The first come last, to be taken first.
        for place in removed.iter().rev().filter(|place| !taken.contains(*place)) {
            if let Some(key) = key(*place) {
                places.entry(key).or_default().push(*place);
            }
        }
        let mut matched = Vec::new();
        for place in added.iter().filter(|place| !taken.contains(*place)) {
            let twin = key(*place).and_then(|key| places.get_mut(&key)?.pop());
            matched.extend(twin.map(|twin| (twin, *place)));
        }
        taken.extend(matched.iter().flat_map(|(removed, added)| [*removed, *added]));
        renamed.extend(matched);
    }
    let mut gone = vec![false; found.len()];
    for (removed, added) in renamed {
        gone[removed] = true;
        let (old, new) = (found[removed].before, found[added].after);
        let (Some(old), Some(new)) = (old, new) else { continue };
        let pair = Pair {
            before: (old, &before.index.entries[old]),
            after: (new, &after.index.entries[new]),
        };
        let mut aspects = comparison.aspects(&pair);
        aspects.retain(|aspect| !matches!(aspect, Aspect::Case { .. }));
        let from = found[removed].change.path.clone();
        let change = &mut found[added].change;
        change.change = ChangeKind::Renamed;
        change.from = Some(from);
        change.aspects = aspects;
    }
    let mut gone = gone.into_iter();
    found.retain(|_| !gone.next().unwrap_or(false));
    Ok(())
}

fn name_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    &path[slash.map_or(0, |slash| slash + 1)..]
}
