//! Indexes: B-trees in `$INDEX_ROOT` and `$INDEX_ALLOCATION`.
//!
//! A node is an [`IndexHeader`] and its entries. The root's stands in `$INDEX_ROOT` behind [`IndexRootHeader`], the others'
//! in the blocks of `$INDEX_ALLOCATION` behind [`IndexBlockHeader`]. Every node ends with an entry without a key; in a node
//! that is no leaf every entry, that one too, has a child, whose keys come before the entry's.

use super::attribute::AttributeType;
use super::collation::CollationRule;
use super::file_reference::FileReference;
use super::fixup::MultiSectorHeader;
use super::{Structure, align, aligned, fixed_size, part};
use binrw::binrw;
use bitflags::bitflags;
use cv_disk::Damage;

/// `INDEX_ROOT` without its node.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexRootHeader {
    /// 0x00: the attribute whose values are the keys, `$FILE_NAME`, or 0 in a view index.
    pub indexed_attribute: AttributeType,
    /// 0x04: how the keys are sorted.
    pub collation_rule: CollationRule,
    /// 0x08: bytes of a block.
    pub bytes_per_index_buffer: u32,
    /// 0x0C: clusters of a block, or units of 512 bytes where clusters are larger than a block.
    pub blocks_per_index_buffer: u8,
    /// 0x0D: 0.
    pub reserved: [u8; 3],
}

fixed_size!(IndexRootHeader, "$INDEX_ROOT", 0x10);

bitflags! {
    /// What a node is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct NodeFlags: u8 {
        /// Its entries have children.
        const INDEX_NODE = 0x01;
    }
}

/// `INDEX_HEADER`: how a node begins. Offsets count from its start.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexHeader {
    /// 0x00: where the first entry stands.
    pub first_index_entry: u32,
    /// 0x04: where the entries end.
    pub first_free_byte: u32,
    /// 0x08: where the node ends.
    pub bytes_available: u32,
    /// 0x0C: what it is.
    #[br(map = NodeFlags::from_bits_retain)]
    #[bw(map = NodeFlags::bits)]
    pub flags: NodeFlags,
    /// 0x0D: 0.
    pub reserved: [u8; 3],
}

fixed_size!(IndexHeader, "index header", 0x10);

impl IndexHeader {
    /// Where it stands in `$INDEX_ROOT`.
    pub const OFFSET_IN_ROOT: usize = IndexRootHeader::SIZE;
    /// Where it stands in a block.
    pub const OFFSET_IN_BLOCK: usize = IndexBlockHeader::SIZE;

    /// The entries of the node that begins at `offset` of `bytes`.
    pub fn entries<'a>(&self, bytes: &'a [u8], offset: usize) -> Result<IndexEntries<'a>, Damage> {
        let first = self.first_index_entry as usize;
        let end = self.first_free_byte as usize;
        if first < Self::SIZE || !first.is_multiple_of(8) || first > end || end > bytes.len().saturating_sub(offset) {
            return Err(Damage::new(
                "index header, first entry and first free byte",
                offset as u64,
                format!("ascending offsets up to {}", bytes.len().saturating_sub(offset)),
                format!("{first} and {end}"),
            ));
        }
        Ok(IndexEntries {
            bytes: &bytes[..offset + end],
            position: offset + first,
            ended: false,
        })
    }
}

/// `INDEX_ALLOCATION_BUFFER` without its node.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexBlockHeader {
    /// 0x00: [`IndexBlockHeader::SIGNATURE`] and the update sequence array, at 0x28.
    pub multi_sector_header: MultiSectorHeader,
    /// 0x08: log sequence number of the last change in `$LogFile`; may be 0.
    pub lsn: u64,
    /// 0x10: the block's own virtual cluster number.
    pub this_block: u64,
}

fixed_size!(IndexBlockHeader, "INDX header", 0x18);

impl IndexBlockHeader {
    /// How a block begins.
    pub const SIGNATURE: [u8; 4] = *b"INDX";
    /// Where the update sequence array stands.
    pub const UPDATE_SEQUENCE_OFFSET: usize = 0x28;

    /// The header of block `this_block` of `block_size` bytes.
    pub fn new(this_block: u64, block_size: u32) -> Self {
        Self {
            multi_sector_header: MultiSectorHeader {
                signature: Self::SIGNATURE,
                update_sequence_array_offset: Self::UPDATE_SEQUENCE_OFFSET as u16,
                update_sequence_array_size: super::fixup::entries(block_size as usize) as u16,
            },
            lsn: 0,
            this_block,
        }
    }

