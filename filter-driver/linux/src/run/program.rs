//! Where a program is in the view.

use super::RunError;
use crate::registry::trees::HiveTrees;
use crate::registry::wine::PrefixRegistry;
use layerfmt::content::ENVIRONMENTS;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where Windows looks before it looks in `PATH`.
const FIRST: &str = r"C:\windows\system32;C:\windows";

/// What a name without extension may end in.
const EXTENSIONS: [&str; 4] = ["exe", "com", "bat", "cmd"];

/// Variables that Windows sets by itself.
const FIXED: [(&str, &str); 4] = [
    ("SystemRoot", r"C:\windows"),
    ("windir", r"C:\windows"),
    ("SystemDrive", "C:"),
    ("ProgramFiles", r"C:\Program Files"),
];

/// The words by which Wine starts the program.
pub(super) fn command(
    program: &OsStr,
    registry: &PrefixRegistry,
    mountpoint: &Path,
) -> Result<Vec<OsString>, RunError> {
    let missing = || RunError::NoProgram(PathBuf::from(program));
    let found = match program.to_str() {
        // A file of the host, which Wine takes as it is.
        _ if program.as_encoded_bytes().contains(&b'/') => return Ok(vec![program.to_owned()]),
        None => return Err(missing()),
        Some(text) if text.contains(['\\', ':']) => match on_host(text, mountpoint) {
            Some(_) => with_extension(text, mountpoint).ok_or_else(missing)?,
            // Another drive, or relative to where the program starts.
            None => text.to_owned(),
        },
        Some(name) => {
            let path = search_path(registry);
            let mut folders = path.split(';').filter(|folder| !folder.is_empty());
            let found = folders.find_map(|folder| {
                let folder = folder.trim_matches('"').trim_end_matches('\\');
                with_extension(&format!("{folder}\\{name}"), mountpoint)
            });
            found.ok_or_else(missing)?
        }
    };
    let extension = found.rsplit('.').next().unwrap_or_default();
    if ["bat", "cmd"].iter().any(|batch| extension.eq_ignore_ascii_case(batch)) {
        return Ok([r"C:\windows\system32\cmd.exe", "/c", &found]
            .map(OsString::from)
            .into());
    }
    Ok(vec![found.into()])
}

/// Where a path on drive C: is on the host. Names are the same in any case there.
fn on_host(path: &str, mountpoint: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix("C:\\").or_else(|| path.strip_prefix("c:\\"))?;
    let names = below.split(['\\', '/']).filter(|name| !name.is_empty());
    Some(names.fold(mountpoint.to_path_buf(), |path, name| path.join(name)))
}

/// The path on drive C: of a file that is there, with its extension.
fn with_extension(path: &str, mountpoint: &Path) -> Option<String> {
    let is_file = |path: &String| on_host(path, mountpoint).is_some_and(|path| path.is_file());
    let more = EXTENSIONS.iter().map(|extension| format!("{path}.{extension}"));
    std::iter::once(path.to_owned()).chain(more).find(is_file)
}

/// `PATH` as programs see it.
fn search_path(registry: &PrefixRegistry) -> String {
    let mut all = FIRST.to_owned();
    for (hive, key) in ENVIRONMENTS {
        if let Some(path) = registry.text(hive, key, "Path") {
            all.push(';');
            all.push_str(&expand(&path, registry));
        }
    }
    all
}

/// A text with its variables replaced; those that nobody has set stay as they are.
fn expand(text: &str, registry: &PrefixRegistry) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        expanded.push_str(before);
        let Some((name, after)) = after.split_once('%') else {
            expanded.push('%');
            rest = after;
            break;
        };
        let fixed = FIXED.iter().find(|(fixed, _)| fixed.eq_ignore_ascii_case(name));
        let set = || {
            let mut found = ENVIRONMENTS.iter().rev();
            found.find_map(|(hive, key)| registry.text(*hive, key, name))
        };
        match fixed.map(|(_, value)| (*value).to_owned()).or_else(set) {
            Some(value) => expanded.push_str(&value),
            None => expanded.extend(["%", name, "%"]),
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded
}
