//! Random stacks of trees and random writes to them, judged by naive models.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::collections::BTreeMap;
use std::rc::Rc;

use cv_overlay::plan::{Data, Replace};
use cv_overlay::{Attachment, Claim, Kind, LayerId, NamePath, Plan, PlanError, Refusal, Resolved, Role, Stack, Step};
use support::bytes::Choices;
use support::model::{Fault, Plain, Shared, fold};
use support::naive;
use support::steps::carry_out;
use support::tree::{Node, Tree, names};
use support::world::{World, path};

type Outcome = Result<Plan, PlanError<std::convert::Infallible>>;

/// Checks that single lookups, `explain` and `conflicts` agree with the view.
fn check_answers(world: &World, view: &mut Plain, choices: &mut Choices<'_>) {
    let stack = world.stack();
    for _ in 0..4 {
        let path = path(choices, 4);
        let expected = view.get(&path).cloned();
        let explained = stack.explain(&path).unwrap();
        let shown = explained.shown();
        match stack.resolve(&path).unwrap() {
            Resolved::Found { place, spelled } => {
                let entry = &place.winner().entry;
                match expected.expect("found what is in the view") {
                    Plain::File(kind, content) => {
                        assert_eq!(kind, place.kind());
                        assert_eq!(content.0.0.get(), entry.content.0.get());
                    }
                    Plain::Directory(attributes, _) => {
                        assert!(place.is_directory());
                        assert_eq!(attributes, entry.content.0.get());
                    }
                }
                let shown = shown.expect("explained");
                assert_eq!(shown.position, place.winner().position);
                assert!(Rc::ptr_eq(&shown.entry, entry));
                assert_eq!(explained.writes_to, stack.writes_to(&place));
                let folded = |path: &NamePath| path.names().map(fold).collect::<Vec<_>>();
                assert_eq!(folded(&spelled), folded(&path));
            }
            Resolved::Missing { depth } => {
                assert_eq!(expected, Err(Fault::NotFound));
                assert!(shown.is_none(), "{explained:?}");
                let mut above = path.clone();
                above.truncate(depth);
                assert!(view.get(&above).unwrap().is_directory());
            }
            Resolved::NotADirectory { depth } => {
                assert_eq!(expected, Err(Fault::NotADirectory));
                assert!(shown.is_none());
                let mut above = path.clone();
                above.truncate(depth);
                assert!(!view.get(&above).unwrap().is_directory());
            }
        }
    }
    let mut conflicts = stack.conflicts().unwrap();
    while let Some(conflict) = conflicts.next().unwrap() {
        assert!(conflict.claims.len() > 1);
        let explained = stack.explain(conflict.path).unwrap();
        let standings = |claims: &[Claim<Rc<Node>>]| {
            claims
                .iter()
                .map(|claim| (claim.position, claim.standing))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            standings(&conflict.claims),
            standings(&explained.claims),
            "{}",
            conflict.path
        );
        let shown = conflict.claims.iter().any(Claim::is_shown);
        assert_eq!(shown, view.get(conflict.path).is_ok(), "{}", conflict.path);
    }
}

/// Checks that the layers made into one show the same over the base.
fn check_squash(world: &World) {
    let is_layer = |tree: &&Rc<Tree>| tree.role == Role::Layer;
    let layers = world.trees.iter().filter(is_layer).rev();
    let members = layers.map(|tree| Attachment::new(LayerId(0), Role::Layer, &**tree));
    let stack = Stack::new(names(), members.collect());
    let one = Tree::new(Role::Layer);
    let (mut squash, is_opaque) = stack.squash().unwrap();
    assert!(!is_opaque);
    while let Some(squashed) = squash.next().unwrap() {
        let parent = one.find(&squashed.path.parent()).expect("directories come first");
        let name = squashed.path.last().expect("not the root");
        parent.put(Node::new(name, squashed.kind, Rc::clone(&squashed.entry.content)));
    }
    let base = world.trees.iter().filter(|tree| tree.role == Role::Base);
    let over_base = |tree| naive::copied(std::iter::once(tree).chain(base.clone().map(|tree| &**tree)));
    let together = world.trees.iter().filter(|tree| tree.role != Role::Writable);
    assert_eq!(over_base(&one), naive::copied(together.map(|tree| &**tree)));
}

/// A write, planned and done to the model.
fn operation(world: &World, choices: &mut Choices<'_>) -> (Outcome, Change) {
    let stack = world.stack();
    let one = path(choices, 3);
    let other = path(choices, 3);
    match choices.below(9) {
        0 => (stack.plan_copy_up(&one, Data::Whole), Change::Write(one)),
        1 => (stack.plan_create(&one, Kind::File), Change::Create(one, Kind::File)),
        2 => (
            stack.plan_create(&one, Kind::Directory),
            Change::Create(one, Kind::Directory),
        ),
        3 => (stack.plan_remove_file(&one), Change::Remove(one, false)),
        4 => (stack.plan_remove_directory(&one), Change::Remove(one, true)),
        5 => (stack.plan_link(&one, &other), Change::Link(one, other)),
        8 => (stack.plan_exchange(&one, &other), Change::Exchange(one, other)),
        kind => {
            let replace = kind == 6;
            let how = if replace { Replace::Existing } else { Replace::Never };
            (
                stack.plan_rename(&one, &other, how),
                Change::Rename(one, other, replace),
            )
        }
    }
}

