//! Mending what needs no guessing.

use super::check::check;
use super::dynamic_header::CHECKSUM_OFFSET;
use super::footer::{DiskType, FOOTER_SIZE};
use super::footer_copies::{FooterCopies, put_footer};
use super::layout::read_header;
use super::occupancy::Occupancy;
use cv_disk::{Faults, ReadAt, Resize, WriteError};
use std::sync::Arc;

/// Mends `file` and returns the faults that are gone: stale checksums of structures that agree with all else, copies of
/// the footer that are missing, different or short, and what a kill has left at the end.
///
/// Blocks that overlap or lie outside the file are not touched; which of them is right, the file does not tell.
pub fn repair(file: &Arc<dyn Resize>) -> Result<Faults, WriteError> {
    let readable: Arc<dyn ReadAt> = file.clone();
    let before = check(&readable)?;
    if before.listed().iter().any(|fault| fault.repairable) {
        mend(&**file, &before)?;
        file.flush()?;
    }
    let after = check(&readable)?;
    let mut mended = Faults::new();
    for fault in before.listed().iter().filter(|fault| fault.repairable) {
        if !after.listed().iter().any(|left| left.damage == fault.damage) {
            mended.push(fault.clone());
        }
    }
    Ok(mended)
}

fn mend(file: &dyn Resize, faults: &Faults) -> Result<(), WriteError> {
    let copies = FooterCopies::locate(file)?;
    let Some((_, chosen)) = copies.chosen() else {
        return Ok(());
    };
    let footer = chosen.footer.to_bytes();
    if chosen.footer.disk_type() == Some(DiskType::Fixed) {
        if chosen.footer.has_good_checksum() || chosen.footer.current_size == chosen.offset {
            // Longer first, where Virtual PC left out the last byte.
            put_footer(file, &footer, chosen.offset)?;
        }
        return Ok(());
    }

    let header_offset = chosen.footer.data_offset;
    let header = read_header(file, header_offset)?;
    let end = Occupancy::read_sound(file, &copies, &header, header_offset).map(|occupancy| occupancy.end);
    let header_is_mendable = faults
        .listed()
        .iter()
        .any(|fault| fault.repairable && fault.damage.offset == header_offset + CHECKSUM_OFFSET as u64);
    if header_is_mendable {
        file.write_at(&header.to_bytes(), header_offset)?;
        file.flush()?;
    }
    if end.is_err() && !chosen.footer.has_good_checksum() {
        return Ok(());
    }
    // The copy at the start first: from then on there is a good one, whatever happens to the one at the end.
    file.write_at(&footer, 0)?;
    file.flush()?;
    let end = match (end, &copies.tail) {
        (Ok(end), _) => end,
        (Err(_), Some(tail)) => tail.offset,
        (Err(_), None) => file.len().next_multiple_of(FOOTER_SIZE),
    };
    put_footer(file, &footer, end)
}
