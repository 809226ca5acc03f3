//! Logs of the old form: a dirty vector and its pages.

use cv_disk::Damage;

use super::{Log, Recovery};
use crate::structure::transaction_log::{DIRTY_VECTOR_PAGE, DIRTY_VECTOR_SIGNATURE, SECTOR};
use crate::structure::{BASE_BLOCK_SIZE, HiveBin, Structure};

/// Where the bitmap begins.
const BITMAP: usize = SECTOR + DIRTY_VECTOR_SIGNATURE.len();

/// Applies the first of `logs` that belongs to the hive.
pub(super) fn apply(recovery: &mut Recovery, logs: Vec<Log<'_>>) {
    for log in logs {
        let place = log.place;
        match apply_log(recovery, &log) {
            Ok(()) => {
                recovery.logs.push(place);
                recovery.entries = 1;
                return;
            }
            Err(damage) => recovery.stop(place, damage),
        }
    }
}

/// Applies a log; nothing is changed where it cannot be.
fn apply_log(recovery: &mut Recovery, log: &Log<'_>) -> Result<(), Damage> {
    let noted = &log.base_block;
    let (first, second) = (noted.primary_sequence_number, noted.secondary_sequence_number);
    if first != second {
        let structure = "base block of the log, secondary sequence number";
        return Err(Damage::new(structure, 8, first.to_string(), second.to_string()));
    }
    let bins = recovery.bytes.get(BASE_BLOCK_SIZE..).unwrap_or_default();
    let time = match &recovery.base_block {
        Some(block) => Some(block.last_written),
        None => HiveBin::parse(bins, BASE_BLOCK_SIZE as u64)
            .ok()
            .map(|bin| bin.timestamp),
    };
    if time != Some(noted.last_written) {
        let expected = time.map_or_else(|| "the time of the hive".to_owned(), |time| format!("{time:#x}"));
        let found = format!("{:#x}", noted.last_written);
        return Err(Damage::new("base block of the log, last written", 12, expected, found));
    }
    let size = noted.hive_bins_data_size as usize;
    let bitmap_length = size.div_ceil(DIRTY_VECTOR_PAGE).div_ceil(8);
    let Some(bitmap) = log.bytes.get(BITMAP..).and_then(|rest| rest.get(..bitmap_length)) else {
        let found = format!("{} bytes", log.bytes.len());
        let expected = format!("{bitmap_length} bytes of bitmap");
        return Err(Damage::new("dirty vector", SECTOR as u64, expected, found));
    };

    if recovery.base_block.is_none() {
        recovery.take_base_block(log);
    }
    let mut stored = (BITMAP + bitmap_length).next_multiple_of(SECTOR);
    let mut bin_end = 0;
    let dirty = (0..size / DIRTY_VECTOR_PAGE).filter(|page| bitmap[page / 8] >> (page % 8) & 1 != 0);
    for page in dirty {
        let offset = page * DIRTY_VECTOR_PAGE;
        let next = stored + DIRTY_VECTOR_PAGE;
        let Some(content) = log.bytes.get(stored..next) else {
            let found = format!("{} bytes", log.bytes.len());
            let damage = Damage::new("dirty page", stored as u64, format!("{DIRTY_VECTOR_PAGE} bytes"), found);
            recovery.stop(log.place, damage);
            break;
        };
        if let Err(damage) = check_bin(recovery, &mut bin_end, offset, size, content, stored) {
            recovery.stop(log.place, damage);
            break;
        }
        // New hive bins are dirty throughout, so that the hive grows without gaps.
        if offset > recovery.bins_length() {
            let expected = format!("at most {:#x}", recovery.bins_length());
            let damage = Damage::new("dirty vector, page", BITMAP as u64, expected, format!("{offset:#x}"));
            recovery.stop(log.place, damage);
            break;
        }
        recovery.write(offset, content);
        stored = next;
    }
    if let Some(block) = &mut recovery.base_block {
        let sequence_number = block.primary_sequence_number.max(first);
        block.primary_sequence_number = sequence_number;
        block.secondary_sequence_number = sequence_number;
        block.hive_bins_data_size = block.hive_bins_data_size.max(noted.hive_bins_data_size);
    }
    Ok(())
}

/// Checks that where the page at `offset` begins a hive bin, its content does so too. `bin_end` is the end of the last hive
/// bin that was looked at.
fn check_bin(
    recovery: &Recovery,
    bin_end: &mut usize,
    offset: usize,
    size: usize,
    content: &[u8],
    stored: usize,
) -> Result<(), Damage> {
    let bins = recovery.bytes.get(BASE_BLOCK_SIZE..).unwrap_or_default();
    while *bin_end <= offset {
        let is_here = *bin_end == offset;
        let (bytes, place) = if is_here {
            (content, stored)
        } else {
            (bins.get(*bin_end..).unwrap_or_default(), BASE_BLOCK_SIZE + *bin_end)
        };
        let bin = HiveBin::parse(bytes, place as u64)?;
        let bin_size = bin.size as usize;
        let is_bin = bin.signature == HiveBin::SIGNATURE
            && bin.offset as usize == *bin_end
            && bin.size >= HiveBin::UNIT
            && bin_size <= size.saturating_sub(*bin_end);
        if !is_bin {
            let expected = format!("a hive bin of offset {:#x}", *bin_end);
            let found = format!("{:02x?}, offset {:#x}, size {bin_size:#x}", bin.signature, bin.offset);
            return Err(Damage::new("hive bin", place as u64, expected, found));
        }
        *bin_end += bin_size;
    }
    Ok(())
}
