//! Other programs, and volumes mounted by them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether these tools are there. A missing one fails the test in CI, and skips it elsewhere.
pub fn have(tools: &[&str]) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = |tool: &&&str| !std::env::split_paths(&paths).any(|folder| folder.join(tool).is_file());
    let missing: Vec<_> = tools.iter().filter(is_missing).collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "missing: {missing:?}"
    );
    if !missing.is_empty() {
        eprintln!("skipped: {missing:?} are not installed");
    }
    missing.is_empty()
}

/// Runs a program, which must succeed.
pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

/// A file of the corpus of hives, unpacked; `None`, said aloud, where the corpus is absent.
pub fn hive(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/hives");
    let packed = folder.join(format!("{name}.xz"));
    if !packed.exists() {
        eprintln!("skipped: there is no {}", packed.display());
        return None;
    }
    let output = Command::new("xz").arg("-dc").arg(packed).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// A volume mounted by ntfs-3g for reading and writing, as long as this lives.
#[derive(Debug)]
pub struct Mount {
    pub path: PathBuf,
}

impl Mount {
    /// `None`, said aloud, where this machine cannot mount; that fails in CI.
    pub fn new(image: &Path, path: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let output = Command::new("ntfs-3g")
            .args(["-o", "noatime,streams_interface=xattr"])
            .args([image, &path])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || std::env::var_os("CI").is_none(), "{told}");
        if output.status.success() {
            return Some(Self { path });
        }
        eprintln!("skipped: ntfs-3g: {told}");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("sync").arg("-f").arg(&self.path).status();
        let _ = Command::new("umount").arg(&self.path).status();
        // ntfs-3g writes what is left while it ends.
        let is_used = |path: &Path| {
            std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
                let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).into_owned();
                line.starts_with("ntfs-3g") && line.contains(path.to_str().unwrap())
            })
        };
        for _ in 0..200 {
            if !is_used(&self.path) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

/// Where a file holds data next.
fn next_data(file: &std::fs::File, from: u64) -> Option<u64> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Data(from)).ok()
}

/// Gives a differencing child of one disk what another holds: only what differs is written.
pub fn make_child(folder: &Path, parent: &str, child: &str, (before, after): (&str, &str)) {
    use cv_image::{Gate, OpenOptions, WritableImage};
    use std::os::unix::fs::FileExt;
    let path = folder.join(child);
    let parent = folder.join(parent);
    let (path_text, parent_text) = (path.to_str().unwrap(), parent.to_str().unwrap());
    match child.rsplit('.').next() {
        Some("vmdk") => run(
            "qemu-img",
            &["create", "-q", "-f", "vmdk", "-b", parent_text, "-F", "vmdk", path_text],
        ),
        _ => run(
            env!("CARGO_BIN_EXE_cvtool"),
            &["image", "create", "--parent", parent_text, path_text],
        ),
    }
    let options = OpenOptions::new(Gate::beside(&path).unwrap());
    let image = WritableImage::open(&path, &options).unwrap();
    let (before, after) = (
        std::fs::File::open(folder.join(before)).unwrap(),
        std::fs::File::open(folder.join(after)).unwrap(),
    );
    let length = after.metadata().unwrap().len();
    let (mut left, mut right) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let piece = left.len() as u64;
    let mut next = 0;
    while let Some(data) = [&before, &after]
        .into_iter()
        .filter_map(|file| next_data(file, next))
        .min()
    {
        let start = data / piece * piece;
        next = start + piece;
        let size = (length - start).min(left.len() as u64) as usize;
        before.read_exact_at(&mut left[..size], start).unwrap();
        after.read_exact_at(&mut right[..size], start).unwrap();
        if left[..size] != right[..size] {
            image.disk().write_at(&right[..size], start).unwrap();
        }
    }
    image.close().unwrap();
}
