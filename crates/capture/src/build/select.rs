//! What of everything that changed belongs into the layer.

use super::items::{Change, Items};
use super::registry::full_path;
use super::report::{Captured, Report};
use crate::paths::{Template, leftovers, leftovers_in_paths};
use crate::rules::{Action, Decision, RuleSet, Subject};
use cv_hive::{Key, KeyPath, KeyState, Name};
use layerfmt::content::{FileTree, HiveName, NodeId, NodeKind};
use std::collections::BTreeMap;

/// How to select.
#[derive(Debug)]
pub struct Selection<'a> {
    /// The rules.
    pub rules: &'a RuleSet,
    /// Whether what the install deleted is deleted by the layer too.
    pub apply_deletions: bool,
}

/// Leaves out of the content what the rules drop. The report has an entry for every item, by path.
pub fn select(
    files: &mut FileTree,
    hives: &mut BTreeMap<HiveName, Key>,
    items: &Items,
    template: &Template,
    selection: &Selection<'_>,
) -> Report {
    let mut selector = Selector {
        items,
        selection,
        report: Report {
            rules: selection.rules.files().to_vec(),
            ..Report::default()
        },
    };
    selector.directory(files, FileTree::ROOT);
    for (hive, root) in hives.iter_mut() {
        let mut names = Vec::new();
        selector.key(*hive, root, &mut names);
    }
    hives.retain(|_, root| !root.values.is_empty() || !root.subkeys.is_empty());
    let mut report = selector.report;
    for (hive, root) in hives.iter() {
        leftovers(hive.root(), root, template, &mut report.leftovers);
    }
    let mut named = Vec::new();
    let is_file = |item: &&Captured| item.applied && (item.kind == "file" || item.kind == "directory");
    let paths = report.items.iter().filter(is_file).map(|item| item.path.as_str());
    leftovers_in_paths(paths, template, &mut named);
    report.leftovers.extend(named);
    report.items.sort_by(|left, right| left.path.cmp(&right.path));
    report
}

struct Selector<'a> {
    items: &'a Items,
    selection: &'a Selection<'a>,
    report: Report,
}

impl Selector<'_> {
    /// Notes what becomes of an item; whether it stays.
    fn note(&mut self, mut captured: Captured, decision: &Decision<'_>) -> bool {
        captured.action = decision.action;
        if let Some(rule) = decision.rule {
            captured.rule.clone_from(&rule.id);
            captured.reason.clone_from(&rule.reason);
        }
        let counts = &mut self.report.counts;
        let is_deleted = captured.change == Change::Deleted;
        counts.deleted += u64::from(is_deleted);
        let is_kept = decision.action != Action::Drop;
        captured.applied = is_kept && (!is_deleted || self.selection.apply_deletions);
        if !is_kept {
            counts.dropped += 1;
            counts.dropped_bytes += captured.size;
        }
        if captured.applied {
            counts.kept += 1;
            counts.review += u64::from(decision.action == Action::Review);
            counts.seed += u64::from(decision.action == Action::Seed);
        }
        let stays = captured.applied;
        self.report.items.push(captured);
        stays
    }

    /// Leaves out what is to be left out of a directory.
    fn directory(&mut self, tree: &mut FileTree, directory: NodeId) {
        let children: Vec<NodeId> = tree.children(directory).collect();
        for child in children {
            if !self.file(tree, child) {
                tree.remove(child);
            }
        }
    }

    /// Whether a name stays.
    fn file(&mut self, tree: &mut FileTree, node: NodeId) -> bool {
        let is_directory = tree.kind(node).is_directory();
        let path = tree.path(node);
        let item = self.items.file(&path).cloned();
        let stays = match item {
            None => !is_directory,
            Some((change, detail)) => {
                let shown = format!(r"\{}", String::from_utf8_lossy(&path).replace('/', r"\"));
                let units = cv_winname::wtf8::decode(&path).unwrap_or_default();
                let decision = self.selection.rules.decide(&Subject::file_units(&units));
                let is_gone = tree.kind(node) == NodeKind::Whiteout;
                let streams = if is_gone { &[][..] } else { &tree.metadata(node).streams };
                let captured = Captured {
                    kind: if is_directory { "directory" } else { "file" }.to_owned(),
                    path: shown,
                    change,
                    detail,
                    action: Action::Keep,
                    applied: true,
                    rule: String::new(),
                    reason: String::new(),
                    size: streams.iter().map(|stream| stream.size).sum(),
                };
                self.note(captured, &decision)
            }
        };
        if is_directory {
            self.directory(tree, node);
            // One that is left out stays as long as something in it does.
            return stays || tree.children(node).len() > 0;
        }
        stays
    }

    /// Whether a key stays.
    fn key(&mut self, hive: HiveName, key: &mut Key, names: &mut Vec<Name>) -> bool {
        let path = full_path(hive, names);
        let rules = self.selection.rules;
        let mut stays = match self.items.key(hive, names).cloned() {
            None => false,
            Some(change) => self.note(captured("key", path.to_string(), change), &decide(rules, &path, None)),
        };
        if key.state == KeyState::Tombstone {
            return stays;
        }
        key.values
            .retain(|value| match self.items.value(hive, names, &value.name).cloned() {
                None => true,
                Some(change) => {
                    let shown = format!("{path}!{}", value.name);
                    let decision = decide(rules, &path, Some(&value.name));
                    self.note(captured("value", shown, change), &decision)
                }
            });
        key.subkeys.retain_mut(|subkey| {
            names.push(subkey.name.clone());
            let stays = self.key(hive, subkey, names);
            names.pop();
            stays
        });
        stays |= !key.values.is_empty() || !key.subkeys.is_empty();
        stays
    }
}

/// The decision about a key or a value: that about the class that it is part of, where it is part of one.
fn decide<'r>(rules: &'r RuleSet, path: &KeyPath, value: Option<&Name>) -> Decision<'r> {
    match (rules.whole(path), value) {
        (Some(length), _) => rules.decide(&Subject::key(&path.names()[..length].to_vec().into())),
        (None, Some(value)) => rules.decide(&Subject::value(path, value)),
        (None, None) => rules.decide(&Subject::key(path)),
    }
}

fn captured(kind: &str, path: String, change: Change) -> Captured {
    Captured {
        kind: kind.to_owned(),
        path,
        change,
        detail: String::new(),
        action: Action::Keep,
        applied: true,
        rule: String::new(),
        reason: String::new(),
        size: 0,
    }
}
