//! What rules are asked about.

use super::pattern::folded;
use cv_hive::{KeyPath, Name};
use cv_winname::UpcaseTable;

const SEPARATOR: u16 = b'\\' as u16;

/// A changed file, key or value, as rules see it: folded, and the 32-bit view of the registry as the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The names, separated by backslashes.
    pub(super) path: Vec<u16>,
    pub(super) is_key: bool,
    pub(super) value: Option<Vec<u16>>,
}

impl Subject {
    /// The file or directory at a path as on drive C:.
    pub fn file(path: &str) -> Self {
        Self::file_units(&path.encode_utf16().collect::<Vec<_>>())
    }

    /// As [`file`](Self::file), with the path's units; `/` may stand for `\`.
    pub fn file_units(path: &[u16]) -> Self {
        let mut path = UpcaseTable::windows().fold(path);
        for unit in &mut path {
            if *unit == u16::from(b'/') {
                *unit = SEPARATOR;
            }
        }
        Self {
            path,
            is_key: false,
            value: None,
        }
    }

    /// The key at a path.
    pub fn key(path: &KeyPath) -> Self {
        let mut joined = Vec::new();
        for (position, name) in path.names().iter().enumerate() {
            if position > 0 {
                joined.push(SEPARATOR);
            }
            joined.extend_from_slice(name.units());
        }
        Self {
            path: UpcaseTable::windows().fold(&joined),
            is_key: true,
            value: None,
        }
    }

    /// A value of the key at a path.
    pub fn value(path: &KeyPath, name: &Name) -> Self {
        Self {
            value: Some(UpcaseTable::windows().fold(name.units())),
            ..Self::key(path)
        }
    }

    /// What an example of a rule file stands for: a path that begins with a backslash, or a key, where a `!` and the name of
    /// a value may follow.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('\\') {
            return Some(Self::file(text));
        }
        let (key, value) = match text.split_once('!') {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        let path = KeyPath::parse(key).ok().filter(KeyPath::has_root)?;
        Some(Self {
            value: value.map(folded),
            ..Self::key(&path)
        })
    }

    /// The names that rules compare.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u16]> {
        one_view(&self.path)
    }

    /// Whether it is a user's and not the machine's.
    pub(super) fn is_users(&self) -> bool {
        let mut names = self.names();
        let first = names.next().unwrap_or_default();
        if self.is_key {
            is(first, "HKEY_CURRENT_USER") || is(first, "HKEY_USERS")
        } else {
            is(first, "USERS")
        }
    }
}

fn is(folded: &[u16], name: &str) -> bool {
    folded.iter().copied().eq(name.encode_utf16())
}

/// The names of a folded path. The 32-bit view of the registry is as the other one: its `WOW6432Node` is passed over.
pub fn one_view(folded: &[u16]) -> impl Iterator<Item = &[u16]> {
    let mut position = 0;
    let mut is_below_classes = false;
    let mut is_registry = false;
    folded
        .split(|unit| *unit == SEPARATOR)
        .filter(|name| !name.is_empty())
        .filter(move |name| {
            if position == 0 {
                is_registry = name.len() > 5 && name.starts_with(&[0x48, 0x4B, 0x45, 0x59, 0x5F]);
            }
            let is_place = is_registry && (position == 2 || is_below_classes);
            position += 1;
            let is_view = is_place && is(name, "WOW6432NODE");
            if !is_view {
                is_below_classes = is(name, "CLASSES");
            }
            !is_view
        })
}
