//! The content of `$Secure`: every security descriptor of the volume once.

use super::options::system_security;
use crate::structure::Structure;
use crate::structure::security::{self, FIRST_ID, STRIPE, SecurityDescriptorEntryHeader};
use std::collections::HashMap;

/// Number of the descriptor of most of the volume's own files: they may be read.
pub(super) const SYSTEM_READ: u32 = FIRST_ID;
/// Number of the descriptor of `$Volume`, `$Secure` and `$Extend`: they may be written too.
pub(super) const SYSTEM_WRITE: u32 = FIRST_ID + 1;

/// `FILE_GENERIC_READ`, and with `FILE_GENERIC_WRITE`.
const READ: u32 = 0x0012_0089;
const READ_AND_WRITE: u32 = 0x0012_019F;

/// The stream `$SDS` and what its indexes are made of.
#[derive(Debug, Clone)]
pub(super) struct SecurityFile {
    /// The entries' headers, by number.
    headers: Vec<SecurityDescriptorEntryHeader>,
    /// Positions in `headers`, by hash and number.
    by_hash: Vec<u32>,
    /// `$SDS`.
    content: Vec<u8>,
    numbers: HashMap<Box<[u8]>, u32>,
}

impl SecurityFile {
    /// The descriptors of the volume's own files.
    pub fn new() -> Self {
        let mut file = Self {
            headers: Vec::new(),
            by_hash: Vec::new(),
            content: Vec::new(),
            numbers: HashMap::new(),
        };
        file.number_of(&system_security(READ));
        file.number_of(&system_security(READ_AND_WRITE));
        file
    }

    /// The number of `descriptor`, which is added where it is new.
    pub fn number_of(&mut self, descriptor: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(descriptor) {
            return *number;
        }
        let number = FIRST_ID + self.headers.len() as u32;
        let length = SecurityDescriptorEntryHeader::SIZE + descriptor.len();
        let end = self
            .headers
            .last()
            .map_or(0, |last| last.offset + u64::from(last.length));
        let offset = security::next_offset(end, length as u32);
        let entry = security::encode_entry(number, offset, descriptor);
        for copy in [offset, offset + STRIPE] {
            let end = copy as usize + entry.len();
            self.content.resize(self.content.len().max(end), 0);
            self.content[copy as usize..end].copy_from_slice(&entry);
        }
        self.headers.push(security::header(number, offset, descriptor));
        self.numbers.insert(descriptor.into(), number);
        number
    }

    /// Sorts the index by hash; said once, when all descriptors are there.
    pub fn finish(&mut self) {
        self.numbers = HashMap::new();
        self.by_hash = (0..self.headers.len() as u32).collect();
        let headers = &self.headers;
        self.by_hash
            .sort_unstable_by_key(|position| (headers[*position as usize].hash, *position));
    }

    /// The stream `$SDS`.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Number of descriptors.
    pub fn count(&self) -> usize {
        self.headers.len()
    }

    /// The header that stands at `position` of `$SII`.
    pub fn by_id(&self, position: usize) -> &SecurityDescriptorEntryHeader {
        &self.headers[position]
    }

    /// The header that stands at `position` of `$SDH`.
    pub fn by_hash(&self, position: usize) -> &SecurityDescriptorEntryHeader {
        &self.headers[self.by_hash[position] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stripes_hold_the_same_and_no_entry_crosses_one() {
        let mut file = SecurityFile::new();
        for number in 0..3000_u32 {
            let descriptor: Vec<u8> = number.to_le_bytes().repeat(40);
            assert_eq!(file.number_of(&descriptor), file.number_of(&descriptor));
        }
        file.finish();
        assert!(file.content().len() > 4 * STRIPE as usize);
        for position in 0..file.count() {
            let header = file.by_id(position);
            assert_eq!(header.offset / STRIPE % 2, 0);
            assert_eq!(
                header.offset / STRIPE,
                (header.offset + u64::from(header.length) - 1) / STRIPE
            );
            for copy in [header.offset, header.offset + STRIPE] {
                let bytes = &file.content()[copy as usize..][..header.length as usize];
                assert!(security::descriptor(bytes, header).is_ok());
            }
            if position > 0 {
                let before = file.by_hash(position - 1);
                let this = file.by_hash(position);
                assert!((before.hash, before.security_id) < (this.hash, this.security_id));
            }
        }
    }
}
