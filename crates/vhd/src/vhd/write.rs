//! Writing a disk: in place, and into a file just created.

use super::error::OpenError;
use super::footer::FOOTER_SIZE;
use super::footer_copies::{FooterPlace, FooterState, put_footer};
use super::info::VhdInfo;
use super::layout::{BlockLayout, SECTOR, UNALLOCATED};
use super::occupancy::Occupancy;
use super::parent::ParentReference;
use super::read::Vhd;
use super::sector_bitmap::{SectorBitmap, sectors_of, set};
use cv_disk::{Differencing, Extent, ExtentKind, RawFile, ReadAt, ReadError, Resize, WriteAt, WriteError};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks begin so that their content, not their bitmap, lies on this boundary: as Windows lays them out since
/// version 8, and what lets a host share and clone the content's pages.
pub(super) const CONTENT_ALIGNMENT: u64 = 4096;
/// Blocks for which room is made at once at most.
const BLOCKS_AT_ONCE: u64 = 32;
/// Locks for the bitmaps of the blocks.
const STRIPES: usize = 64;

/// A VHD opened for writing, by any number of threads at once.
///
/// # What a kill leaves
///
/// Every write stores the content first, then the sector bitmap, then the BAT entry. So a kill after any of these leaves
/// a file that opens with every completed write, and what it cut short reads as before or as after. Room is made at the
/// end with a new footer there while the copy at the start stands, and is on stable storage before a BAT entry points
/// into it, so that a power failure loses no more than what was written since the last [`flush`](WriteAt::flush).
///
/// Call [`finish`](Self::finish) at the end: it cuts off the room that was not needed. A file without that is good too.
pub struct VhdWriter {
    pub(super) file: Arc<dyn Resize>,
    pub(super) vhd: Vhd,
    pub(super) room: Mutex<Room>,
    stripes: [Mutex<()>; STRIPES],
}

impl fmt::Debug for VhdWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VhdWriter")
            .field("vhd", &self.vhd)
            .finish_non_exhaustive()
    }
}

/// Where the next block goes.
#[derive(Debug)]
pub(super) struct Room {
    /// The byte after the last in use.
    pub end: u64,
    /// Up to where the file is ready to take blocks.
    prepared: u64,
    /// The boundary on which the content of blocks lies.
    pub content_alignment: u64,
    /// Blocks to prepare the next time.
    blocks_at_once: u64,
    /// Blocks whose place is decided and whose BAT entry is not written, with their places in bytes.
    pending: HashMap<u64, u64>,
    /// Whether the file must be good after every single step; one just created need not be.
    in_place: bool,
    /// Whether the footer at the end has to be written when all is done.
    pub footer_is_due: bool,
}

impl Room {
    /// Forgets the places of blocks that were announced and not written.
    pub fn forget_reservations(&mut self) {
        self.pending.clear();
    }
}

/// What a write stores.
#[derive(Clone, Copy)]
enum Content<'a> {
    Bytes(&'a [u8]),
    Zeros,
    File { source: &'a File, offset: u64 },
}

impl Content<'_> {
    /// The content from byte `start` on, `length` bytes of it.
    fn part(&self, start: u64, length: u64) -> Self {
        match *self {
            Self::Bytes(bytes) => Self::Bytes(&bytes[start as usize..(start + length) as usize]),
            Self::Zeros => Self::Zeros,
            Self::File { source, offset } => Self::File {
                source,
                offset: offset + start,
            },
        }
    }

    fn store(&self, file: &dyn Resize, at: Range<u64>) -> Result<(), WriteError> {
        match *self {
            Self::Bytes(bytes) => file.write_at(bytes, at.start),
            Self::Zeros => file.write_zeros_at(at),
            Self::File { source, offset } => file.copy_from_file(source, offset, at.start, at.end - at.start),
        }
    }

    fn fill(&self, buf: &mut [u8]) -> Result<(), WriteError> {
        match *self {
            Self::Bytes(bytes) => buf.copy_from_slice(bytes),
            Self::Zeros => buf.fill(0),
            Self::File { source, offset } => {
                let io = |source| ReadError::Io {
                    offset,
                    length: buf.len() as u64,
                    source,
                };
                RawFile::from_file(source.try_clone().map_err(io)?)
                    .map_err(io)?
                    .read_at(buf, offset)?;
            }
        }
        Ok(())
    }
}

/// A piece of one block.
#[derive(Clone)]
struct BlockRange {
    index: u64,
    /// The piece in bytes of the block.
    within: Range<u64>,
}

