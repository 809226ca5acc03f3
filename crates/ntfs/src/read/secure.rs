//! Security descriptors by number.

use crate::error::FileError;
use crate::read::index::Index;
use crate::read::stream::Stream;
use crate::read::volume::Volume;
use crate::structure::security::{self, SecurityDescriptorEntryHeader};
use crate::structure::system_file::{SDS, SECURE, SII};
use crate::structure::{Structure, moved, within};
use cv_disk::{Damage, ReadAt, ReadError};

/// Pairs of stripes that are looked through for want of an index, half a GiB.
const MAX_STRIPES: usize = 1024;

/// `$Secure`.
#[derive(Debug)]
pub struct Secure {
    /// By number.
    index: Index,
    descriptors: Stream,
}

impl Secure {
    /// That of `volume`.
    pub fn open(volume: &Volume) -> Result<Self, FileError> {
        let file = volume.system_file(SECURE)?;
        Ok(Self {
            index: file.index(&SII)?,
            descriptors: file.stream(&SDS)?,
        })
    }

    /// The security descriptor with that number; `None` where there is none.
    ///
    /// Of the two copies in `$SDS` either serves. Where `$SII` is damaged, `$SDS` is looked through.
    pub fn find(&self, id: u32) -> Result<Option<Vec<u8>>, FileError> {
        let entry = self.index.find(&id.to_le_bytes(), |entry| {
            SecurityDescriptorEntryHeader::read_from(entry.data()?, 0)
        });
        match entry {
            Ok(None) => Ok(None),
            Ok(Some(entry)) => self
                .read(&entry)
                .map(Some)
                .map_err(|error| FileError::read(SECURE.record, error)),
            Err(error) => self.search(id).map(Some).ok_or(error),
        }
    }

    /// The security descriptor of the entry that `header`, from an index, describes.
    pub fn read(&self, header: &SecurityDescriptorEntryHeader) -> Result<Vec<u8>, ReadError> {
        self.read_copy(header, header.offset).or_else(|error| {
            let copy = header.offset.saturating_add(security::STRIPE);
            self.read_copy(header, copy).map_err(|_| error)
        })
    }

    fn read_copy(&self, header: &SecurityDescriptorEntryHeader, offset: u64) -> Result<Vec<u8>, ReadError> {
        let most = security::MAX_DESCRIPTOR + SecurityDescriptorEntryHeader::SIZE as u32;
        if header.length > most {
            return Err(Damage::new(
                "$SDS entry, length",
                offset + 0x10,
                format!("at most {most}"),
                header.length.to_string(),
            )
            .into());
        }
        let mut bytes = vec![0; header.length as usize];
        self.descriptors.read_at(&mut bytes, offset)?;
        let descriptor =
            security::descriptor(&bytes, header).map_err(|damage| within(moved(damage, offset), "$SDS"))?;
        Ok(descriptor.to_vec())
    }

    /// Looks for the number in every first stripe.
    fn search(&self, id: u32) -> Option<Vec<u8>> {
        let size = self.descriptors.len();
        let mut stripe = vec![0; security::STRIPE as usize];
        for start in (0..size).step_by(2 * security::STRIPE as usize).take(MAX_STRIPES) {
            let length = security::STRIPE.min(size - start) as usize;
            let bytes = &mut stripe[..length];
            if self.descriptors.read_at(bytes, start).is_err() {
                continue;
            }
            let mut position = 0;
            while let Ok(header) = SecurityDescriptorEntryHeader::read_from(bytes, position) {
                if (header.length as usize) < SecurityDescriptorEntryHeader::SIZE {
                    break;
                }
                if header.security_id == id && header.offset == start + position as u64 {
                    return self.read(&header).ok();
                }
                position += (header.length as usize).next_multiple_of(security::ENTRY_ALIGNMENT as usize);
            }
        }
        None
    }
}
