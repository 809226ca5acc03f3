//! Reading the virtual disk through the BAT, the sector bitmaps and the parent ([MS-VHDX] sections 2.4 and 2.5).

use super::bat::{BatEntry, BlockState, Geometry};
use super::structures::MIB;
use cv_disk::{Damage, Extent, ExtentKind, PagedTable, ReadAt, ReadError, Stored};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The blocks of one file and the parent behind it, shared by the reader and the writer.
pub(super) struct Blocks {
    /// Where payload blocks are read.
    pub data: Arc<dyn ReadAt>,
    /// Where sector bitmaps are read.
    pub metadata: Arc<dyn ReadAt>,
    pub bat: PagedTable<8>,
    pub geometry: Geometry,
    pub parent: Option<Arc<dyn ReadAt>>,
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("geometry", &self.geometry)
            .field("bat", &self.bat)
            .field("parent", &self.parent.is_some())
            .finish_non_exhaustive()
    }
}

/// Bytes of a sector bitmap read at once.
const BITMAP_STEP: u64 = 4096;
/// Bytes of the BAT read at once.
const BAT_STEP: u64 = 64 << 10;
/// Blocks that one answer about extents joins at most, one by one.
const BLOCKS_JOINED: u64 = 4096;
/// After as many blocks that are not present, it is asked how far the BAT is empty: about a page of it.
const BLOCKS_TO_A_PROBE: u64 = 512;

/// A part of the virtual disk that lies in one payload block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The payload block.
    pub block: u64,
    /// First byte within the block.
    pub within: u64,
    /// Number of bytes.
    pub length: u64,
}

impl Blocks {
    /// Divides a range of the virtual disk by payload blocks.
    pub fn parts(&self, range: Range<u64>) -> impl Iterator<Item = Part> + use<> {
        let block_size = self.geometry.block_size;
        let mut position = range.start;
        std::iter::from_fn(move || {
            (position < range.end).then(|| {
                let within = position % block_size;
                let part = Part {
                    block: position / block_size,
                    within,
                    length: (block_size - within).min(range.end - position),
                };
                position += part.length;
                part
            })
        })
    }

    /// The BAT entry of a payload block and its state.
    pub fn entry(&self, block: u64) -> Result<(BatEntry, BlockState), ReadError> {
        let index = self.geometry.payload_index(block);
        let entry = BatEntry::from_bytes(self.bat.get(index)?);
        let state = entry.state().ok_or_else(|| {
            Damage::new(
                format!("BAT entry {index} State"),
                self.bat.offset_of(index),
                "0, 1, 2, 3, 6 or 7",
                entry.state_bits().to_string(),
            )
        })?;
        if state == BlockState::PartiallyPresent && !self.geometry.has_parent {
            return Err(Damage::new(
                format!("BAT entry {index} State"),
                self.bat.offset_of(index),
                "no partially present block, as the file has no parent",
                "7",
            )
            .into());
        }
        Ok((entry, state))
    }

    /// Hands every BAT entry that is not zero to `each`, with its index.
    pub fn for_each_entry(&self, each: impl FnMut(u64, BatEntry) -> Result<(), Damage>) -> Result<(), ReadError> {
        for_each_entry(&*self.metadata, self.bat.offset_of(0), 0..self.bat.len(), each)
    }

    /// Where a stored part of a block lies in the file.
    pub fn place(&self, entry: BatEntry, part: Part) -> Result<u64, ReadError> {
        let start = entry.file_offset();
        let size = self.data.len();
        let end = start.saturating_add(part.within + part.length);
        if start < MIB || end > size {
            let index = self.geometry.payload_index(part.block);
            return Err(Damage::new(
                format!("BAT entry {index} FileOffsetMB"),
                self.bat.offset_of(index),
                format!("a block behind the header section and within the file of {size:#x} bytes"),
                format!("{start:#x}"),
            )
            .into());
        }
        Ok(start + part.within)
    }

    /// Where the sector bitmap of a chunk lies in the file.
    pub fn bitmap(&self, chunk: u64) -> Result<u64, ReadError> {
        let index = self.geometry.bitmap_index(chunk);
        let entry = BatEntry::from_bytes(self.bat.get(index)?);
        let size = self.metadata.len();
        let start = entry.file_offset();
        if entry.state_bits() != 6 || start < MIB || start.saturating_add(Geometry::BITMAP_BLOCK) > size {
            return Err(Damage::new(
                format!("BAT entry {index}"),
                self.bat.offset_of(index),
                format!("a sector bitmap block that is present and within the file of {size:#x} bytes"),
                format!("state {} at {start:#x}", entry.state_bits()),
            )
            .into());
        }
        Ok(start)
    }

