//! A disk that notes what is read of it.

use cv_disk::{Extent, ReadAt, ReadError};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// A disk, and the places of it that were read.
pub struct Watched {
    disk: Arc<dyn ReadAt>,
    read: Mutex<Vec<Range<u64>>>,
}

impl Watched {
    pub fn new(disk: Arc<dyn ReadAt>) -> Self {
        Self {
            disk,
            read: Mutex::default(),
        }
    }

    /// What was read so far.
    pub fn read(&self) -> Vec<Range<u64>> {
        self.read.lock().unwrap().clone()
    }
}

impl ReadAt for Watched {
    fn len(&self) -> u64 {
        self.disk.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.read.lock().unwrap().push(offset..offset + buf.len() as u64);
        self.disk.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.disk.extent_at(offset)
    }
}
