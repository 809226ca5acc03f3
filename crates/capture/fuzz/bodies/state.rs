//! What the fuzz target `state` does with its input.

use cv_capture::snapshot::{from_bytes, readiness};

/// Reads a saved snapshot: the input as it is, and packed, so that what is inside is reached as well.
pub fn state(bytes: &[u8]) {
    let mut packed = b"CVSTATE\x01".to_vec();
    packed.extend(zstd::encode_all(bytes, 1).unwrap_or_default());
    for bytes in [bytes, &packed] {
        if let Ok(snapshot) = from_bytes(bytes) {
            readiness(&snapshot);
            for entry in 0..snapshot.files.len() as u32 {
                snapshot.files.path(entry);
            }
        }
    }
}
