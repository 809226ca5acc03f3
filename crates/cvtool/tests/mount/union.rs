//! Each operation on each kind of object, from below, copied up and new, must come to what the overlay file system of Linux
//! makes of it on the same trees: the same answer, the same view afterwards.

use super::support::{Lab, can_mount};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a test directory holds, each made of the same things.
const OBJECTS: [&str; 11] = [
    "file",
    "empty",
    "full",
    "tofile",
    "todir",
    "dangling",
    "totofile",
    "hard",
    "none",
    "fifo",
    "file/below",
];

/// Where the objects come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Origin {
    /// The lower member.
    Lower,
    /// There too, but copied up before.
    CopiedUp,
    /// The writable folder alone.
    New,
    /// Both: directories have parts above and below.
    Merged,
}

impl Origin {
    /// Whether an object of this name differs from the one that is elsewhere.
    fn matters(self, object: &str) -> bool {
        match self {
            Self::Lower => true,
            Self::CopiedUp => !matches!(object, "none" | "file/below" | "hard"),
            Self::New => matches!(object, "file" | "empty" | "full" | "tofile" | "hard"),
            Self::Merged => matches!(object, "full" | "todir"),
        }
    }
}

const ORIGINS: [Origin; 4] = [Origin::Lower, Origin::CopiedUp, Origin::New, Origin::Merged];

