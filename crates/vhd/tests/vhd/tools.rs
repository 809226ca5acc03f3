//! Other programs, real files and sample content.

use cv_disk::{MemoryDisk, RawFile, ReadAt, WriteAt};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

/// Runs a program, or says that it is missing and returns `None`; under CI a missing one is a failure.
pub fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot run {program}: {error}");
            eprintln!("skipped: cannot run {program}: {error}");
            None
        }
    }
}

/// As [`run`], and it must succeed; returns what it printed.
pub fn succeed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = run(program, arguments)?;
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A real file, unpacked into a folder of its own; `None` where the corpus is absent.
pub fn real_file(name: &str) -> Option<(TempDir, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/containers");
    if !folder.is_dir() {
        eprintln!("skipped: no corpus at {}", folder.display());
        return None;
    }
    let unpacked = tempfile::tempdir().unwrap();
    let target = unpacked.path().join(name);
    if folder.join(name).is_file() {
        std::fs::copy(folder.join(name), &target).unwrap();
    } else {
        let packed = folder.join(format!("{name}.xz"));
        let output = run("xz", &["-dc", packed.to_str().unwrap()])?;
        assert!(output.status.success(), "cannot unpack {}", packed.display());
        std::fs::write(&target, output.stdout).unwrap();
    }
    Some((unpacked, target))
}

/// Opens a file for reading.
pub fn open(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(RawFile::open(path).unwrap())
}

/// An empty file to create a disk in.
pub fn new_file(path: &Path) -> Arc<RawFile> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    Arc::new(RawFile::from_file(file).unwrap())
}

/// The sha256 of a whole disk.
pub fn sha256(disk: &dyn ReadAt) -> String {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < disk.len() {
        let length = (disk.len() - offset).min(buffer.len() as u64) as usize;
        disk.read_at(&mut buffer[..length], offset).unwrap();
        hash.update(&buffer[..length]);
        offset += length as u64;
    }
    format!("{:x}", hash.finalize())
}

/// All bytes of a disk.
pub fn bytes(disk: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; disk.len() as usize];
    disk.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Bytes that do not repeat soon and hold no zero sector.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// A disk with data in some places and none in most.
pub fn sample(size: u64) -> MemoryDisk {
    let disk = MemoryDisk::new(size);
    for (number, (offset, length)) in [
        (0, 512),
        (1 << 16, 100_000),
        ((size / 3) | 1, 70_001),
        (size / 2, 3 << 20),
        (size - 1000, 1000),
    ]
    .into_iter()
    .enumerate()
    {
        let length = length.min((size - offset) as usize);
        disk.write_at(&noise(number as u64, length), offset).unwrap();
    }
    disk
}
