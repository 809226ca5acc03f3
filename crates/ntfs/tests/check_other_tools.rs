//! The checker on volumes that mkntfs, ntfs-3g and wimlib made: nothing to complain of.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod support;

use cv_disk::{Fault, Quiet, RawFile, ReadAt, Severity};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::Mount;

fn is_sound(image: &Path, what: &str) {
    let volume: Arc<dyn ReadAt> = Arc::new(RawFile::open(image).unwrap());
    let faults = cv_ntfs::check::check(&volume, &Quiet).unwrap();
    // What a directory repeats of its files may be stale, as Windows leaves it.
    let serious: Vec<&Fault> = faults
        .listed()
        .iter()
        .filter(|fault| fault.severity > Severity::Note)
        .collect();
    assert!(serious.is_empty(), "{what}: {serious:#?}");
}

fn format(image: &Path, size: u64, cluster: u32) {
    fs::File::create(image).unwrap().set_len(size).unwrap();
    let cluster = cluster.to_string();
    support::run(
        Command::new("mkntfs")
            .args(["-F", "-Q", "-q", "-c", &cluster])
            .arg(image),
    );
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length.div_ceil(8))
            .flat_map(|_| self.next().to_le_bytes())
            .take(length)
            .collect()
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Random changes to a mounted volume. What ntfs-3g refuses counts as no change.
struct Changes {
    random: Random,
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    number: usize,
    done: usize,
}

impl Changes {
    fn new(root: &Path, seed: u64) -> Self {
        Self {
            random: Random(seed),
            files: Vec::new(),
            folders: vec![root.to_path_buf()],
            number: 0,
            done: 0,
        }
    }

    fn new_path(&mut self) -> PathBuf {
        let letters = ['a', 'B', '7', ' ', '.', 'ß', 'Ж', '日', '_', '😀'];
        let length = self.random.of(&[1, 4, 9, 20, 60]);
        let name: String = (0..length).map(|_| self.random.of(&letters)).collect();
        self.number += 1;
        let folder = self.random.below(self.folders.len());
        self.folders[folder].join(format!("{}{}", name.trim_start_matches('.'), self.number))
    }

    fn set(path: &Path, name: &str, value: &[u8]) -> std::io::Result<()> {
        Ok(rustix::fs::lsetxattr(
            path,
            name,
            value,
            rustix::fs::XattrFlags::empty(),
        )?)
    }