impl VhdWriter {
    /// Opens `file` to write in place; all of its BAT is read, and a file in which two blocks share bytes is refused.
    ///
    /// A copy of the footer at the start that is missing or bad is written anew, so that there is always a good one.
    pub fn open(file: Arc<dyn Resize>) -> Result<Self, OpenError> {
        let vhd = Vhd::open(file.clone())?;
        let layout = vhd.layout();
        let copies = &layout.copies;
        let mut end = layout.footer.current_size;
        let mut footer_is_due = false;
        if let Some(blocks) = &layout.blocks {
            end = Occupancy::read_sound(&*file, copies, &blocks.header, blocks.header_offset)?.end;
            let footer = layout.footer.to_bytes();
            if copies.state(FooterPlace::Head) != FooterState::Good {
                file.write_at(&footer, 0)?;
                file.flush()?;
            }
            footer_is_due = copies
                .tail
                .as_ref()
                .is_none_or(|tail| tail.length != FOOTER_SIZE || tail.footer.to_bytes() != footer);
        } else if let Some(tail) = &copies.tail
            && tail.offset + tail.length < file.len()
        {
            // Growing was cut short; without this, the first write behind the footer would hide it.
            file.set_len(tail.offset + tail.length)?;
        }
        Ok(Self::new(file, vhd, end, true, footer_is_due))
    }

    /// A writer for the disk that `vhd` reads, whose next block goes to `end`.
    pub(super) fn new(file: Arc<dyn Resize>, vhd: Vhd, end: u64, in_place: bool, footer_is_due: bool) -> Self {
        Self {
            file,
            vhd,
            room: Mutex::new(Room {
                end,
                prepared: 0,
                content_alignment: CONTENT_ALIGNMENT,
                blocks_at_once: if in_place { 1 } else { BLOCKS_AT_ONCE },
                pending: HashMap::new(),
                in_place,
                footer_is_due,
            }),
            stripes: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Attaches the parent's whole disk, as [`Vhd::set_parent`] does.
    ///
    /// Without it, content that the file leaves to the parent cannot be read, nor can parts of its sectors be written.
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.vhd.set_parent(parent);
    }

    /// What a differencing disk notes of its parent.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.vhd.parent_reference()
    }

    /// The disk's unique id.
    pub fn identity(&self) -> uuid::Uuid {
        self.vhd.identity()
    }

    /// Everything that the file said of itself when it was opened or last resized or relinked.
    pub fn info(&self) -> VhdInfo {
        self.vhd.info()
    }

    /// Completes the file: the footer goes behind the last block, and what is behind that is cut off.
    pub fn finish(self) -> Result<(), WriteError> {
        let mut room = self.room();
        self.write_footer_at_end(&mut room)?;
        if room.in_place { self.file.flush() } else { Ok(()) }
    }

    /// Writes the footer behind the last block, if it is due, and cuts off the rest.
    pub(super) fn write_footer_at_end(&self, room: &mut Room) -> Result<(), WriteError> {
        if room.footer_is_due {
            self.write_footer_at(room.end)?;
            room.prepared = 0;
            room.footer_is_due = false;
        }
        Ok(())
    }

    /// Makes the file end with the footer at `end`.
    pub(super) fn write_footer_at(&self, end: u64) -> Result<(), WriteError> {
        put_footer(&*self.file, &self.vhd.layout().footer.to_bytes(), end)
    }

