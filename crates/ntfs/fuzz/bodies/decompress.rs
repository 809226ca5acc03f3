//! What the fuzz target and the mutation test do with compressed bytes that may be anything.

use cv_ntfs::compress::{lznt1, lzx, xpress};

/// Decodes `bytes` in every way, into more and less than they hold.
pub fn decompress(bytes: &[u8]) {
    for size in [0, 1, 1000, 4096, 8192, 16384, 32768, 65536] {
        let mut output = vec![0xAA; size];
        let _ = xpress::decode(bytes, &mut output);
        let _ = lzx::decode(bytes, &mut output);
        let decoded = lznt1::decode(bytes, &mut output);
        // Nothing is left of what was there before.
        if decoded.is_ok() && bytes.is_empty() {
            assert!(output.iter().all(|byte| *byte == 0));
        }
    }
}
