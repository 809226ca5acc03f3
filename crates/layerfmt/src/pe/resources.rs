//! The tree of resources: by type, by name or number, by language.

use super::structure::{ResourceDataEntry, ResourceDirectory, ResourceDirectoryEntry};
use super::{Program, next_structure};
use crate::bytes::Rest;
use cv_disk::{Damage, ReadAt, ReadError};

/// Entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;

/// Bytes of a resource at most.
const MAX_SIZE: u32 = 16 << 20;

/// Which resource of a type.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// The first.
    First,
    /// That of this number.
    Number(u32),
}

impl<D: ReadAt> Program<D> {
    /// The bytes of a resource of this type, in the first language it has.
    pub(super) fn resource(&self, kind: u32, which: Which) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(types) = self.directory(0)? else {
            return Ok(None);
        };
        let Some(names) = child(&types, Which::Number(kind)) else {
            return Ok(None);
        };
        let Some(languages) = self.subdirectory(names)?.and_then(|names| child(&names, which)) else {
            return Ok(None);
        };
        let Some(data) = self.subdirectory(languages)?.and_then(|all| child(&all, Which::First)) else {
            return Ok(None);
        };
        self.data(data)
    }

    fn subdirectory(&self, offset: u32) -> Result<Option<Vec<ResourceDirectoryEntry>>, ReadError> {
        match offset & ResourceDirectoryEntry::HIGH_BIT {
            0 => Ok(None),
            high_bit => self.directory(offset ^ high_bit),
        }
    }

    /// The entries of the directory at `offset` of the resources.
    fn directory(&self, offset: u32) -> Result<Option<Vec<ResourceDirectoryEntry>>, ReadError> {
        let Some(place) = self.place(offset) else {
            return Ok(None);
        };
        let mut head = [0; ResourceDirectory::SIZE];
        self.disk.read_at(&mut head, place)?;
        let head: ResourceDirectory =
            next_structure(&mut Rest::new(&head, place), head.len(), "IMAGE_RESOURCE_DIRECTORY")?;
        let count = usize::from(head.number_of_named_entries) + usize::from(head.number_of_id_entries);
        let mut bytes = vec![0; count.min(MAX_ENTRIES) * ResourceDirectoryEntry::SIZE];
        let place = place + ResourceDirectory::SIZE as u64;
        self.disk.read_at(&mut bytes, place)?;
        let mut rest = Rest::new(&bytes, place);
        let mut entries = Vec::with_capacity(count.min(MAX_ENTRIES));
        while !rest.bytes().is_empty() {
            let size = ResourceDirectoryEntry::SIZE;
            entries.push(next_structure(&mut rest, size, "IMAGE_RESOURCE_DIRECTORY_ENTRY")?);
        }
        Ok(Some(entries))
    }

    fn data(&self, offset: u32) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(place) = self
            .place(offset)
            .filter(|_| offset & ResourceDirectoryEntry::HIGH_BIT == 0)
        else {
            return Ok(None);
        };
        let mut bytes = [0; ResourceDataEntry::SIZE];
        self.disk.read_at(&mut bytes, place)?;
        let entry: ResourceDataEntry =
            next_structure(&mut Rest::new(&bytes, place), bytes.len(), "IMAGE_RESOURCE_DATA_ENTRY")?;
        let Some(data) = self.offset(entry.offset_to_data) else {
            let found = format!("{:#x}", entry.offset_to_data);
            return Err(Damage::new("OffsetToData", place, "an address in a section", found).into());
        };
        if entry.size > MAX_SIZE || u64::from(entry.size) > self.disk.len() {
            let found = format!("{} bytes", entry.size);
            return Err(Damage::new("Size", place + 4, format!("at most {MAX_SIZE} bytes"), found).into());
        }
        let mut bytes = vec![0; entry.size as usize];
        self.disk.read_at(&mut bytes, data)?;
        Ok(Some(bytes))
    }

    fn place(&self, offset: u32) -> Option<u64> {
        let (address, size) = self.resources;
        (offset < size)
            .then(|| self.offset(address.checked_add(offset)?))
            .flatten()
    }
}

fn child(entries: &[ResourceDirectoryEntry], which: Which) -> Option<u32> {
    let entry = match which {
        Which::First => entries.first(),
        Which::Number(number) => entries.iter().find(|entry| entry.name == number),
    };
    entry.map(|entry| entry.offset_to_data)
}
