//! Random stacks of hives and random writes to them, judged by copying them on top of each other.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::collections::BTreeMap;
use std::rc::Rc;

use cv_overlay::registry::{KeyPlan, KeyState, KeyStep, Keys, RegistryConflict, ValueClaim, ValueState};
use cv_overlay::{Attachment, LayerId, NamePath, Names, Place, PlanError, Refusal, Role, Stack, Standing};
use support::bytes::Choices;
use support::hive::{HeldKey, HeldValue, Hive};
use support::model::{Fault, fold};
use support::plain_keys::PlainKey;
use support::world::{name, path};

type View = Stack<Keys<Rc<Hive>>>;
type Key = Place<Rc<HeldKey>>;

fn fill(hive: &Hive, is_base: bool, choices: &mut Choices<'_>, numbers: &mut u32) {
    let mut keys = vec![Rc::clone(&hive.0)];
    for _ in 0..choices.below(12) {
        let parent = Rc::clone(&keys[usize::from(choices.below(keys.len() as u8))]);
        let name = name(choices);
        *numbers += 1;
        let number = if choices.below(3) == 0 { 7 } else { *numbers };
        if choices.below(2) == 0 {
            let state = match choices.below(3) {
                0 if !is_base => ValueState::Tombstone,
                _ => ValueState::Present,
            };
            parent.put_value(HeldValue { name, state, number });
            continue;
        }
        let state = match choices.below(7) {
            0 if !is_base => KeyState::Tombstone,
            1 if !is_base => KeyState::SupersedeLocal,
            2 if !is_base => KeyState::SupersedeTree,
            _ => KeyState::Merge,
        };
        if parent.subkey(&name).is_none() {
            let key = HeldKey::new(&name, state, number, number % 3);
            key.inherits_class.set(!is_base && choices.below(2) == 0);
            // What stands in a tombstone counts for nothing.
            keys.push(Rc::clone(&key));
            parent.put(key);
        }
    }
}

fn world(choices: &mut Choices<'_>, numbers: &mut u32) -> View {
    let mut roles = vec![Role::Base, Role::Writable];
    roles.extend((0..choices.below(4)).map(|_| Role::Layer));
    let members = roles.into_iter().enumerate().map(|(id, role)| {
        let hive = Hive(HeldKey::new(&[], KeyState::Merge, 0, 0));
        if choices.below(4) > 0 {
            fill(&hive, role == Role::Base, choices, numbers);
        }
        Attachment::new(LayerId(id as u64), role, Keys(Rc::new(hive)))
    });
    let members: Vec<_> = members.collect();
    Stack::new(Names::windows(), members)
}

fn plain(stack: &View, key: &Key) -> PlainKey {
    let values = stack.values(key).unwrap().into_iter().map(|merged| {
        let value = merged.value;
        assert!(value.state.is_present());
        (fold(&value.name), (value.name, value.number))
    });
    PlainKey {
        spelled: stack.name(key).to_vec(),
        number: key.winner().entry.number,
        class: stack.class_part(key).entry.class.get(),
        values: values.collect(),
        subkeys: BTreeMap::new(),
    }
}

/// The view as the engine enumerates it.
fn view(stack: &View) -> PlainKey {
    let root = stack.root().unwrap().expect("no rule hides the root");
    let mut all = plain(stack, &root);
    let mut walk = stack.walk(root, NamePath::root());
    while let Some((path, listed)) = walk.next().unwrap() {
        all.create(path, plain(stack, &listed.place))
            .expect("each name comes once");
    }
    all
}

fn naive(stack: &View) -> PlainKey {
    let hives = stack.members().iter().rev();
    hives
        .fold(None, |below, member| PlainKey::copied(&member.layer.0.0, below))
        .expect("roots are no tombstones")
}

