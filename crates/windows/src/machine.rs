//! The machine that this runs on, and who runs it.

use crate::sys::{process, security};
use std::io;
use std::path::PathBuf;

/// Whether this is Wine, which behaves as Windows and says so when asked.
pub fn is_wine() -> bool {
    process::has_function("ntdll.dll", c"wine_get_version")
}

/// The top of the drive that Windows is on.
pub fn system_drive() -> PathBuf {
    let drive = std::env::var_os("SystemDrive").unwrap_or_else(|| "C:".into());
    let mut top = drive;
    top.push(r"\");
    top.into()
}

/// The SID of who runs this, as `S-1-5-21-…`.
pub fn user_sid() -> io::Result<String> {
    security::user_sid()
}

/// Makes use of the privilege to read whatever there is, security or not; whether the user has it.
pub fn read_everything() -> bool {
    security::enable_privilege("SeBackupPrivilege").unwrap_or(false)
}

/// Makes use of the privileges to give files any owner and security; whether the user has them.
pub fn restore_everything() -> bool {
    let restore = security::enable_privilege("SeRestorePrivilege").unwrap_or(false);
    let owner = security::enable_privilege("SeTakeOwnershipPrivilege").unwrap_or(false);
    restore && owner
}

/// Whether Windows Installer is installing something just now: it holds this mutex meanwhile.
pub fn installer_runs() -> bool {
    process::mutex_is_there(r"Global\_MSIExecute")
}