    /// Where the first entry of a block of `block_size` stands, from the block's start: 0x40 for 4096.
    pub const fn first_entry_offset(block_size: u32) -> usize {
        aligned(Self::UPDATE_SEQUENCE_OFFSET + 2 * super::fixup::entries(block_size as usize))
    }
}

bitflags! {
    /// What an entry has.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct EntryFlags: u16 {
        /// A child, whose block's number is its last eight bytes.
        const INDEX_ENTRY_NODE = 0x0001;
        /// No key: it is the node's last.
        const INDEX_ENTRY_END = 0x0002;
    }
}

/// `INDEX_ENTRY` without key, data and child.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntryHeader {
    /// 0x00: of a directory, the file; in a view index data offset (16 bits), data length (16 bits) and 0.
    pub file_reference: FileReference,
    /// 0x08: bytes of the entry, a multiple of 8.
    pub length: u16,
    /// 0x0A: bytes of the key, which follows the header.
    pub attribute_length: u16,
    /// 0x0C: what it has.
    #[br(map = EntryFlags::from_bits_retain)]
    #[bw(map = EntryFlags::bits)]
    pub flags: EntryFlags,
    /// 0x0E: 0.
    pub reserved: u16,
}

fixed_size!(IndexEntryHeader, "index entry", 0x10);

/// An entry within the bytes of its node.
#[derive(Debug, Clone, Copy)]
pub struct IndexEntry<'a> {
    /// Where it stands in the bytes of the root's value or the block.
    pub offset: usize,
    /// Its header.
    pub header: IndexEntryHeader,
    /// Its bytes, header included.
    pub bytes: &'a [u8],
}

impl<'a> IndexEntry<'a> {
    /// Its key; empty in a node's last entry.
    pub fn key(&self) -> &'a [u8] {
        if self.is_end() {
            return &[];
        }
        let length = usize::from(self.header.attribute_length);
        &self.bytes[IndexEntryHeader::SIZE..IndexEntryHeader::SIZE + length]
    }

    /// Whether it is its node's last.
    pub fn is_end(&self) -> bool {
        self.header.flags.contains(EntryFlags::INDEX_ENTRY_END)
    }

    /// Virtual cluster number of its child's block.
    pub fn child(&self) -> Option<u64> {
        let last = self.bytes.last_chunk::<8>().copied().map(u64::from_le_bytes);
        last.filter(|_| self.header.flags.contains(EntryFlags::INDEX_ENTRY_NODE))
    }

    /// The data beside the key, in a view index.
    pub fn data(&self) -> Result<&'a [u8], Damage> {
        let raw = self.header.file_reference.0;
        part(
            self.bytes,
            usize::from(raw as u16),
            usize::from((raw >> 16) as u16),
            "index entry, data",
        )
        .map_err(|damage| super::moved(damage, self.offset as u64))
    }
}

/// The entries of a node up to the one without a key, which is the last item; so is an entry that is damaged.
#[derive(Debug, Clone)]
pub struct IndexEntries<'a> {
    bytes: &'a [u8],
    position: usize,
    ended: bool,
}

impl<'a> IndexEntries<'a> {
    fn step(&mut self) -> Result<IndexEntry<'a>, Damage> {
        self.ended = true;
        let offset = self.position;
        let header = IndexEntryHeader::read_from(self.bytes, offset)?;
        let length = usize::from(header.length);
        let child = if header.flags.contains(EntryFlags::INDEX_ENTRY_NODE) {
            8
        } else {
            0
        };
        let is_end = header.flags.contains(EntryFlags::INDEX_ENTRY_END);
        let key = if is_end {
            0
        } else {
            usize::from(header.attribute_length)
        };
        let least = aligned(IndexEntryHeader::SIZE + key) + child;
        if length < least || !length.is_multiple_of(8) || length > self.bytes.len() - offset {
            return Err(Damage::new(
                "index entry, length",
                offset as u64 + 8,
                format!("a multiple of 8 from {least} to {}", self.bytes.len() - offset),
                length.to_string(),
            ));
        }
        self.ended = is_end;
        self.position = offset + length;
        Ok(IndexEntry {
            offset,
            header,
            bytes: &self.bytes[offset..offset + length],
        })
    }
}

impl<'a> Iterator for IndexEntries<'a> {
    type Item = Result<IndexEntry<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended { None } else { Some(self.step()) }
    }
}

