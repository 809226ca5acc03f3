//! Nothing is taken for deleted because it could not be read afterwards.

use super::gather::Sides;
use super::registry::full_path;
use crate::changes::files::{self, FileChange};
use crate::changes::registry::{RegistryChange, RegistryDifference};
use crate::snapshot::{EntryId, Problem, Storage, folded, record_of};
use cv_ntfs::{FileError, Volume};
use layerfmt::content::HiveName;
use std::collections::HashSet;

/// Keys that could not be read, each folded.
pub struct UnreadKeys(Vec<Vec<u16>>);

impl UnreadKeys {
    /// Those that problems are about.
    pub fn of(problems: &[Problem]) -> Self {
        let keys = problems.iter().filter(|problem| problem.path.starts_with("HKEY_"));
        Self(
            keys.map(|problem| folded(as_in_layer(&problem.path).as_bytes()))
                .collect(),
        )
    }

    /// Takes out deletions of such keys, of what is in them and of values of theirs.
    pub fn keep(&self, hive: HiveName, changes: &mut Vec<RegistryChange<'_>>) {
        if self.0.is_empty() {
            return;
        }
        changes.retain(|change| {
            let is_deletion = matches!(
                change.difference,
                RegistryDifference::KeyDeleted(_) | RegistryDifference::ValueDeleted(_)
            );
            let path = folded(full_path(hive, &change.key).to_string().as_bytes());
            !(is_deletion && self.0.iter().any(|above| is_at_or_below(&path, above, b'\\')))
        });
    }
}

/// The path of a machine's key as a layer has it: of whichever user, and in whichever control set.
fn as_in_layer(path: &str) -> String {
    let mut names: Vec<&str> = path.split('\\').collect();
    if names[0] == "HKEY_USERS" && names.len() > 1 {
        names.splice(..2, ["HKEY_CURRENT_USER"]);
    }
    if let Some(set) = names.get_mut(2)
        && set.to_ascii_lowercase().starts_with("controlset")
    {
        *set = "CurrentControlSet";
    }
    names.join("\\")
}

fn is_at_or_below(path: &[u16], above: &[u16], separator: u8) -> bool {
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| rest.first().is_none_or(|unit| *unit == u16::from(separator)))
}

/// Takes out deletions that may be none: of what is in a place that could not be read afterwards, or is still on the volume
/// where no directory leads to it.
pub fn keep_unread(sides: &Sides<'_>, changes: &mut Vec<FileChange>, problems: &mut Vec<Problem>) {
    let unread: Vec<Vec<u16>> = sides
        .after
        .problems
        .iter()
        .filter(|problem| !problem.path.is_empty())
        .map(|problem| folded(problem.path.replace('\\', "/").as_bytes()))
        .collect();
    let is_one_volume = sides.before.files.volume == sides.after.files.volume;
    let named: HashSet<EntryId> = match sides.storage {
        Storage::Volume(_) => sides.after.files.entries().iter().map(|entry| entry.id).collect(),
        Storage::Folder(_) | Storage::Live(_) => HashSet::new(),
    };
    changes.retain(|change| {
        let (files::Difference::Deleted, Some(entry)) = (change.difference, change.before) else {
            return true;
        };
        let path = sides.before.files.path(entry);
        let units = folded(&path);
        if unread.iter().any(|above| is_at_or_below(&units, above, b'/')) {
            return false;
        }
        let id = sides.before.files.entry(entry).id;
        match sides.storage {
            // One that has another name has lost this one for sure.
            Storage::Volume(volume) if is_one_volume && !named.contains(&id) => match lost(volume, id) {
                Some(reason) => {
                    problems.push(Problem {
                        path: String::from_utf8_lossy(&path).into_owned(),
                        reason,
                    });
                    false
                }
                None => true,
            },
            _ => true,
        }
    });
}

/// Why a file that is in no directory may not be deleted all the same.
fn lost(volume: &Volume, id: EntryId) -> Option<String> {
    match volume.file(record_of(id)) {
        Ok(file) if u64::from(file.reference().sequence()) == id.0 >> 48 => {
            Some("it is in use, and in no directory".to_owned())
        }
        Ok(_) | Err(FileError::NotInUse { .. } | FileError::Stale { .. } | FileError::NotABase { .. }) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_hive::{Key, Name};

    #[test]
    fn keys_that_could_not_be_read_are_not_deleted() {
        let problem = |path: &str| Problem {
            path: path.to_owned(),
            reason: "access is denied".to_owned(),
        };
        let unread = UnreadKeys::of(&[
            problem(r"HKEY_LOCAL_MACHINE\SYSTEM\ControlSet001\Services\App"),
            problem(r"HKEY_USERS\S-1-5-21-1-2-3-1001\Software\App"),
            problem("Program Files/App"),
        ]);
        let key = Key::new("k");
        let change = |path: &str, difference| RegistryChange {
            key: path.split('\\').map(Name::from).collect(),
            difference,
        };
        let left = |hive, path: &str, difference| {
            let mut changes = vec![change(path, difference)];
            unread.keep(hive, &mut changes);
            changes.len()
        };
        let deleted = RegistryDifference::KeyDeleted(&key);
        assert_eq!(left(HiveName::System, r"CurrentControlSet\Services\app", deleted), 0);
        assert_eq!(left(HiveName::System, r"CurrentControlSet\Services\App\x", deleted), 0);
        assert_eq!(left(HiveName::System, r"CurrentControlSet\Services\App2", deleted), 1);
        assert_eq!(left(HiveName::System, r"CurrentControlSet\Services", deleted), 1);
        assert_eq!(left(HiveName::User, r"Software\App\x", deleted), 0);
        assert_eq!(
            left(HiveName::User, r"Software\App\x", RegistryDifference::KeyAdded(&key)),
            1
        );
    }
}
