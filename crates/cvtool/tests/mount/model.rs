//! Random operations on the mount and on a plain folder must come to the same, also where the mount is killed and made
//! again in between, and hears of every name in any spelling.

use super::support::{Lab, can_mount};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, RenameFlags, XattrFlags};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// What `O_DIRECT` moves at a time.
const BLOCK: usize = 4096;

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
    Exchange(String, String),
    Symlink(String, String),
    Resize(String, u16),
    Allocate(String, u16),
    Punch(String, u16),
    /// Past the cache.
    WriteDirectly(String, u8),
    /// Held by one who has it open, against another.
    Lock(String),
    /// Used on after its name is gone.
    UseUnlinked(String, u8),
    /// Used on by who opened it to read before another wrote.
    ReadWritten(String, u8),
    SetAttribute(String, u8),
    RemoveAttribute(String),
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
        1 => (path(), path()).prop_map(|(one, other)| Operation::Exchange(one, other)),
        1 => (path(), path()).prop_map(|(target, path)| Operation::Symlink(target, path)),
        1 => (path(), any::<u16>()).prop_map(|(path, size)| Operation::Resize(path, size)),
        1 => (path(), any::<u16>()).prop_map(|(path, size)| Operation::Allocate(path, size)),
        1 => (path(), any::<u16>()).prop_map(|(path, at)| Operation::Punch(path, at)),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::WriteDirectly(path, byte)),
        1 => path().prop_map(Operation::Lock),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::UseUnlinked(path, byte)),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::ReadWritten(path, byte)),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Operation::SetAttribute(path, byte)),
        1 => path().prop_map(Operation::RemoveAttribute),
        1 => Just(Operation::Kill),
    ]
}

impl Operation {
    /// The same with its paths in capitals where bits of `capitals` are set, letter by letter.
    fn spelled(&self, capitals: u16) -> Self {
        let spelled = |path: &str, capitals: u16| -> String {
            let is_capital = |place: usize| capitals >> (place % 16) & 1 == 1;
            let letters = path.char_indices();
            letters
                .map(|(place, letter)| {
                    if is_capital(place) {
                        letter.to_ascii_uppercase()
                    } else {
                        letter
                    }
                })
                .collect()
        };
        let mut operation = self.clone();
        match &mut operation {
            Self::Write(path, _)
            | Self::Append(path, _)
            | Self::Truncate(path)
            | Self::MakeDirectory(path)
            | Self::RemoveFile(path)
            | Self::RemoveDirectory(path)
            | Self::Symlink(_, path)
            | Self::Resize(path, _)
            | Self::Allocate(path, _)
            | Self::Punch(path, _)
            | Self::WriteDirectly(path, _)
            | Self::Lock(path)
            | Self::UseUnlinked(path, _)
            | Self::ReadWritten(path, _)
            | Self::SetAttribute(path, _)
            | Self::RemoveAttribute(path) => *path = spelled(path, capitals),
            Self::Rename(one, other) | Self::Link(one, other) | Self::Exchange(one, other) => {
                *one = spelled(one, capitals);
                *other = spelled(other, capitals.rotate_left(5));
            }
            Self::Kill => {}
        }
        operation
    }
}

/// Which letters of a path the mount is given as capitals: mostly none.
fn spelling() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), any::<u16>()]
}

/// Does it; gives what was read, or what went wrong as a number of the system.
fn carry_out(root: &Path, operation: &Operation) -> Result<Vec<u8>, Option<i32>> {
    carried_out(root, operation).map_err(|error| error.raw_os_error())
}

