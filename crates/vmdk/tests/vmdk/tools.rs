//! The other tools, and the files of a test.

use cv_disk::{Extents, RawFile, ReadAt, Resize, WriteAt};
use cv_vmdk::{ExtentFiles, Vmdk, VmdkWriter};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

/// The extents of images in a folder.
pub struct Folder(pub PathBuf);

impl ExtentFiles for Folder {
    fn open(&self, name: &str) -> io::Result<Arc<dyn ReadAt>> {
        Ok(Arc::new(RawFile::open(&self.0.join(name))?))
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        Ok(Arc::new(RawFile::open_writable(&self.0.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Resize>> {
        new_file(&self.0.join(name))
    }
}

pub fn folder_of(path: &Path) -> Folder {
    Folder(path.parent().expect("a file in a folder").to_path_buf())
}

/// An empty file.
pub fn new_file(path: &Path) -> io::Result<Arc<dyn Resize>> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    Ok(Arc::new(RawFile::from_file(file)?))
}

/// The image at `path`, its parents attached.
pub fn open(path: &Path) -> Vmdk {
    let file = Arc::new(RawFile::open(path).unwrap());
    let image = Vmdk::open(file, &folder_of(path)).unwrap();
    match parent_of(&image, path) {
        Some(parent) => image.with_parent(parent),
        None => image,
    }
}

fn parent_of(image: &Vmdk, path: &Path) -> Option<Arc<dyn ReadAt>> {
    let reference = image.parent_reference()?;
    let hint = reference.file_name_hint.as_deref().expect("a parent with a name");
    let parent = open(&path.with_file_name(hint));
    assert!(
        reference.matches(&parent.identity()),
        "{} and its parent",
        path.display()
    );
    Some(Arc::new(parent))
}

/// The image at `path` open for changes, its parents attached.
pub fn open_writable(path: &Path, new_cid: u32) -> VmdkWriter {
    let file = Arc::new(RawFile::open_writable(path).unwrap());
    let mut writer = VmdkWriter::open(file, &folder_of(path), new_cid).unwrap();
    if let Some(hint) = writer
        .parent_reference()
        .and_then(|parent| parent.file_name_hint.clone())
    {
        writer.set_parent(Arc::new(open(&path.with_file_name(hint))));
    }
    writer
}

/// Whether a tool is there. Where tests must not be skipped (CI), a missing one fails.
pub fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    assert!(found || std::env::var_os("CI").is_none(), "{tool} is missing");
    if !found {
        eprintln!("skipped: {tool} is missing");
    }
    found
}

/// Runs a tool that must succeed; returns what it said.
pub fn run(tool: &str, arguments: &[&str]) -> String {
    let output = output(tool, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{tool} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

pub fn output(tool: &str, arguments: &[&str]) -> Output {
    Command::new(tool).args(arguments).output().unwrap()
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A file of `length` bytes in which some parts are data of several kinds, some zero and some holes.
pub fn write_sample(path: &Path, length: u64, seed: u64) {
    let file = RawFile::from_file(
        std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap(),
    )
    .unwrap();
    file.set_len(length).unwrap();
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..24 {
        let start = next() % length;
        let count = (next() % 300_000).min(length - start) as usize;
        let kind = next() % 3;
        let bytes: Vec<u8> = (0..count)
            .map(|index| match kind {
                0 => next() as u8,
                1 => (index / 100) as u8,
                _ => 0,
            })
            .collect();
        file.write_at(&bytes, start).unwrap();
    }
    file.write_at(b"the end", length - 7).unwrap();
}

/// The SHA-256 of a whole disk.
pub fn sha256(disk: &dyn ReadAt) -> String {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < disk.len() {
        let step = (disk.len() - offset).min(buffer.len() as u64) as usize;
        disk.read_at(&mut buffer[..step], offset).unwrap();
        hash.update(&buffer[..step]);
        offset += step as u64;
    }
    format!("{:x}", hash.finalize())
}

/// The SHA-256 of what a disk holds beside zeros: of each 64 KiB that are not all zeros the offset and the bytes. It is made in
/// much less time than that of all bytes where the disk is large and holds little.
pub fn sum_of_data(disk: &dyn ReadAt) -> String {
    const PIECE: u64 = 64 << 10;
    let mut hash = Sha256::new();
    let mut offset = 0;
    for extent in Extents::all(disk) {
        let extent = extent.expect("extents are readable");
        if extent.kind != cv_disk::ExtentKind::Data {
            continue;
        }
        offset = offset.max(extent.start / PIECE * PIECE);
        while offset < extent.end() {
            let mut bytes = vec![0; (disk.len() - offset).min(PIECE) as usize];
            disk.read_at(&mut bytes, offset).expect("data is readable");
            if bytes.iter().any(|byte| *byte != 0) {
                hash.update(offset.to_le_bytes());
                hash.update(&bytes);
            }
            offset += PIECE;
        }
    }
    format!("{:x}", hash.finalize())
}

/// Asserts that two disks hold the same, read in pieces of several sizes.
pub fn assert_same(one: &dyn ReadAt, other: &dyn ReadAt) {
    assert_eq!(one.len(), other.len());
    for piece in [1 << 20, 70_001] {
        let mut offset = 0;
        while offset < one.len() {
            let step = (one.len() - offset).min(piece) as usize;
            let (mut left, mut right) = (vec![0; step], vec![0; step]);
            one.read_at(&mut left, offset).unwrap();
            other.read_at(&mut right, offset).unwrap();
            assert!(left == right, "the disks differ within {step} bytes at {offset:#x}");
            offset += step as u64;
        }
    }
}
