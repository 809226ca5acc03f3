//! Programs and files of others that the tests compare with.

use cv_disk::{Extents, RawFile, ReadAt};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Whether `program` is installed. Where it is missing, a test may be skipped, except where CI runs it.
pub fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed");
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Runs a program that must succeed, and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(program).args(arguments).output().expect("it starts");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let complaint = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{program} {arguments:?}: {status}\n{text}{complaint}");
    text
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("a temporary path is UTF-8")
}

/// A file of the corpus, unpacked into `folder`; `None` where there is no corpus.
pub fn corpus(name: &str, folder: &Path) -> Option<PathBuf> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpus/containers")
        .join(format!("{name}.xz"));
    if !packed.exists() {
        eprintln!("skipped: no corpus at {}", packed.display());
        return None;
    }
    if !installed("xz") {
        return None;
    }
    let target = folder.join(name);
    std::fs::copy(&packed, folder.join(format!("{name}.xz"))).expect("the corpus is readable");
    run("xz", &["-d", arg(&folder.join(format!("{name}.xz")))]);
    Some(target)
}

/// Opens a file of the host for reading.
pub fn readable(path: &Path) -> Arc<dyn ReadAt> {
    Arc::new(RawFile::open(path).expect("it opens"))
}

/// The SHA-256 of all bytes of a disk. Zeros are hashed without being read.
pub fn sha256(disk: &dyn ReadAt) -> String {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for extent in Extents::all(disk) {
        let extent = extent.expect("extents are readable");
        let is_data = extent.kind == cv_disk::ExtentKind::Data;
        if !is_data {
            buffer.fill(0);
        }
        let mut offset = extent.start;
        while offset < extent.end() {
            let step = (extent.end() - offset).min(buffer.len() as u64) as usize;
            if is_data {
                disk.read_at(&mut buffer[..step], offset).expect("data is readable");
            }
            hash.update(&buffer[..step]);
            offset += step as u64;
        }
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

/// Fails unless both disks hold the same bytes.
pub fn assert_same(left: &dyn ReadAt, right: &dyn ReadAt) {
    assert_eq!(left.len(), right.len());
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    let mut offset = 0;
    while offset < left.len() {
        let step = (left.len() - offset).min(1 << 20) as usize;
        left.read_at(&mut buffers[0][..step], offset).expect("readable");
        right.read_at(&mut buffers[1][..step], offset).expect("readable");
        if buffers[0][..step] != buffers[1][..step] {
            let within = (0..step).find(|i| buffers[0][*i] != buffers[1][*i]).unwrap_or(0);
            panic!("the disks differ at {:#x}", offset + within as u64);
        }
        offset += step as u64;
    }
}

/// A source of GUIDs that differ from all others of the test.
pub fn guids() -> impl Fn() -> Uuid + Send + Sync + 'static {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    || Uuid::from_u64_pair(0x1234, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An identity for a new file.
pub fn identity(number: u128) -> cv_vhd::vhdx::VhdxIdentity {
    cv_vhd::vhdx::VhdxIdentity {
        virtual_disk_id: Uuid::from_u128(number << 8 | 1),
        data_write_guid: Uuid::from_u128(number << 8 | 2),
        file_write_guid: Uuid::from_u128(number << 8 | 3),
    }
}

/// Bytes that look like data and depend on `seed` alone.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
