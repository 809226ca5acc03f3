//! Paths of keys.

use std::fmt;

use cv_winname::UpcaseTable;

use crate::{Name, tree::MAX_DEPTH};

/// Units of a key's name at most.
pub const MAX_KEY_NAME: usize = 255;

/// Units of a value's name at most.
pub const MAX_VALUE_NAME: usize = 16383;

/// The roots of the registry, with the short forms that people write.
const ROOTS: [(&str, &str); 5] = [
    ("HKEY_LOCAL_MACHINE", "HKLM"),
    ("HKEY_CURRENT_USER", "HKCU"),
    ("HKEY_CLASSES_ROOT", "HKCR"),
    ("HKEY_USERS", "HKU"),
    ("HKEY_CURRENT_CONFIG", "HKCC"),
];

/// The names of keys from the top down. Where the first is a root of the registry, it has the root's long name.
///
/// ```
/// use cv_hive::KeyPath;
///
/// let path = KeyPath::parse(r"HKLM\Software\Wine\")?;
/// assert_eq!(path.to_string(), r"HKEY_LOCAL_MACHINE\Software\Wine");
/// assert_eq!(path.below(&KeyPath::parse(r"hklm\SOFTWARE")?), Some(&path.names()[2..]));
/// # Ok::<(), cv_hive::PathError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(Vec<Name>);

/// Why a text is no path of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A name is longer than names of keys may be.
    #[error("a key's name has {length} characters, and {MAX_KEY_NAME} are the most")]
    NameTooLong {
        /// Its UTF-16 units.
        length: usize,
    },
    /// There are too many names.
    #[error("a path has {depth} keys, and {MAX_DEPTH} are the most")]
    TooDeep {
        /// How many.
        depth: usize,
    },
}

impl KeyPath {
    /// The path that `text` writes with backslashes between the names. Empty names, as a backslash at either end or two in a
    /// row leave them, are passed over.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        Self::from_units(&text.encode_utf16().collect::<Vec<_>>())
    }

    /// As [`parse`](Self::parse), for UTF-16 units.
    pub fn from_units(units: &[u16]) -> Result<Self, PathError> {
        let mut names = Vec::new();
        for part in units.split(|unit| *unit == u16::from(b'\\')) {
            if part.is_empty() {
                continue;
            }
            if part.len() > MAX_KEY_NAME {
                return Err(PathError::NameTooLong { length: part.len() });
            }
            names.push(match root_name(part) {
                Some(root) if names.is_empty() => Name::from(root),
                _ => Name::from(part),
            });
        }
        if names.len() > MAX_DEPTH {
            return Err(PathError::TooDeep { depth: names.len() });
        }
        Ok(Self(names))
    }

    /// The names from the top down.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// Whether the first name is a root of the registry.
    pub fn has_root(&self) -> bool {
        self.0.first().is_some_and(|name| root_name(name.units()).is_some())
    }

    /// The names below `top`, where the path is that of `top` or of a key below it.
    pub fn below(&self, top: &Self) -> Option<&[Name]> {
        let is_below =
            self.0.len() >= top.0.len() && self.0.iter().zip(&top.0).all(|(one, other)| one.matches(other.units()));
        is_below.then(|| &self.0[top.0.len()..])
    }
}

impl From<Vec<Name>> for KeyPath {
    fn from(names: Vec<Name>) -> Self {
        Self(names)
    }
}

/// The names with backslashes between them.
impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\\")?;
            }
            write!(formatter, "{name}")?;
        }
        Ok(())
    }
}

/// The long name of the root that `name` names.
fn root_name(name: &[u16]) -> Option<&'static str> {
    let table = UpcaseTable::windows();
    let is = |text: &str| text.len() == name.len() && table.equal(&text.encode_utf16().collect::<Vec<_>>(), name);
    ROOTS
        .iter()
        .find(|(long, short)| is(long) || is(short))
        .map(|(long, _)| *long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_have_long_names_and_limits_hold() {
        let text = |text: &str| KeyPath::parse(text).map(|path| path.to_string());
        assert_eq!(text(r"hkcu\\Software\").as_deref(), Ok(r"HKEY_CURRENT_USER\Software"));
        assert_eq!(text(r"Software\HKCU").as_deref(), Ok(r"Software\HKCU"));
        assert_eq!(text("").as_deref(), Ok(""));
        assert!(KeyPath::parse(&"a".repeat(255)).is_ok());
        assert_eq!(text(&"a".repeat(256)), Err(PathError::NameTooLong { length: 256 }));
        assert!(KeyPath::parse(&"a\\".repeat(MAX_DEPTH)).is_ok());
        assert_eq!(
            text(&"a\\".repeat(MAX_DEPTH + 1)),
            Err(PathError::TooDeep { depth: MAX_DEPTH + 1 })
        );
    }
}
