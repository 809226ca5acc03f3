//! What the fuzz target `usn` does with its input.

use cv_windows::usn::records;

/// Reads records; there cannot be more than bytes for them.
pub fn usn(bytes: &[u8]) {
    let Ok(batch) = records(bytes) else { return };
    assert!(batch.records.len() * 60 <= bytes.len());
    for record in &batch.records {
        assert!(record.name.len() * 2 <= bytes.len());
        let _ = record.is_deletion();
    }
}
