//! The rules of merging, one by one.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use std::rc::Rc;

use cv_overlay::plan::{Data, Replace};
use cv_overlay::policy::{Action, Pattern, Reach, Rule, RuleRef};
use cv_overlay::{
    Agreement, Attachment, Hidden, Hiding, Kind, LayerId, NamePath, Names, PlanError, Refusal, Role, Stack, Standing,
    Step,
};
use support::tree::{Node, Tree};

/// A tree of entries such as `a/` (directory), `a//` (opaque directory), `a/f=3` (file), `a/f!` (whiteout). Directories on
/// the way are made.
fn tree(role: Role, entries: &[&str]) -> Rc<Tree> {
    let tree = Tree::new(role);
    for text in entries {
        let (path, kind, number) = match text.split_once('=') {
            Some((path, number)) => (path, Kind::File, number.parse().unwrap()),
            None if text.ends_with('!') => (text.trim_end_matches('!'), Kind::Whiteout, 0),
            None if text.ends_with("//") => (text.trim_end_matches('/'), Kind::OpaqueDirectory, 1),
            None => (text.trim_end_matches('/'), Kind::Directory, 1),
        };
        let mut parent = Rc::clone(&tree.root);
        let path = NamePath::from(path.replace('/', "\\").as_str());
        for (depth, name) in path.names().enumerate() {
            if depth + 1 == path.depth() {
                parent.put(Node::with_number(name, kind, number));
            } else {
                if parent.child(name).is_none() {
                    parent.put(Node::with_number(name, Kind::Directory, 1));
                }
                parent = parent.child(name).unwrap();
            }
        }
    }
    Rc::new(tree)
}

struct World(Vec<Attachment<Rc<Tree>>>);

impl World {
    fn new(base: &[&str]) -> Self {
        Self(vec![Attachment::new(LayerId(0), Role::Base, tree(Role::Base, base))])
    }

    fn with(mut self, role: Role, entries: &[&str]) -> Self {
        let id = LayerId(self.0.len() as u64);
        self.0.push(Attachment::new(id, role, tree(role, entries)));
        self
    }

    /// Gives the member that was added last a rule.
    fn rule(mut self, path: &str, action: Action) -> Self {
        let rule = Rule::new(&NamePath::from(path), action);
        self.0.last_mut().unwrap().rules.push(rule);
        self
    }

    fn stack(self) -> Stack<Rc<Tree>> {
        Stack::new(Names::windows(), self.0)
    }
}

/// What the view shows, in the notation of [`tree`].
fn shown(stack: &Stack<Rc<Tree>>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut walk = stack.walk(stack.root().unwrap().unwrap(), NamePath::root());
    while let Some((path, listed)) = walk.next().unwrap() {
        let path = path.to_string().replace('\\', "/");
        lines.push(if listed.place.is_directory() {
            format!("{}/", &path[1..])
        } else {
            format!("{}={}", &path[1..], listed.place.winner().entry.content.0.get())
        });
    }
    lines
}

fn steps(plan: Result<cv_overlay::Plan, PlanError<std::convert::Infallible>>) -> Vec<Step> {
    plan.unwrap().steps
}

#[test]
fn directories_merge_and_files_are_taken_whole() {
    let stack = World::new(&["Dir/a=1", "Dir/b=2", "f=3"])
        .with(Role::Layer, &["DIR/A=4", "dir/c=5"])
        .stack();
    // The highest spells.
    assert_eq!(shown(&stack), ["DIR/", "DIR/A=4", "DIR/b=2", "DIR/c=5", "f=3"]);
}

#[test]
fn whiteouts_opaque_directories_and_files_hide_what_is_below() {
    let stack = World::new(&["w/a=1", "o/a=1", "f/a=1", "d=1"])
        .with(Role::Layer, &["w!", "o//", "o/b=2", "f=2", "d/b=2"])
        .stack();
    assert_eq!(shown(&stack), ["d/", "d/b=2", "f=2", "o/", "o/b=2"]);
    // A directory over the file does not bring back the directory below the file.
    let stack = World::new(&["f/a=1"])
        .with(Role::Layer, &["f=2"])
        .with(Role::Layer, &["f/c=3"])
        .stack();
    assert_eq!(shown(&stack), ["f/", "f/c=3"]);
}

