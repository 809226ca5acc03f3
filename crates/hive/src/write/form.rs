//! The form of names, and limits of sizes, in the writer and the editor.

use crate::structure::{KeyValue, NO_CELL};
use crate::tree::Value;
use cv_overlay::registry::ValueState;

/// Bytes of the largest data in a hive that has no big data: one cell of at most 1 MiB.
pub(crate) const MAX_DATA_IN_ONE_CELL: usize = (1 << 20) - 4;
/// Units of the longest class name: its length in bytes has 16 bits.
pub(crate) const MAX_CLASS: usize = 0x7FFF;

/// Bytes that a name takes, and whether each is a unit.
pub(crate) fn name_form(units: &[u16]) -> (usize, bool) {
    let is_compressed = units.iter().all(|unit| *unit < 256);
    (if is_compressed { units.len() } else { 2 * units.len() }, is_compressed)
}

/// Puts a name in the form it has.
pub(crate) fn put_name(units: &[u16], is_compressed: bool, bytes: &mut [u8]) {
    if is_compressed {
        for (byte, unit) in bytes.iter_mut().zip(units) {
            *byte = *unit as u8;
        }
    } else {
        put_units(units, bytes);
    }
}

/// Puts UTF-16 units.
pub(crate) fn put_units(units: &[u16], bytes: &mut [u8]) {
    for (pair, unit) in bytes.chunks_exact_mut(2).zip(units) {
        pair.copy_from_slice(&unit.to_le_bytes());
    }
}

/// The bytes of a name, and whether each is a unit.
pub(crate) fn name_bytes(units: &[u16]) -> (Vec<u8>, bool) {
    let (length, is_compressed) = name_form(units);
    let mut bytes = vec![0; length];
    put_name(units, is_compressed, &mut bytes);
    (bytes, is_compressed)
}

/// What stands in place of the data's offset where no cell holds it: the data itself, or none of what deletes a value.
pub(crate) fn inline_data(value: &Value) -> Option<u32> {
    if value.data.is_empty() && value.state == ValueState::Tombstone {
        return Some(NO_CELL);
    }
    let mut inline = [0; KeyValue::MAX_INLINE];
    inline.get_mut(..value.data.len())?.copy_from_slice(&value.data);
    Some(u32::from_le_bytes(inline))
}

/// What the record says of the data's size.
pub(crate) fn data_size(value: &Value) -> u32 {
    let size = value.data.len() as u32;
    match inline_data(value) {
        Some(NO_CELL) if size == 0 => 0,
        Some(_) => size | KeyValue::INLINE,
        None => size,
    }
}