fn carry_out(stack: &View, upper: usize, step: &KeyStep, number: u32) {
    let hive = |position: usize| &stack.members()[position].layer.0;
    let key = |path: &NamePath| hive(upper).find(path).expect("the key is there");
    let last = |path: &NamePath| path.last().expect("not the root").to_vec();
    match step {
        KeyStep::CopyUpKeys { path, present, from } => {
            let mut at = NamePath::root();
            for (depth, name) in path.names().enumerate() {
                at.push(name);
                let Some(member) = depth.checked_sub(*present).and_then(|depth| from.get(depth)) else {
                    assert!(key(&at).state.get().is_present());
                    continue;
                };
                let parent = key(&at.parent());
                if parent.subkey(name).is_some_and(|key| key.state.get().is_present()) {
                    continue;
                }
                let source = hive(*member).find(&at).expect("the winner has it");
                let place = stack.resolve(&at).unwrap().found().expect("it is in the view");
                let class = stack.class_part(&place).entry.class.get();
                parent.put(HeldKey::new(name, KeyState::Merge, source.number, class));
            }
        }
        KeyStep::CopyUpValue { path, name, from } => {
            let source = hive(*from).find(path).expect("the winner has it");
            let mut value = source.take_value(name).expect("the winner has the value");
            source.put_value(value.clone());
            value.name.clone_from(name);
            key(path).put_value(value);
        }
        KeyStep::CreateKey {
            path,
            state,
            over_tombstone,
        } => {
            let parent = key(&path.parent());
            assert_eq!(parent.subkey(&last(path)).is_some(), *over_tombstone);
            parent.take(&last(path));
            parent.put(HeldKey::new(&last(path), *state, number, number % 3));
        }
        KeyStep::TombstoneKey { path } => {
            key(&path.parent()).put(HeldKey::new(&last(path), KeyState::Tombstone, 0, 0));
        }
        KeyStep::RemoveKey { path } => {
            key(&path.parent()).take(&last(path)).expect("what is removed");
        }
        KeyStep::CopyUpClass { path, from } => {
            let source = hive(*from).find(path).expect("the winner has it");
            key(path).class.set(source.class.get());
            key(path).inherits_class.set(false);
        }
        KeyStep::SupersedeTree { path } => key(path).state.set(KeyState::SupersedeTree),
        KeyStep::RenameKey {
            from,
            to,
            leave_tombstone,
        } => {
            let source = key(&from.parent()).take(&last(from)).expect("what is renamed");
            if *leave_tombstone {
                key(&from.parent()).put(HeldKey::new(&last(from), KeyState::Tombstone, 0, 0));
            }
            let parent = key(&to.parent());
            parent.take(&last(to));
            parent.put(source.renamed(&last(to)));
        }
        KeyStep::TombstoneValue { path, name } => key(path).put_value(HeldValue {
            name: name.clone(),
            state: ValueState::Tombstone,
            number: 0,
        }),
        KeyStep::RemoveValue { path, name } => {
            key(path).take_value(name).expect("the value is there");
        }
        KeyStep::CompleteTree { .. } => panic!("given step by step"),
    }
}

/// Carries a plan out, checking the view after every step: the old one until the last.
fn perform(stack: &View, plan: &KeyPlan, number: u32) {
    let before = view(stack);
    for (index, step) in plan.steps.iter().enumerate() {
        if let KeyStep::CompleteTree { path } = step {
            let mut completion = stack.complete_keys(path).unwrap();
            while let Some(step) = completion.next().unwrap() {
                carry_out(stack, plan.upper, &step, number);
                assert_eq!(view(stack), before, "after {step:?} of {plan:?}");
            }
        } else {
            carry_out(stack, plan.upper, step, number);
        }
        let prepares = index + 1 < plan.steps.len() || matches!(step, KeyStep::CopyUpKeys { .. });
        if prepares {
            assert_eq!(view(stack), before, "after {step:?} of {plan:?}");
        }
    }
}