#[derive(Debug)]
enum Change {
    Write(NamePath),
    Create(NamePath, Kind),
    Remove(NamePath, bool),
    Link(NamePath, NamePath),
    Rename(NamePath, NamePath, bool),
    Exchange(NamePath, NamePath),
}

impl Change {
    fn apply(&self, view: &mut Plain, number: u32) -> Result<(), Fault> {
        match self {
            Self::Write(path) => view.write(path, number),
            Self::Create(path, Kind::Directory) => view.create(path, Plain::Directory(number, BTreeMap::new())),
            Self::Create(path, kind) => view.create(path, Plain::File(*kind, Shared::new(number))),
            Self::Remove(path, directory) => view.remove(path, *directory),
            Self::Link(from, to) => view.link(from, to),
            Self::Rename(from, to, replace) => view.rename(from, to, *replace),
            Self::Exchange(one, other) => view.exchange(one, other),
        }
    }
}

fn fault(refusal: Refusal) -> Option<Fault> {
    Some(match refusal {
        Refusal::NotFound { .. } => Fault::NotFound,
        Refusal::NotADirectory { .. } => Fault::NotADirectory,
        Refusal::Exists => Fault::Exists,
        Refusal::IsADirectory => Fault::IsADirectory,
        Refusal::NotEmpty => Fault::NotEmpty,
        Refusal::IntoItself => Fault::IntoItself,
        Refusal::Root => Fault::Root,
        // What only a stack with rules answers.
        Refusal::ReadOnly | Refusal::CrossesUppers | Refusal::HiddenByRule(_) | Refusal::Obstructed { .. } => {
            return None;
        }
    })
}

/// Carries a plan out, checking the view after every step: the old one until the last.
fn perform(world: &World, plan: &Plan, number: u32) {
    let before = world.view().snapshot();
    let check = |done: &str| assert_eq!(world.view(), before, "{done}");
    for (index, step) in plan.steps.iter().enumerate() {
        let is_last = index + 1 == plan.steps.len();
        if let Step::CompleteTree { path } = step {
            let stack = world.stack();
            let mut completion = stack.complete(path).unwrap();
            while let Some(step) = completion.next().unwrap() {
                carry_out(&world.trees, plan.upper, &step, number);
                check(&format!("after {step:?} of {plan:?}"));
            }
        } else {
            carry_out(&world.trees, plan.upper, step, number);
        }
        if !is_last || matches!(step, Step::CopyUp { .. } | Step::CopyUpDirectories { .. }) {
            check(&format!("after {step:?} of {plan:?}"));
        }
    }
}

/// Plans a random write, carries it out and compares the view with the model's.
fn write(world: &mut World, view: &Plain, choices: &mut Choices<'_>) {
    world.numbers += 1;
    let number = world.numbers;
    let (planned, change) = operation(world, choices);
    let mut expected = view.snapshot();
    let outcome = change.apply(&mut expected, number);
    match planned {
        Err(PlanError::Layer(never)) => match never {},
        Err(PlanError::Refused(refusal)) => match fault(refusal) {
            Some(fault) => assert_eq!(outcome, Err(fault), "{change:?}"),
            None => assert!(world.has_rules, "{refusal:?}"),
        },
        Ok(plan) => {
            assert_eq!(outcome, Ok(()), "{change:?}");
            perform(world, &plan, number);
            if let Change::Write(path) = &change
                && let Some(node) = world.trees[plan.upper].find(path)
            {
                node.content.0.set(number);
            }
            // A rule may show something in a directory that is made above what it is about.
            let shows_more = match &change {
                Change::Create(path, Kind::Directory) => world.rules_near(path),
                _ => false,
            };
            if !shows_more {
                assert_eq!(world.view(), expected, "{change:?} by {plan:?}");
            }
        }
    }
}

/// One world, from bytes.
pub fn files(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut world = World::new(&mut choices);
    for _ in 0..24 {
        let mut view = world.view();
        if !view.is_directory() {
            return;
        }
        let naive = naive::by_rules(&world.stack()).expect("the root is there");
        assert_eq!(view, naive, "{:#?}", world.rules);
        if !world.has_rules {
            assert_eq!(view, naive::copied(world.trees.iter().map(|tree| &**tree)));
            check_squash(&world);
        }
        check_answers(&world, &mut view, &mut choices);
        if choices.is_empty() {
            return;
        }
        write(&mut world, &view, &mut choices);
    }
}
