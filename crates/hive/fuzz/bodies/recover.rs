//! What the fuzz target and the mutation test do with a hive and two logs that may be anything.

use cv_hive::structure::marvin32::marvin32;
use cv_hive::structure::{BaseBlock, LogEntry, Structure};
use cv_hive::{Hive, recover};

/// Recovers a hive. `bytes` begin with two numbers of 32 bits, the lengths of the hive and of the first log; these follow, and
/// then the second log. Where the first number has its highest bit set, checksums and hashes are made right first, so that
/// damage reaches what they protect.
pub fn recover_hive(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let [hive, first] =
        [0, 4].map(|at| u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]));
    let is_sealed = hive >> 31 != 0;
    let length = |wanted: u32, there: usize| (wanted as usize & 0x7FFF_FFFF).min(there);
    let (hive, rest) = rest.split_at(length(hive, rest.len()));
    let (first, second) = rest.split_at(length(first, rest.len()));
    let mut parts = [hive.to_vec(), first.to_vec(), second.to_vec()];
    if is_sealed {
        for part in &mut parts {
            seal(part);
        }
    }
    let [hive, first, second] = &parts;
    let Ok(Some(recovered)) = recover(hive, &[first, second]) else {
        return;
    };
    assert!(recovered.bytes.len() <= hive.len().max(4096) + first.len() + second.len());
    assert!(recovered.entries > 0 && !recovered.logs.is_empty());
    let opened = Hive::open(&recovered.bytes).expect("a base block");
    assert!(!opened.is_dirty());
    assert_eq!(recover(&recovered.bytes, &[first, second]), Ok(None));
}

/// Gives a hive or log the checksum, and a log's entries the hashes, that they should have.
fn seal(part: &mut [u8]) {
    if part.len() < BaseBlock::SIZE {
        return;
    }
    BaseBlock::seal(part);
    let mut offset = BaseBlock::SIZE;
    while let Some(entry) = part.get_mut(offset..).filter(|entry| entry.len() >= LogEntry::SIZE) {
        let Ok(header) = LogEntry::parse(entry, 0) else { return };
        let size = header.size as usize;
        if header.signature != LogEntry::SIGNATURE || size < LogEntry::SIZE || size > entry.len() {
            return;
        }
        let hash = marvin32(&entry[LogEntry::SIZE..size]);
        entry[24..32].copy_from_slice(&hash.to_le_bytes());
        let hash = marvin32(&entry[..32]);
        entry[32..40].copy_from_slice(&hash.to_le_bytes());
        offset += size;
    }
}
