//! Running cvtool and others, and folders to work on.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs cvtool in `folder`.
pub fn cvtool<A: AsRef<OsStr>>(folder: &Path, arguments: &[A]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cvtool"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap()
}

/// Runs cvtool, which must succeed, and gives what it printed.
pub fn done<A: AsRef<OsStr> + std::fmt::Debug>(folder: &Path, arguments: &[A]) -> String {
    let output = cvtool(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stdout) + &text(&output.stderr)
    );
    text(&output.stdout)
}

/// Runs cvtool, which must exit with `status`, and gives what it printed on standard error.
pub fn ends<A: AsRef<OsStr> + std::fmt::Debug>(folder: &Path, arguments: &[A], status: i32) -> String {
    let output = cvtool(folder, arguments);
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    text(&output.stderr)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Runs another program, or gives `None` where it is missing outside CI.
pub fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{program}: {error}"),
        Err(error) => {
            eprintln!("skipped: {program}: {error}");
            None
        }
    }
}

/// A corpus folder, or `None` where it is absent.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpus")
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no corpus at {}", folder.display());
    None
}

/// What a file of the host is, for comparing folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: char,
    /// SHA-256 of a file, target of a link.
    pub content: String,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// The other names of the file.
    pub links: u64,
    pub attributes: BTreeMap<String, Vec<u8>>,
}

/// Everything below `folder`, by path; the folder itself is the empty path.
pub fn snapshot(folder: &Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        let full = folder.join(&path);
        let metadata = fs::symlink_metadata(&full).unwrap();
        let (kind, content) = if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&full)
                    .unwrap()
                    .map(|entry| path.join(entry.unwrap().file_name())),
            );
            ('d', String::new())
        } else if metadata.is_symlink() {
            ('l', fs::read_link(&full).unwrap().display().to_string())
        } else {
            ('f', sha256(&fs::read(&full).unwrap()))
        };
        let node = Node {
            kind,
            content,
            modified: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            links: if kind == 'd' { 1 } else { metadata.nlink() },
            attributes: attributes(&full),
        };
        nodes.insert(path.display().to_string(), node);
    }
    nodes
}

/// The extended attributes in `user.`, without that.
pub fn attributes(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names: Vec<&[u8]> = names[..length].split(|byte| *byte == 0).collect();
    let user = names
        .into_iter()
        .filter_map(|name| Some((name, name.strip_prefix(b"user.")?)));
    user.map(|(name, short)| {
        let mut value = vec![0; 65536];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]).unwrap();
        value.truncate(length);
        (text(short), value)
    })
    .collect()
}

/// Sets an extended attribute in `user.`.
pub fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, format!("user.{name}"), value, rustix::fs::XattrFlags::empty()).unwrap();
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Reparse data of a junction to a path of drive C:.
pub fn junction(target: &str) -> Vec<u8> {
    let units = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (substitute, print) = (units(&format!(r"\??\{target}")), units(target));
    let mut data = Vec::new();
    for number in [0, substitute.len(), substitute.len() + 2, print.len()] {
        data.extend((number as u16).to_le_bytes());
    }
    data.extend([&substitute[..], &[0, 0], &print, &[0, 0]].concat());
    [
        &0xA000_0003_u32.to_le_bytes()[..],
        &(data.len() as u16).to_le_bytes(),
        &[0, 0],
        &data,
    ]
    .concat()
}

/// A folder `name` in `folder` with one of everything that packing knows.
pub fn everything(folder: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::{FileExt, symlink};
    let top = folder.join(name);
    let path = |path: &str| top.join(path);
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).unwrap();
    for directory in [
        "Program Files/App/bin",
        "Users/ann",
        "bare",
        ".hidden",
        "junction",
        "many",
    ] {
        fs::create_dir_all(path(directory)).unwrap();
    }
    write("Program Files/App/bin/app.exe", &noise(300_000, 1));
    write("small.txt", b"hello");
    write("empty", b"");
    write("compressible", &b"all work and no play ".repeat(20_000));
    write("Users/ann/ünïcode 日本語 😀.txt", &noise(5000, 2));
    for number in 0..300 {
        write(
            &format!("many/file number {number:04}"),
            &noise(number * 7, number as u64),
        );
    }
    fs::hard_link(path("small.txt"), path("Program Files/hard.txt")).unwrap();
    fs::hard_link(path("small.txt"), path("Users/ann/hard too.txt")).unwrap();
    for (target, link) in [
        ("bin/app.exe", "Program Files/App/current"),
        ("App", "Program Files/folder link"),
        ("../../small.txt", "Users/ann/up"),
        ("nothing", "dangling"),
    ] {
        symlink(target, path(link)).unwrap();
    }
    let sparse = fs::File::create(path("sparse.bin")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    sparse.write_all_at(&noise(100_000, 3), 5 << 20).unwrap();
    sparse.write_all_at(b"end", (20 << 20) - 3).unwrap();
    fs::File::create(path("hole.bin")).unwrap().set_len(3 << 20).unwrap();

    set_attribute(&path("small.txt"), "Zone.Identifier", b"[ZoneTransfer]\r\nZoneId=3\r\n");
    set_attribute(&path("bare"), "stream of a folder", &noise(700, 4));
    write("small.txt:a larger stream", &noise(70_000, 5));
    set_attribute(&path("empty"), "ntfs_attrib", &0x27_u32.to_le_bytes());
    set_attribute(&path("Users/ann"), "ntfs_attrib", &2_u32.to_le_bytes());
    let times = [0, 1, 2, 3].map(|number: u64| (132_223_104_000_000_000 + number * 1_234_567).to_le_bytes());
    set_attribute(&path("Program Files/App/bin/app.exe"), "ntfs_times", &times.concat());
    set_attribute(&path("Program Files/App/bin/app.exe"), "ntfs_dos_name", b"SHORTY~1.EXE");
    set_attribute(&path("small.txt"), "ntfs_object_id", &noise(16, 6));
    set_attribute(&path("empty"), "ntfs_ea", b"\x14\0\0\0\0\x03\x05\0FOO\0value\0\0\0");
    set_attribute(&path("junction"), "ntfs_reparse_data", &junction(r"D:\elsewhere"));
    for (number, name) in ["small.txt", "sparse.bin", "Users"].into_iter().enumerate() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_500_000_000 + number as u64, 987_654_300);
        fs::File::open(path(name)).unwrap().set_modified(time).unwrap();
    }
    top
}

/// Whether extended attributes work in `folder`; says so where they do not, and fails in CI.
pub fn keeps_attributes(folder: &Path) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    let works = rustix::fs::setxattr(folder, "user.probe", b"", flags).is_ok();
    let _ = rustix::fs::removexattr(folder, "user.probe");
    assert!(
        works || std::env::var_os("CI").is_none(),
        "no extended attributes in {}",
        folder.display()
    );
    if !works {
        eprintln!("skipped: no extended attributes in {}", folder.display());
    }
    works
}

/// Fails with the first path at which two folders differ.
pub fn assert_same(left: &BTreeMap<String, Node>, right: &BTreeMap<String, Node>) {
    for (path, node) in left {
        assert_eq!(right.get(path), Some(node), "{path}");
    }
    assert_eq!(left.len(), right.len());
}
