//! What starts by itself: the values of `Run` and its like.

use super::registry::texts;
use super::{VIEW_32, software_keys};
use crate::content::HiveName;
use crate::manifest::RunEntry;
use cv_hive::Key;
use std::collections::BTreeMap;

const KEYS: [&str; 4] = [
    r"Microsoft\Windows\CurrentVersion\Run",
    r"Microsoft\Windows\CurrentVersion\RunOnce",
    r"Microsoft\Windows\CurrentVersion\RunServices",
    r"Microsoft\Windows\CurrentVersion\Policies\Explorer\Run",
];

pub fn find(hives: &BTreeMap<HiveName, Key>) -> Vec<RunEntry> {
    let mut entries = Vec::new();
    for path in KEYS {
        for (key, is_32_bit, is_per_user) in software_keys(hives, path) {
            let root = if is_per_user {
                r"HKCU\Software"
            } else {
                r"HKLM\SOFTWARE"
            };
            let place = if is_32_bit {
                format!(r"{root}\{VIEW_32}\{path}")
            } else {
                format!(r"{root}\{path}")
            };
            entries.extend(texts(key).map(|(name, command)| RunEntry {
                name,
                command,
                place: place.clone(),
                ..RunEntry::default()
            }));
        }
    }
    entries
}
