//! Finding the two copies of the footer, choosing between them, and writing the one at the end.

use super::footer::{COOKIE, DiskType, FOOTER_SIZE, Footer};
use cv_disk::{ExtentKind, ReadAt, ReadError, Resize, WriteError};

/// Which copy of the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FooterPlace {
    /// The copy in the file's first sector; dynamic and differencing disks have it.
    Head,
    /// The footer proper, at the file's end.
    Tail,
}

/// In which state a copy of the footer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FooterState {
    /// There, with the right checksum.
    Good,
    /// There, with a checksum that is not that of its bytes.
    StaleChecksum,
    /// Not there.
    Missing,
}

/// A copy of the footer that was found.
#[derive(Debug, Clone)]
pub(super) struct FooterCopy {
    pub footer: Footer,
    /// Where it stands, in bytes.
    pub offset: u64,
    /// Bytes stored: 512, or 511 as Virtual PC wrote before 2004.
    pub length: u64,
}

/// Both copies, as far as they are there.
#[derive(Debug, Clone)]
pub(super) struct FooterCopies {
    pub head: Option<FooterCopy>,
    pub tail: Option<FooterCopy>,
}

impl FooterCopies {
    /// Looks at both ends of `file`.
    pub fn locate(file: &dyn ReadAt) -> Result<Self, ReadError> {
        let head = match read_footer(file, 0, FOOTER_SIZE)? {
            // The first sector of a fixed disk is the disk's own.
            Some(copy) if copy.footer.disk_type() != Some(DiskType::Fixed) => Some(copy),
            _ => None,
        };
        let mut tail = None;
        for length in [FOOTER_SIZE, FOOTER_SIZE - 1] {
            if tail.is_none() && file.len() >= length {
                tail = read_footer(file, file.len() - length, length)?;
            }
        }
        if head.is_some() && tail.as_ref().is_some_and(|tail| tail.offset < FOOTER_SIZE) {
            tail = None;
        }
        if head.is_none() && tail.is_none() {
            tail = before_trailing_zeros(file)?;
        }
        Ok(Self { head, tail })
    }

    /// The copy to go by, or `None` where there is none.
    ///
    /// A copy with a good checksum comes before one without, and the head before the tail, which is written first. A
    /// good tail that says fixed is believed at once: whatever the first sector of such a file looks like is content.
    pub fn chosen(&self) -> Option<(FooterPlace, &FooterCopy)> {
        let head = self.head.as_ref().map(|copy| (FooterPlace::Head, copy));
        let tail = self.tail.as_ref().map(|copy| (FooterPlace::Tail, copy));
        let good = |copy: &(FooterPlace, &FooterCopy)| copy.1.footer.has_good_checksum();
        let fixed = |copy: &(FooterPlace, &FooterCopy)| copy.1.footer.disk_type() == Some(DiskType::Fixed);
        tail.filter(|tail| good(tail) && fixed(tail))
            .or_else(|| head.filter(good))
            .or_else(|| tail.filter(good))
            .or(head)
            .or(tail)
    }

    /// The state of one copy.
    pub fn state(&self, place: FooterPlace) -> FooterState {
        let copy = match place {
            FooterPlace::Head => &self.head,
            FooterPlace::Tail => &self.tail,
        };
        match copy {
            Some(copy) if copy.footer.has_good_checksum() => FooterState::Good,
            Some(_) => FooterState::StaleChecksum,
            None => FooterState::Missing,
        }
    }
}

fn read_footer(file: &dyn ReadAt, offset: u64, length: u64) -> Result<Option<FooterCopy>, ReadError> {
    if file.len() < offset.saturating_add(length) {
        return Ok(None);
    }
    let mut bytes = [0; FOOTER_SIZE as usize];
    file.read_at(&mut bytes[..8], offset)?;
    if bytes[..8] != *COOKIE {
        return Ok(None);
    }
    file.read_at(&mut bytes[..length as usize], offset)?;
    Ok(Footer::parse(&bytes).map(|footer| FooterCopy { footer, offset, length }))
}

/// The footer of a fixed disk that stands before zeros at the file's end: what a kill leaves when the file has been
/// extended and the new footer is not yet there.
///
/// The footer must be good and stand right behind the disk that it describes, so no content is mistaken for it.
fn before_trailing_zeros(file: &dyn ReadAt) -> Result<Option<FooterCopy>, ReadError> {
    // Hosts know holes in units of up to 64 KiB, so the zeros may begin that much before the hole.
    let end = trailing_hole(file)? / FOOTER_SIZE * FOOTER_SIZE;
    let start = end.saturating_sub(64 << 10);
    let mut bytes = vec![0; (end - start) as usize];
    let Some(last) = bytes.len().checked_sub(FOOTER_SIZE as usize) else {
        return Ok(None);
    };
    if end == file.len() {
        // Most files do not end with zeros, and cost no more than this.
        file.read_at(&mut bytes[last..], end - FOOTER_SIZE)?;
        if !cv_disk::is_zero(&bytes[last..]) {
            return Ok(None);
        }
    }
    file.read_at(&mut bytes, start)?;
    let mut sectors = bytes.chunks_exact(FOOTER_SIZE as usize).enumerate();
    let Some((number, sector)) = sectors.rfind(|(_, sector)| !cv_disk::is_zero(sector)) else {
        return Ok(None);
    };
    let offset = start + number as u64 * FOOTER_SIZE;
    let footer = sector.try_into().ok().and_then(Footer::parse).filter(|footer| {
        footer.has_good_checksum()
            && footer.disk_type() == Some(DiskType::Fixed)
            && footer.current_size.checked_next_multiple_of(FOOTER_SIZE) == Some(offset)
    });
    Ok(footer.map(|footer| FooterCopy {
        footer,
        offset,
        length: FOOTER_SIZE,
    }))
}

/// Where the hole at the end of `file` begins; its size where there is none.
fn trailing_hole(file: &dyn ReadAt) -> Result<u64, ReadError> {
    let size = file.len();
    let is_in_hole = |offset: u64| -> Result<bool, ReadError> {
        let extent = file.extent_at(offset)?;
        Ok(extent.kind != ExtentKind::Data && extent.end() == size)
    };
    // Every offset from the hole's start on lies in it, so its start can be found by halving.
    let (mut before, mut within) = (0, size);
    while before < within {
        let middle = before + (within - before) / 2;
        if is_in_hole(middle)? {
            within = middle;
        } else {
            before = middle + 1;
        }
    }
    Ok(within)
}

/// Makes the file end with the footer at `offset`.
pub(super) fn put_footer(file: &dyn Resize, footer: &[u8], offset: u64) -> Result<(), WriteError> {
    let size = offset + footer.len() as u64;
    if file.len() < size {
        file.set_len(size)?;
    }
    file.write_at(footer, offset)?;
    if file.len() > size {
        file.set_len(size)?;
    }
    Ok(())
}