#[test]
fn an_explanation_names_who_hides_what_and_where() {
    let stack = World::new(&["d/e/f=1"])
        .with(Role::Layer, &["d/e/f=2"])
        .with(Role::Layer, &["d/e//"])
        .with(Role::Layer, &["d/E/F=3"])
        .stack();
    let explanation = stack.explain(&NamePath::from("d\\e\\f")).unwrap();
    let standings: Vec<_> = explanation
        .claims
        .iter()
        .map(|claim| (claim.position, claim.standing))
        .collect();
    let hidden = Standing::Hidden(Hidden {
        by: Some(1),
        depth: 2,
        why: Hiding::OpaqueDirectory,
    });
    assert_eq!(standings, [(0, Standing::Wins), (2, hidden), (3, hidden)]);
    assert_eq!(explanation.writes_to, None);
}

#[test]
fn a_rule_overrides_hides_and_makes_exceptions() {
    let base = ["p/a=1", "p/keep/k=1"];
    let stack = World::new(&base)
        .with(Role::Layer, &["p/b=2"])
        .rule("p", Action::Override)
        .stack();
    assert_eq!(shown(&stack), ["p/", "p/b=2"]);

    let stack = World::new(&base)
        .with(Role::Layer, &["p/b=2", "p/keep/"])
        .rule("p", Action::Override)
        .rule("p\\keep", Action::Merge)
        .stack();
    assert_eq!(shown(&stack), ["p/", "p/b=2", "p/keep/", "p/keep/k=1"]);

    let stack = World::new(&base)
        .with(Role::Layer, &["p/a=2"])
        .rule("p\\a", Action::Hide)
        .stack();
    assert_eq!(shown(&stack), ["p/", "p/keep/", "p/keep/k=1"]);
    let explanation = stack.explain(&NamePath::from("p\\a")).unwrap();
    let rule = RuleRef { member: 0, index: 0 };
    assert!(explanation.claims.iter().all(|claim| {
        claim.standing
            == Standing::Hidden(Hidden {
                by: Some(0),
                depth: 2,
                why: Hiding::Rule(rule),
            })
    }));
    assert_eq!(stack.rule(rule).unwrap().action, Action::Hide);
}

#[test]
fn writes_go_where_the_deepest_rule_says() {
    let stack = World::new(&["t/f=1", "x/f=1", "i/f=1", "s/f=1"])
        .with(Role::Writable, &["x/f=9", "i/f=9", "s/f=9"])
        .with(Role::Layer, &["x/f=2", "i/f=2", "s/f=2"])
        .rule("x", Action::Exclude)
        .rule("i", Action::Isolate)
        .rule("s", Action::Discard)
        .with(Role::Area(LayerId(2)), &[])
        .with(Role::Session, &[])
        .stack();
    let roles: Vec<_> = stack.members().iter().map(|member| member.role).collect();
    assert_eq!(
        roles,
        [
            Role::Session,
            Role::Area(LayerId(2)),
            Role::Writable,
            Role::Layer,
            Role::Base
        ]
    );
    assert_eq!(
        shown(&stack),
        ["i/", "i/f=2", "s/", "s/f=2", "t/", "t/f=1", "x/", "x/f=1"]
    );
    for (path, upper) in [("t\\f", 2), ("x\\f", 4), ("i\\f", 1), ("s\\f", 0)] {
        let plan = stack.plan_copy_up(&NamePath::from(path), Data::Whole).unwrap();
        assert_eq!(plan.upper, upper, "{path}");
    }
    let crossing = stack.plan_rename(&NamePath::from("i\\f"), &NamePath::from("t\\g"), Replace::Never);
    assert_eq!(crossing, Err(PlanError::Refused(Refusal::CrossesUppers)));
}

#[test]
fn patterns_match_any_name_or_a_beginning() {
    let rule = |pattern, reach| Rule {
        pattern,
        reach,
        action: Action::Hide,
    };
    let name = |text: &str| Pattern::Name(text.encode_utf16().collect());
    let mut world = World::new(&[
        "Users/ann/Temp/f=1",
        "Users/bob/temp/f=1",
        "Users/bob/Tempo=1",
        "Cdp_1=1",
        "cd=1",
    ])
    .with(Role::Layer, &[]);
    world.0[1].rules = vec![
        rule(vec![name("users"), Pattern::Any, name("TEMP")], Reach::Contents),
        rule(vec![Pattern::Prefix("CDP_".encode_utf16().collect())], Reach::Tree),
    ];
    assert_eq!(
        shown(&world.stack()),
        [
            "cd=1",
            "Users/",
            "Users/ann/",
            "Users/ann/Temp/",
            "Users/bob/",
            "Users/bob/temp/",
            "Users/bob/Tempo=1"
        ]
    );
}

