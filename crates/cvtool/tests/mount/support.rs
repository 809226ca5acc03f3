//! Mounts that end with their test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Whether mounts are possible here; in CI they must be.
pub fn can_mount() -> bool {
    let has_device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .is_ok();
    assert!(
        has_device || std::env::var_os("CI").is_none(),
        "/dev/fuse cannot be opened"
    );
    if !has_device {
        eprintln!("skipped: /dev/fuse cannot be opened");
    }
    has_device
}

/// Whether a tool is there; in CI it must be.
pub fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{tool} is missing");
    if !found {
        eprintln!("skipped: {tool} is missing");
    }
    found
}

/// A folder with `base`, `writable` and `mnt` in it, and what is mounted there.
pub struct Lab {
    folder: tempfile::TempDir,
    served: Option<Child>,
}

impl Lab {
    pub fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// One that is kept in memory, for many small changes.
    pub fn in_memory() -> Self {
        Self::of(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    fn of(folder: tempfile::TempDir) -> Self {
        for name in ["base", "writable", "mnt"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, served: None }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn mnt(&self) -> PathBuf {
        self.path("mnt")
    }

    /// Writes a file and the directories on the way.
    pub fn put(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Mounts in the foreground of a process of its own, which is there when this returns.
    pub fn mount(&mut self, arguments: &[&str]) {
        let mut child = self.start(arguments);
        // A mount that is not there yet shows the folder below it.
        for _ in 0..2000 {
            if self.is_mounted() && self.run(&["status", "mnt"]).status.success() {
                self.served = Some(child);
                return;
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let _ = child.kill();
        panic!("not mounted: {:?}", child.wait_with_output());
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_cvtool"))
            .args(["mount", "--foreground", "mnt"])
            .args(arguments)
            .current_dir(self.folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub fn is_mounted(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mnt = self.mnt().canonicalize().unwrap_or_else(|_| self.mnt());
        mounts.lines().any(|line| line.split(' ').nth(1) == mnt.to_str())
    }

    /// Kills the process that serves the mount, as hard as can be.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.served.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        unmount(&self.mnt());
    }

    /// Unmounts; the process ends well.
    pub fn unmount(&mut self) {
        unmount(&self.mnt());
        if let Some(child) = self.served.take() {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    /// Asks the process that serves the mount to end, as the end of a session does.
    pub fn terminate(&mut self) {
        let child = self.served.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs cvtool in the folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_cvtool"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Runs cvtool, which succeeds; gives what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs cvtool, which refuses; gives why.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Packs a folder into an image with an NTFS volume.
    pub fn pack(&self, folder: &str, image: &str) {
        self.done(&["image", "pack", folder, "-o", image]);
    }
}

fn unmount(mnt: &Path) {
    let status = Command::new("umount").arg("-l").arg(mnt).stderr(Stdio::null()).status();
    if !status.is_ok_and(|status| status.success()) {
        let _ = Command::new("fusermount3")
            .arg("-uz")
            .arg(mnt)
            .stderr(Stdio::null())
            .status();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
    }
}
