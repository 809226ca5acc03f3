//! All rules together, ready to be asked.

use super::file::{Action, Kind, Platform, Rule, RuleFile, RuleFileError, Scope};
use super::glob::fits;
use super::pattern::{Part, Pattern};
use super::shipped::shipped_files;
use super::subject::Subject;
use cv_hive::{KeyPath, Name};
use std::collections::HashMap;
use std::sync::Arc;

/// What becomes of a change, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What becomes of it.
    pub action: Action,
    /// The rule that says so; without one it is kept.
    pub rule: Option<&'a Rule>,
}

/// Which of two rules counts: a rule of tier 0, else the deeper pattern, else the one with fewer wildcards, else that of the
/// later file, else the one that keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_never: bool,
    depth: u32,
    literals: u32,
    file: u32,
    action: Action,
}

#[derive(Debug)]
struct Compiled {
    rule: u32,
    rank: Rank,
    scope: Scope,
    whole: Option<bool>,
    value: Option<Box<[u16]>>,
}

/// A place in the patterns: what was read of them so far.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<[u16]>, u32>,
    globs: Vec<(Box<[u16]>, u32)>,
    /// The node behind a `**`.
    any_depth: Option<u32>,
    /// Whether a `**` leads here, so that any name leads from here to here.
    is_any_depth: bool,
    /// The patterns that end here.
    ends: Vec<u32>,
}

/// The rules that hold for a capture. Asked by any number of threads.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
    files: Vec<String>,
    patterns: Vec<Compiled>,
    nodes: Vec<Node>,
}

/// Where the patterns of files begin.
const FILES: u32 = 0;
/// Where those of keys and values begin.
const KEYS: u32 = 1;

impl RuleSet {
    /// The rules of this crate.
    pub fn shipped(platform: Platform) -> Self {
        // Tests read and compile them all.
        Self::new(platform, shipped_files()).unwrap_or_else(|_| Self::empty())
    }

    fn empty() -> Self {
        Self {
            rules: Vec::new(),
            files: Vec::new(),
            patterns: Vec::new(),
            nodes: vec![Node::default(), Node::default()],
        }
    }

