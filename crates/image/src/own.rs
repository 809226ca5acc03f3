//! One file of a chain by itself.

use crate::open::Image;
use cv_disk::{Differencing, Extent, ReadAt, ReadError};

/// What an image holds itself, as a disk: its extents are the image's own, a hole is what it leaves to its parent.
#[derive(Debug)]
pub(crate) struct Own<'a>(&'a Image);

impl Image {
    pub(crate) fn own(&self) -> Own<'_> {
        Own(self)
    }
}

impl ReadAt for Own<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.0.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.0.own_extent_at(offset)
    }
}
