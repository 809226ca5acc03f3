//! Mending what needs no guessing.

use super::check::check;
use super::dynamic_header::CHECKSUM_OFFSET;
use super::footer::{DiskType, FOOTER_SIZE};
use super::footer_copies::{FooterCopies, put_footer};
use super::layout::{check_block_size, read_header};
use super::occupancy::Occupancy;
use cv_disk::{Faults, ReadAt, ReadError, Resize, WriteError};
use std::sync::Arc;

/// How often a file is looked at anew.
const PASSES: usize = 3;

/// Mends `file` and returns the faults that are gone: stale checksums of structures that agree with all else, copies of
/// the footer that are missing, different or short, and what a kill has left at the end.
///
/// Blocks that overlap or lie outside the file are not touched; which of them is right, the file does not tell.
pub fn repair(file: &Arc<dyn Resize>) -> Result<Faults, WriteError> {
    let readable: Arc<dyn ReadAt> = file.clone();
    let mut mended = Faults::new();
    let mut found = check(&readable)?;
    // What was mended may make another structure certain enough to be mended too.
    for _ in 0..PASSES {
        if found.listed().iter().all(|fault| !fault.repairable) {
            break;
        }
        mend(&**file, &found)?;
        file.flush()?;
        let left = check(&readable)?;
        for fault in found.into_iter().filter(|fault| fault.repairable) {
            if !left.listed().iter().any(|other| other.damage == fault.damage) {
                mended.push(fault);
            }
        }
        found = left;
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
    let header_is_mendable = faults
        .listed()
        .iter()
        .any(|fault| fault.repairable && fault.damage.offset == header_offset.saturating_add(CHECKSUM_OFFSET as u64));
    let mut end = None;
    if let Some(header) = unless_damaged(read_header(file, header_offset, chosen.offset))?
        && check_block_size(&header, header_offset).is_ok()
    {
        end = unless_damaged(Occupancy::read_sound(file, &copies, &header, header_offset))?
            .map(|occupancy| occupancy.end);
        if header_is_mendable {
            file.write_at(&header.to_bytes(), header_offset)?;
            file.flush()?;
        }
    }
    if end.is_none() && !chosen.footer.has_good_checksum() {
        return Ok(());
    }
    // The copy at the start first: from then on there is a good one, whatever happens to the one at the end.
    if file.len() < FOOTER_SIZE {
        return Ok(());
    }
    file.write_at(&footer, 0)?;
    file.flush()?;
    let end = end.unwrap_or_else(|| match &copies.tail {
        Some(tail) => tail.offset.max(FOOTER_SIZE),
        None => file.len().next_multiple_of(FOOTER_SIZE),
    });
    put_footer(file, &footer, end)
}

fn unless_damaged<T>(result: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::Damaged(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
