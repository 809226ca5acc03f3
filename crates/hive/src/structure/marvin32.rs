//! Marvin32, the hash that log entries are checked by.

/// The seed for log entries, 0x82EF4D887A4E55C5: its low half and its high half.
const SEED: (u32, u32) = (0x7A4E_55C5, 0x82EF_4D88);

/// The hash of `bytes`.
pub fn marvin32(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = SEED;
    let mut take = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
    };
    let words = bytes.chunks_exact(4);
    // The bytes that are left over, and behind them one that marks the end.
    let rest = words
        .remainder()
        .iter()
        .rev()
        .fold(0x80, |word, byte| word << 8 | u32::from(*byte));
    for word in words {
        take(u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    }
    take(rest);
    take(0);
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_a_log_of_windows() {
        // The first 32 bytes of the entry in the second log of a user's hive, and the hash behind them.
        let entry = [
            0x48, 0x76, 0x4C, 0x45, 0x00, 0xFE, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x32, 0x02, 0x00, 0x00, 0x00, 0xA0,
            0x0B, 0x00, 0x09, 0x00, 0x00, 0x00, 0xB7, 0x8E, 0xBA, 0x71, 0x04, 0x63, 0xBA, 0x7A,
        ];
        assert_eq!(marvin32(&entry), 0xB08B_EB40_8879_C7DF);
    }
}
