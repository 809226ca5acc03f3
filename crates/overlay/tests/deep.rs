//! Paths of ten thousand names, on a small stack.

#[path = "../fuzz/bodies/files.rs"]
#[allow(dead_code)]
mod body;

use std::rc::Rc;

use body::support::tree::{Node, Tree};
use cv_overlay::plan::{Data, Replace};
use cv_overlay::policy::{Action, Rule};
use cv_overlay::{Attachment, Kind, LayerId, NamePath, Names, Role, Stack, Step};

const DEPTH: usize = 10_000;

fn chain(role: Role) -> (Rc<Tree>, NamePath) {
    let tree = Tree::new(role);
    let mut path = NamePath::root();
    let mut directory = Rc::clone(&tree.root);
    let name = [u16::from(b'd')];
    for _ in 0..DEPTH {
        let below = Node::with_number(&name, Kind::Directory, 1);
        directory.put(Rc::clone(&below));
        directory = below;
        path.push(&name);
    }
    directory.put(Node::with_number(&name, Kind::File, 2));
    path.push(&name);
    (Rc::new(tree), path)
}

fn in_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(test);
    thread.expect("a thread").join().expect("no overflow");
}

#[test]
fn deep_trees_are_walked_resolved_explained_compared_and_copied_up() {
    in_a_small_stack(|| {
        let (base, path) = chain(Role::Base);
        let (layer, _) = chain(Role::Layer);
        let writable = Rc::new(Tree::new(Role::Writable));
        let mut attachments = vec![
            Attachment::new(LayerId(0), Role::Base, Rc::clone(&base)),
            Attachment::new(LayerId(1), Role::Layer, Rc::clone(&layer)),
            Attachment::new(LayerId(2), Role::Writable, writable),
        ];
        attachments[1].rules.push(Rule::new(&path, Action::Merge));
        let stack = Stack::new(Names::windows(), attachments);

        assert!(stack.resolve(&path).unwrap().found().is_some());
        assert_eq!(stack.explain(&path).unwrap().claims.len(), 2);

        let mut walk = stack.walk(stack.root().unwrap().unwrap(), NamePath::root());
        let mut count = 0;
        while walk.next().unwrap().is_some() {
            count += 1;
        }
        assert_eq!(count, DEPTH + 1);

        let mut conflicts = stack.conflicts().unwrap();
        assert_eq!(conflicts.next().unwrap().unwrap().path, &path);
        assert!(conflicts.next().unwrap().is_none());

        let plan = stack.plan_copy_up(&path, Data::Whole).unwrap();
        match plan.steps.as_slice() {
            [
                Step::CopyUpDirectories { present: 0, from, .. },
                Step::CopyUp { from: 1, .. },
            ] => {
                assert_eq!(from.len(), DEPTH);
            }
            steps => panic!("{} steps", steps.len()),
        }
        let to = NamePath::from("e");
        assert!(stack.plan_rename(&path, &to, Replace::Never).is_ok());

        // Dropping the trees would recurse.
        std::mem::forget((base, layer));
    });
}