/// Checks that single answers, `explain` and `conflicts` agree with the view.
fn check_answers(stack: &View, view: &mut PlainKey, choices: &mut Choices<'_>) {
    for _ in 0..3 {
        let (path, name) = (path(choices, 3), name(choices));
        let expected = view.get(&path).ok();
        let key = stack.resolve(&path).unwrap().found();
        assert_eq!(key.is_some(), expected.is_some());
        assert_eq!(stack.explain_key(&path).unwrap().shown().is_some(), expected.is_some());
        let value = key.and_then(|key| stack.value(&key, &name).unwrap());
        let number = expected.and_then(|key| Some(key.values.get(&fold(&name))?.1));
        assert_eq!(value.map(|merged| merged.value.number), number);
        let claims = stack.explain_value(&path, &name).unwrap();
        let shown = claims.iter().find(|claim| claim.is_shown());
        assert_eq!(shown.map(|claim| claim.value.number), number);
    }
    let standings = |claims: &[ValueClaim<HeldValue>]| -> Vec<(usize, Standing)> {
        claims.iter().map(|claim| (claim.position, claim.standing)).collect()
    };
    let mut conflicts = stack.registry_conflicts().unwrap();
    while let Some(conflict) = conflicts.next().unwrap() {
        match conflict {
            RegistryConflict::Key { path, claims } => {
                let explained = stack.explain_key(&path).unwrap();
                assert_eq!(claims.len(), explained.claims.len());
                for (claim, other) in claims.iter().zip(&explained.claims) {
                    assert_eq!((claim.position, claim.standing), (other.position, other.standing));
                }
            }
            RegistryConflict::Value { path, name, claims, .. } => {
                let explained = stack.explain_value(&path, &name).unwrap();
                assert_eq!(standings(&claims), standings(&explained));
            }
        }
    }
}

fn fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::NotFound { .. } => Fault::NotFound,
        Refusal::Exists => Fault::Exists,
        Refusal::NotEmpty => Fault::NotEmpty,
        Refusal::IntoItself => Fault::IntoItself,
        Refusal::Root => Fault::Root,
        refusal => panic!("{refusal:?} without rules"),
    }
}

/// Plans a random write, carries it out and compares the view with the model's.
fn write(stack: &View, view_before: &PlainKey, choices: &mut Choices<'_>, number: u32) {
    let (one, other, value) = (path(choices, 3), path(choices, 3), name(choices));
    let mut expected = view_before.clone();
    let kind = choices.below(6);
    let (planned, outcome) = match kind {
        0 => (
            stack.plan_write_key(&one),
            expected.get(&one).map(|key| {
                key.values.insert(fold(&value), (value.clone(), number));
            }),
        ),
        1 => {
            let outcome = expected.get(&one).and_then(|key| {
                let removed = key.values.remove(&fold(&value));
                removed.map(|_| ()).ok_or(Fault::NotFound)
            });
            (stack.plan_delete_value(&one, &value), outcome)
        }
        2 => {
            let key = PlainKey {
                number,
                class: number % 3,
                ..PlainKey::default()
            };
            (stack.plan_create_key(&one), expected.create(&one, key))
        }
        3 => (stack.plan_delete_key(&one), expected.delete(&one)),
        _ => (stack.plan_rename_key(&one, &other), expected.rename(&one, &other)),
    };
    match planned {
        Err(PlanError::Layer(never)) => match never {},
        Err(PlanError::Refused(refusal)) => assert_eq!(outcome, Err(fault(refusal))),
        Ok(plan) => {
            assert_eq!(outcome, Ok(()), "{plan:?}");
            perform(stack, &plan, number);
            if kind == 0 {
                let key = stack.members()[plan.upper].layer.0.find(&one).expect("it came up");
                key.put_value(HeldValue {
                    name: value,
                    state: ValueState::Present,
                    number,
                });
            }
            assert_eq!(view(stack), expected, "{plan:?}");
        }
    }
}

/// One world, from bytes.
pub fn registry(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let mut numbers = 100;
    let stack = world(&mut choices, &mut numbers);
    for _ in 0..24 {
        let mut view = view(&stack);
        assert_eq!(view, naive(&stack));
        check_answers(&stack, &mut view, &mut choices);
        if choices.is_empty() {
            return;
        }
        numbers += 1;
        write(&stack, &view, &mut choices, numbers);
    }
}
