//! Paths of names.

use crate::component::{NameFault, check_component};
use alloc::string::String;
use core::fmt;

/// Units of the longest path that Windows opens (through `\\?\`), separators included.
pub const MAX_PATH: usize = 32767;

/// Why Windows programs cannot use a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathFault {
    /// It has more than [`MAX_PATH`] units.
    TooLong {
        /// How many it has.
        units: usize,
    },
    /// One of its names is at fault.
    Component {
        /// That name, for people.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { units } => write!(f, "the path has {units} UTF-16 units, {MAX_PATH} are allowed"),
            Self::Component { name, .. } => write!(f, "Windows cannot use the name {name:?}"),
        }
    }
}

impl core::error::Error for PathFault {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Component { fault, .. } => Some(fault),
            Self::TooLong { .. } => None,
        }
    }
}

/// The names of a path; `\` and `/` separate them, and neither a separator at an end nor a doubled one makes a name.
pub fn components(path: &[u16]) -> impl Iterator<Item = &[u16]> {
    path.split(|unit| *unit == u16::from(b'\\') || *unit == u16::from(b'/'))
        .filter(|name| !name.is_empty())
}

/// Whether every Windows program that knows long paths can open this one; the first fault where it cannot.
pub fn check_path(path: &[u16]) -> Result<(), PathFault> {
    if path.len() > MAX_PATH {
        return Err(PathFault::TooLong { units: path.len() });
    }
    for name in components(path) {
        check_component(name).map_err(|fault| PathFault::Component {
            name: crate::wtf8::display(name),
            fault,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn names_are_checked_one_by_one() {
        let path = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        assert!(check_path(&path(r"\Files\a b\c.txt")).is_ok());
        assert!(matches!(
            check_path(&path(r"\Files\con\c")),
            Err(PathFault::Component { fault: NameFault::Reserved, name }) if name == "con"
        ));
        assert!(check_path(&path(&r"\a".repeat(16383))).is_ok());
        assert!(check_path(&path(&r"\a".repeat(16384))).is_err());
        assert_eq!(components(&path("/a//b\\")).count(), 2);
    }
}