    pub(super) fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stripe(&self, index: u64) -> MutexGuard<'_, ()> {
        self.stripes[(index % STRIPES as u64) as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where block `index` is, and whether its BAT entry says so already; finds a place for it where it has none.
    fn place(&self, blocks: &BlockLayout, index: u64) -> Result<(u64, bool), WriteError> {
        if let Some(offset) = blocks.block_offset(index)? {
            return Ok((offset, true));
        }
        let mut room = self.room();
        // Asked again: another thread may have been faster, and takes a block from `pending` after its entry is written.
        if let Some(offset) = blocks.block_offset(index)? {
            return Ok((offset, true));
        }
        if let Some(offset) = room.pending.get(&index) {
            return Ok((*offset, false));
        }
        let content = (room.end + blocks.bitmap_size).next_multiple_of(room.content_alignment);
        let offset = content - blocks.bitmap_size;
        if offset / SECTOR >= u64::from(UNALLOCATED) {
            return Err(WriteError::Limit(
                "the file cannot take another block: VHD ends at 2 TiB".to_owned(),
            ));
        }
        let end = offset + blocks.stored_size();
        if end > room.prepared {
            let stride = blocks.stored_size().next_multiple_of(room.content_alignment);
            let prepared = end + (room.blocks_at_once - 1) * stride;
            room.blocks_at_once = (room.blocks_at_once * 2).min(BLOCKS_AT_ONCE);
            self.prepare(&mut room, prepared)?;
        }
        room.end = end;
        room.pending.insert(index, offset);
        Ok((offset, false))
    }

    /// Makes the file read as zeros from the end of what is in use to `prepared`, with the footer behind.
    pub(super) fn prepare(&self, room: &mut Room, prepared: u64) -> Result<(), WriteError> {
        room.footer_is_due = true;
        // Cutting first takes away the old footer and whatever a kill has left there.
        self.file.set_len(room.end)?;
        if room.in_place {
            self.file.set_len(prepared + FOOTER_SIZE)?;
            self.file.write_at(&self.vhd.layout().footer.to_bytes(), prepared)?;
            self.file.flush()?;
        } else {
            self.file.set_len(prepared)?;
        }
        room.prepared = prepared;
        Ok(())
    }

    /// Stores `content` in a piece of a block.
    fn store(&self, blocks: &BlockLayout, piece: &BlockRange, content: Content<'_>) -> Result<(), WriteError> {
        let BlockRange { index, ref within } = *piece;
        let (offset, is_published) = self.place(blocks, index)?;
        let at = |within: &Range<u64>| {
            let start = offset + blocks.bitmap_size;
            start + within.start..start + within.end
        };
        let sectors = sectors_of(within);
        if is_published && self.vhd.bitmap(blocks, index, offset)?.holds(sectors.clone()) {
            return content.store(&*self.file, at(within));
        }
        if !is_published && !self.vhd.is_differencing() {
            // The rest of the block is zeros, and all of its sectors will be claimed.
            content.store(&*self.file, at(within))?;
            return self.record(blocks, index, offset, sectors);
        }
        // Sectors that are written in part get the rest of what they read as before.
        let mut position = within.start;
        while position < within.end {
            let sector_start = position / SECTOR * SECTOR;
            let whole_end = within.end / SECTOR * SECTOR;
            let is_whole = position == sector_start && position < whole_end;
            let end = if is_whole {
                whole_end
            } else {
                within.end.min(sector_start + SECTOR)
            };
            let part = content.part(position - within.start, end - position);
            if is_whole {
                part.store(&*self.file, at(&(position..end)))?;
                self.record(blocks, index, offset, sectors_of(&(position..end)))?;
            } else {
                self.store_in_sector(blocks, index, offset, position..end, part)?;
            }
            position = end;
        }
        Ok(())
    }

    /// Stores `content` in a part of one sector.
    fn store_in_sector(
        &self,
        blocks: &BlockLayout,
        index: u64,
        offset: u64,
        within: Range<u64>,
        content: Content<'_>,
    ) -> Result<(), WriteError> {
        let _stripe = self.stripe(index);
        let start = within.start / SECTOR * SECTOR;
        let on_disk = index * blocks.block_size + start;
        let mut sector = [0; SECTOR as usize];
        let inside = SECTOR.min(self.len() - on_disk) as usize;
        self.vhd.read_at(&mut sector[..inside], on_disk)?;
        content.fill(&mut sector[(within.start - start) as usize..(within.end - start) as usize])?;
        self.file.write_at(&sector, offset + blocks.bitmap_size + start)?;
        self.record_locked(blocks, index, offset, sectors_of(&within))
    }

    /// Notes that the file holds `sectors` of block `index`, which lies at `offset`: the last step of a write.
    fn record(&self, blocks: &BlockLayout, index: u64, offset: u64, sectors: Range<u64>) -> Result<(), WriteError> {
        let _stripe = self.stripe(index);
        self.record_locked(blocks, index, offset, sectors)
    }

    fn record_locked(
        &self,
        blocks: &BlockLayout,
        index: u64,
        offset: u64,
        sectors: Range<u64>,
    ) -> Result<(), WriteError> {
        let count = blocks.block_size / SECTOR;
        let is_published = blocks.block_offset(index)?.is_some();
        let before = if is_published {
            self.vhd.bitmap(blocks, index, offset)?
        } else {
            SectorBitmap::Empty
        };
        let claimed = if is_published || self.vhd.is_differencing() {
            sectors
        } else {
            0..count
        };
        if !(is_published && before.holds(claimed.clone())) {
            let mut bytes = before.to_bytes(blocks.bitmap_size, count);
            set(&mut bytes, claimed.clone());
            let changed = if is_published {
                (claimed.start / 8) as usize..claimed.end.div_ceil(8) as usize
            } else {
                0..bytes.len()
            };
            self.file
                .write_at(&bytes[changed.clone()], offset + changed.start as u64)?;
            self.vhd
                .bitmaps()
                .written(index, SectorBitmap::from_bytes(&bytes, count));
        }
        if !is_published {
            let entry = ((offset / SECTOR) as u32).to_be_bytes();
            self.file.write_at(&entry, blocks.table.offset_of(index))?;
            blocks.table.written(index, entry)?;
            self.room().pending.remove(&index);
        }
        Ok(())
    }

    fn write(&self, content: Content<'_>, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.len())?;
        let Some(blocks) = &self.vhd.layout().blocks else {
            return content.store(&*self.file, range);
        };
        for piece in pieces(blocks.block_size, range.clone()) {
            let start = piece.index * blocks.block_size + piece.within.start;
            let part = content.part(start - range.start, piece.within.end - piece.within.start);
            if let Content::Bytes(bytes) = part
                && blocks.block_offset(piece.index)?.is_none()
                && cv_disk::is_zero(bytes)
            {
                self.write_zeros(blocks, start..start + bytes.len() as u64)?;
            } else {
                self.store(blocks, &piece, part)?;
            }
        }
        Ok(())
    }

    /// Zeroes what does not read as zeros already.
    pub(super) fn write_zeros(&self, blocks: &BlockLayout, range: Range<u64>) -> Result<(), WriteError> {
        // Without the parent at hand, whatever it may hold must be hidden.
        let parent_is_unknown = self.vhd.is_differencing() && self.vhd.parent().is_none();
        let mut position = range.start;
        while position < range.end {
            let extent = if parent_is_unknown {
                self.vhd.own_extent_at(position)?
            } else {
                self.vhd.extent_at(position)?
            };
            let extent = extent.clipped(range.end);
            let is_zero = match extent.kind {
                ExtentKind::Data => false,
                ExtentKind::Zero => true,
                ExtentKind::Hole => !parent_is_unknown,
            };
            if !is_zero {
                for piece in pieces(blocks.block_size, extent.range()) {
                    self.store(blocks, &piece, Content::Zeros)?;
                }
            }
            position = extent.end();
        }
        Ok(())
    }
}

/// The pieces of the blocks that `range` of the disk meets.
fn pieces(block_size: u64, range: Range<u64>) -> impl Iterator<Item = BlockRange> {
    let mut position = range.start;
    std::iter::from_fn(move || {
        (position < range.end).then(|| {
            let index = position / block_size;
            let start = index * block_size;
            let end = range.end.min(start + block_size);
            let within = position - start..end - start;
            position = end;
            BlockRange { index, within }
        })
    })
}

impl ReadAt for VhdWriter {
    fn len(&self) -> u64 {
        self.vhd.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.vhd.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.vhd.extent_at(offset)
    }
}

impl Differencing for VhdWriter {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.vhd.own_extent_at(offset)
    }
}

