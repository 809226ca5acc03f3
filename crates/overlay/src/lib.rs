//! Merge semantics: who wins, what is hidden and what a write does in a stack of layers, for files and registry keys.
//!
//! Pure code: nothing here reads or writes. The caller makes its volumes, folders or hives answer the few questions of
//! [`Layer`] or [`KeyLayer`](registry::KeyLayer), puts them into a [`Stack`], and asks the stack. `no_std`, only `alloc` is
//! needed; nothing panics, whatever a layer answers, and nothing recurses, however deep the paths are.
//!
//! ```
//! use core::convert::Infallible;
//! use cv_overlay::{Attachment, Kind, Layer, LayerId, NamePath, Names, Role, Stack, Step};
//!
//! /// A layer that is one flat directory: sorted names, and what they are. `None` stands for the root.
//! struct Flat(Vec<(Vec<u16>, Kind)>);
//!
//! impl Layer for Flat {
//!     type Entry = Option<usize>;
//!     type Error = Infallible;
//!     type Listing<'l> = std::vec::IntoIter<Result<Option<usize>, Infallible>>;
//!
//!     fn root(&self) -> Result<Option<Self::Entry>, Infallible> {
//!         Ok(Some(None))
//!     }
//!     fn lookup(&self, _: &Self::Entry, name: &[u16]) -> Result<Option<Self::Entry>, Infallible> {
//!         let names = Names::windows();
//!         Ok(self.0.iter().position(|(other, _)| names.equal(other, name)).map(Some))
//!     }
//!     fn list(&self, _: &Self::Entry) -> Result<Self::Listing<'_>, Infallible> {
//!         Ok((0..self.0.len()).map(|entry| Ok(Some(entry))).collect::<Vec<_>>().into_iter())
//!     }
//!     fn kind(&self, entry: &Self::Entry) -> Kind {
//!         entry.map_or(Kind::Directory, |entry| self.0[entry].1)
//!     }
//!     fn name<'l>(&'l self, entry: &'l Self::Entry) -> &'l [u16] {
//!         entry.map_or(&[], |entry| &self.0[entry].0)
//!     }
//! }
//!
//! let name = |text: &str| text.encode_utf16().collect::<Vec<_>>();
//! let base = Flat(vec![(name("app.ini"), Kind::File), (name("old.dll"), Kind::File)]);
//! let layer = Flat(vec![(name("App.ini"), Kind::File), (name("old.dll"), Kind::Whiteout)]);
//! let writable = Flat(vec![]);
//! let stack = Stack::new(
//!     Names::windows(),
//!     vec![
//!         Attachment::new(LayerId(0), Role::Base, base),
//!         Attachment::new(LayerId(1), Role::Writable, writable),
//!         Attachment::new(LayerId(2), Role::Layer, layer),
//!     ],
//! );
//!
//! // The layer has app.ini and hides old.dll.
//! let root = stack.root()?.ok_or("no root")?;
//! let shown = stack.list(&root)?.collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(shown.len(), 1);
//! assert_eq!(stack.name(&shown[0].place), name("App.ini"));
//! assert_eq!(shown[0].others.len(), 1); // the base has it too
//!
//! // Deleting it leaves a whiteout in the writable volume.
//! let path = NamePath::from("APP.INI");
//! let plan = stack.plan_remove_file(&path)?;
//! assert_eq!(stack.members()[plan.upper].role, Role::Writable);
//! assert_eq!(plan.steps, [Step::Whiteout { path: NamePath::from("App.ini"), over: None }]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The stack
//!
//! From the highest to the lowest: the *session* (what is forgotten at logoff), the *areas* (what was written under an
//! isolated path, one for each layer that isolates), the *writable volume*, the *layers*, the *base*. Of two layers the one
//! with the higher priority stands above; where the priorities are equal (0 unless set), the one that was attached later.
//! [`order::sort`] puts attachments into this order, and [`Stack::members`] shows it.
//!
//! # What the view shows
//!
//! Names compare by the `$UpCase` table, one 16-bit unit at a time; every name is shown as the highest member that has it
//! spells it. At each path, the members' entries are looked at from the highest down:
//!
//! | the highest entry is | the view shows | of what is below |
//! |---|---|---|
//! | a file, symbolic link or junction | it, whole: all its streams, attributes, times and security | nothing |
//! | a whiteout | nothing | nothing |
//! | an opaque directory | it | nothing |
//! | a directory | it, with its own attributes, times and security | the entries of the directories below merge with its own, up to the first opaque directory, whose entries still count, or up to the first file, link or whiteout |
//!
//! What is hidden at a path is hidden with everything below it: a directory under a file does not come back because a still
//! higher member has a directory there. This is what copying the trees on top of each other, the lowest first, gives, and
//! it is tested against that.
//!
//! # Rules of manifests
//!
//! [`policy`] describes how rules change this for single paths: override, hide, isolate, exclude, discard.
//!
//! # Asking
//!
//! * [`Stack::resolve`], [`Stack::lookup`]: what a path or one name in a directory is. Members below one that hides them
//!   are not asked.
//! * [`Stack::list`]: a merged directory in order, each name once; [`Stack::walk`]: everything below a directory. One entry
//!   of each member is in memory for each level.
//! * [`Stack::explain`]: what every member has at a path, and what hides it, by name of the rule.
//! * [`Stack::conflicts`]: everything that more than one member has and of which something is hidden, and whether the
//!   content is the same, by merging the sorted listings.
//! * [`Stack::squash`]: one layer that does what several do.
//!
//! # Writing
//!
//! Layers are never written. [`plan`] says what a write means in the member that takes it: what must be copied up first,
//! where a whiteout goes, when a directory must become opaque. Plans are lists of steps whose order is safe against a crash
//! between any two.
//!
//! * Writing to a lower file copies it up first, with all its hard links that the view shows
//!   ([`Stack::plan_copy_up`]); the directories on the way are made as well and merge with those below.
//! * Making something over a whiteout replaces it; a directory made there is opaque ([`Stack::plan_create`]).
//! * Removing leaves a whiteout where something below would shine through, and nothing otherwise
//!   ([`Stack::plan_remove_file`], [`Stack::plan_remove_directory`]).
//! * Renaming moves within the member that takes the writes and leaves a whiteout where needed; of a merged directory
//!   everything is copied up first ([`Stack::plan_rename`]). Between paths that take their writes in different members it
//!   is refused, as between volumes. Two entries can take each other's places, too ([`Stack::plan_exchange`]).
//!
//! # The registry
//!
//! [`registry`] has the same for keys and values, by the states of the layered keys of Windows.

#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;

mod audit;
mod conflicts;
mod explain;
mod layer;
mod listing;
mod lookup;
mod names;
pub mod order;
mod path;
mod place;
pub mod plan;
pub mod policy;
pub mod registry;
mod sorted_merge;
mod squash;
mod stack;
mod standing;
mod walk;

pub use conflicts::{Agreement, Conflict, Conflicts};
pub use explain::Explanation;
pub use layer::{Kind, Layer};
pub use listing::{Claim, Listed, Listing};
pub use lookup::Resolved;
pub use names::Names;
pub use order::{Attachment, LayerId, Role};
pub use path::NamePath;
pub use place::{Part, Place};
pub use plan::{Plan, PlanError, Refusal, Step};
pub use squash::{Squash, Squashed};
pub use stack::Stack;
pub use standing::{Hidden, Hiding, Standing};
pub use walk::Walk;