    /// The runs of a part of a partially present block that this file stores (`true`) or leaves to its parent.
    fn runs(&self, part: Part) -> Result<Runs<'_>, ReadError> {
        let sector = self.geometry.logical_sector_size;
        Ok(Runs {
            blocks: self,
            bits: self.bitmap(self.geometry.chunk_of(part.block))? + self.geometry.bitmap_start(part.block),
            position: part.within,
            end: part.within + part.length,
            sector,
            buffer: Vec::new(),
            buffer_start: 0,
        })
    }

    /// Whether the logical sector that holds byte `within` of a partially present block is stored in this file.
    pub fn stores_sector(&self, block: u64, within: u64) -> Result<bool, ReadError> {
        let part = Part {
            block,
            within,
            length: 1,
        };
        Ok(self.runs(part)?.next().transpose()?.is_some_and(|(_, stored)| stored))
    }

    /// Fills `buf` from the parent, which reads as zeros beyond its end.
    pub fn read_parent(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let parent = self.present_parent(offset)?;
        let length = parent.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        buf[length..].fill(0);
        if length == 0 {
            return Ok(());
        }
        parent.read_at(&mut buf[..length], offset)
    }

    fn present_parent(&self, offset: u64) -> Result<&Arc<dyn ReadAt>, ReadError> {
        self.parent.as_ref().ok_or_else(|| {
            let index = self.geometry.payload_index(offset / self.geometry.block_size);
            ReadError::Damaged(Damage::new(
                "differencing disk",
                self.bat.offset_of(index),
                format!("the parent, which holds the bytes from {offset:#x} on"),
                "no parent attached",
            ))
        })
    }

    fn own_block_extent(&self, part: Part) -> Result<Extent, ReadError> {
        let start = part.block * self.geometry.block_size + part.within;
        let whole = |kind| Extent {
            start,
            length: part.length,
            kind,
        };
        let (entry, state) = self.entry(part.block)?;
        match state {
            BlockState::NotPresent => Ok(whole(ExtentKind::Hole)),
            BlockState::Undefined | BlockState::Zero | BlockState::Unmapped => Ok(whole(ExtentKind::Zero)),
            BlockState::FullyPresent => self.stored_extent(entry, part, start),
            BlockState::PartiallyPresent => {
                let Some((range, stored)) = self.runs(part)?.next().transpose()? else {
                    return Ok(whole(ExtentKind::Hole));
                };
                let length = range.end - range.start;
                if stored {
                    self.stored_extent(entry, Part { length, ..part }, start)
                } else {
                    Ok(whole(ExtentKind::Hole).clipped(start + length))
                }
            }
        }
    }

    /// The extent of stored bytes: where the host keeps a hole for them, zeros.
    fn stored_extent(&self, entry: BatEntry, part: Part, start: u64) -> Result<Extent, ReadError> {
        let place = self.place(entry, part)?;
        let below = self.data.extent_at(place)?.clipped(place + part.length);
        Ok(Extent {
            start,
            length: below.length,
            kind: match below.kind {
                ExtentKind::Data => ExtentKind::Data,
                ExtentKind::Zero | ExtentKind::Hole => ExtentKind::Zero,
            },
        })
    }

    /// The block behind those from `block` on that are not present because the file stores no BAT entries for them.
    fn end_of_absent_blocks(&self, block: u64) -> Result<u64, ReadError> {
        let index = self.geometry.payload_index(block);
        let extent = self.metadata.extent_at(self.bat.offset_of(index))?;
        if extent.kind == ExtentKind::Data {
            return Ok(block + 1);
        }
        let end = (index + extent.length / 8).min(self.bat.len());
        let ratio = self.geometry.chunk_ratio();
        let blocks = end / (ratio + 1) * ratio + (end % (ratio + 1)).min(ratio);
        Ok(blocks.clamp(block + 1, self.geometry.block_count()))
    }

    /// As [`Differencing::own_extent_at`](cv_disk::Differencing::own_extent_at).
    pub fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let size = self.geometry.virtual_size;
        ReadError::check_range(offset, 1, size)?;
        let block_size = self.geometry.block_size;
        let part_from = |position: u64| Part {
            block: position / block_size,
            within: position % block_size,
            length: (block_size - position % block_size).min(size - position),
        };
        let part = part_from(offset);
        let mut joined = self.own_block_extent(part)?;
        if joined.kind == ExtentKind::Data || joined.length < part.length {
            return Ok(joined);
        }
        for _ in 0..BLOCKS_JOINED {
            if joined.kind == ExtentKind::Hole {
                let last = (joined.end() - 1) / block_size;
                if last.is_multiple_of(BLOCKS_TO_A_PROBE) && self.entry(last)?.0.0 == 0 {
                    let end = self.end_of_absent_blocks(last)? * block_size;
                    joined.length = end.min(size).max(joined.end()) - offset;
                }
            }
            if joined.end() == size {
                break;
            }
            let part = part_from(joined.end());
            // An error there is reported to those who ask for what is there.
            match self.own_block_extent(part) {
                Ok(next) if next.kind == joined.kind => {
                    joined.length += next.length;
                    if next.length < part.length {
                        break;
                    }
                }
                _ => break,
            }
        }
        Ok(joined)
    }
}

