//! Reading a disk.

use super::error::OpenError;
use super::footer::{COOKIE, DiskType, Footer};
use super::footer_copies::FooterCopies;
use super::layout::{BlockLayout, Layout, SECTOR};
use super::parent::ParentReference;
use super::sector_bitmap::{BitmapCache, SectorBitmap, sectors_of};
use cv_disk::{Damage, Differencing, Extent, ExtentKind, PagedTable, ReadAt, ReadError, Stored};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use uuid::Uuid;

/// Blocks looked at for one extent at most, so that no answer takes long.
const BLOCKS_AN_EXTENT: u64 = 1 << 16;

/// A VHD opened for reading.
///
/// Its size is the footer's current size, never that of the geometry. What an allocated block's sector bitmap does not
/// claim is the parent's in a differencing disk and reads as zeros in a dynamic one: there the specification says that
/// such sectors were never written, and files on block devices (those of `XenServer`) hold stale bytes below them.
pub struct Vhd {
    file: Arc<dyn ReadAt>,
    layout: Layout,
    bitmaps: BitmapCache,
    parent: Option<Arc<dyn ReadAt>>,
}

/// Where a piece of a disk is found.
enum Source {
    /// At this offset of the file.
    File(u64),
    /// Not in this file.
    Absent,
}

/// A piece of a block.
struct Piece {
    /// The piece in bytes of the disk.
    range: Range<u64>,
    source: Source,
}

impl fmt::Debug for Vhd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhd")
            .field("disk_type", &self.layout.disk_type)
            .field("size", &self.len())
            .field("identity", &self.identity())
            .field("has_parent", &self.parent.is_some())
            .finish_non_exhaustive()
    }
}

impl Vhd {
    /// Whether `file` is a VHD: by the footer at its start, or at its end as fixed disks have it.
    pub fn probe(file: &dyn ReadAt) -> Result<bool, ReadError> {
        let mut start = [0; 8];
        if file.len() >= SECTOR {
            file.read_at(&mut start, 0)?;
        }
        Ok(start == *COOKIE || FooterCopies::locate(file)?.chosen().is_some())
    }

    /// Opens `file`. A parent is not looked for; see [`parent_reference`](Self::parent_reference).
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let layout = Layout::read(&file)?;
        Ok(Self {
            file,
            layout,
            bitmaps: BitmapCache::default(),
            parent: None,
        })
    }

    /// What a differencing disk notes of its parent; `None` for the other types.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.layout.blocks.as_ref().and_then(|blocks| blocks.parent.as_ref())
    }

    /// Attaches the parent's whole disk. The caller has seen that it
    /// [is the one noted](ParentReference::matches).
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.parent = Some(parent);
    }

    /// As [`set_parent`](Self::set_parent).
    #[must_use]
    pub fn with_parent(mut self, parent: Arc<dyn ReadAt>) -> Self {
        self.set_parent(parent);
        self
    }

    /// The disk's unique id, by which children name it.
    pub fn identity(&self) -> Uuid {
        self.layout.footer.identity()
    }

    /// How the disk is stored.
    pub fn disk_type(&self) -> DiskType {
        self.layout.disk_type
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Goes by `footer` from now on, which is not in the file yet.
    pub(super) fn set_footer(&mut self, footer: Footer) -> Result<(), ReadError> {
        if let Some(blocks) = &mut self.layout.blocks {
            let count = footer.current_size.div_ceil(blocks.block_size);
            blocks.table = PagedTable::new(self.file.clone(), blocks.header.table_offset, count)?;
        }
        self.layout.footer = footer;
        Ok(())
    }

    pub(super) fn bitmaps(&self) -> &BitmapCache {
        &self.bitmaps
    }

    pub(super) fn parent(&self) -> Option<&Arc<dyn ReadAt>> {
        self.parent.as_ref()
    }

    pub(super) fn is_differencing(&self) -> bool {
        self.layout.disk_type == DiskType::Differencing
    }

    /// The sector bitmap of the allocated block `index` at `offset`.
    pub(super) fn bitmap(&self, blocks: &BlockLayout, index: u64, offset: u64) -> Result<SectorBitmap, ReadError> {
        self.bitmaps.get(index, || {
            let mut bytes = vec![0; blocks.bitmap_size as usize];
            read_stored(&*self.file, blocks, index, &mut bytes, offset)?;
            Ok(SectorBitmap::from_bytes(&bytes, blocks.block_size / SECTOR))
        })
    }

    /// The piece from `offset` on that has one source, within one block, ending at `end` at the latest.
    fn piece(&self, blocks: &BlockLayout, offset: u64, end: u64) -> Result<Piece, ReadError> {
        let index = offset / blocks.block_size;
        let block_start = index * blocks.block_size;
        let end = end.min(block_start + blocks.block_size);
        let Some(stored) = blocks.block_offset(index)? else {
            return Ok(Piece {
                range: offset..end,
                source: Source::Absent,
            });
        };
        let within = offset - block_start..end - block_start;
        let sectors = sectors_of(&within);
        let (held, run_end) = self.bitmap(blocks, index, stored)?.run(sectors.start, sectors.end);
        Ok(Piece {
            range: offset..end.min(block_start + run_end * SECTOR),
            source: if held {
                Source::File(stored + blocks.bitmap_size + within.start)
            } else {
                Source::Absent
            },
        })
    }

    /// Fills `buf` with what is absent in this file.
    fn read_absent(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let Some(reference) = self.parent_reference() else {
            buf.fill(0);
            return Ok(());
        };
        let parent = self.parent.as_ref().ok_or_else(|| missing_parent(reference, offset))?;
        let inside = parent.len().saturating_sub(offset).min(buf.len() as u64) as usize;
        let (inside, beyond) = buf.split_at_mut(inside);
        beyond.fill(0);
        if inside.is_empty() {
            return Ok(());
        }
        parent.read_at(inside, offset)
    }

    /// The end of the absent blocks that follow block `index`, in bytes of the disk.
    fn absent_end(&self, blocks: &BlockLayout, index: u64) -> Result<u64, ReadError> {
        let last = blocks.count().min(index.saturating_add(BLOCKS_AN_EXTENT));
        let mut next = index + 1;
        while next < last && blocks.block_offset(next)?.is_none() {
            next += 1;
        }
        Ok((next * blocks.block_size).min(self.len()))
    }

    fn stored_extent(&self, offset: u64, length: u64, at: u64) -> Result<Extent, ReadError> {
        let extent = self.file.extent_at(at)?.clipped(at.saturating_add(length));
        Ok(Extent {
            start: offset,
            length: extent.length,
            kind: match extent.kind {
                ExtentKind::Data => ExtentKind::Data,
                ExtentKind::Zero | ExtentKind::Hole => ExtentKind::Zero,
            },
        })
    }
}

