//! The stream `WofCompressedData`: a table of where each chunk ends but the last, then the chunks, each compressed by itself
//! or, where that is no shorter, as it is.

/// Bytes of content that are compressed together by XPRESS4K.
pub(crate) const CHUNK: usize = 4096;
/// Content from this size on has a table of 64-bit numbers.
const LARGE: u64 = 1 << 32;

/// Bytes of the table for content of `size` bytes.
pub(crate) fn table_size(size: u64) -> u64 {
    let chunks = size.div_ceil(CHUNK as u64);
    chunks.saturating_sub(1) * entry_size(size)
}

fn entry_size(size: u64) -> u64 {
    if size >= LARGE { 8 } else { 4 }
}

/// Bytes of the stream for content of `size` bytes that cannot be compressed at all.
pub(crate) fn largest_size(size: u64) -> u64 {
    table_size(size) + size
}

/// The table for content of `size` bytes whose chunks have these sizes.
pub(crate) fn table(size: u64, chunks: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut table = Vec::with_capacity(table_size(size) as usize);
    let mut end = 0;
    for chunk in chunks {
        if table.len() as u64 == table_size(size) {
            break;
        }
        end += u64::from(chunk);
        table.extend_from_slice(&end.to_le_bytes()[..entry_size(size) as usize]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_where_chunks_end() {
        assert_eq!(
            table(10_000, [100, 4096, 7].into_iter()),
            [100, 0, 0, 0, 0x64, 0x10, 0, 0]
        );
        assert_eq!(table(4096, [100].into_iter()), []);
        assert_eq!(table_size(LARGE), ((1 << 20) - 1) * 8);
        assert_eq!(largest_size(0), 0);
    }
}
