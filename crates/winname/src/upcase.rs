//! Comparing names without case.

use crate::upcase_ranges::RANGES;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

/// Number of 16-bit units.
const UNITS: usize = 1 << 16;

/// The upper case of every 16-bit unit: what a volume's `$UpCase` file holds.
///
/// Windows since Vista writes one and the same table, [`UpcaseTable::windows`]; XP's and older ones differ in a few
/// letters, so a volume's names are compared by the volume's own table.
#[derive(Clone)]
pub struct UpcaseTable(Units);

#[derive(Clone)]
enum Units {
    Windows,
    Own(Box<[u16; UNITS]>),
}

static WINDOWS_UNITS: [u16; UNITS] = expand();
static WINDOWS: UpcaseTable = UpcaseTable(Units::Windows);

// Evaluated while compiling, so nothing is put on a stack.
#[expect(clippy::large_stack_arrays)]
const fn expand() -> [u16; UNITS] {
    let mut units = [0; UNITS];
    let mut unit = 0;
    while unit < UNITS {
        units[unit] = unit as u16;
        unit += 1;
    }
    let mut number = 0;
    while number < RANGES.len() {
        let range = &RANGES[number];
        let mut unit = range.first;
        while unit <= range.last {
            units[unit as usize] = unit.wrapping_add_signed(range.delta as i16);
            unit += range.step;
        }
        number += 1;
    }
    units
}

impl UpcaseTable {
    /// Bytes of a `$UpCase` file.
    pub const SIZE: usize = UNITS * 2;

    /// The table of Windows Vista to 11 and of the servers of their time.
    pub fn windows() -> &'static Self {
        &WINDOWS
    }

    /// The table that stands in a `$UpCase` file. Units beyond the end of `bytes` are their own upper case.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut units = vec![0; UNITS];
        for (unit, upper) in units.iter_mut().enumerate() {
            *upper = match bytes.get(unit * 2..unit * 2 + 2) {
                Some(pair) => u16::from_le_bytes([pair[0], pair[1]]),
                None => unit as u16,
            };
        }
        match Box::<[u16; UNITS]>::try_from(units.into_boxed_slice()) {
            Ok(units) if *units == WINDOWS_UNITS => Self(Units::Windows),
            Ok(units) => Self(Units::Own(units)),
            Err(_) => Self(Units::Windows),
        }
    }

    /// The content of the `$UpCase` file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.units().iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }

    /// Whether this is the table of [`UpcaseTable::windows`].
    pub fn is_windows(&self) -> bool {
        matches!(self.0, Units::Windows)
    }

    fn units(&self) -> &[u16; UNITS] {
        match &self.0 {
            Units::Windows => &WINDOWS_UNITS,
            Units::Own(units) => units,
        }
    }

    /// The upper case of one unit.
    pub fn upcase(&self, unit: u16) -> u16 {
        self.units()[usize::from(unit)]
    }

    /// The name in upper case: equal for names that differ in case alone.
    pub fn fold(&self, name: &[u16]) -> Vec<u16> {
        let units = self.units();
        name.iter().map(|unit| units[usize::from(*unit)]).collect()
    }

    /// Turns the name into its upper case.
    pub fn fold_in_place(&self, name: &mut [u16]) {
        let units = self.units();
        for unit in name {
            *unit = units[usize::from(*unit)];
        }
    }

    /// The order of two names without case: by the upper case of each unit, then the shorter first.
    pub fn compare(&self, left: &[u16], right: &[u16]) -> Ordering {
        let units = self.units();
        for (a, b) in left.iter().zip(right) {
            if a != b {
                match units[usize::from(*a)].cmp(&units[usize::from(*b)]) {
                    Ordering::Equal => {}
                    unequal => return unequal,
                }
            }
        }
        left.len().cmp(&right.len())
    }

    /// The order of names in an NTFS directory (`COLLATION_FILE_NAME`): as [`compare`](Self::compare), and where names
    /// differ in case alone by their units as they are.
    pub fn collate(&self, left: &[u16], right: &[u16]) -> Ordering {
        self.compare(left, right).then_with(|| left.cmp(right))
    }

    /// Whether two names are the same but for case.
    pub fn equal(&self, left: &[u16], right: &[u16]) -> bool {
        left.len() == right.len() && self.compare(left, right) == Ordering::Equal
    }
}

impl fmt::Debug for UpcaseTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_windows() {
            "UpcaseTable(Windows)"
        } else {
            "UpcaseTable(own)"
        })
    }
}

impl PartialEq for UpcaseTable {
    fn eq(&self, other: &Self) -> bool {
        self.units() == other.units()
    }
}

impl Eq for UpcaseTable {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use sha1::{Digest, Sha1};

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn the_table_is_that_of_windows() {
        let bytes = UpcaseTable::windows().to_bytes();
        assert_eq!(bytes.len(), UpcaseTable::SIZE);
        let hash = format!("{:x}", Sha1::digest(&bytes));
        assert_eq!(hash, "5161a18e27b9ca9f5d04f2154576bf1ffb1121e8");
    }

    #[test]
    fn upper_case_is_its_own_upper_case() {
        let table = UpcaseTable::windows();
        for unit in 0..=u16::MAX {
            assert_eq!(table.upcase(table.upcase(unit)), table.upcase(unit), "{unit:#x}");
        }
    }

    #[test]
    fn names_compare_as_ntfs_orders_them() {
        let table = UpcaseTable::windows();
        assert!(table.equal(&units("Straße"), &units("sTRAßE")));
        assert!(!table.equal(&units("Straße"), &units("STRASSE")));
        assert_eq!(table.compare(&units("a_b"), &units("AAB")), Ordering::Greater);
        assert_eq!(table.compare(&units("a"), &units("AA")), Ordering::Less);
        assert_eq!(table.collate(&units("readme"), &units("README")), Ordering::Greater);
        assert_eq!(table.collate(&units("readmd"), &units("README")), Ordering::Less);
    }

    #[test]
    fn a_table_of_a_volume_is_kept_as_it_is() {
        let mut bytes = UpcaseTable::windows().to_bytes();
        assert!(UpcaseTable::from_bytes(&bytes).is_windows());
        bytes[2 * usize::from(b'a')] = b'a';
        let own = UpcaseTable::from_bytes(&bytes);
        assert!(!own.is_windows());
        assert!(!own.equal(&units("a"), &units("A")));
        assert_eq!(own.to_bytes(), bytes);
        assert_eq!(UpcaseTable::from_bytes(&bytes[..7]).upcase(0xE4), 0xE4);
    }
}
