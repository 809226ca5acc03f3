//! Which names a file may have.

use crate::reserved::is_reserved;
use core::fmt;

/// Units of the longest name.
pub const MAX_COMPONENT: usize = 255;

/// Why Windows programs cannot use a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFault {
    /// It has no unit.
    Empty,
    /// It is `.` or `..`, which stand for directories.
    DotDirectory,
    /// It has more than [`MAX_COMPONENT`] units.
    TooLong {
        /// How many it has.
        units: usize,
    },
    /// It holds a unit that Windows forbids.
    Forbidden {
        /// That unit.
        unit: u16,
        /// Where it stands, in units.
        position: usize,
    },
    /// It ends with a dot, which Windows programs cut off when they open it.
    TrailingDot,
    /// It ends with a space, which Windows programs cut off when they open it.
    TrailingSpace,
    /// It is a device's name.
    Reserved,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::DotDirectory => f.write_str("`.` and `..` name directories"),
            Self::TooLong { units } => write!(f, "the name has {units} UTF-16 units, {MAX_COMPONENT} are allowed"),
            Self::Forbidden { unit, position } => match u8::try_from(*unit) {
                Ok(byte @ 0x21..=0x7E) => write!(f, "`{}` at {position} is not allowed", char::from(byte)),
                _ => write!(f, "U+{unit:04X} at {position} is not allowed"),
            },
            Self::TrailingDot => f.write_str("the name ends with a dot"),
            Self::TrailingSpace => f.write_str("the name ends with a space"),
            Self::Reserved => f.write_str("the name is a device's"),
        }
    }
}

impl core::error::Error for NameFault {}

/// Whether every Windows program can open a file of this name; the first fault where it cannot.
///
/// Lone surrogates are allowed, as Windows allows them.
pub fn check_component(name: &[u16]) -> Result<(), NameFault> {
    check_stored_component(name)?;
    let forbidden = |unit: u16| match u8::try_from(unit) {
        Ok(byte) => byte < 0x20 || br#"<>:"/\|?*"#.contains(&byte),
        Err(_) => false,
    };
    if let Some(position) = name.iter().position(|unit| forbidden(*unit)) {
        return Err(NameFault::Forbidden {
            unit: name[position],
            position,
        });
    }
    match name.last() {
        Some(0x2E) => return Err(NameFault::TrailingDot),
        Some(0x20) => return Err(NameFault::TrailingSpace),
        _ => {}
    }
    if is_reserved(name) {
        return Err(NameFault::Reserved);
    }
    Ok(())
}

/// Whether NTFS itself can store the name (in the POSIX namespace): any units but NUL and `/`, and `\`, by which paths
/// are taken apart; neither `.` nor `..`.
pub fn check_stored_component(name: &[u16]) -> Result<(), NameFault> {
    const DOT: u16 = b'.' as u16;
    match name {
        [] => return Err(NameFault::Empty),
        [DOT] | [DOT, DOT] => return Err(NameFault::DotDirectory),
        _ if name.len() > MAX_COMPONENT => return Err(NameFault::TooLong { units: name.len() }),
        _ => {}
    }
    let forbidden = [0, u16::from(b'/'), u16::from(b'\\')];
    match name.iter().position(|unit| forbidden.contains(unit)) {
        Some(position) => Err(NameFault::Forbidden {
            unit: name[position],
            position,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn each_fault_is_named() {
        use NameFault::{DotDirectory, Empty, Forbidden, Reserved, TooLong, TrailingDot, TrailingSpace};
        for (name, expected) in [
            ("", Err(Empty)),
            (".", Err(DotDirectory)),
            ("..", Err(DotDirectory)),
            ("...", Err(TrailingDot)),
            ("a.", Err(TrailingDot)),
            ("a ", Err(TrailingSpace)),
            (" a", Ok(())),
            (".a", Ok(())),
            (
                "a:b",
                Err(Forbidden {
                    unit: 0x3A,
                    position: 1,
                }),
            ),
            ("a\u{1}", Err(Forbidden { unit: 1, position: 1 })),
            ("a\u{7f}", Ok(())),
            ("nul", Err(Reserved)),
            ("日本語", Ok(())),
        ] {
            assert_eq!(check_component(&units(name)), expected, "{name:?}");
        }
        assert_eq!(check_component(&vec![0x61; 255]), Ok(()));
        assert_eq!(check_component(&vec![0x61; 256]), Err(TooLong { units: 256 }));
        assert_eq!(check_component(&[0xD800]), Ok(()));
        assert_eq!(check_stored_component(&units("a:b. ")), Ok(()));
        assert!(check_stored_component(&units("a/b")).is_err());
    }
}
