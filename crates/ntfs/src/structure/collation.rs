//! The orders in which indexes are sorted.

use binrw::binrw;
use cv_winname::UpcaseTable;
use std::cmp::Ordering;
use std::fmt;

/// How an index is sorted (`COLLATION_…`).
#[binrw]
#[brw(little)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CollationRule(pub u32);

impl CollationRule {
    /// By bytes.
    pub const BINARY: Self = Self(0);
    /// By `$FILE_NAME`'s name: `$I30`.
    pub const FILE_NAME: Self = Self(1);
    /// By units in upper case.
    pub const UNICODE_STRING: Self = Self(2);
    /// By one 32-bit number: `$SII`, `$Q`.
    pub const NTOFS_ULONG: Self = Self(0x10);
    /// By security identifier: `$O` of `$Quota`.
    pub const NTOFS_SID: Self = Self(0x11);
    /// By hash, then by id: `$SDH`.
    pub const NTOFS_SECURITY_HASH: Self = Self(0x12);
    /// By 32-bit numbers, one after the other: `$R`, `$O` of `$ObjId`.
    pub const NTOFS_ULONGS: Self = Self(0x13);

    /// The order of two keys of an index sorted so; `upcase` serves [`FILE_NAME`](Self::FILE_NAME). An unknown rule orders
    /// by bytes.
    pub fn compare(self, left: &[u8], right: &[u8], upcase: &UpcaseTable) -> Ordering {
        match self {
            Self::FILE_NAME => {
                let name = |key| cv_winname::wtf8::from_le_bytes(super::FileName::name_bytes(key).unwrap_or_default());
                upcase.collate(&name(left), &name(right))
            }
            Self::UNICODE_STRING => {
                let name = cv_winname::wtf8::from_le_bytes;
                upcase.compare(&name(left), &name(right))
            }
            Self::NTOFS_ULONG | Self::NTOFS_SECURITY_HASH | Self::NTOFS_ULONGS => {
                words(left).cmp(words(right)).then_with(|| left.len().cmp(&right.len()))
            }
            Self::NTOFS_SID => left.len().cmp(&right.len()).then_with(|| left.cmp(right)),
            _ => left.cmp(right),
        }
    }
}

fn words(key: &[u8]) -> impl Iterator<Item = u32> + '_ {
    key.chunks_exact(4)
        .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
}

impl fmt::Debug for CollationRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BINARY => f.write_str("BINARY"),
            Self::FILE_NAME => f.write_str("FILE_NAME"),
            Self::UNICODE_STRING => f.write_str("UNICODE_STRING"),
            Self::NTOFS_ULONG => f.write_str("NTOFS_ULONG"),
            Self::NTOFS_SID => f.write_str("NTOFS_SID"),
            Self::NTOFS_SECURITY_HASH => f.write_str("NTOFS_SECURITY_HASH"),
            Self::NTOFS_ULONGS => f.write_str("NTOFS_ULONGS"),
            Self(other) => write!(f, "{other:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_not_compared_as_bytes() {
        let table = UpcaseTable::windows();
        let key = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        for rule in [CollationRule::NTOFS_ULONGS, CollationRule::NTOFS_SECURITY_HASH] {
            assert_eq!(rule.compare(&key(&[1, 256]), &key(&[1, 3]), table), Ordering::Greater);
            assert_eq!(rule.compare(&key(&[2, 0]), &key(&[256, 0]), table), Ordering::Less);
        }
        assert_eq!(
            CollationRule::BINARY.compare(&key(&[256]), &key(&[3]), table),
            Ordering::Less
        );
    }
}