impl WriteAt for VhdWriter {
    fn write_at(&self, buf: &[u8], offset: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, buf.len() as u64, self.len())?;
        self.write(Content::Bytes(buf), offset..offset + buf.len() as u64)
    }

    /// Zeroes `range`. What reads as zeros already takes no room; in a differencing disk whose parent is not attached,
    /// zeros are always recorded.
    fn write_zeros_at(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.len())?;
        match &self.vhd.layout().blocks {
            Some(blocks) => self.write_zeros(blocks, range),
            None if range.is_empty() => Ok(()),
            None => self.file.write_zeros_at(range),
        }
    }

    fn reserve(&self, range: Range<u64>) -> Result<(), WriteError> {
        WriteError::check_range(range.start, range.end.saturating_sub(range.start), self.len())?;
        if let Some(blocks) = &self.vhd.layout().blocks {
            for piece in pieces(blocks.block_size, range) {
                self.place(blocks, piece.index)?;
            }
        }
        Ok(())
    }

    fn copy_from_file(&self, source: &File, source_offset: u64, offset: u64, length: u64) -> Result<(), WriteError> {
        WriteError::check_range(offset, length, self.len())?;
        let content = Content::File {
            source,
            offset: source_offset,
        };
        self.write(content, offset..offset + length)
    }

    fn flush(&self) -> Result<(), WriteError> {
        self.file.flush()
    }
}
