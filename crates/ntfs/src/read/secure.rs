//! Security descriptors by number.

use crate::error::FileError;
use crate::read::index::Index;
use crate::read::stream::Stream;
use crate::read::volume::Volume;
use crate::structure::security::{self, SecurityDescriptorEntryHeader};
use crate::structure::system_file::{SDS, SECURE, SII};
use crate::structure::{Structure, moved, within};
use cv_disk::{Damage, ReadAt, ReadError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Descriptors kept; a volume rarely has more than some hundreds.
const KEPT: usize = 1024;
/// Pairs of stripes that are looked through for want of an index, half a GiB.
const MAX_STRIPES: usize = 1024;

/// `$Secure`.
#[derive(Debug)]
pub struct Secure {
    /// By number.
    index: Index,
    descriptors: Stream,
    kept: Mutex<HashMap<u32, Arc<[u8]>>>,
}

impl Secure {
    /// That of `volume`.
    pub fn open(volume: &Volume) -> Result<Self, FileError> {
        let file = volume.system_file(SECURE)?;
        Ok(Self {
            index: file.index(&SII)?,
            descriptors: file.stream(&SDS)?,
            kept: Mutex::default(),
        })
    }

    /// The security descriptor with that number; `None` where there is none.
    ///
    /// Of the two copies in `$SDS` either serves. Where `$SII` is damaged, `$SDS` is looked through.
    pub(crate) fn find(&self, volume: &Volume, id: u32) -> Result<Option<Arc<[u8]>>, FileError> {
        debug_assert_eq!(volume.geometry(), self.index.volume().geometry());
        if let Some(known) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Ok(Some(known.clone()));
        }
        let entry = self.index.find(&id.to_le_bytes(), |entry| {
            SecurityDescriptorEntryHeader::read_from(entry.data()?, 0)
        });
        let found = match entry {
            Ok(None) => return Ok(None),
            Ok(Some(entry)) => self.read(&entry),
            Err(error) => match self.search(id) {
                Some(descriptor) => Ok(descriptor),
                None => return Err(error),
            },
        };
        let descriptor: Arc<[u8]> = found.map_err(|error| FileError::read(SECURE.record, error))?.into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(id, descriptor.clone());
        Ok(Some(descriptor))
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
