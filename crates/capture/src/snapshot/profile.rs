//! Profiles of users.

use super::files::{EntryKind, Files};

/// The name of a user's folder in `\Users`.
pub type ProfileName = String;

/// Profiles that are no single user's.
const SHARED: [&str; 3] = ["Public", "All Users", "Default User"];

/// The profiles of a machine: the folders of `\Users` that are one user's.
pub fn profiles(files: &Files) -> Vec<(ProfileName, u32)> {
    let Some(users) = files.find(b"Users") else {
        return Vec::new();
    };
    files
        .children(users)
        .filter(|child| files.entry(*child).kind == EntryKind::Directory)
        .map(|child| (String::from_utf8_lossy(&files.entry(child).name).into_owned(), child))
        .filter(|(name, _)| !SHARED.iter().any(|shared| shared.eq_ignore_ascii_case(name)))
        .collect()
}

/// The profile that a path on drive C: is in, and the path below it; names are separated by `/`.
pub fn profile_of(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (users, rest) = split(path);
    let (profile, rest) = split(rest);
    let is_shared = SHARED
        .iter()
        .any(|shared| profile.eq_ignore_ascii_case(shared.as_bytes()));
    (users.eq_ignore_ascii_case(b"Users") && !profile.is_empty() && !is_shared).then_some((profile, rest))
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (path, &[]),
    }
}
