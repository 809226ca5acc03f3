//! Everything that changed, as content.

use super::files::FileGatherer;
use super::items::Items;
use super::registry::HiveSide;
use crate::changes::content::Contents;
use crate::changes::files::FileChange;
use crate::changes::{files, registry};
use crate::paths::Template;
use crate::rules::RuleSet;
use crate::snapshot::{EntryId, Problem, Snapshot, Storage, folded, record_of};
use cv_hive::Key;
use cv_ntfs::{FileError, Volume};
use layerfmt::content::{FileTree, HiveName};
use std::collections::{BTreeMap, HashSet};

/// A machine before and after an install.
#[derive(Debug)]
pub struct Sides<'a> {
    /// Before.
    pub before: &'a Snapshot,
    /// After.
    pub after: &'a Snapshot,
    /// Where the content of files is, before and after; without it what the snapshots say decides alone.
    pub contents: Option<&'a Contents>,
    /// Where the content of files is, after.
    pub storage: &'a Storage,
}

/// Everything that changed.
#[derive(Debug)]
pub struct Gathered {
    /// The files.
    pub files: FileTree,
    /// The registry.
    pub hives: BTreeMap<HiveName, Key>,
    /// What of all this is a change.
    pub items: Items,
    /// What could not be read or stored.
    pub problems: Vec<Problem>,
    /// How many files were written again with what they held before.
    pub touched: u64,
    /// What turned the machine's paths into those of a layer.
    pub template: Template,
}

/// Gathers what changed; `rules` say which keys are taken whole, and nothing else.
pub fn gather(sides: &Sides<'_>, rules: &RuleSet, threads: usize) -> Gathered {
    let template = Template::of(sides.after);
    let mut items = Items::default();
    let mut problems = sides.after.problems.clone();
    problems.extend(sides.before.problems.iter().map(|problem| Problem {
        path: problem.path.clone(),
        reason: format!("before the install: {}", problem.reason),
    }));
    let mut changes = files::compare(
        &sides.before.files,
        &sides.after.files,
        sides.contents,
        threads,
        &mut problems,
    );
    keep_unread(sides, &mut changes, &mut problems);
    let mut gatherer = FileGatherer::new(sides.before, sides.after, sides.storage, &template);
    let mut touched = 0;
    for change in &changes {
        touched += u64::from(change.difference == files::Difference::Changed(files::Parts::TIMES));
        gatherer.add(change, &mut items);
    }
    let FileGatherer {
        tree, problems: more, ..
    } = gatherer;
    problems.extend(more);
    let mut hives = BTreeMap::new();
    let (before, after) = (&sides.before.registry, &sides.after.registry);
    let mut add = |hive, before: Option<&Key>, after: Option<&Key>| {
        // A hive that is not there any more was not read; it is not deleted.
        if after.is_none() {
            return;
        }
        let changes = registry::compare(before, after);
        if changes.is_empty() {
            return;
        }
        let side = HiveSide {
            hive,
            after,
            rules,
            template: &template,
        };
        let delta = hives.entry(hive).or_insert_with(|| Key::new(""));
        side.gather(&changes, delta, &mut items);
    };
    add(HiveName::Software, before.software.as_ref(), after.software.as_ref());
    add(HiveName::System, before.system.as_ref(), after.system.as_ref());
    for user in &after.users {
        let is = |other: &&crate::snapshot::UserHive| other.profile.eq_ignore_ascii_case(&user.profile);
        let same = before.users.iter().find(is);
        add(HiveName::User, same.map(|user| &user.root), Some(&user.root));
    }
    Gathered {
        files: tree,
        hives,
        items,
        problems,
        touched,
        template,
    }
}

/// Takes out deletions that may be none: of what is in a place that could not be read afterwards, or is still on the volume
/// where no directory leads to it.
fn keep_unread(sides: &Sides<'_>, changes: &mut Vec<FileChange>, problems: &mut Vec<Problem>) {
    let unread: Vec<Vec<u16>> = sides
        .after
        .problems
        .iter()
        .filter(|problem| !problem.path.is_empty())
        .map(|problem| folded(problem.path.replace('\\', "/").as_bytes()))
        .collect();
    let is_one_volume = sides.before.files.volume == sides.after.files.volume;
    let named: HashSet<EntryId> = match sides.storage {
        Storage::Volume(_) => sides.after.files.entries().iter().map(|entry| entry.id).collect(),
        Storage::Folder(_) => HashSet::new(),
    };
    changes.retain(|change| {
        let (files::Difference::Deleted, Some(entry)) = (change.difference, change.before) else {
            return true;
        };
        let path = sides.before.files.path(entry);
        let units = folded(&path);
        let is_below = |above: &Vec<u16>| {
            let rest = units.strip_prefix(above.as_slice());
            rest.is_some_and(|rest| rest.first().is_none_or(|unit| *unit == u16::from(b'/')))
        };
        if unread.iter().any(is_below) {
            return false;
        }
        let id = sides.before.files.entry(entry).id;
        match sides.storage {
            // One that has another name has lost this one for sure.
            Storage::Volume(volume) if is_one_volume && !named.contains(&id) => match lost(volume, id) {
                Some(reason) => {
                    problems.push(Problem {
                        path: String::from_utf8_lossy(&path).into_owned(),
                        reason,
                    });
                    false
                }
                None => true,
            },
            _ => true,
        }
    });
}

/// Why a file that is in no directory may not be deleted all the same.
fn lost(volume: &Volume, id: EntryId) -> Option<String> {
    match volume.file(record_of(id)) {
        Ok(file) if u64::from(file.reference().sequence()) == id.0 >> 48 => {
            Some("it is in use, and in no directory".to_owned())
        }
        Ok(_) | Err(FileError::NotInUse { .. } | FileError::Stale { .. } | FileError::NotABase { .. }) => None,
        Err(error) => Some(error.to_string()),
    }
}
