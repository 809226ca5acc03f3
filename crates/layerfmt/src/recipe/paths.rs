//! Paths in a recipe: in the layer, and of folders that Windows knows.

use super::mistake::Marked;
use super::table::Reading;
use crate::content::drive_path;

/// A path in the layer, from the root of drive C:, names separated by backslashes. What is no such path is a mistake.
pub fn in_layer(reading: &mut Reading<'_>, path: &Marked<String>) -> String {
    drive_path(&path.value).unwrap_or_else(|error| {
        reading.mistake(path.position, error.to_string());
        String::new()
    })
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
