//! The order in which Wine keeps keys and values.

use std::cmp::Ordering;

/// Compares names as Wine's server does: unit by unit in lower case, then the shorter first.
pub(super) fn compare(left: &[u16], right: &[u16]) -> Ordering {
    let left = left.iter().map(|unit| lower(*unit));
    left.cmp(right.iter().map(|unit| lower(*unit)))
}

/// The lower case of a unit: that of its character, where it is one unit as well.
fn lower(unit: u16) -> u16 {
    if unit < 0x80 {
        return u16::from((unit as u8).to_ascii_lowercase());
    }
    let Some(character) = char::from_u32(u32::from(unit)) else {
        return unit;
    };
    let mut lower = character.to_lowercase();
    match (lower.next().map(u32::from).map(u16::try_from), lower.next()) {
        (Some(Ok(lower)), None) => lower,
        _ => unit,
    }
}
