//! What the fuzz target and the mutation test do with a volume that is checked.

use cv_disk::{Faults, MemoryDisk, Quiet, ReadAt};
use std::sync::Arc;

/// Checks `bytes` as a volume: whatever they hold there are findings, in bounded number.
pub fn check(bytes: &[u8]) {
    let disk = Arc::new(MemoryDisk::from(bytes));
    let volume: Arc<dyn ReadAt> = disk.clone();
    let faults = cv_ntfs::check::check(&volume, &Quiet).expect("a disk in memory is readable");
    drop(volume);
    assert_eq!(Arc::strong_count(&disk), 1, "nothing outlives the check");
    assert!(faults.listed().len() <= Faults::LISTED);
    assert!(
        faults
            .listed()
            .is_sorted_by(|left, right| left.severity >= right.severity)
    );
    for fault in faults.listed() {
        let text = fault.to_string();
        assert!(text.len() < 10_000 && !text.contains('\n'), "{text}");
        assert!(!fault.repairable);
    }
    assert!(disk.to_vec() == bytes, "the check changed the volume");
}