fn to_write(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

fn carried_out(root: &Path, operation: &Operation) -> io::Result<Vec<u8>> {
    let at = |path: &str| root.join(path);
    match operation {
        Operation::Write(path, byte) => fs::write(at(path), vec![*byte; usize::from(*byte) * 40])?,
        Operation::Append(path, byte) => File::options().append(true).open(at(path))?.write_all(&[*byte; 10])?,
        Operation::Truncate(path) => to_write(&at(path))?.set_len(5)?,
        Operation::MakeDirectory(path) => fs::create_dir(at(path))?,
        Operation::RemoveFile(path) => fs::remove_file(at(path))?,
        Operation::RemoveDirectory(path) => fs::remove_dir(at(path))?,
        Operation::Rename(from, to) => fs::rename(at(from), at(to))?,
        Operation::Link(from, to) => fs::hard_link(at(from), at(to))?,
        Operation::Exchange(one, other) => {
            rustix::fs::renameat_with(CWD, at(one), CWD, at(other), RenameFlags::EXCHANGE)?;
        }
        Operation::Symlink(target, path) => std::os::unix::fs::symlink(target, at(path))?,
        Operation::Resize(path, size) => to_write(&at(path))?.set_len(u64::from(*size))?,
        Operation::Allocate(path, size) => {
            let file = to_write(&at(path))?;
            rustix::fs::fallocate(file, FallocateFlags::empty(), 3, u64::from(*size) + 1)?;
        }
        Operation::Punch(path, start) => {
            let how = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(to_write(&at(path))?, how, u64::from(*start) / 16, 5000)?;
        }
        Operation::WriteDirectly(path, byte) => {
            let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::open(at(path), flags, Mode::empty())?);
            let mut room = vec![*byte; 2 * BLOCK];
            let start = room.as_ptr().align_offset(BLOCK);
            let block = &mut room[start..start + BLOCK];
            file.write_all_at(block, BLOCK as u64)?;
            block.fill(0);
            file.read_exact_at(block, BLOCK as u64)?;
            return Ok(block.to_vec());
        }
        Operation::Lock(path) => {
            let (one, other) = (to_write(&at(path))?, File::open(at(path))?);
            one.lock()?;
            let held = other.try_lock().is_err();
            one.unlock()?;
            return Ok(vec![u8::from(held), u8::from(other.try_lock().is_ok())]);
        }
        Operation::UseUnlinked(path, byte) => {
            let file = to_write(&at(path))?;
            fs::remove_file(at(path))?;
            file.write_all_at(&[*byte; 3], 2)?;
            return all_of(&file);
        }
        Operation::ReadWritten(path, byte) => {
            let reader = File::open(at(path))?;
            to_write(&at(path))?.write_all_at(&[*byte; 7], 1)?;
            return all_of(&reader);
        }
        Operation::SetAttribute(path, byte) => rustix::fs::setxattr(at(path), "user.k", &[*byte], XattrFlags::empty())?,
        Operation::RemoveAttribute(path) => rustix::fs::removexattr(at(path), "user.k")?,
        Operation::Kill => {}
    }
    Ok(Vec::new())
}

fn all_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap()];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// What is at each path, in small letters: the kind and the content, the number of links, an attribute.
type Tree = BTreeMap<String, (char, Vec<u8>, u64, Option<u8>)>;

fn tree(root: &Path) -> io::Result<Tree> {
    fn gather(root: &Path, below: &str, tree: &mut Tree) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap();
            let path = if below.is_empty() {
                name
            } else {
                format!("{below}/{name}")
            };
            let host = root.join(&path);
            let facts = entry.metadata()?;
            let mut value = [0];
            let attribute = rustix::fs::lgetxattr(&host, "user.k", &mut value[..]).ok();
            let attribute = attribute.map(|_| value[0]);
            let seen = if facts.is_dir() {
                gather(root, &path, tree)?;
                ('d', Vec::new(), 0, attribute)
            } else if facts.is_symlink() {
                // What comes out of an image leads to names in their own spelling.
                let target = fs::read_link(&host)?.into_os_string().to_ascii_lowercase();
                ('l', target.into_encoded_bytes(), facts.nlink(), attribute)
            } else if facts.file_type().is_char_device() {
                ('w', Vec::new(), 0, None)
            } else {
                ('f', fs::read(&host)?, facts.nlink(), attribute)
            };
            let other = tree.insert(path.to_ascii_lowercase(), seen);
            assert!(other.is_none(), "{path} has two spellings");
        }
        Ok(())
    }
    let mut found = Tree::new();
    gather(root, "", &mut found)?;
    Ok(found)
}

