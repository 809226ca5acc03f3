//! Random stacks of trees.

use std::collections::BTreeMap;
use std::rc::Rc;

use cv_overlay::policy::{Action, Pattern, Reach, Rule};
use cv_overlay::{Attachment, Kind, LayerId, NamePath, Role, Stack};

use super::bytes::Choices;
use super::model::{Plain, Shared, fold};
use super::naive;
use super::tree::{Node, Tree, names};

const NAMES: [&str; 6] = ["a", "A", "b", "c", "ä", "Ab"];

pub fn name(choices: &mut Choices<'_>) -> Vec<u16> {
    NAMES[usize::from(choices.below(NAMES.len() as u8))]
        .encode_utf16()
        .collect()
}

pub fn path(choices: &mut Choices<'_>, deepest: u8) -> NamePath {
    let mut path = NamePath::root();
    for _ in 0..=choices.below(deepest) {
        path.push(&name(choices));
    }
    path
}

/// Fills a tree.
fn fill(tree: &Tree, choices: &mut Choices<'_>, numbers: &mut u32) {
    let mut directories = vec![Rc::clone(&tree.root)];
    let mut files: Vec<Rc<Node>> = Vec::new();
    for _ in 0..choices.below(14) {
        let parent = Rc::clone(&directories[usize::from(choices.below(directories.len() as u8))]);
        let name = name(choices);
        if parent.child(&name).is_some() {
            continue;
        }
        *numbers += 1;
        // Contents repeat between members now and then.
        let number = if choices.below(4) == 0 { 7 } else { *numbers };
        let is_lowest = tree.role == Role::Base;
        let kind = match choices.below(9) {
            0..=2 => Kind::Directory,
            3 if !is_lowest => Kind::OpaqueDirectory,
            4 if !is_lowest => Kind::Whiteout,
            5 => Kind::Symlink,
            6 if tree.keeps_links && !files.is_empty() => {
                let file = &files[usize::from(choices.below(files.len() as u8))];
                parent.put(Node::new(&name, Kind::File, Rc::clone(&file.content)));
                continue;
            }
            _ => Kind::File,
        };
        let node = Node::with_number(&name, kind, number);
        if kind.is_directory() {
            directories.push(Rc::clone(&node));
        } else if kind == Kind::File {
            files.push(Rc::clone(&node));
        }
        parent.put(node);
    }
}

fn rule(choices: &mut Choices<'_>) -> Rule {
    let mut pattern = Vec::new();
    for _ in 0..choices.below(3) {
        pattern.push(match choices.below(6) {
            0 => Pattern::Any,
            1 => Pattern::Prefix("a".encode_utf16().collect()),
            _ => Pattern::Name(name(choices)),
        });
    }
    Rule {
        pattern,
        reach: if choices.below(4) == 0 {
            Reach::Contents
        } else {
            Reach::Tree
        },
        action: [
            Action::Merge,
            Action::Override,
            Action::Hide,
            Action::Isolate,
            Action::Exclude,
            Action::Discard,
        ][usize::from(choices.below(6))],
    }
}

/// A stack of random trees; the trees stand as in the stack.
pub struct World {
    pub trees: Vec<Rc<Tree>>,
    ids: Vec<LayerId>,
    pub rules: Vec<Vec<Rule>>,
    pub has_rules: bool,
    /// The content that was given last.
    pub numbers: u32,
}

impl World {
    pub fn new(choices: &mut Choices<'_>) -> Self {
        let has_rules = choices.below(3) == 0;
        let mut roles = vec![Role::Base, Role::Writable];
        for _ in 0..choices.below(4) {
            roles.push(Role::Layer);
            if has_rules && choices.below(2) == 0 {
                roles.push(Role::Area(LayerId(roles.len() as u64 - 1)));
            }
        }
        if has_rules {
            roles.push(Role::Session);
        }
        let keeps_links = !has_rules && choices.below(2) == 0;
        let mut numbers = 100;
        let mut attachments = Vec::new();
        for (number, role) in roles.into_iter().enumerate() {
            let mut tree = Tree::new(role);
            tree.keeps_links = keeps_links;
            if choices.below(4) > 0 || role == Role::Layer {
                fill(&tree, choices, &mut numbers);
            }
            let mut attachment = Attachment::new(LayerId(number as u64), role, Rc::new(tree));
            if has_rules {
                for _ in 0..choices.below(3) {
                    attachment.rules.push(rule(choices));
                }
            }
            attachment.priority = i32::from(choices.below(3));
            attachments.push(attachment);
        }
        cv_overlay::order::sort(&mut attachments);
        Self {
            ids: attachments.iter().map(|attachment| attachment.id).collect(),
            rules: attachments.iter().map(|attachment| attachment.rules.clone()).collect(),
            trees: attachments.into_iter().map(|attachment| attachment.layer).collect(),
            has_rules,
            numbers,
        }
    }

    pub fn stack(&self) -> Stack<&Tree> {
        // Given in the order of attaching, the reverse of how they stand.
        let members = (0..self.trees.len()).rev().map(|position| {
            let mut attachment = Attachment::new(self.ids[position], self.trees[position].role, &*self.trees[position]);
            attachment.rules.clone_from(&self.rules[position]);
            attachment
        });
        Stack::new(names(), members.collect())
    }

    /// The view as the engine lists it; no directory when a rule hides the root.
    pub fn view(&self) -> Plain {
        let stack = self.stack();
        let Some(root) = stack.root().unwrap() else {
            return Plain::File(Kind::Whiteout, Shared::new(0));
        };
        let mut view = Plain::Directory(root.winner().entry.content.0.get(), BTreeMap::new());
        let mut walk = stack.walk(root, NamePath::root());
        while let Some((path, listed)) = walk.next().unwrap() {
            let entry = &listed.place.winner().entry;
            let plain = if listed.place.is_directory() {
                Plain::Directory(entry.content.0.get(), BTreeMap::new())
            } else {
                Plain::File(entry.kind.get(), Shared(Rc::clone(&entry.content)))
            };
            view.create(path, plain)
                .expect("each name comes once, after its directory");
        }
        view
    }

    /// Whether a rule may hold at a path or below it.
    pub fn rules_near(&self, path: &NamePath) -> bool {
        let names: Vec<_> = path.names().map(fold).collect();
        self.rules.iter().flatten().any(|rule| {
            let shorter = rule.pattern.len().min(names.len());
            let cut = Rule {
                pattern: rule.pattern[..shorter].to_vec(),
                reach: Reach::Tree,
                action: rule.action,
            };
            rule.pattern.len() + usize::from(rule.reach == Reach::Contents) > names.len()
                && naive::matches(&cut, &names)
        })
    }
}
