//! Paths in a recipe: in the layer, and of folders that Windows knows.

use super::mistake::Marked;
use super::table::Reading;
use cv_winname::check_component;

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
pub fn without_variable(path: &str) -> String {
    for (variable, value) in KNOWN {
        let front = path.get(..variable.len());
        if front.is_some_and(|front| front.eq_ignore_ascii_case(variable)) {
            return format!("{value}{}", &path[variable.len()..]);
        }
    }
    path.to_owned()
}

/// A path in the layer, from the root of drive C:, names separated by backslashes. What is no such path is a mistake.
pub fn in_layer(reading: &mut Reading<'_>, path: &Marked<String>) -> String {
    let replaced = without_variable(&path.value).replace('/', "\\");
    let below = match replaced.get(..2) {
        Some("C:" | "c:") => &replaced[2..],
        _ => &replaced,
    };
    let mut names = Vec::new();
    for name in below.split('\\').filter(|name| !name.is_empty()) {
        let units: Vec<u16> = name.encode_utf16().collect();
        if let Err(fault) = check_component(&units) {
            let message = format!("{:?} is no path on drive C:: {fault}", path.value);
            reading.mistake(path.position, message);
            return String::new();
        }
        names.push(name);
    }
    names.join("\\")
}

/// Folders that shortcuts are in: the recipe's word, that for everyone, and that of the user, as new users get it.
pub const SHORTCUT_FOLDERS: [(&str, Option<&str>, &str); 4] = [
    (
        "start-menu",
        Some(r"ProgramData\Microsoft\Windows\Start Menu\Programs"),
        r"Users\Default\AppData\Roaming\Microsoft\Windows\Start Menu\Programs",
    ),
    ("desktop", Some(r"Users\Public\Desktop"), r"Users\Default\Desktop"),
    (
        "startup",
        Some(r"ProgramData\Microsoft\Windows\Start Menu\Programs\Startup"),
        r"Users\Default\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup",
    ),
    (
        "send-to",
        None,
        r"Users\Default\AppData\Roaming\Microsoft\Windows\SendTo",
    ),
];
