//! The descriptor where it is written to.

use crate::descriptor::Descriptor;
use cv_disk::{Resize, WriteError};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A descriptor that is rewritten in place: in its own file, or embedded in an extent's.
pub(crate) struct DescriptorFile {
    file: Arc<dyn Resize>,
    /// Where it is embedded, in bytes; `None` where it is the file.
    place: Option<Range<u64>>,
    current: Mutex<Descriptor>,
}

impl DescriptorFile {
    /// The descriptor `current`, which stands there already.
    pub fn new(file: Arc<dyn Resize>, place: Option<Range<u64>>, current: Descriptor) -> Self {
        Self {
            file,
            place,
            current: Mutex::new(current),
        }
    }

    /// The descriptor as it is now.
    pub fn current(&self) -> Descriptor {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file it stands in.
    pub fn file(&self) -> &Arc<dyn Resize> {
        &self.file
    }

    /// Rewrites it as `change` leaves it. Only what differs is written, by one call: a new content id touches eight
    /// bytes.
    pub fn change(&self, change: impl FnOnce(&mut Descriptor)) -> Result<Descriptor, WriteError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = current.clone();
        change(&mut changed);
        self.replace(&current.to_bytes(), changed.to_bytes())?;
        *current = changed.clone();
        Ok(changed)
    }

    fn replace(&self, old: &[u8], mut new: Vec<u8>) -> Result<(), WriteError> {
        let start = match &self.place {
            Some(place) => {
                let room = place.end - place.start;
                if new.len() as u64 > room {
                    return Err(WriteError::Limit(format!(
                        "the descriptor needs {} bytes, and the image keeps {room} for it",
                        new.len()
                    )));
                }
                place.start
            }
            None => 0,
        };
        let length = new.len();
        // What is left of a longer text ends at the first NUL byte.
        new.resize(length.max(old.len()), 0);
        let same = |(old, new): &(&u8, &u8)| old == new;
        let before = old.iter().zip(&new).take_while(same).count();
        let after = if new.len() == old.len() {
            let tails = old[before..].iter().rev().zip(new[before..].iter().rev());
            tails.take_while(same).count()
        } else {
            0
        };
        let stop = new.len() - after;
        if self.place.is_none() && (self.file.len() as usize) < new.len() {
            self.file.set_len(new.len() as u64)?;
        }
        if before < stop {
            self.file.write_at(&new[before..stop], start + before as u64)?;
        }
        if self.place.is_none() && length < new.len() {
            self.file.set_len(length as u64)?;
        }
        Ok(())
    }
}
