//! Subkeys lists: index leaf (`li`), fast leaf (`lf`), hash leaf (`lh`), and index root (`ri`), a list of leaves.

use super::fixed_size;
use binrw::binrw;
use cv_winname::UpcaseTable;

/// What every list begins with; its elements follow.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListHeader {
    /// 0: which kind of list it is.
    pub signature: [u8; 2],
    /// 2: number of elements.
    pub number_of_elements: u16,
}

fixed_size!(ListHeader, "subkeys list", 4);

impl ListHeader {
    /// Signature of an index root, whose elements are the offsets of leaves.
    pub const INDEX_ROOT: [u8; 2] = *b"ri";
}

/// The kinds of leaf. Each element begins with the offset of a key node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeafKind {
    /// `li`: nothing else.
    Index,
    /// `lf`: the name's first four characters follow.
    Fast,
    /// `lh`: the name's hash follows.
    Hash,
}

impl LeafKind {
    /// Elements of a leaf at most: as many as Windows puts there.
    pub const MAX_ELEMENTS: usize = 507;

    /// The kind of this signature.
    pub fn of(signature: [u8; 2]) -> Option<Self> {
        match &signature {
            b"li" => Some(Self::Index),
            b"lf" => Some(Self::Fast),
            b"lh" => Some(Self::Hash),
            _ => None,
        }
    }

    /// Its signature.
    pub fn signature(self) -> [u8; 2] {
        match self {
            Self::Index => *b"li",
            Self::Fast => *b"lf",
            Self::Hash => *b"lh",
        }
    }

    /// Bytes of an element.
    pub fn element_size(self) -> usize {
        match self {
            Self::Index => 4,
            Self::Fast | Self::Hash => 8,
        }
    }

    /// The kind that the leaves of a list have: alone, or below an index root.
    pub fn for_version(minor_version: u32, below_root: bool) -> Self {
        match minor_version {
            5.. => Self::Hash,
            _ if below_root => Self::Index,
            _ => Self::Fast,
        }
    }

    /// What follows the offset in the element of a key of this name: hash or hint; 0 where nothing does.
    pub fn tag(self, name: impl Iterator<Item = u16>) -> u32 {
        match self {
            Self::Index => 0,
            Self::Fast => name_hint(name),
            Self::Hash => name_hash(name),
        }
    }
}

/// The hash of a name: 37 times the hash so far, plus the next unit in upper case.
pub fn name_hash(name: impl Iterator<Item = u16>) -> u32 {
    let table = UpcaseTable::windows();
    name.fold(0, |hash: u32, unit| {
        hash.wrapping_mul(37).wrapping_add(u32::from(table.upcase(unit)))
    })
}

/// The hint of a name: its first four characters, as they are, with zeros behind; zeros from the first that is beyond 255.
pub fn name_hint(name: impl Iterator<Item = u16>) -> u32 {
    let mut hint = [0; 4];
    for (byte, unit) in hint.iter_mut().zip(name) {
        match u8::try_from(unit) {
            Ok(unit) => *byte = unit,
            Err(_) => return 0,
        }
    }
    u32::from_le_bytes(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_fold_case_and_hints_do_not() {
        let hash = |text: &str| name_hash(text.encode_utf16());
        assert_eq!(hash("Software"), hash("SOFTWARE"));
        assert_eq!(hash("ab"), 65 * 37 + 66);
        let hint = |text: &str| name_hint(text.encode_utf16());
        assert_eq!(hint("Software"), u32::from_le_bytes(*b"Soft"));
        assert_eq!(hint("ab"), u32::from_le_bytes(*b"ab\0\0"));
        assert_eq!(hint("a日bc"), 0);
    }
}
