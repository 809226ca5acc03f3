//! Changing the size of a disk.

use super::create::{check_dynamic_size, into_write_error, write_unallocated};
use super::dynamic_header::DynamicHeader;
use super::footer::DiskType;
use super::footer_copies::FooterCopies;
use super::layout::{SECTOR, visit_table};
use super::occupancy::Occupancy;
use super::read::Vhd;
use super::write::VhdWriter;
use cv_disk::{ReadAt, WriteAt, WriteError};
use std::ops::{ControlFlow, Range};

/// A BAT that moves begins on this boundary and gets room to it.
const TABLE_ALIGNMENT: u64 = 4096;

impl VhdWriter {
    /// Makes the disk `size` bytes long, a multiple of 512. What is new reads as zeros; what is cut off is lost.
    ///
    /// The copy of the footer at the start decides: until it is written, a kill leaves the disk as large as it was. A
    /// fixed disk has but one footer; a kill while it grows leaves the old one behind the disk, where it is found.
    ///
    /// A BAT that has no room to grow moves to the end of the file. A differencing disk grows only with its parent
    /// attached, which may be longer and must not come to light.
    pub fn resize(&mut self, size: u64) -> Result<(), WriteError> {
        if !size.is_multiple_of(SECTOR) || size > u64::MAX >> 1 {
            return Err(WriteError::Limit(format!(
                "the size must be a multiple of 512 bytes, not {size}"
            )));
        }
        check_dynamic_size(self.vhd.disk_type() == DiskType::Fixed, size)?;
        if size == self.len() {
            return Ok(());
        }
        self.file.flush()?;
        // Places assigned and never written stay unused.
        self.room().forget_reservations();
        if self.vhd.layout().blocks.is_none() {
            self.resize_fixed(size)
        } else if size > self.len() {
            self.grow(size)
        } else {
            self.shrink(size)
        }
    }

    fn resize_fixed(&mut self, size: u64) -> Result<(), WriteError> {
        let old_size = self.len();
        let old_end = self.file.len();
        let footer = self.vhd.layout().footer.resized(size);
        self.vhd.set_footer(footer)?;
        self.write_footer_at(size)?;
        self.file.flush()?;
        if old_size < size {
            self.file.write_zeros_at(old_size..old_end.min(size))?;
        }
        Ok(())
    }

    fn grow(&mut self, size: u64) -> Result<(), WriteError> {
        let old_size = self.len();
        let hidden = match self.vhd.parent() {
            Some(parent) => parent.len().min(size),
            None if self.vhd.is_differencing() => {
                return Err(WriteError::Limit(
                    "a differencing disk can grow only with its parent attached".to_owned(),
                ));
            }
            None => old_size,
        };
        self.zero_rest_of_last_block()?;
        self.make_room_in_table(size)?;

        // Larger in memory alone, so that what the parent holds beyond the old end can be hidden first.
        let old_footer = self.vhd.layout().footer.clone();
        self.vhd.set_footer(old_footer.resized(size))?;
        let result = self.hide_parent(old_size..hidden).and_then(|()| self.write_footers());
        if result.is_err() {
            self.vhd.set_footer(old_footer)?;
        }
        result
    }

    fn shrink(&mut self, size: u64) -> Result<(), WriteError> {
        let footer = self.vhd.layout().footer.resized(size);
        self.vhd.set_footer(footer)?;
        self.write_footers()?;
        self.drop_blocks_beyond_end()?;
        self.write_footers()
    }

    /// Zeroes what the last block holds beyond the end of the disk, which a larger disk would show.
    fn zero_rest_of_last_block(&self) -> Result<(), WriteError> {
        let Some(blocks) = &self.vhd.layout().blocks else {
            return Ok(());
        };
        let within = self.len() % blocks.block_size;
        let index = self.len() / blocks.block_size;
        if within == 0 {
            return Ok(());
        }
        if let Some(offset) = blocks.block_offset(index)? {
            let content = offset + blocks.bitmap_size;
            self.file
                .write_zeros_at(content + within..content + blocks.block_size)?;
        }
        Ok(())
    }

