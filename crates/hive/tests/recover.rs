//! Hives recovered from their logs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cv_hive::structure::{BaseBlock, LogEntry, Structure};
use cv_hive::{Hive, RecoverError, recover};

mod support;
use support::corpus;

fn counts(bytes: &[u8]) -> (usize, usize) {
    let hive = Hive::open(bytes).unwrap();
    let keys: Vec<_> = hive.walk().map(|(_, key)| key.unwrap()).collect();
    (keys.len(), keys.iter().map(|key| key.values().count()).sum())
}

#[test]
fn an_old_log_gives_what_windows_recovered() {
    let (Some(dirty), Some(log), Some(windows)) = (
        corpus("yarp-OldDirtyHive"),
        corpus("yarp-OldDirtyHive.LOG1"),
        corpus("yarp-RecoveredHive_Windows7"),
    ) else {
        return;
    };
    assert!(Hive::open(&dirty).unwrap().is_dirty());
    assert_eq!(counts(&dirty), (5003, 0));
    let recovered = recover(&dirty, &[&log]).unwrap().unwrap();
    assert_eq!(recovered.logs, [0]);
    assert_eq!(recovered.stopped, None);
    assert_eq!(recovered.written, 64 * 512);
    assert_eq!(counts(&recovered.bytes), (5003, 1));
    assert!(!Hive::open(&recovered.bytes).unwrap().is_dirty());

    // Windows kept the hive loaded and wrote it twice more; what it changed then, and nothing else, differs.
    let later = [
        // Sequence numbers and the time of the last write.
        4..20,
        // The name of the file that it was loaded from.
        48..112,
        // The checksum over these.
        508..512,
        // The time of the last write in the first hive bin.
        4096 + 20..4096 + 28,
        // Largest value name length of the key `3450`, raised by a longer name that was set and deleted.
        0x6_BDC8..0x6_BDCC,
    ];
    let differs = |offset: &usize| recovered.bytes[*offset] != windows[*offset];
    let differences: Vec<_> = (0..windows.len())
        .filter(differs)
        .filter(|offset| !later.iter().any(|range| range.contains(offset)))
        .collect();
    assert_eq!(recovered.bytes.len(), windows.len());
    assert_eq!(differences, []);

    // What is recovered needs no recovery.
    assert_eq!(recover(&recovered.bytes, &[&log]), Ok(None));

    // Where the base block is damaged, that of the log takes its place, if it is as old as the first hive bin.
    let mut damaged = dirty.clone();
    damaged[40] ^= 1;
    assert!(matches!(recover(&damaged, &[&log]), Err(RecoverError::NoLog(damage)) if damage.offset == 12));
    damaged[4096 + 20..4096 + 28].copy_from_slice(&log[12..20]);
    let again = recover(&damaged, &[&log]).unwrap().unwrap();
    assert!(again.is_base_block_from_log);
    assert!(again.bytes == recovered.bytes);

    // A log of another time is not applied.
    let mut other = log.clone();
    other[12] ^= 1;
    BaseBlock::seal(&mut other);
    assert!(matches!(recover(&dirty, &[&other]), Err(RecoverError::NoLog(damage)) if damage.offset == 12));

    // The third page begins no hive bin any more: what precedes it is applied.
    let first_bin = 4096 + u32::from_le_bytes(dirty[4104..4108].try_into().unwrap()) as usize;
    let page = (0..64).find(|page| log[1024 + page * 512..].starts_with(b"hbin") && *page > 0);
    if let Some(page) = page {
        let mut torn = log.clone();
        torn[1024 + page * 512] = 0;
        let part = recover(&dirty, &[&torn]).unwrap().unwrap();
        assert_eq!(part.written, page as u64 * 512);
        assert_eq!(part.stopped.unwrap().1.structure, "hive bin");
        assert!(first_bin > 4096);
    }
}

/// The entries of a log: where each begins, and its start.
fn entries(log: &[u8]) -> Vec<(usize, LogEntry)> {
    let mut entries = Vec::new();
    let mut offset = 512;
    while log[offset..].starts_with(b"HvLE") {
        let entry = LogEntry::parse(&log[offset..], 0).unwrap();
        entries.push((offset, entry));
        offset += entry.size as usize;
    }
    entries
}

