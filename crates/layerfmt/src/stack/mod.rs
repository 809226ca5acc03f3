//! Layers in a stack: who wins, what is hidden and by which rule, before anything is deployed.
//!
//! [`FileLayer`] makes a layer's index a member of a [`cv_overlay::Stack`], [`HiveLayer`] a hive; [`LayerStack::conflicts`] and
//! [`LayerStack::explain_path`] ask stacks of both, and [`unmet`] says which of the manifests' `requires` and `conflicts` do not hold.
//!
//! ```
//! use cv_overlay::NamePath;
//! use layerfmt::index::{Entry, EntryKind};
//! use layerfmt::stack::{LayerStack, Member};
//! use layerfmt::{Index, Kind, Manifest};
//!
//! let member = |name: &str, kind| Member {
//!     name: name.to_owned(),
//!     manifest: Manifest::new(name, "1", Kind::App),
//!     index: Index {
//!         securities: Vec::new(),
//!         entries: vec![Entry::new("Files", EntryKind::Directory), Entry::new("Files/a.txt", kind)],
//!     },
//!     hives: Vec::new(),
//! };
//! let members = [member("one", EntryKind::File), member("two", EntryKind::Whiteout)];
//! let stack = LayerStack::new(&members);
//! let explained = stack.explain_path(&NamePath::from(r"\A.TXT"));
//! assert_eq!(explained.shown, None);
//! assert_eq!(explained.claims[1].standing.to_string(), "hidden by a whiteout in two");
//! ```

mod claim;
mod conflicts;
mod explain;
mod files;
mod hives;
mod merged;
mod references;
mod rules;
mod version;

pub use claim::{ClaimReport, StandingReport};
pub use conflicts::{ConflictKind, ConflictReport};
pub use explain::{Explained, WritesTo};
pub use files::FileLayer;
pub use hives::HiveLayer;
pub use merged::{merged_tree, split_by_writes};
pub use references::{Unmet, unmet};
pub use rules::{RuleError, check_key, check_path, file_rules, in_hive, key_rules};
pub use version::{VersionError, VersionRange};

use crate::content::HiveName;
use crate::{Index, Manifest};
use cv_hive::Key;
use cv_overlay::registry::Keys;
use cv_overlay::{Attachment, LayerId, Names, Role, Stack};

/// A layer in a stack.
#[derive(Debug)]
pub struct Member {
    /// What it is called in answers.
    pub name: String,
    /// What it is.
    pub manifest: Manifest,
    /// Its entries.
    pub index: Index,
    /// Its hives.
    pub hives: Vec<(HiveName, Key)>,
}

/// Layers over each other, with the rules of their manifests.
#[derive(Debug)]
pub struct LayerStack<'a> {
    members: &'a [Member],
    files: Stack<FileLayer<'a>>,
    hives: Vec<(HiveName, Stack<Keys<HiveLayer<'a>>>)>,
}

impl<'a> LayerStack<'a> {
    /// A stack of layers in the order in which they are attached, the lowest first. One whose manifest says that it is a base
    /// stands below all others, one that says it is writable above.
    ///
    /// Rules that [`rules`](file_rules) cannot read are left out; [`rule_errors`](Self::rule_errors) names them.
    pub fn new(members: &'a [Member]) -> Self {
        let attachment = |number: usize, member: &Member| (LayerId(number as u64), role(member));
        let files = members.iter().enumerate().map(|(number, member)| {
            let (id, role) = attachment(number, member);
            let mut attached = Attachment::new(id, role, FileLayer::new(&member.index));
            attached.rules = file_rules(&member.manifest).0;
            attached
        });
        let files = Stack::new(Names::windows(), files.collect());
        let hives = HiveName::ALL.into_iter().filter_map(|name| {
            let attached: Vec<_> = members
                .iter()
                .enumerate()
                .filter_map(|(number, member)| {
                    let hive = member.hives.iter().find(|(hive, _)| *hive == name);
                    let rules = key_rules(&member.manifest, name).0;
                    // Rules hold whether the layer has keys of its own or not.
                    if hive.is_none() && rules.is_empty() {
                        return None;
                    }
                    let (id, role) = attachment(number, member);
                    let layer = hive.map_or_else(HiveLayer::none, |(_, key)| HiveLayer::new(key));
                    let mut attached = Attachment::new(id, role, Keys(layer));
                    attached.rules = rules;
                    Some(attached)
                })
                .collect();
            (!attached.is_empty()).then(|| (name, Stack::new(Names::windows(), attached)))
        });
        Self {
            members,
            files,
            hives: hives.collect(),
        }
    }

    /// The names of the members in their effective order, the highest first.
    pub fn order(&self) -> Vec<&'a str> {
        self.files.members().iter().map(|member| self.name(member.id)).collect()
    }

    /// Rules of the manifests that are left out, and the member that each is of.
    pub fn rule_errors(&self) -> Vec<(&'a str, RuleError)> {
        let of = |member: &'a Member| {
            let files = file_rules(&member.manifest).1;
            let keys = HiveName::ALL
                .into_iter()
                .flat_map(|hive| key_rules(&member.manifest, hive).1);
            let mut errors: Vec<RuleError> = files.into_iter().chain(keys).collect();
            // A rule that cannot be read is told once, not once for each hive.
            errors.dedup();
            errors.into_iter().map(|error| (member.name.as_str(), error))
        };
        self.members.iter().flat_map(of).collect()
    }

    fn name(&self, id: LayerId) -> &'a str {
        self.members.get(id.0 as usize).map_or("", |member| &member.name)
    }
}

fn role(member: &Member) -> Role {
    match member.manifest.kind {
        crate::Kind::Base => Role::Base,
        crate::Kind::Writable => Role::Writable,
        crate::Kind::App | crate::Kind::Data => Role::Layer,
    }
}
