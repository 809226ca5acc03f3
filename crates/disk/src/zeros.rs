//! Finding zeros in data.

use std::ops::Range;

/// Whether every byte is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // 64 bytes a step: wide enough for vector registers, and data that is not zero ends the loop almost at once.
    let mut chunks = bytes.chunks_exact(64);
    chunks.all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
        && bytes.chunks_exact(64).remainder().iter().all(|byte| *byte == 0)
}

/// The parts of `bytes` that are not zero, looked at in pieces of `granule` bytes; neighbouring pieces are joined.
///
/// ```
/// let mut bytes = [0; 32];
/// bytes[9] = 1;
/// assert_eq!(cv_disk::data_runs(&bytes, 8).collect::<Vec<_>>(), [8..16]);
/// ```
pub fn data_runs(bytes: &[u8], granule: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let granule = granule.max(1);
    let mut position = 0;
    std::iter::from_fn(move || {
        let piece_is_zero = |start: usize| is_zero(&bytes[start..bytes.len().min(start + granule)]);
        while position < bytes.len() && piece_is_zero(position) {
            position += granule;
        }
        if position >= bytes.len() {
            return None;
        }
        let start = position;
        while position < bytes.len() && !piece_is_zero(position) {
            position += granule;
        }
        Some(start..position.min(bytes.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_of_a_single_byte_is_found() {
        for length in [0, 1, 63, 64, 65, 200] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for position in 0..length {
                bytes[position] = 1;
                assert!(!is_zero(&bytes), "length {length}, position {position}");
                bytes[position] = 0;
            }
        }
    }

    #[test]
    fn runs_cover_all_data_and_the_short_last_piece() {
        let mut bytes = vec![0; 21];
        bytes[0] = 1;
        bytes[20] = 1;
        assert_eq!(data_runs(&bytes, 8).collect::<Vec<_>>(), [0..8, 16..21]);
        assert_eq!(data_runs(&[], 8).count(), 0);
        assert_eq!(data_runs(&[0; 9], 8).count(), 0);
    }
}
