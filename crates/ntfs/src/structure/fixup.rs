//! Fixups: the update sequence array (`MULTI_SECTOR_HEADER`) by which a torn write of a record or an index block shows.
//!
//! The last two bytes of every 512 are replaced by the update sequence number and kept in an array in the header. The
//! stride is 512 bytes whatever the sector size.

use super::fixed_size;
use binrw::binrw;
use cv_disk::Damage;

/// Bytes that one entry of the array protects.
pub const STRIDE: usize = 512;

/// `MULTI_SECTOR_HEADER`: how every protected structure begins.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultiSectorHeader {
    /// 0x00: `FILE`, `INDX`, `RSTR`, `RCRD`, or `BAAD` where a torn write was found.
    pub signature: [u8; 4],
    /// 0x04: where the update sequence array stands.
    pub update_sequence_array_offset: u16,
    /// 0x06: its 16-bit entries, one more than the strides it protects.
    pub update_sequence_array_size: u16,
}

fixed_size!(MultiSectorHeader, "multi-sector header", 8);

/// The array's entries for a structure of `size` bytes.
pub const fn entries(size: usize) -> usize {
    size / STRIDE + 1
}

/// Checks that `bytes` was written as a whole and puts the replaced bytes back. On an error `bytes` may be changed in part.
///
/// Fails where the signature is not `signature`, where the array is not of the right length or lies outside, and where the
/// end of a stride does not hold the update sequence number.
pub fn apply(bytes: &mut [u8], signature: [u8; 4]) -> Result<(), Damage> {
    let array = array_offset(bytes, signature)?;
    for stride in 1..entries(bytes.len()) {
        let end = stride * STRIDE;
        let entry = array + 2 * stride;
        if bytes[end - 2..end] != bytes[array..array + 2] {
            return Err(Damage::new(
                format!("{} update sequence number", signature.escape_ascii()),
                (end - 2) as u64,
                format!("{:#06x}", u16::from_le_bytes([bytes[array], bytes[array + 1]])),
                format!("{:#06x}", u16::from_le_bytes([bytes[end - 2], bytes[end - 1]])),
            ));
        }
        bytes.copy_within(entry..entry + 2, end - 2);
    }
    Ok(())
}

fn array_offset(bytes: &[u8], signature: [u8; 4]) -> Result<usize, Damage> {
    let header = <MultiSectorHeader as super::Structure>::read_from(bytes, 0)?;
    let fault = |field: &str, offset, expected: String, found: String| {
        let structure = format!("{} {field}", signature.escape_ascii());
        Err(Damage::new(structure, offset, expected, found))
    };
    if header.signature != signature {
        return fault(
            "signature",
            0,
            format!("`{}`", signature.escape_ascii()),
            format!("`{}`", header.signature.escape_ascii()),
        );
    }
    let (offset, count) = (
        usize::from(header.update_sequence_array_offset),
        usize::from(header.update_sequence_array_size),
    );
    if count != entries(bytes.len()) || !bytes.len().is_multiple_of(STRIDE) {
        return fault(
            "update sequence array size",
            6,
            entries(bytes.len()).to_string(),
            count.to_string(),
        );
    }
    if offset < 8 || !offset.is_multiple_of(2) || offset + 2 * count > STRIDE - 2 {
        return fault(
            "update sequence array offset",
            4,
            "an even offset within the first stride".into(),
            offset.to_string(),
        );
    }
    Ok(offset)
}

/// Protects `bytes`, whose header already says where its array stands, with the update sequence number `number`, which
/// must not be 0.
///
/// # Panics
/// Where the header's array does not fit `bytes`: the writer made the header itself.
pub fn protect(bytes: &mut [u8], number: u16) {
    let array = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let count = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
    assert_eq!(count, entries(bytes.len()), "the array covers the structure");
    bytes[array..array + 2].copy_from_slice(&number.to_le_bytes());
    for stride in 1..count {
        let end = stride * STRIDE;
        bytes.copy_within(end - 2..end, array + 2 * stride);
        bytes[end - 2..end].copy_from_slice(&number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_protected_comes_back(
            strides in 1_usize..9, seed in any::<u8>(), number in 1_u16..=u16::MAX, torn in any::<prop::sample::Index>()
        ) {
            let size = strides * STRIDE;
            let mut bytes: Vec<u8> = (0..size).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            bytes[..8].copy_from_slice(&[b'F', b'I', b'L', b'E', 0x30, 0, entries(size) as u8, 0]);
            bytes[0x30..0x30 + 2 * entries(size)].fill(0);
            let mut protected = bytes.clone();
            protect(&mut protected, number);
            let mut back = protected.clone();
            apply(&mut back, *b"FILE").unwrap();
            back[0x30..0x30 + 2 * entries(size)].fill(0);
            prop_assert_eq!(back, bytes);

            let end = (torn.index(strides) + 1) * STRIDE;
            protected[end - 1] ^= 1;
            prop_assert_eq!(apply(&mut protected, *b"FILE").unwrap_err().offset, end as u64 - 2);
        }

        #[test]
        fn any_bytes_are_safe(mut bytes in prop::collection::vec(any::<u8>(), 0..1100), keep in any::<bool>()) {
            if keep && bytes.len() >= 8 {
                bytes[..8].copy_from_slice(b"FILE0\0\x03\0");
            }
            let _ = apply(&mut bytes, *b"FILE");
        }
    }
}