impl ReadAt for Vhd {
    fn len(&self) -> u64 {
        self.layout.footer.current_size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.len())?;
        let Some(blocks) = &self.layout.blocks else {
            return self.file.read_at(buf, offset);
        };
        let end = offset + buf.len() as u64;
        let mut position = offset;
        while position < end {
            let piece = self.piece(blocks, position, end)?;
            let part = &mut buf[(piece.range.start - offset) as usize..(piece.range.end - offset) as usize];
            match piece.source {
                Source::File(at) => {
                    read_stored(&*self.file, blocks, position / blocks.block_size, part, at)?;
                }
                Source::Absent => self.read_absent(part, position)?,
            }
            position = piece.range.end;
        }
        Ok(())
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        let own = self.own_extent_at(offset)?;
        let (ExtentKind::Hole, Some(reference)) = (own.kind, self.parent_reference()) else {
            return Ok(own);
        };
        let parent = self.parent.as_ref().ok_or_else(|| missing_parent(reference, offset))?;
        if offset >= parent.len() {
            return Ok(Extent {
                kind: ExtentKind::Zero,
                ..own
            });
        }
        Ok(parent.extent_at(offset)?.clipped(own.end()))
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let Some(blocks) = &self.layout.blocks else {
            let stored = self.file.stored_at(offset)?;
            return Ok(stored.map(|stored| stored.clipped(self.len() - offset)));
        };
        let piece = self.piece(blocks, offset, self.len())?;
        match piece.source {
            Source::File(at) if at < self.file.len() => {
                let stored = self.file.stored_at(at)?;
                Ok(stored.map(|stored| stored.clipped(piece.range.end - offset)))
            }
            Source::File(_) | Source::Absent => Ok(None),
        }
    }
}

impl Differencing for Vhd {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        ReadError::check_range(offset, 1, self.len())?;
        let Some(blocks) = &self.layout.blocks else {
            return self.stored_extent(offset, self.len() - offset, offset);
        };
        let index = offset / blocks.block_size;
        if blocks.block_offset(index)?.is_none() {
            return Ok(Extent {
                start: offset,
                length: self.absent_end(blocks, index)? - offset,
                kind: ExtentKind::Hole,
            });
        }
        let piece = self.piece(blocks, offset, self.len())?;
        let length = piece.range.end - piece.range.start;
        match piece.source {
            Source::File(at) if at < self.file.len() => self.stored_extent(offset, length, at),
            // Beyond the end of the file: reading will say so.
            Source::File(_) => Ok(Extent {
                start: offset,
                length,
                kind: ExtentKind::Data,
            }),
            Source::Absent => Ok(Extent {
                start: offset,
                length,
                kind: ExtentKind::Hole,
            }),
        }
    }
}

/// Reads from a block, and says which BAT entry is wrong where the file ends before.
fn read_stored(file: &dyn ReadAt, blocks: &BlockLayout, index: u64, buf: &mut [u8], at: u64) -> Result<(), ReadError> {
    file.read_at(buf, at).map_err(|error| match error {
        ReadError::BeyondEnd { size, .. } => Damage::new(
            format!("BAT entry {index}"),
            blocks.table.offset_of(index),
            format!("a block before the end at {size:#x}"),
            format!("one with bytes needed up to {:#x}", at.saturating_add(buf.len() as u64)),
        )
        .into(),
        error => error,
    })
}

fn missing_parent(reference: &ParentReference, offset: u64) -> ReadError {
    let place = reference
        .paths
        .first()
        .map_or_else(String::new, |place| format!(" at {}", place.path));
    Damage::new(
        "content that the file leaves to its parent",
        offset,
        format!("the parent {}{place}", reference.identity),
        "no parent attached",
    )
    .into()
}
