//! What the tests that use other tools and the corpus share.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod any;
pub mod everything;
#[cfg(unix)]
pub mod lab;
pub mod model;

use cv_disk::{RawFile, ReadAt};
use cv_ntfs::{File, FileError, Volume};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Bytes without any pattern.
pub fn random(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let words = (0..length.div_ceil(8)).flat_map(|_| {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ word >> 31).to_le_bytes()
    });
    words.take(length).collect()
}

/// Bytes that compress to about a third.
pub fn text(seed: u8, length: usize) -> Vec<u8> {
    let words = random(seed, length / 3 + 1);
    words
        .iter()
        .flat_map(|byte| format!("{:x} ", byte % 61).into_bytes())
        .cycle()
        .take(length)
        .collect()
}

/// A security descriptor of which there are 256.
pub fn security(number: u8) -> Vec<u8> {
    use cv_ntfs::structure::security_descriptor::{Ace, AceFlags, Control, SecurityDescriptor, Sid};
    let administrators = Sid::new(5, &[32, 544]);
    let user = Sid::new(5, &[21, 1, 2, 3, 1000 + u32::from(number)]);
    SecurityDescriptor {
        control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
        owner: Some(user.clone()),
        group: Some(administrators.clone()),
        sacl: None,
        dacl: Some(vec![
            Ace::allow(&user, 0x001F_01FF, AceFlags::empty()),
            Ace::allow(&administrators, 0x0012_0089, AceFlags::INHERITED),
        ]),
    }
    .to_bytes()
}

/// Whether the tests must not be skipped for want of a tool.
fn is_ci() -> bool {
    std::env::var_os("CI").is_some()
}

/// A file of the corpus; `None`, said aloud, where the corpus is absent.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/corpus/ntfs")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no corpus at {}", path.display());
    None
}

/// Whether all `tools` are there; in CI they must be.
pub fn have(tools: &[&str]) -> bool {
    let missing: Vec<_> = tools
        .iter()
        .filter(|tool| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            let mut folders: Vec<PathBuf> = std::env::split_paths(&paths).collect();
            folders.extend(["/sbin", "/usr/sbin"].map(PathBuf::from));
            !folders.iter().any(|folder| folder.join(tool).exists())
        })
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(!is_ci(), "missing in CI: {missing:?}");
    eprintln!("skipped: missing {missing:?}");
    false
}

/// Runs a command that must succeed and gives what it printed.
pub fn run(command: &mut Command) -> Vec<u8> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    output.stdout
}

/// Unpacks an archive of the corpus into `folder` and gives the image in it; `None` where corpus or tool are absent.
pub fn unpack(name: &str, folder: &Path) -> Option<PathBuf> {
    let archive = corpus(name)?;
    if name.ends_with(".tar.xz") {
        if !have(&["tar", "xz"]) {
            return None;
        }
        run(Command::new("tar")
            .arg("xJf")
            .arg(&archive)
            .arg("--sparse")
            .arg("-C")
            .arg(folder));
    } else if name.contains(".zip") {
        if !have(&["unzip"]) {
            return None;
        }
        run(Command::new("unzip").arg("-q").arg(&archive).arg("-d").arg(folder));
    } else {
        if !have(&["bunzip2"]) {
            return None;
        }
        let image = folder.join("image");
        let unpacked = run(Command::new("bunzip2").arg("-c").arg(&archive));
        std::fs::write(&image, unpacked).unwrap();
        return Some(image);
    }
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let is_image = path
                .extension()
                .is_some_and(|extension| ["img", "dd", "raw", "ntfs"].iter().any(|known| extension == *known));
            if path.is_dir() {
                folders.push(path);
            } else if is_image {
                return Some(path);
            }
        }
    }
    panic!("no image in {name}");
}

/// Opens the volume that is the whole of the file.
pub fn open(image: &Path) -> Volume {
    Volume::open(Arc::new(RawFile::open(image).unwrap())).unwrap()
}

/// What the checker says of the volume that is worse than a note.
pub fn serious_faults(disk: Arc<impl ReadAt + 'static>) -> Vec<String> {
    let volume: Arc<dyn ReadAt> = disk;
    let faults = cv_ntfs::check::check(&volume, &cv_disk::Quiet).unwrap();
    let serious = faults
        .into_iter()
        .filter(|fault| fault.severity > cv_disk::Severity::Note);
    serious.map(|fault| fault.to_string()).collect()
}

/// The sha256 of all bytes, in lower-case hexadecimal.
pub fn sha256(stream: &dyn ReadAt) -> Result<String, cv_disk::ReadError> {
    let mut hash = cv_sha256::Sha256::default();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < stream.len() {
        let length = (stream.len() - offset).min(buffer.len() as u64) as usize;
        stream.read_at(&mut buffer[..length], offset)?;
        hash.update(&buffer[..length]);
        offset += length as u64;
    }
    Ok(format!(
        "{:x}",
        sha2::digest::Output::<sha2::Sha256>::from(hash.finish())
    ))
}

/// Every file that the root leads to, by way of the directories' indexes, and what could not be read on the way.
pub fn walk(volume: &Volume) -> (Vec<(String, File)>, Vec<FileError>) {
    let mut files = Vec::new();
    let mut errors = Vec::new();
    let mut entered = std::collections::HashSet::new();
    let mut pending = vec![(String::new(), volume.root())];
    while let Some((path, file)) = pending.pop() {
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if file.is_directory() && entered.insert(file.reference()) {
            match file.directory() {
                Ok(directory) => {
                    for entry in directory.entries() {
                        match entry {
                            Ok(entry) => {
                                let name = cv_winname::wtf8::display(entry.name());
                                let path = if path.is_empty() {
                                    name
                                } else {
                                    format!("{path}/{name}")
                                };
                                pending.push((path, volume.file_by_reference(entry.reference)));
                            }
                            Err(error) => errors.push(error),
                        }
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        files.push((path, file));
    }
    files.sort_by(|left, right| left.0.cmp(&right.0));
    (files, errors)
}

/// An NTFS volume mounted through FUSE; unmounted when dropped.
pub struct Mount {
    pub folder: PathBuf,
}

impl Mount {
    /// Mounts `image` on `folder` by ntfs-3g.
    pub fn ntfs_3g(image: &Path, folder: &Path, options: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        run(Command::new("ntfs-3g").arg("-o").arg(options).arg(image).arg(folder));
        Self {
            folder: folder.to_path_buf(),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("sync").arg("-f").arg(&self.folder).status();
        let unmounted = Command::new("fusermount").arg("-u").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            let _ = Command::new("umount").arg(&self.folder).status();
        }
        // ntfs-3g writes what is left while it ends.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

/// Has our checker look at a volume that must have no fault, nor anything to note.
pub fn check(disk: &Arc<dyn ReadAt>) {
    let faults: Vec<String> = cv_ntfs::check::check(disk, &cv_disk::Quiet)
        .unwrap()
        .into_iter()
        .map(|fault| fault.to_string())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