/// Hands those of the BAT entries `range` that are not zero to `each`, with their indices. The BAT stands at `start`.
pub(super) fn for_each_entry(
    view: &dyn ReadAt,
    start: u64,
    range: Range<u64>,
    mut each: impl FnMut(u64, BatEntry) -> Result<(), Damage>,
) -> Result<(), ReadError> {
    let mut buffer = vec![0; BAT_STEP as usize];
    let mut index = range.start;
    while index < range.end {
        let position = start + index * 8;
        let extent = view.extent_at(position)?.clipped(start + range.end * 8);
        if extent.kind != ExtentKind::Data && extent.length >= 8 {
            index += extent.length / 8;
            continue;
        }
        let length = ((range.end - index) * 8).min(BAT_STEP) as usize;
        view.read_at(&mut buffer[..length], position)?;
        for bytes in buffer[..length].chunks_exact(8) {
            let entry = BatEntry::from_bytes(std::array::from_fn(|i| bytes[i]));
            if entry.0 != 0 {
                each(index, entry)?;
            }
            index += 1;
        }
    }
    Ok(())
}

impl ReadAt for Blocks {
    fn len(&self) -> u64 {
        self.geometry.virtual_size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        let mut rest = buf;
        for part in self.parts(offset..offset + rest.len() as u64) {
            let (target, behind) = rest.split_at_mut(part.length as usize);
            rest = behind;
            let start = part.block * self.geometry.block_size + part.within;
            let (entry, state) = self.entry(part.block)?;
            match state {
                BlockState::NotPresent if self.geometry.has_parent => self.read_parent(target, start)?,
                BlockState::NotPresent | BlockState::Undefined | BlockState::Zero | BlockState::Unmapped => {
                    target.fill(0);
                }
                BlockState::FullyPresent => self.data.read_at(target, self.place(entry, part)?)?,
                BlockState::PartiallyPresent => {
                    let place = self.place(entry, part)?;
                    for run in self.runs(part)? {
                        let (range, stored) = run?;
                        let first = range.start - part.within;
                        let target = &mut target[first as usize..(range.end - part.within) as usize];
                        if stored {
                            self.data.read_at(target, place + first)?;
                        } else {
                            self.read_parent(target, start + first)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let own = self.own_extent_at(offset)?;
        if own.kind != ExtentKind::Hole || !self.geometry.has_parent {
            return Ok(own);
        }
        let parent = self.present_parent(offset)?;
        if offset < parent.len() {
            Ok(parent.extent_at(offset)?.clipped(own.end()))
        } else {
            Ok(own)
        }
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let Some(part) = self.parts(offset..self.len()).next() else {
            return Ok(None);
        };
        let (entry, BlockState::FullyPresent) = self.entry(part.block)? else {
            return Ok(None);
        };
        let stored = self.data.stored_at(self.place(entry, part)?)?;
        Ok(stored.map(|stored| stored.clipped(part.length)))
    }
}

/// Iterates over [`Blocks::runs`]; ranges are in bytes within the block.
struct Runs<'a> {
    blocks: &'a Blocks,
    bits: u64,
    position: u64,
    end: u64,
    sector: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl Runs<'_> {
    /// Whether sector `number` of the block is stored.
    fn bit(&mut self, number: u64) -> Result<bool, ReadError> {
        let byte = number / 8;
        if byte < self.buffer_start || byte >= self.buffer_start + self.buffer.len() as u64 {
            let last = (self.end - 1) / self.sector / 8;
            self.buffer.resize((last + 1 - byte).min(BITMAP_STEP) as usize, 0);
            self.buffer_start = byte;
            self.blocks.metadata.read_at(&mut self.buffer, self.bits + byte)?;
        }
        Ok(self.buffer[(byte - self.buffer_start) as usize] >> (number % 8) & 1 == 1)
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<(Range<u64>, bool), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.end {
            return None;
        }
        let start = self.position;
        let mut number = start / self.sector;
        let stored = match self.bit(number) {
            Ok(stored) => stored,
            Err(error) => {
                self.position = self.end;
                return Some(Err(error));
            }
        };
        loop {
            number += 1;
            self.position = (number * self.sector).min(self.end);
            if self.position == self.end {
                break;
            }
            match self.bit(number) {
                Ok(bit) if bit == stored => {}
                Ok(_) => break,
                Err(error) => {
                    self.position = self.end;
                    return Some(Err(error));
                }
            }
        }
        Some(Ok((start..self.position, stored)))
    }
}
