//! Paths as people write them, on drive C:.

use cv_winname::{NameFault, check_component};

/// What variables of Windows' environment stand for on a drive C: that nobody moved anything on.
const KNOWN: [(&str, &str); 11] = [
    ("%ProgramFiles%", r"C:\Program Files"),
    ("%ProgramW6432%", r"C:\Program Files"),
    ("%ProgramFiles(x86)%", r"C:\Program Files (x86)"),
    ("%CommonProgramFiles%", r"C:\Program Files\Common Files"),
    ("%CommonProgramFiles(x86)%", r"C:\Program Files (x86)\Common Files"),
    ("%ProgramData%", r"C:\ProgramData"),
    ("%AllUsersProfile%", r"C:\ProgramData"),
    ("%Public%", r"C:\Users\Public"),
    ("%SystemRoot%", r"C:\Windows"),
    ("%windir%", r"C:\Windows"),
    ("%SystemDrive%", "C:"),
];

/// The path with a variable at its front replaced, where it is one that everyone has.
pub(crate) fn without_variable(path: &str) -> String {
    for (variable, value) in KNOWN {
        let front = path.get(..variable.len());
        if front.is_some_and(|front| front.eq_ignore_ascii_case(variable)) {
            return format!("{value}{}", &path[variable.len()..]);
        }
    }
    path.to_owned()
}

/// A text that is no path on drive C:.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is no path on drive C:: {fault}")]
pub struct NoDrivePath {
    /// The text.
    pub path: String,
    /// What is wrong with one of its names.
    pub fault: NameFault,
}

/// A path on drive C:, with or without `C:` or one of the usual variables such as `%ProgramFiles%` in front, from the root of
/// the drive on, names separated by backslashes. That of the root is empty.
pub fn drive_path(text: &str) -> Result<String, NoDrivePath> {
    let replaced = without_variable(text).replace('/', "\\");
    let below = match replaced.get(..2) {
        Some("C:" | "c:") => &replaced[2..],
        _ => &replaced,
    };
    let mut names = Vec::new();
    for name in below.split('\\').filter(|name| !name.is_empty()) {
        let units: Vec<u16> = name.encode_utf16().collect();
        check_component(&units).map_err(|fault| NoDrivePath {
            path: text.to_owned(),
            fault,
        })?;
        names.push(name);
    }
    Ok(names.join("\\"))
}
