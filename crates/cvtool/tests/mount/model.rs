//! Random operations on the mount and on a plain folder must come to the same, also where the mount is killed and made
//! again in between.

use super::support::{Lab, can_mount};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Debug, Clone)]
enum Operation {
    Write(String, u8),
    Append(String, u8),
    Truncate(String),
    MakeDirectory(String),
    RemoveFile(String),
    RemoveDirectory(String),
    Rename(String, String),
    Link(String, String),
    Kill,
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::Write(path, byte)),
        2 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::Append(path, byte)),
        1 => path().prop_map(Operation::Truncate),
        3 => path().prop_map(Operation::MakeDirectory),
        3 => path().prop_map(Operation::RemoveFile),
        3 => path().prop_map(Operation::RemoveDirectory),
        4 => (path(), path()).prop_map(|(from, to)| Operation::Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Operation::Link(from, to)),
        1 => Just(Operation::Kill),
    ]
}

/// Does it; gives what went wrong as a number of the system.
fn carry_out(root: &Path, operation: &Operation) -> Result<(), Option<i32>> {
    use std::io::Write;
    let at = |path: &str| root.join(path);
    let done = match operation {
        Operation::Write(path, byte) => fs::write(at(path), vec![*byte; usize::from(*byte) * 40]),
        Operation::Append(path, byte) => fs::OpenOptions::new()
            .append(true)
            .open(at(path))
            .and_then(|mut file| file.write_all(&[*byte; 10])),
        Operation::Truncate(path) => fs::OpenOptions::new()
            .write(true)
            .open(at(path))
            .and_then(|file| file.set_len(5)),
        Operation::MakeDirectory(path) => fs::create_dir(at(path)),
        Operation::RemoveFile(path) => fs::remove_file(at(path)),
        Operation::RemoveDirectory(path) => fs::remove_dir(at(path)),
        Operation::Rename(from, to) => fs::rename(at(from), at(to)),
        Operation::Link(from, to) => fs::hard_link(at(from), at(to)),
        Operation::Kill => Ok(()),
    };
    done.map_err(|error| error.raw_os_error())
}

type Tree = BTreeMap<String, Option<Vec<u8>>>;

fn tree(root: &Path) -> Tree {
    fn gather(root: &Path, below: &str, tree: &mut Tree) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            if entry.file_type().unwrap().is_dir() {
                tree.insert(path.clone(), None);
                gather(root, &path, tree);
            } else {
                tree.insert(path.clone(), Some(fs::read(root.join(&path)).unwrap()));
            }
        }
    }
    let mut found = Tree::new();
    gather(root, "", &mut found);
    found
}

fn fill(lab: &Lab, part: &str) {
    lab.put(&format!("{part}/a/b/c"), b"deep");
    lab.put(&format!("{part}/a/c"), b"file");
    lab.put(&format!("{part}/b"), b"top");
    lab.put(&format!("{part}/c/a/a"), b"other");
    lab.put(&format!("{part}/d/d/d"), b"last");
}

#[test]
fn the_mount_does_what_a_plain_folder_does() {
    if !can_mount() {
        return;
    }
    let config = Config {
        cases: std::env::var("MOUNT_CASES")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(12),
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    runner
        .run(&prop::collection::vec(operation(), 1..60), |operations| {
            let mut lab = Lab::new();
            fill(&lab, "base");
            fill(&lab, "plain");
            let before = tree(&lab.path("base"));
            let arguments = ["--base", "base", "--writable", "writable"];
            lab.mount(&arguments);
            for operation in &operations {
                if matches!(operation, Operation::Kill) {
                    lab.kill();
                    lab.mount(&arguments);
                }
                let plain = carry_out(&lab.path("plain"), operation);
                let merged = carry_out(&lab.mnt(), operation);
                // Which of two reasons is named may differ; whether it worked may not.
                prop_assert_eq!(
                    merged.is_ok(),
                    plain.is_ok(),
                    "{:?}: {:?}, expected {:?}",
                    operation,
                    merged,
                    plain
                );
            }
            prop_assert_eq!(tree(&lab.mnt()), tree(&lab.path("plain")));
            lab.kill();
            lab.mount(&arguments);
            prop_assert_eq!(tree(&lab.mnt()), tree(&lab.path("plain")));
            prop_assert_eq!(tree(&lab.path("base")), before);
            Ok(())
        })
        .unwrap();
}