/// Waits until the mount shows what the plain folder does: a name's own spelling is forgotten a moment after the name was
/// changed by another.
fn settle(lab: &Lab, expected: &Tree) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let is_there = tree(&lab.mnt()).is_ok_and(|tree| tree == *expected);
        if is_there || Instant::now() > until {
            return is_there;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The trees of the base and of a layer above it, and what both come to.
fn fill(lab: &Lab, base: &str, layer: &str) {
    for (path, content) in [("a/b/c", "deep"), ("b", "top"), ("c/a/a", "other"), ("c/b", "hidden")] {
        lab.put(&format!("{base}/{path}"), content.as_bytes());
    }
    for (path, content) in [
        ("a/c", "file"),
        ("a/b/d", "merged"),
        ("d/d/d", "last"),
        ("c/b", "above"),
    ] {
        lab.put(&format!("{layer}/{path}"), content.as_bytes());
    }
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
    let layers = Lab::new();
    fill(&layers, "unused", "layer");
    layers.pack("layer", "layer.vhdx");
    let layer = layers.path("layer.vhdx");
    let mut runner = TestRunner::new(config);
    runner
        .run(&prop::collection::vec((operation(), spelling()), 1..60), |operations| {
            let mut lab = Lab::new();
            fill(&lab, "base", "unused");
            fill(&lab, "plain", "plain");
            let before = tree(&lab.path("base")).unwrap();
            let mut arguments = vec!["--base", "base", "--writable", "writable"];
            arguments.extend(["--layer", layer.to_str().unwrap()]);
            lab.mount(&arguments);
            for (operation, capitals) in &operations {
                if matches!(operation, Operation::Kill) {
                    lab.kill();
                    lab.mount(&arguments);
                }
                let plain = carry_out(&lab.path("plain"), operation);
                let merged = carry_out(&lab.mnt(), &operation.spelled(*capitals));
                // Which of two reasons is named may differ; whether it worked and what was read may not.
                prop_assert_eq!(
                    merged.clone().ok(),
                    plain.clone().ok(),
                    "{:?}: {:?}, expected {:?}",
                    operation.spelled(*capitals),
                    merged,
                    plain
                );
                if *capitals != 0 {
                    let expected = tree(&lab.path("plain")).unwrap();
                    prop_assert!(settle(&lab, &expected), "{:?}", operation.spelled(*capitals));
                }
            }
            let expected = tree(&lab.path("plain")).unwrap();
            prop_assert_eq!(&tree(&lab.mnt()).unwrap(), &expected);
            lab.kill();
            lab.mount(&arguments);
            prop_assert_eq!(&tree(&lab.mnt()).unwrap(), &expected);
            prop_assert_eq!(tree(&lab.path("base")).unwrap(), before);
            // Whiteouts included, no name stands there twice.
            tree(&lab.path("writable")).unwrap();
            lab.unmount();
            // In an image and out of it, the writable folder still makes the same of base and layer.
            lab.done(&["writable", "pack", "writable", "-o", "writable.img"]);
            lab.done(&["writable", "unpack", "writable.img", "again"]);
            arguments[3] = "again";
            lab.mount(&arguments);
            prop_assert_eq!(&tree(&lab.mnt()).unwrap(), &expected);
            let checked = [
                "writable",
                "check",
                "again",
                "--base",
                "base",
                "--layer",
                layer.to_str().unwrap(),
            ];
            lab.unmount();
            lab.done(&checked);
            Ok(())
        })
        .unwrap();
}
