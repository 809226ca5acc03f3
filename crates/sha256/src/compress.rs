//! Blocks of one stream.

use crate::BLOCK;
use sha2::digest::generic_array::GenericArray;

/// Compresses whole blocks.
pub(crate) fn blocks(state: &mut [u32; 8], blocks: &[u8]) {
    for block in blocks.chunks_exact(BLOCK) {
        sha2::compress256(state, std::slice::from_ref(GenericArray::from_slice(block)));
    }
}