    /// The rules of the files, of which later ones count before earlier ones where patterns are equally deep. One that says
    /// `reset` takes the place of all before it.
    pub fn new<'a>(platform: Platform, files: impl IntoIterator<Item = &'a RuleFile>) -> Result<Self, RuleFileError> {
        let mut set = Self::empty();
        for (number, file) in files.into_iter().enumerate() {
            if file.reset {
                set = Self::empty();
            }
            if file.platform.is_some_and(|wanted| wanted != platform) {
                continue;
            }
            set.files.push(format!("{} (SHA-256 {})", file.name, file.sha256));
            for rule in &file.rules {
                let place = set.rules.len() as u32;
                set.rules.push(Arc::new(rule.clone()));
                for pattern in rule.compile()? {
                    set.add(rule, place, number as u32, pattern);
                }
            }
        }
        Ok(set)
    }

    /// The files whose rules hold, each with its SHA-256, for people.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The rules.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule)
    }

    fn add(&mut self, rule: &Rule, place: u32, file: u32, pattern: Pattern) {
        let mut node = if rule.kind == Kind::File { FILES } else { KEYS };
        for part in pattern.parts {
            node = self.step(node, part);
        }
        self.nodes[node as usize].ends.push(self.patterns.len() as u32);
        self.patterns.push(Compiled {
            rule: place,
            rank: Rank {
                is_never: rule.tier == 0,
                depth: pattern.depth,
                literals: pattern.literals,
                file,
                action: rule.action,
            },
            scope: rule.scope,
            whole: rule.whole,
            value: pattern.value,
        });
    }

    /// The node that a part of a pattern leads to from `node`.
    fn step(&mut self, node: u32, part: Part) -> u32 {
        let next = self.nodes.len() as u32;
        let from = &mut self.nodes[node as usize];
        let to = match part {
            Part::Literal(name) => *from.literals.entry(name).or_insert(next),
            Part::Glob(glob) => {
                let known = from.globs.iter().find(|(known, _)| *known == glob).map(|(_, to)| *to);
                if known.is_none() {
                    from.globs.push((glob, next));
                }
                known.unwrap_or(next)
            }
            Part::AnyDepth => *from.any_depth.get_or_insert(next),
        };
        if to == next {
            self.nodes.push(Node {
                is_any_depth: part_is_any_depth(&self.nodes[node as usize], next),
                ..Node::default()
            });
        }
        to
    }

    /// Says what becomes of a change.
    pub fn decide(&self, subject: &Subject) -> Decision<'_> {
        let is_users = subject.is_users();
        let mut best: Option<&Compiled> = None;
        let mut walk = Walk::new(self, if subject.is_key { KEYS } else { FILES });
        let mut names = subject.names().peekable();
        while let Some(name) = names.next() {
            walk.enter(name);
            let is_last = names.peek().is_none();
            for pattern in walk.ends() {
                let holds = match (&pattern.value, &subject.value) {
                    (None, _) => true,
                    (Some(wanted), Some(value)) => is_last && fits(wanted, value),
                    (Some(_), None) => false,
                };
                let is_better = || best.is_none_or(|best| pattern.rank > best.rank);
                if holds && in_scope(pattern.scope, is_users) && is_better() {
                    best = Some(pattern);
                }
            }
        }
        match best {
            Some(pattern) => Decision {
                action: pattern.rank.action,
                rule: self.rules.get(pattern.rule as usize).map(|rule| &**rule),
            },
            None => Decision {
                action: Action::Keep,
                rule: None,
            },
        }
    }

    /// The key at or above `path` that a change at `path` takes as a whole, if there is one: how many of the path's names are
    /// its own.
    pub fn whole(&self, path: &KeyPath) -> Option<usize> {
        let subject = Subject::key(path);
        let is_users = subject.is_users();
        let mut best: Option<(Rank, bool, usize)> = None;
        let mut walk = Walk::new(self, KEYS);
        for (position, name) in subject.names().enumerate() {
            walk.enter(name);
            for pattern in walk.ends() {
                if let Some(whole) = pattern.whole
                    && in_scope(pattern.scope, is_users)
                    && best.is_none_or(|(rank, _, _)| pattern.rank > rank)
                {
                    best = Some((pattern.rank, whole, position + 1));
                }
            }
        }
        let (_, _, length) = best.filter(|(_, whole, _)| *whole)?;
        // The views are one to the rules: the names that were passed over count again.
        let is_passed_over = |name: &Name| name.matches(&"WOW6432NODE".encode_utf16().collect::<Vec<_>>());
        let mut seen = 0;
        for (position, name) in path.names().iter().enumerate() {
            seen += usize::from(!is_passed_over(name));
            if seen == length {
                return Some(position + 1);
            }
        }
        None
    }
}

fn part_is_any_depth(from: &Node, to: u32) -> bool {
    from.any_depth == Some(to)
}

fn in_scope(scope: Scope, is_users: bool) -> bool {
    match scope {
        Scope::Any => true,
        Scope::Machine => !is_users,
        Scope::User => is_users,
    }
}

/// The nodes that the names of a path lead to.
struct Walk<'a> {
    set: &'a RuleSet,
    at: Vec<u32>,
    before: Vec<u32>,
}

impl<'a> Walk<'a> {
    fn new(set: &'a RuleSet, start: u32) -> Self {
        let mut walk = Self {
            set,
            at: Vec::new(),
            before: Vec::new(),
        };
        walk.add(start);
        walk
    }

    /// Adds a node, and the one behind its `**`, which no name at all leads to.
    fn add(&mut self, node: u32) {
        let mut next = Some(node);
        while let Some(node) = next {
            if self.at.contains(&node) {
                return;
            }
            self.at.push(node);
            next = self.set.nodes[node as usize].any_depth;
        }
    }

    fn enter(&mut self, name: &[u16]) {
        std::mem::swap(&mut self.at, &mut self.before);
        self.at.clear();
        let before = std::mem::take(&mut self.before);
        for number in &before {
            let node = &self.set.nodes[*number as usize];
            if node.is_any_depth {
                self.add(*number);
            }
            if let Some(to) = node.literals.get(name) {
                self.add(*to);
            }
            for (glob, to) in &node.globs {
                if fits(glob, name) {
                    self.add(*to);
                }
            }
        }
        self.before = before;
    }

    fn ends(&self) -> impl Iterator<Item = &'a Compiled> + '_ {
        let set = self.set;
        self.at
            .iter()
            .flat_map(move |node| &set.nodes[*node as usize].ends)
            .map(move |pattern| &set.patterns[*pattern as usize])
    }
}