#[test]
fn entries_of_new_logs_are_applied_in_order() {
    let (Some(dirty), Some(log1), Some(log2)) = (
        corpus("transactions_NTUSER.DAT"),
        corpus("transactions_ntuser.dat.log1"),
        corpus("transactions_ntuser.dat.log2"),
    ) else {
        return;
    };
    let recovered = recover(&dirty, &[&log1, &log2]).unwrap().unwrap();
    // The second log ends before the first begins, and the hive has what it holds.
    assert_eq!(recovered.logs, [0]);
    assert_eq!(recovered.entries, 23);
    assert_eq!(recovered.stopped, None);
    let hive = Hive::open(&recovered.bytes).unwrap();
    assert!(!hive.is_dirty());
    let block = hive.base_block();
    assert_eq!(
        (block.primary_sequence_number, block.hive_bins_data_size),
        (588, 0xE_2000)
    );
    assert_eq!(block.file_type, 0);
    hive.to_tree().unwrap();
    // regipy 6.5 gives the same hive but for one page, which it takes from the older of the two logs.
    assert_eq!(counts(&recovered.bytes), (3105, 4695));
    let worst = cv_hive::check::check(&recovered.bytes).unwrap();
    let worst = worst.listed().iter().map(|fault| fault.severity).max();
    assert_eq!(worst, Some(cv_disk::Severity::Note));
    // In whatever order the logs are given.
    assert_eq!(
        recover(&dirty, &[&[], &log2, &log1]).unwrap().unwrap().bytes,
        recovered.bytes
    );

    // Split over two logs, the entries give the same.
    let entries = entries(&log1);
    let cut = entries[10].0;
    let first = &log1[..cut];
    let mut second = log1[..512].to_vec();
    second[4..8].copy_from_slice(&entries[10].1.sequence_number.to_le_bytes());
    second[8..12].copy_from_slice(&entries[10].1.sequence_number.to_le_bytes());
    BaseBlock::seal(&mut second);
    second.extend_from_slice(&log1[cut..]);
    let split = recover(&dirty, &[&second, first]).unwrap().unwrap();
    assert_eq!((split.bytes, split.logs), (recovered.bytes.clone(), vec![1, 0]));

    // Where the base block is damaged, the later log alone is applied.
    let mut damaged = dirty.clone();
    damaged[0..8].fill(0xFF);
    let again = recover(&damaged, &[&log1, &log2]).unwrap().unwrap();
    assert!(again.is_base_block_from_log);
    assert_eq!(again.bytes[4096..], recovered.bytes[4096..]);
    assert_eq!(again.entries, 23);

    // Damage ends recovery with the entry before; a gap does too.
    let (offset, entry) = entries[5];
    for (at, field) in [
        (30, "hash 1"),
        (200, "hash 1"),
        (36, "hash 2"),
        (13, "hash 2"),
        (4, "size"),
    ] {
        let mut torn = log1.clone();
        torn[offset + at] ^= 1;
        let part = recover(&dirty, &[&torn, &log2]).unwrap().unwrap();
        assert_eq!(part.entries, 5, "{field}");
        let (place, damage) = part.stopped.unwrap();
        assert_eq!(place, 0);
        assert!(damage.structure.contains("log entry"), "{damage}");
        let block = Hive::open(&part.bytes).unwrap().base_block().clone();
        assert_eq!(block.secondary_sequence_number, entry.sequence_number - 1);
    }
    let gap = [&log1[..offset], &log1[entries[6].0..]].concat();
    let part = recover(&dirty, &[&gap]).unwrap().unwrap();
    assert_eq!(part.entries, 5);
    assert_eq!(part.stopped.unwrap().1.offset, offset as u64 + 12);

    // Logs that hold nothing for the hive do not make it clean.
    assert!(matches!(
        recover(&dirty, &[&log2]),
        Err(RecoverError::NoLog(_) | RecoverError::NoLogs)
    ));
    assert_eq!(recover(&dirty, &[]), Err(RecoverError::NoLogs));
    assert!(matches!(recover(&dirty, &[&log1[..400]]), Err(RecoverError::NoLog(_))));
}