    fn change(&mut self) -> std::io::Result<()> {
        let kind = if self.files.is_empty() {
            0
        } else {
            self.random.below(100)
        };
        let at = self.random.below(self.files.len().max(1));
        match kind {
            0..25 => {
                let path = self.new_path();
                let length = self.random.of(&[0, 5, 200, 700, 5000, 70_000, 300_000]);
                fs::write(&path, self.random.bytes(length))?;
                self.files.push(path);
            }
            25..32 => {
                let path = self.new_path();
                fs::create_dir(&path)?;
                self.folders.push(path);
            }
            32..44 => fs::remove_file(self.files.swap_remove(at))?,
            44..54 => {
                let path = self.new_path();
                fs::rename(&self.files[at], &path)?;
                self.files[at] = path;
            }
            54..62 => {
                let path = self.new_path();
                fs::hard_link(&self.files[at], &path)?;
                self.files.push(path);
            }
            62..68 => {
                let name = format!("user.stream{}", self.random.below(6));
                let length = self.random.of(&[3, 400, 9000]);
                let value = self.random.bytes(length);
                Self::set(&self.files[at], &name, &value)?;
            }
            68..80 => {
                let file = fs::File::options().write(true).open(&self.files[at])?;
                let offset = self.random.of(&[0, 4096, 100_000, 3 << 20, 40 << 20]);
                let length = self.random.of(&[1, 4096, 60_000]);
                file.write_all_at(&self.random.bytes(length), offset)?;
            }
            80..85 => {
                let file = fs::File::options().write(true).open(&self.files[at])?;
                file.set_len(self.random.of(&[0, 10, 3000, 100_000, 5 << 20]))?;
            }
            85..88 => {
                // What is made there is compressed from now on.
                let folder = self.random.below(self.folders.len());
                Self::set(&self.folders[folder], "system.ntfs_attrib", &0x0810_u32.to_le_bytes())?;
            }
            88..90 => {
                let id = self.random.bytes(16);
                Self::set(&self.files[at], "system.ntfs_object_id", &id)?;
            }
            90..92 => {
                let name = format!("SHORT{}~1", self.number % 100);
                Self::set(&self.files[at], "system.ntfs_dos_name", name.as_bytes())?;
            }
            92..95 => {
                let target = "x".repeat(1 + self.random.below(20));
                let path = self.new_path();
                std::os::unix::fs::symlink(target, &path)?;
                self.files.push(path);
            }
            95..97 => {
                use std::os::unix::fs::PermissionsExt;
                let mode = self.random.of(&[0o600, 0o644, 0o755, 0o700, 0o444, 0o666]);
                fs::set_permissions(&self.files[at], fs::Permissions::from_mode(mode))?;
            }
            97 => {
                let mut value = vec![0x14, 0, 0, 0, 0, 3, 6, 0];
                value.extend(b"KEY\0value!\0\0");
                Self::set(&self.files[at], "system.ntfs_ea", &value)?;
            }
            98 => {
                let mut tag = vec![0x1D, 0, 0, 0xA0, 8, 0, 0, 0, 2, 0, 0, 0];
                tag.extend(b"here");
                Self::set(&self.files[at], "system.ntfs_reparse_data", &tag)?;
            }
            _ => {
                let folder = self.random.below(self.folders.len());
                if folder > 0 && fs::remove_dir(&self.folders[folder]).is_ok() {
                    self.folders.swap_remove(folder);
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, count: usize) {
        for _ in 0..count {
            if self.change().is_ok() {
                self.done += 1;
            }
        }
    }
}

#[test]
fn what_ntfs_3g_leaves_is_sound() {
    if !support::have(&["mkntfs", "ntfs-3g", "fusermount"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    for (cluster, size) in [
        (512, 256 << 20),
        (4096, 512 << 20),
        (65_536, 512 << 20),
        (2 << 20, 4 << 30),
    ] {
        format(&image, size, cluster);
        is_sound(&image, &format!("as mkntfs left it, clusters of {cluster}"));
        for round in 0..2 {
            let options = "streams_interface=xattr,compression,efs_raw,permissions";
            let mount = Mount::ntfs_3g(&image, &folder.path().join("mount"), options);
            let root = mount.folder.join(format!("round {round}"));
            fs::create_dir(&root).unwrap();
            let mut changes = Changes::new(&root, u64::from(cluster) + round);
            changes.run(2000);
            assert!(changes.done > 1500, "{}", changes.done);
            let many = root.join("many");
            fs::create_dir(&many).unwrap();
            for number in 0..3000_u64 {
                let name = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                fs::write(many.join(format!("a name of some length {name}")), b"").unwrap();
            }
            for (number, entry) in fs::read_dir(&many).unwrap().enumerate() {
                if number % 3 == 0 {
                    fs::remove_file(entry.unwrap().path()).unwrap();
                }
            }
            drop(changes);
            drop(mount);
            is_sound(&image, &format!("round {round}, clusters of {cluster}"));
        }
    }
}

#[test]
fn what_wimlib_applies_is_sound() {
    if !support::have(&["mkntfs", "wimlib-imagex"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let mut random = Random(7);
    for number in 0..3000 {
        let place = tree
            .join(format!("folder {}", number % 7))
            .join(format!("deeper {}", number % 31));
        fs::create_dir_all(&place).unwrap();
        let length = random.of(&[0, 30, 900, 20_000]);
        fs::write(place.join(format!("file {number}.txt")), random.bytes(length)).unwrap();
    }
    fs::hard_link(tree.join("folder 0/deeper 0/file 0.txt"), tree.join("twin")).unwrap();
    std::os::unix::fs::symlink("twin", tree.join("link")).unwrap();
    let (wim, image) = (folder.path().join("tree.wim"), folder.path().join("image"));
    support::run(
        Command::new("wimlib-imagex")
            .arg("capture")
            .arg(&tree)
            .arg(&wim)
            .arg("--compress=none"),
    );
    format(&image, 512 << 20, 4096);
    support::run(
        Command::new("wimlib-imagex")
            .arg("apply")
            .arg(&wim)
            .arg("1")
            .arg(&image),
    );
    is_sound(&image, "wimlib");
}

#[test]
fn many_files_are_checked_fast_and_in_little_memory() {
    // More records than a piece of $MFT's bitmap tells of.
    if !support::have(&["mkntfs", "wimlib-imagex"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    let count = 70_000;
    for number in 0..count {
        let place = tree.join(format!("{:03}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir_all(&place).unwrap();
        }
        fs::write(place.join(format!("{number}")), b"").unwrap();
    }
    let (wim, image) = (folder.path().join("tree.wim"), folder.path().join("image"));
    support::run(
        Command::new("wimlib-imagex")
            .arg("capture")
            .arg(&tree)
            .arg(&wim)
            .arg("--compress=none"),
    );
    format(&image, 512 << 20, 4096);
    support::run(
        Command::new("wimlib-imagex")
            .arg("apply")
            .arg(&wim)
            .arg("1")
            .arg(&image),
    );
    let started = std::time::Instant::now();
    is_sound(&image, "70,000 files");
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}
