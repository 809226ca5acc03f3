//! What a run that was killed left in the folder for temporary files: a mount that nobody serves any more, and the prefix.

use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How folders of runs begin.
pub(super) const NAME: &str = "cvtool-run-";

/// The mount in one.
pub(super) const MOUNT: &str = "drive_c";

/// Removes it, as far as it is this user's.
pub(super) fn remove() {
    let user = rustix::process::geteuid().as_raw();
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with(NAME);
        let is_own = || {
            entry
                .metadata()
                .is_ok_and(|facts| facts.is_dir() && facts.uid() == user)
        };
        let path = entry.path();
        if is_run && is_own() && is_dead(&path.join(MOUNT)) && crate::mount::detach(&path.join(MOUNT)).is_ok() {
            // Nobody serves it, so nobody uses what is beside it.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
}

/// Whether something is a mount whose process is gone.
fn is_dead(mountpoint: &Path) -> bool {
    matches!(rustix::fs::stat(mountpoint), Err(Errno::NOTCONN))
}
