//! Everything that changed, as content.

use super::environment::{Variable, variables};
use super::files::FileGatherer;
use super::items::Items;
use super::registry::HiveSide;
use super::unread::{UnreadKeys, keep_unread};
use crate::changes::content::Contents;
use crate::changes::{files, registry};
use crate::paths::Template;
use crate::rules::RuleSet;
use crate::snapshot::{Problem, Snapshot, Storage};
use cv_hive::Key;
use layerfmt::content::{FileTree, HiveName};
use std::collections::BTreeMap;

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
    /// The environment before the install.
    pub environment: Vec<Variable>,
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
    let unread = UnreadKeys::of(&sides.after.problems);
    let mut hives = BTreeMap::new();
    let (before, after) = (&sides.before.registry, &sides.after.registry);
    let mut add = |hive, before: Option<&Key>, after: Option<&Key>| {
        // A hive that is not there any more was not read; it is not deleted.
        if after.is_none() {
            return;
        }
        let mut changes = registry::compare(before, after);
        unread.keep(hive, &mut changes);
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
        environment: variables(sides.before, &template),
        template,
    }
}
