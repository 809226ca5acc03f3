//! The command that runs an installer.

use anyhow::Context;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The words that run what the user gave: a file by its whole path, and a package of Windows Installer by its program, quietly
/// and without a restart. `windows_path` gives the path by which Windows knows a file of the host.
pub fn words(command: &[OsString], windows_path: impl Fn(&Path) -> OsString) -> anyhow::Result<Vec<OsString>> {
    let (program, arguments) = command.split_first().context("no installer is given")?;
    let path = Path::new(program);
    let program = if path.is_file() { whole(path)? } else { program.clone() };
    let mut words: Vec<OsString> = Vec::new();
    let is_package = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case(OsStr::new("msi")));
    if is_package {
        words.extend(["msiexec".into(), "/i".into(), windows_path(Path::new(&program))]);
        let is_quiet = |argument: &OsString| argument.to_string_lossy().to_lowercase().starts_with("/q");
        if !arguments.iter().any(is_quiet) {
            words.push("/qn".into());
        }
        words.push("/norestart".into());
    } else {
        words.push(program);
    }
    words.extend_from_slice(arguments);
    Ok(words)
}

#[cfg(not(windows))]
fn whole(path: &Path) -> std::io::Result<OsString> {
    Ok(path.canonicalize()?.into_os_string())
}

/// Many installers cannot do with the long form of paths that looking for the file itself would give.
#[cfg(windows)]
fn whole(path: &Path) -> std::io::Result<OsString> {
    Ok(std::path::absolute(path)?.into_os_string())
}