    /// Makes the BAT long enough for a disk of `size` bytes, its new entries unallocated.
    fn make_room_in_table(&mut self, size: u64) -> Result<(), WriteError> {
        let Some(blocks) = &self.vhd.layout().blocks else {
            return Ok(());
        };
        let old_count = blocks.count();
        let count = size.div_ceil(blocks.block_size);
        let max_table_entries =
            u32::try_from(count).map_err(|_| WriteError::Limit(format!("{count} blocks are too many for a BAT")))?;
        let mut header = blocks.header.clone();
        let old_table = header.table_offset..blocks.table_end();
        let end_of = |offset: u64| offset + (count * 4).next_multiple_of(SECTOR);
        let occupancy = Occupancy::read_sound(
            &*self.file,
            &FooterCopies::locate(&*self.file)?,
            &header,
            blocks.header_offset,
        )?;
        let room = occupancy.room_for_table(&header).max(old_table.end);
        let moves = end_of(header.table_offset) > room;
        if moves {
            let mut room = self.room();
            let offset = room.end.next_multiple_of(TABLE_ALIGNMENT);
            let end = (offset + count * 4).next_multiple_of(TABLE_ALIGNMENT);
            self.prepare(&mut room, end)?;
            room.end = end;
            drop(room);
            self.copy_table(old_table.start, offset, old_count)?;
            header.table_offset = offset;
            write_unallocated(&*self.file, offset + old_count * 4..end)?;
        } else {
            // Entries behind the disk's own may hold anything.
            write_unallocated(
                &*self.file,
                header.table_offset + old_count * 4..end_of(header.table_offset).max(old_table.end),
            )?;
        }
        self.file.flush()?;
        header.max_table_entries = max_table_entries;
        self.write_header(&header)?;
        if moves {
            self.file.write_zeros_at(old_table)?;
        }
        Ok(())
    }

    fn copy_table(&self, from: u64, to: u64, count: u64) -> Result<(), WriteError> {
        let mut buffer = vec![0; (count * 4).min(64 << 10) as usize];
        let mut done = 0;
        while done < count * 4 {
            let length = (count * 4 - done).min(buffer.len() as u64) as usize;
            self.file.read_at(&mut buffer[..length], from + done)?;
            self.file.write_at(&buffer[..length], to + done)?;
            done += length as u64;
        }
        Ok(())
    }

    fn hide_parent(&self, range: Range<u64>) -> Result<(), WriteError> {
        match &self.vhd.layout().blocks {
            Some(blocks) if !range.is_empty() => self.write_zeros(blocks, range),
            _ => Ok(()),
        }
    }

    /// Frees the blocks that lie beyond the end of the disk and shortens the BAT.
    fn drop_blocks_beyond_end(&mut self) -> Result<(), WriteError> {
        let Some(blocks) = &self.vhd.layout().blocks else {
            return Ok(());
        };
        let mut header = blocks.header.clone();
        let count = blocks.count();
        let stored_size = blocks.stored_size();
        let entries = count..u64::from(header.max_table_entries);
        let mut dropped = Vec::new();
        visit_table(&*self.file, header.table_offset, entries, |_, sector| {
            dropped.push(u64::from(sector) * SECTOR);
            ControlFlow::Continue(())
        })?;
        write_unallocated(&*self.file, header.table_offset + count * 4..blocks.table_end())?;
        self.file.flush()?;
        header.max_table_entries = count as u32;
        self.write_header(&header)?;

        let Some(blocks) = &self.vhd.layout().blocks else {
            return Ok(());
        };
        let copies = FooterCopies::locate(&*self.file)?;
        let end = Occupancy::read_sound(&*self.file, &copies, &blocks.header, blocks.header_offset)?.end;
        for offset in dropped.into_iter().filter(|offset| *offset < end) {
            self.file.write_zeros_at(offset..offset + stored_size)?;
        }
        self.room().end = end;
        Ok(())
    }

    /// Writes the footer behind the last block, and then the copy at the start, which decides.
    pub(super) fn write_footers(&self) -> Result<(), WriteError> {
        let mut room = self.room();
        room.footer_is_due = true;
        self.write_footer_at_end(&mut room)?;
        self.file.flush()?;
        self.file.write_at(&self.vhd.layout().footer.to_bytes(), 0)?;
        self.file.flush()
    }

    /// Writes the dynamic disk header and goes by it from then on.
    pub(super) fn write_header(&mut self, header: &DynamicHeader) -> Result<(), WriteError> {
        let Some(blocks) = &self.vhd.layout().blocks else {
            return Ok(());
        };
        self.file.write_at(&header.to_bytes(), blocks.header_offset)?;
        self.file.flush()?;
        let footer = self.vhd.layout().footer.clone();
        let parent = self.vhd.parent().cloned();
        self.vhd = Vhd::open(self.file.clone()).map_err(into_write_error)?;
        self.vhd.set_footer(footer)?;
        if let Some(parent) = parent {
            self.vhd.set_parent(parent);
        }
        Ok(())
    }
}
