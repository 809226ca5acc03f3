//! Rules of manifests: how paths depart from plain merging.
//!
//! A rule has an owner, the member whose manifest it stands in, and a pattern. Of the rules of one owner that match a
//! path the deepest counts (a [`Contents`](Reach::Contents) rule is deeper than a [`Tree`](Reach::Tree) rule of the same
//! pattern), and the later in the list where they are equally deep. What then happens at the path:
//!
//! * Of all owners' rules the deepest, and the highest owner's where they are equally deep, decides **where writes go and
//!   which members are asked** ([`Action`]). Only one of the session, the areas and the writable volume is asked.
//! * Every owner's own rule decides what it **hides**: [`Override`](Action::Override) what is below the owner,
//!   [`Hide`](Action::Hide) that and the owner itself.
//!
//! A rule is about a path of the view: it is of no effect where the directory above is not seen. What a whiteout, an opaque
//! directory or a file hides of a lower member is gone for the whole tree below it, whatever the rules say there, with two
//! exceptions: the session, the areas and the writable volume hide nothing of each other, and where
//! [`Exclude`](Action::Exclude) holds the base is seen as it is.

mod cursor;

pub(crate) use cursor::{Cursor, RuleTree, Scope};

use alloc::vec::Vec;

use crate::NamePath;

/// What a rule does at the paths it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Plain merging, as an exception from a rule further up.
    Merge,
    /// What stands below the owner is not seen: its tree stands alone, but for what is above it.
    Override,
    /// What the owner has and what stands below it is not seen.
    Hide,
    /// What is written goes to the owner's own area of the writable volume and is seen only while the owner is attached;
    /// the writable volume itself is not asked.
    Isolate,
    /// Reads and writes go to the base alone.
    Exclude,
    /// What is written goes to the session and is forgotten at logoff; the writable volume itself is not asked.
    Discard,
}

/// One name of a rule's pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// This name.
    Name(Vec<u16>),
    /// Every name that begins so.
    Prefix(Vec<u16>),
    /// Every name.
    Any,
}

/// How far a rule reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// What the pattern names and everything below it.
    #[default]
    Tree,
    /// Everything below what the pattern names, and not that itself.
    Contents,
}

/// A rule of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The names from the root on.
    pub pattern: Vec<Pattern>,
    /// How far it reaches.
    pub reach: Reach,
    /// What it does.
    pub action: Action,
}

impl Rule {
    /// A rule for a path and everything below it.
    pub fn new(path: &NamePath, action: Action) -> Self {
        Self {
            pattern: path.names().map(|name| Pattern::Name(name.to_vec())).collect(),
            reach: Reach::Tree,
            action,
        }
    }
}

/// Which rule it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef {
    /// The position of its owner in the stack, 0 the highest.
    pub member: usize,
    /// Its position among the rules of its owner.
    pub index: usize,
}
