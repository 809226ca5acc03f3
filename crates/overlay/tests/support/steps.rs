//! Carrying steps out in a tree.

use std::rc::Rc;

use cv_overlay::{Kind, NamePath, Step};

use super::tree::{Node, Tree};

/// Carries one step out; `number` is the content of a new file. Checks that the step fits what is there.
pub fn carry_out(trees: &[Rc<Tree>], upper: usize, step: &Step, number: u32) {
    let tree = &trees[upper];
    let directory = |path: &NamePath| {
        let node = tree.find(&path.parent()).expect("the parents are there");
        assert!(node.kind.get().is_directory());
        node
    };
    let occupied = |path: &NamePath, over: Option<Kind>| {
        let found = directory(path).child(last(path)).map(|node| node.kind.get());
        assert_eq!(found, over, "what stands at {path}");
    };
    match step {
        Step::CopyUpDirectories { path, present, from } => {
            let mut at = NamePath::root();
            for (depth, name) in path.names().enumerate() {
                at.push(name);
                let Some(member) = depth.checked_sub(*present).and_then(|depth| from.get(depth)) else {
                    assert!(tree.find(&at).expect("present").kind.get().is_directory());
                    continue;
                };
                if tree.find(&at).is_some_and(|node| node.kind.get().is_directory()) {
                    continue;
                }
                let source = trees[*member].find(&at).expect("the winner has it");
                directory(&at).put(Node::with_number(name, Kind::Directory, source.content.0.get()));
            }
        }
        Step::CopyUp { path, from, .. } => {
            let source = trees[*from].find(path).expect("the winner has it");
            let found = directory(path).child(last(path));
            assert!(found.is_none_or(|node| !node.kind.get().is_directory()));
            directory(path).put(Node::with_number(last(path), source.kind.get(), source.content.0.get()));
        }
        Step::Create { path, kind, over } => {
            occupied(path, *over);
            directory(path).put(Node::with_number(last(path), *kind, number));
        }
        Step::Link { from, to, over } => {
            occupied(to, *over);
            let source = tree.find(from).expect("the file to link");
            directory(to).put(Node::new(last(to), source.kind.get(), Rc::clone(&source.content)));
        }
        Step::Rename {
            from,
            to,
            leave_whiteout,
            over,
        } => {
            let source = directory(from).take(last(from)).expect("what is renamed");
            occupied(to, *over);
            if *leave_whiteout {
                directory(from).put(Node::with_number(last(from), Kind::Whiteout, 0));
            }
            let target = directory(to);
            target.take(last(to));
            target.put(source.renamed(last(to)));
        }
        Step::Exchange { one, other } => {
            let left = directory(one).take(last(one)).expect("the one");
            let right = directory(other).take(last(other)).expect("the other");
            directory(one).put(right.renamed(last(one)));
            directory(other).put(left.renamed(last(other)));
        }
        Step::Whiteout { path, over } => {
            occupied(path, *over);
            directory(path).put(Node::with_number(last(path), Kind::Whiteout, 0));
        }
        Step::Remove { path, kind } => {
            occupied(path, Some(*kind));
            directory(path).take(last(path));
        }
        Step::MakeOpaque { path } => {
            let node = tree.find(path).expect("the directory");
            assert!(node.kind.get().is_directory());
            node.kind.set(Kind::OpaqueDirectory);
        }
        Step::CompleteTree { .. } => panic!("given step by step"),
    }
}

pub fn last(path: &NamePath) -> &[u16] {
    path.last().expect("no step is about the root")
}
