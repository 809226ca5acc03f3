//! The temporary prefix.

use super::{RunError, host};
use std::path::Path;

/// Files of a prefix, besides its registry, that Wine looks at: templates for new users, and when it was brought up to date.
const FILES: [&str; 2] = ["userdef.reg", ".update-timestamp"];

/// Gives the prefix `to` the drives of `from`, but for C:, which leads to `drive`.
pub(super) fn copy_links(from: &Path, to: &Path, drive: &Path) -> Result<(), RunError> {
    let (devices, new) = (from.join("dosdevices"), to.join("dosdevices"));
    std::fs::create_dir(&new).map_err(host(&new))?;
    std::os::unix::fs::symlink(drive, new.join("c:")).map_err(host(&new))?;
    for entry in std::fs::read_dir(&devices).map_err(host(&devices))? {
        let entry = entry.map_err(host(&devices))?;
        // Links lead from where they stand.
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        if entry.file_name() == "c:" {
            continue;
        }
        let target = std::path::absolute(devices.join(target)).map_err(host(&devices))?;
        std::os::unix::fs::symlink(target, new.join(entry.file_name())).map_err(host(&new))?;
    }
    for name in FILES {
        let file = from.join(name);
        if file.is_file() {
            std::fs::copy(&file, to.join(name)).map_err(host(&file))?;
        }
    }
    Ok(())
}
