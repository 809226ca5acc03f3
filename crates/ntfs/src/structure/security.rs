//! `$Secure`: the security descriptors of the volume, each once.
//!
//! The stream `$SDS` holds them in pairs of stripes of 256 KiB: whatever stands in the first stripe of a pair stands in the
//! second too, 0x40000 further. An entry does not cross the end of a stripe. `$SII` finds one by its number, `$SDH` by its
//! hash.

use super::{Structure, align, fixed_size, part};
use binrw::binrw;
use cv_disk::Damage;

/// Bytes of a stripe of `$SDS`, and from an entry to its copy.
pub const STRIPE: u64 = 0x4_0000;
/// The least number that Windows gives a security descriptor.
pub const FIRST_ID: u32 = 0x100;
/// Entries of `$SDS` begin on this many bytes.
pub const ENTRY_ALIGNMENT: u64 = 16;
/// What stands in the padding behind an entry of `$SDH`: `II`.
pub const HASH_ENTRY_PADDING: [u8; 4] = [0x49, 0, 0x49, 0];
/// The longest security descriptor.
pub const MAX_DESCRIPTOR: u32 = 64 << 10;

/// `SECURITY_DESCRIPTOR_HEADER`: how an entry of `$SDS` begins, and the data of `$SII` and `$SDH`.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityDescriptorEntryHeader {
    /// 0x00: hash of the security descriptor.
    pub hash: u32,
    /// 0x04: its number.
    pub security_id: u32,
    /// 0x08: where the entry stands in `$SDS`.
    pub offset: u64,
    /// 0x10: bytes of the entry, header included.
    pub length: u32,
}

fixed_size!(SecurityDescriptorEntryHeader, "$SDS entry", 20);

/// The hash by which `$SDH` finds a security descriptor; what is left of the last four bytes does not count.
pub fn hash(descriptor: &[u8]) -> u32 {
    descriptor.chunks_exact(4).fold(0, |hash: u32, word| {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        hash.rotate_left(3).wrapping_add(word)
    })
}

/// Where in `$SDS` an entry of `length` bytes goes that comes after one ending at `end` (0 for the first): the next
/// alignment, or the next pair of stripes where it would cross the end of the stripe.
pub fn next_offset(end: u64, length: u32) -> u64 {
    let start = end.next_multiple_of(ENTRY_ALIGNMENT);
    let pair = start / (2 * STRIPE) * (2 * STRIPE);
    if start - pair + u64::from(length) > STRIPE {
        pair + 2 * STRIPE
    } else {
        start
    }
}

/// The bytes of an entry of `$SDS` for `descriptor`, without padding.
pub fn encode_entry(security_id: u32, offset: u64, descriptor: &[u8]) -> Vec<u8> {
    let mut bytes = header(security_id, offset, descriptor).to_bytes();
    bytes.extend_from_slice(descriptor);
    bytes
}

/// The header of the entry of `$SDS` for `descriptor`.
pub fn header(security_id: u32, offset: u64, descriptor: &[u8]) -> SecurityDescriptorEntryHeader {
    SecurityDescriptorEntryHeader {
        hash: hash(descriptor),
        security_id,
        offset,
        length: (SecurityDescriptorEntryHeader::SIZE + descriptor.len()) as u32,
    }
}

/// The security descriptor of the entry `bytes` of `$SDS`, which `wanted` describes.
pub fn descriptor<'a>(bytes: &'a [u8], wanted: &SecurityDescriptorEntryHeader) -> Result<&'a [u8], Damage> {
    let found = SecurityDescriptorEntryHeader::read_from(bytes, 0)?;
    if found != *wanted {
        return Err(Damage::new(
            "$SDS entry",
            0,
            format!("{wanted:x?}"),
            format!("{found:x?}"),
        ));
    }
    let size = SecurityDescriptorEntryHeader::SIZE;
    let descriptor = part(
        bytes,
        size,
        (found.length as usize).saturating_sub(size),
        "security descriptor",
    )?;
    let computed = hash(descriptor);
    if computed != found.hash {
        return Err(Damage::new(
            "$SDS entry, hash",
            0,
            format!("{computed:#010x}"),
            format!("{:#010x}", found.hash),
        ));
    }
    Ok(descriptor)
}

/// The bytes of the entry of `$SDH` for an entry of `$SDS`.
pub fn encode_hash_index_entry(header: &SecurityDescriptorEntryHeader, child: Option<u64>) -> Vec<u8> {
    let key = super::view_index::SecurityHashKey {
        hash: header.hash,
        security_id: header.security_id,
    };
    let mut bytes = super::index::encode_view_entry(&key.to_bytes(), &header.to_bytes(), child);
    let padding = super::index::IndexEntryHeader::SIZE + 8 + SecurityDescriptorEntryHeader::SIZE;
    bytes[padding..padding + 4].copy_from_slice(&HASH_ENTRY_PADDING);
    align(&mut bytes);
    bytes
}

/// The bytes of the entry of `$SII` for an entry of `$SDS`.
pub fn encode_id_index_entry(header: &SecurityDescriptorEntryHeader, child: Option<u64>) -> Vec<u8> {
    super::index::encode_view_entry(&header.security_id.to_le_bytes(), &header.to_bytes(), child)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_do_not_cross_stripes() {
        assert_eq!(next_offset(0, 100), 0);
        assert_eq!(next_offset(100, 100), 112);
        assert_eq!(next_offset(STRIPE - 200, 100), STRIPE - 192);
        assert_eq!(next_offset(STRIPE - 50, 100), 2 * STRIPE);
        assert_eq!(next_offset(STRIPE, 20), 2 * STRIPE);
        assert_eq!(next_offset(3 * STRIPE - 16, 16), 3 * STRIPE - 16);
        assert_eq!(next_offset(3 * STRIPE - 16, 17), 4 * STRIPE);
    }

    #[test]
    fn an_entry_comes_back() {
        let bytes = encode_entry(0x101, 0x50, b"some descriptor.");
        let header = header(0x101, 0x50, b"some descriptor.");
        assert_eq!(descriptor(&bytes, &header).unwrap(), b"some descriptor.");
        let mut bad = bytes.clone();
        bad[30] ^= 1;
        assert!(descriptor(&bad, &header).is_err());
        assert_eq!(encode_hash_index_entry(&header, None).len(), 48);
        assert_eq!(encode_hash_index_entry(&header, Some(1)).len(), 56);
        assert_eq!(encode_id_index_entry(&header, None).len(), 40);
    }
}