/// The bytes of a directory's entry for `file`, whose key is a `$FILE_NAME` value.
pub fn encode_name_entry(file: FileReference, key: &[u8], child: Option<u64>) -> Vec<u8> {
    encode_entry(file, key, &[], EntryFlags::empty(), child)
}

/// The bytes of a view index's entry with `key` and `data`. An entry with neither data offset nor data (`$R`) is made of
/// empty `data`.
pub fn encode_view_entry(key: &[u8], data: &[u8], child: Option<u64>) -> Vec<u8> {
    // Data follows the key on four bytes, as $SDH, $SII, $O and $Q have it.
    let data_offset = (IndexEntryHeader::SIZE + key.len()).next_multiple_of(4);
    let place = FileReference(data_offset as u64 | (data.len() as u64) << 16);
    encode_entry(place, key, data, EntryFlags::empty(), child)
}

/// The bytes of a node's last entry.
pub fn encode_end_entry(child: Option<u64>) -> Vec<u8> {
    encode_entry(FileReference(0), &[], &[], EntryFlags::INDEX_ENTRY_END, child)
}

fn encode_entry(
    file_reference: FileReference,
    key: &[u8],
    data: &[u8],
    flags: EntryFlags,
    child: Option<u64>,
) -> Vec<u8> {
    let header = IndexEntryHeader {
        file_reference,
        length: 0,
        attribute_length: key.len() as u16,
        flags: match child {
            Some(_) => flags | EntryFlags::INDEX_ENTRY_NODE,
            None => flags,
        },
        reserved: 0,
    };
    let mut bytes = header.to_bytes();
    bytes.extend_from_slice(key);
    if !data.is_empty() {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(data);
    }
    align(&mut bytes);
    bytes.extend(child.iter().flat_map(|vcn| vcn.to_le_bytes()));
    let length = bytes.len() as u16;
    bytes[8..10].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// The name of a directory's index.
pub const I30: [u16; 4] = super::system_file::units("$I30");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(entries: &[Vec<u8>]) -> Vec<u8> {
        let body = entries.concat();
        let header = IndexHeader {
            first_index_entry: 16,
            first_free_byte: 16 + body.len() as u32,
            bytes_available: 16 + body.len() as u32,
            flags: NodeFlags::empty(),
            reserved: [0; 3],
        };
        let mut bytes = header.to_bytes();
        bytes.extend(body);
        bytes
    }

    proptest! {
        #[test]
        fn entries_come_back(
            keys in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..80), prop::collection::vec(any::<u8>(), 0..40),
                 prop::option::of(any::<u64>())), 0..8),
        ) {
            let mut encoded: Vec<_> = keys.iter().map(|(key, data, child)| encode_view_entry(key, data, *child)).collect();
            encoded.push(encode_end_entry(Some(9)));
            let bytes = node(&encoded);
            let header = IndexHeader::read_from(&bytes, 0).unwrap();
            let read: Vec<_> = header.entries(&bytes, 0).unwrap().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), keys.len() + 1);
            for (entry, (key, data, child)) in read.iter().zip(&keys) {
                prop_assert_eq!(entry.key(), key);
                prop_assert_eq!(entry.data().unwrap(), data);
                prop_assert_eq!(entry.child(), *child);
            }
            prop_assert!(read[keys.len()].is_end());
            prop_assert_eq!(read[keys.len()].child(), Some(9));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 16..200), offset in 0_usize..64) {
            let header = IndexHeader {
                first_index_entry: 16,
                first_free_byte: (bytes.len() - offset.min(bytes.len())) as u32,
                ..IndexHeader::read_from(&bytes, 0).unwrap()
            };
            for entry in header.entries(&bytes, offset).into_iter().flatten().flatten() {
                let _ = (entry.key(), entry.child(), entry.data().is_ok());
            }
            let header = IndexHeader::read_from(&bytes, 0).unwrap();
            let _ = header.entries(&bytes, offset);
        }
    }

    #[test]
    fn sizes_are_those_of_windows() {
        assert_eq!(IndexBlockHeader::first_entry_offset(4096), 0x40);
        assert_eq!(encode_view_entry(&[0; 8], &[0; 20], None).len(), 48);
        assert_eq!(encode_view_entry(&[0; 4], &[0; 20], None).len(), 40);
        assert_eq!(encode_view_entry(&[0; 12], &[], None).len(), 32);
        assert_eq!(encode_end_entry(None).len(), 16);
        assert_eq!(encode_end_entry(Some(0)).len(), 24);
    }
}