type Answer = Result<String, Errno>;
type Operation = (&'static str, fn(&Path, &str) -> Answer);

fn done(result: Result<(), Errno>) -> Answer {
    result.map(|()| String::new())
}

/// Opens, then reads or writes as the flags allow.
fn open(at: &Path, flags: OFlags) -> Answer {
    let opened = rustix::fs::open(
        at,
        flags | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::from_raw_mode(0o644),
    )?;
    if flags.contains(OFlags::PATH) || flags.contains(OFlags::DIRECTORY) {
        return Ok("opened".to_owned());
    }
    if (flags & OFlags::RWMODE) != OFlags::RDONLY {
        rustix::io::write(&opened, b"shark")?;
    }
    if (flags & OFlags::RWMODE) != OFlags::WRONLY {
        let mut bytes = [0; 16];
        let length = rustix::io::pread(&opened, &mut bytes, 0)?;
        return Ok(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    Ok("written".to_owned())
}

fn rename(directory: &Path, from: &str, to: &str, flags: RenameFlags) -> Answer {
    done(rustix::fs::renameat_with(
        CWD,
        directory.join(from),
        CWD,
        directory.join(to),
        flags,
    ))
}

fn listed(at: &Path) -> Answer {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut names: Vec<String> = fs::read_dir(at)
        .map_err(errno)?
        .map(|entry| {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            format!(
                "{} {} {}",
                entry.file_name().display(),
                kind.is_dir(),
                kind.is_symlink()
            )
        })
        .collect();
    names.sort();
    Ok(names.join(", "))
}

const PLAIN: RenameFlags = RenameFlags::empty();

macro_rules! operations {
    ($($name:literal => |$at:ident, $directory:ident, $object:ident| $work:expr),* $(,)?) => {
        &[$(($name, |$directory: &Path, $object: &str| {
            let $at = &$directory.join($object);
            let _ = $at;
            $work
        })),*]
    };
}

const OPERATIONS: &[Operation] = operations![
    "read" => |at, d, o| open(at, OFlags::RDONLY),
    "write" => |at, d, o| open(at, OFlags::WRONLY),
    "read and write" => |at, d, o| open(at, OFlags::RDWR),
    "append" => |at, d, o| open(at, OFlags::WRONLY | OFlags::APPEND),
    "truncate on open" => |at, d, o| open(at, OFlags::WRONLY | OFlags::TRUNC),
    "truncate on open for reading" => |at, d, o| open(at, OFlags::RDONLY | OFlags::TRUNC),
    "truncate on open for reading and writing" => |at, d, o| open(at, OFlags::RDWR | OFlags::TRUNC),
    "create" => |at, d, o| open(at, OFlags::WRONLY | OFlags::CREATE),
    "create for reading" => |at, d, o| open(at, OFlags::RDONLY | OFlags::CREATE),
    "create alone" => |at, d, o| open(at, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
    "create and truncate" => |at, d, o| open(at, OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC),
    "create alone and truncate" => |at, d, o| open(at, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::TRUNC),
    "open as a directory" => |at, d, o| open(at, OFlags::RDONLY | OFlags::DIRECTORY),
    "open without following" => |at, d, o| open(at, OFlags::RDWR | OFlags::NOFOLLOW),
    "open with a slash behind" => |at, d, o| open(&d.join(format!("{o}/")), OFlags::RDONLY),
    "create with a slash behind" => |at, d, o| open(&d.join(format!("{o}/")), OFlags::WRONLY | OFlags::CREATE),
    "read below" => |at, d, o| open(&at.join("inside"), OFlags::RDONLY),
    "write below" => |at, d, o| open(&at.join("inside"), OFlags::WRONLY),
    "create below" => |at, d, o| open(&at.join("fresh"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL),
    "make a directory below" => |at, d, o| done(rustix::fs::mkdir(at.join("fresh"), Mode::from_raw_mode(0o755))),
    "remove below" => |at, d, o| done(rustix::fs::unlink(at.join("inside"))),
    "list" => |at, d, o| listed(at),
    "read link" => |at, d, o| Ok(rustix::fs::readlink(at, Vec::new())?.to_string_lossy().into_owned()),
    "make directory" => |at, d, o| done(rustix::fs::mkdir(at, Mode::from_raw_mode(0o755))),
    "make directory with a slash behind" =>
        |at, d, o| done(rustix::fs::mkdir(d.join(format!("{o}/")), Mode::from_raw_mode(0o755))),
    "remove directory" => |at, d, o| done(rustix::fs::rmdir(at)),
    "remove" => |at, d, o| done(rustix::fs::unlink(at)),
    "remove with a slash behind" => |at, d, o| done(rustix::fs::unlink(d.join(format!("{o}/")))),
    "remove and make a file" => |at, d, o| {
        rustix::fs::unlink(at)?;
        open(at, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    },
    "remove and make a directory" => |at, d, o| {
        rustix::fs::unlink(at).or_else(|_| rustix::fs::rmdir(at))?;
        done(rustix::fs::mkdir(at, Mode::from_raw_mode(0o755)))
    },
    "empty, remove and make a directory" => |at, d, o| {
        rustix::fs::unlink(at.join("inside"))?;
        rustix::fs::unlink(at.join("sub/deep"))?;
        rustix::fs::rmdir(at.join("sub"))?;
        let _ = rustix::fs::unlink(at.join("upper"));
        rustix::fs::rmdir(at)?;
        rustix::fs::mkdir(at, Mode::from_raw_mode(0o755))?;
        listed(at)
    },
    "truncate to nothing" => |at, d, o| done(open(at, OFlags::WRONLY).and_then(|_| {
        rustix::fs::ftruncate(rustix::fs::open(at, OFlags::WRONLY, Mode::empty())?, 0)
    })),
    "truncate to more" => |at, d, o| done(rustix::fs::open(at, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())
        .and_then(|file| rustix::fs::ftruncate(file, 5000))),
    "change permissions" => |at, d, o| done(rustix::fs::chmod(at, Mode::from_raw_mode(0o640))),
    "change owner" => |at, d, o| done(rustix::fs::chownat(
        CWD, at, Some(rustix::fs::Uid::from_raw(1)), Some(rustix::fs::Gid::from_raw(1)), AtFlags::SYMLINK_NOFOLLOW)),
    "change owner of the target" => |at, d, o| done(rustix::fs::chownat(
        CWD, at, Some(rustix::fs::Uid::from_raw(1)), Some(rustix::fs::Gid::from_raw(1)), AtFlags::empty())),
    "change times" => |at, d, o| {
        let time = rustix::fs::Timespec { tv_sec: 1_000_000_000, tv_nsec: 5 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        done(rustix::fs::utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW))
    },
    "set an attribute" => |at, d, o| done(rustix::fs::setxattr(at, "user.k", b"v", XattrFlags::empty())),
    "get an attribute" => |at, d, o| {
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(at, "user.old", &mut value[..])?;
        Ok(String::from_utf8_lossy(&value[..length]).into_owned())
    },
    "remove an attribute" => |at, d, o| done(rustix::fs::removexattr(at, "user.old")),
    "link" => |at, d, o| done(rustix::fs::linkat(CWD, at, CWD, d.join("fresh"), AtFlags::empty())),
    "link what the link leads to" =>
        |at, d, o| done(rustix::fs::linkat(CWD, at, CWD, d.join("fresh"), AtFlags::SYMLINK_FOLLOW)),
    "link over" => |at, d, o| done(rustix::fs::linkat(CWD, d.join("other"), CWD, at, AtFlags::empty())),
    "link and write" => |at, d, o| {
        rustix::fs::linkat(CWD, at, CWD, d.join("fresh"), AtFlags::empty())?;
        open(&d.join("fresh"), OFlags::WRONLY)?;
        open(at, OFlags::RDONLY)
    },
    "make a link over" => |at, d, o| done(rustix::fs::symlink("nowhere", at)),
    "make a pipe over" => |at, d, o| done(rustix::fs::mknodat(
        CWD, at, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o644), 0)),
    "rename" => |at, d, o| rename(d, o, "fresh", PLAIN),
    "rename twice" => |at, d, o| {
        rename(d, o, "fresh", PLAIN)?;
        rename(d, "fresh", "fresher", PLAIN)
    },
    "rename there and back" => |at, d, o| {
        rename(d, o, "fresh", PLAIN)?;
        rename(d, "fresh", o, PLAIN)
    },
    "rename and take its name" => |at, d, o| {
        rename(d, o, "fresh", PLAIN)?;
        rename(d, "other", o, PLAIN)
    },
    "rename and make a directory there" => |at, d, o| {
        rename(d, o, "fresh", PLAIN)?;
        rustix::fs::mkdir(at, Mode::from_raw_mode(0o755))?;
        listed(at)
    },
    "rename and remove" => |at, d, o| {
        rename(d, o, "fresh", PLAIN)?;
        done(rustix::fs::unlink(d.join("fresh")).or_else(|_| rustix::fs::rmdir(d.join("fresh"))))
    },
    "rename to itself" => |at, d, o| rename(d, o, o, PLAIN),
    "rename into another directory" => |at, d, o| rename(d, o, "second/fresh", PLAIN),
    "rename into a missing directory" => |at, d, o| rename(d, o, "missing/fresh", PLAIN),
    "rename into itself" => |at, d, o| rename(d, o, &format!("{o}/fresh"), PLAIN),
    "rename over a file" => |at, d, o| rename(d, o, "other", PLAIN),
    "rename over an empty directory" => |at, d, o| rename(d, o, "second", PLAIN),
    "rename over a full directory" => |at, d, o| rename(d, o, "third", PLAIN),
    "rename over a link" => |at, d, o| rename(d, o, "tother", PLAIN),
    "rename over a hard link of itself" => |at, d, o| rename(d, o, "hard2", PLAIN),
    "rename a file over" => |at, d, o| rename(d, "other", o, PLAIN),
    "rename an empty directory over" => |at, d, o| rename(d, "second", o, PLAIN),
    "rename a full directory over" => |at, d, o| rename(d, "third", o, PLAIN),
    "rename to what must not be there" => |at, d, o| rename(d, o, "other", RenameFlags::NOREPLACE),
    "rename to what is not there" => |at, d, o| rename(d, o, "fresh", RenameFlags::NOREPLACE),
    "exchange with a file" => |at, d, o| rename(d, o, "other", RenameFlags::EXCHANGE),
    "exchange with a directory" => |at, d, o| rename(d, o, "third", RenameFlags::EXCHANGE),
    "exchange with nothing" => |at, d, o| rename(d, o, "fresh", RenameFlags::EXCHANGE),
    "rename a new file over" => |at, d, o| {
        open(&d.join("fresh"), OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
        rename(d, "fresh", o, PLAIN)
    },
    "rename a new directory over" => |at, d, o| {
        rustix::fs::mkdir(d.join("fresh"), Mode::from_raw_mode(0o755))?;
        rename(d, "fresh", o, PLAIN)
    },
    "rename the directory it is in" => |at, d, o| {
        let moved = d.with_file_name(format!("moved {}", d.file_name().unwrap().to_string_lossy()));
        rustix::fs::rename(d, &moved)?;
        let answer = open(&moved.join(o), OFlags::RDWR);
        rustix::fs::rename(&moved, d)?;
        answer
    },
];

/// An operation on an object in a directory of its own.
struct Case {
    directory: String,
    origin: Origin,
    object: &'static str,
    operation: &'static Operation,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for origin in ORIGINS {
        for object in OBJECTS.into_iter().filter(|object| origin.matters(object)) {
            for operation in OPERATIONS {
                let directory = format!("{origin:?} {} {}", object.replace('/', " "), operation.0);
                cases.push(Case {
                    directory,
                    origin,
                    object,
                    operation,
                });
            }
        }
    }
    cases
}

/// The objects of one test directory.
fn make(at: &Path, origin: Origin) {
    fs::create_dir_all(at.join("full/sub")).unwrap();
    if origin == Origin::Merged {
        for (path, bytes) in [("full/upper", "u"), ("full/sub/upper", "v")] {
            fs::write(at.join(path), bytes).unwrap();
        }
        return;
    }
    for name in ["empty", "second", "third"] {
        fs::create_dir(at.join(name)).unwrap();
    }
    for (path, bytes) in [
        ("file", "the file"),
        ("other", "the other"),
        ("hard", "the same"),
        ("full/inside", "inside"),
        ("full/sub/deep", "deep"),
        ("third/held", "held"),
    ] {
        fs::write(at.join(path), bytes).unwrap();
    }
    for name in ["file", "empty", "full"] {
        rustix::fs::setxattr(at.join(name), "user.old", b"value", XattrFlags::empty()).unwrap();
    }
    if origin == Origin::New {
        // From below the overlay file system takes the names of one file apart; the mount keeps them together.
        fs::hard_link(at.join("hard"), at.join("hard2")).unwrap();
    }
    for (target, name) in [
        ("file", "tofile"),
        ("full", "todir"),
        ("nowhere", "dangling"),
        ("tofile", "totofile"),
        ("other", "tother"),
    ] {
        std::os::unix::fs::symlink(target, at.join(name)).unwrap();
    }
    rustix::fs::mknodat(
        CWD,
        at.join("fifo"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
}

/// Has everything in a directory copied up, by giving it the owner that it has.
fn copy_up(at: &Path) {
    for entry in fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        let uid = Some(rustix::fs::Uid::from_raw(entry.metadata().unwrap().uid()));
        rustix::fs::chownat(CWD, entry.path(), uid, None, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_up(&entry.path());
        }
    }
}

type View = BTreeMap<PathBuf, String>;

/// Everything below, as far as both file systems must agree.
fn view(root: &Path) -> View {
    fn gather(root: &Path, below: &Path, seen: &mut View) {
        for entry in fs::read_dir(root.join(below)).unwrap() {
            let path = below.join(entry.unwrap().file_name());
            let facts = fs::symlink_metadata(root.join(&path)).unwrap();
            let kind = facts.file_type();
            let content = if kind.is_file() {
                String::from_utf8_lossy(&fs::read(root.join(&path)).unwrap()).into_owned()
            } else if kind.is_symlink() {
                fs::read_link(root.join(&path)).unwrap().to_string_lossy().into_owned()
            } else {
                format!("directory {}, pipe {}", kind.is_dir(), kind.is_fifo())
            };
            let mut value = [0; 16];
            let attribute = |name: &str, value: &mut [u8]| rustix::fs::lgetxattr(root.join(&path), name, value).ok();
            let attributes = if kind.is_file() || kind.is_dir() {
                ["user.old", "user.k"].map(|name| attribute(name, &mut value))
            } else {
                [None; 2]
            };
            let links = if kind.is_dir() { 0 } else { facts.nlink() };
            let seen_as = format!(
                "{:o} {}:{} links {links} {attributes:?} {content:?}",
                facts.permissions().mode(),
                facts.uid(),
                facts.gid()
            );
            if kind.is_dir() {
                gather(root, &path, seen);
            }
            seen.insert(path, seen_as);
        }
    }
    let mut seen = View::new();
    gather(root, Path::new(""), &mut seen);
    seen
}

/// Prepares what stands above the lower trees.
fn prepare(root: &Path, case: &Case) {
    let at = root.join(&case.directory);
    match case.origin {
        Origin::Lower => {}
        Origin::CopiedUp => copy_up(&at),
        Origin::New => make(&at, Origin::New),
        Origin::Merged => make(&at, Origin::Merged),
    }
}

/// Does it on both sides; says where they differ.
fn compare(case: &Case, ours: &Path, theirs: &Path, differences: &mut Vec<String>) {
    let (what, work) = case.operation;
    let (own, other) = (ours.join(&case.directory), theirs.join(&case.directory));
    // Names of one file stay together as far as they were seen.
    assert_eq!(
        fs::read_dir(&own).unwrap().count(),
        fs::read_dir(&other).unwrap().count()
    );
    let number = || fs::symlink_metadata(own.join(case.object)).map(|facts| facts.ino());
    let before = number();
    let (answer, expected) = (work(&own, case.object), work(&other, case.object));
    if answer != expected {
        differences.push(format!("{}: {answer:?}, expected {expected:?}", case.directory));
    }
    let moves = ["rename", "exchange", "remove"].iter().any(|word| what.contains(word));
    if let (false, Ok(before), Ok(after)) = (moves, before, number())
        && before != after
    {
        differences.push(format!("{}: inode {after}, expected {before}", case.directory));
    }
    differences.extend(different(&case.directory, &view(&own), &view(&other)));
}

fn different(below: &str, seen: &View, expected: &View) -> Vec<String> {
    let paths: BTreeSet<_> = seen.keys().chain(expected.keys()).collect();
    let differing = paths.into_iter().filter(|path| seen.get(*path) != expected.get(*path));
    let said = differing.map(|path| {
        let (own, other) = (seen.get(path), expected.get(path));
        format!("{below}: {}: {own:?}, expected {other:?}", path.display())
    });
    said.collect()
}

fn overlay(lab: &Lab, at: &str, upper: &str, options: &str) -> bool {
    for folder in [at, upper, "work"] {
        fs::create_dir_all(lab.path(folder)).unwrap();
    }
    let options = format!(
        "{options},lowerdir={},upperdir={},workdir={}",
        lab.path("base").display(),
        lab.path(upper).display(),
        lab.path("work").display()
    );
    let mounted = Command::new("mount")
        .args(["-t", "overlay", "overlay", "-o", &options])
        .arg(lab.path(at))
        .status()
        .unwrap();
    mounted.success()
}

#[test]
fn every_operation_answers_as_the_kernels_overlay() {
    if !can_mount() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting an overlay takes root");
        return;
    }
    let mut lab = Lab::in_memory();
    let cases = cases();
    for case in cases.iter().filter(|case| case.origin != Origin::New) {
        make(&lab.path("base").join(&case.directory), Origin::Lower);
    }
    if !overlay(&lab, "theirs", "upper", "redirect_dir=on,index=off,metacopy=off") {
        eprintln!("skipped: this kernel mounts no overlay here");
        return;
    }
    let arguments = ["--base", "base", "--writable", "writable", "--case-sensitive"];
    lab.mount(&arguments);
    let (ours, theirs) = (lab.mnt(), lab.path("theirs"));
    let mut differences = Vec::new();
    for case in &cases {
        prepare(&ours, case);
        prepare(&theirs, case);
        compare(case, &ours, &theirs, &mut differences);
    }
    // The same after a kill.
    lab.kill();
    lab.mount(&arguments);
    differences.extend(different("after a kill", &view(&ours), &view(&theirs)));
    lab.unmount();
    Command::new("umount").arg("-l").arg(&theirs).status().unwrap();
    let count = differences.len();
    differences.truncate(60);
    assert!(differences.is_empty(), "{count} differences: {differences:#?}");
}