#[test]
fn removing_and_making_again_hides_what_was_there() {
    let world = || World::new(&["d/f=1"]);
    let stack = world().with(Role::Writable, &["d/f!"]).stack();
    let d = NamePath::from("d");
    assert_eq!(
        steps(stack.plan_remove_directory(&d)),
        [Step::Whiteout {
            path: d.clone(),
            over: Some(Kind::Directory)
        }]
    );
    let stack = world().with(Role::Writable, &["d!"]).stack();
    assert_eq!(
        steps(stack.plan_create(&d, Kind::Directory)),
        [Step::Create {
            path: d,
            kind: Kind::OpaqueDirectory,
            over: Some(Kind::Whiteout)
        }]
    );
}

#[test]
fn no_whiteout_is_left_where_nothing_shines_through() {
    let stack = World::new(&["f=1"])
        .with(Role::Layer, &["f!"])
        .with(Role::Writable, &["f=2", "own=3"])
        .stack();
    for name in ["f", "own"] {
        let path = NamePath::from(name);
        let remove = Step::Remove {
            path: path.clone(),
            kind: Kind::File,
        };
        assert_eq!(steps(stack.plan_remove_file(&path)), [remove]);
        let to = NamePath::from("to");
        let rename = Step::Rename {
            from: path.clone(),
            to: to.clone(),
            leave_whiteout: false,
            over: None,
        };
        assert_eq!(steps(stack.plan_rename(&path, &to, Replace::Never)), [rename]);
    }
}

#[test]
fn a_merged_directory_is_completed_before_it_moves() {
    let stack = World::new(&["d/f=1"]).with(Role::Writable, &["d/g=2"]).stack();
    let (d, e) = (NamePath::from("d"), NamePath::from("e"));
    assert_eq!(
        steps(stack.plan_rename(&d, &e, Replace::Never)),
        [
            Step::CompleteTree { path: d.clone() },
            Step::MakeOpaque { path: d.clone() },
            Step::Rename {
                from: d.clone(),
                to: e.clone(),
                leave_whiteout: true,
                over: None
            }
        ]
    );
    let mut completion = stack.complete(&d).unwrap();
    assert_eq!(
        completion.next().unwrap(),
        Some(Step::CopyUp {
            path: NamePath::from("d\\f"),
            from: 1,
            data: Data::Whole
        })
    );
    // What only the writable volume has just moves.
    let stack = World::new(&[]).with(Role::Writable, &["d/g=2"]).stack();
    assert_eq!(steps(stack.plan_rename(&d, &e, Replace::Never)).len(), 1);
}

#[test]
fn conflicts_say_whether_the_content_is_the_same() {
    let stack = World::new(&[
        "same=1",
        "other=1",
        "unknown=0",
        "type/f=1",
        "gone=1",
        "both!",
        "d/only=1",
    ])
    .with(
        Role::Layer,
        &["same=1", "other=2", "unknown=1", "type=3", "gone!", "both!", "d/mine=1"],
    )
    .stack();
    let mut conflicts = stack.conflicts().unwrap();
    let mut found = Vec::new();
    while let Some(conflict) = conflicts.next().unwrap() {
        found.push((conflict.path.to_string(), conflict.agreement));
    }
    let expected = [
        ("\\both", Agreement::Same),
        ("\\gone", Agreement::Different),
        ("\\other", Agreement::Different),
        ("\\same", Agreement::Same),
        ("\\type", Agreement::Different),
        ("\\unknown", Agreement::Unknown),
    ];
    assert_eq!(found, expected.map(|(path, agreement)| (path.to_owned(), agreement)));
}

#[test]
fn names_with_case_are_different_names() {
    let members = vec![
        Attachment::new(LayerId(0), Role::Base, tree(Role::Base, &["a=1"])),
        Attachment::new(LayerId(1), Role::Layer, tree(Role::Layer, &["A=2"])),
    ];
    let stack = Stack::new(Names::case_sensitive(), members);
    assert_eq!(shown(&stack), ["A=2", "a=1"]);
}

#[test]
fn a_listing_says_who_else_has_a_name() {
    let stack = World::new(&["f=1"])
        .with(Role::Layer, &["f/g=2"])
        .with(Role::Layer, &["f=3"])
        .stack();
    let root = stack.root().unwrap().unwrap();
    let listed: Vec<_> = stack.list(&root).unwrap().map(Result::unwrap).collect();
    let others: Vec<_> = listed[0]
        .others
        .iter()
        .map(|claim| claim.standing.hidden().unwrap().why)
        .collect();
    assert_eq!(others, [Hiding::TypeChange, Hiding::HigherLayer]);
}
