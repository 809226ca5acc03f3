//! Where everything is in an opened file.

use super::dynamic_header::{DynamicHeader, HEADER_SIZE};
use super::error::OpenError;
use super::footer::{DiskType, FOOTER_SIZE, FORMAT_VERSION, Footer};
use super::footer_copies::{FooterCopies, FooterCopy, FooterPlace};
use super::parent::ParentReference;
use cv_disk::{Damage, PagedTable, ReadAt, ReadError};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

/// Bytes of a sector. The specification knows no other size.
pub(super) const SECTOR: u64 = 512;
/// The BAT entry of a block that is not allocated.
pub(super) const UNALLOCATED: u32 = u32::MAX;

/// The metadata of a file, read and found usable.
#[derive(Debug)]
pub(super) struct Layout {
    pub copies: FooterCopies,
    /// The copy gone by.
    pub footer: Footer,
    pub footer_place: FooterPlace,
    pub disk_type: DiskType,
    /// What dynamic and differencing disks have beyond.
    pub blocks: Option<BlockLayout>,
}

/// Where the blocks of a dynamic or differencing disk are.
#[derive(Debug)]
pub(super) struct BlockLayout {
    pub header: DynamicHeader,
    /// Where the header stands, in bytes.
    pub header_offset: u64,
    /// Bytes of a block's content.
    pub block_size: u64,
    /// Bytes of the sector bitmap before it, padded to sectors.
    pub bitmap_size: u64,
    /// The BAT, as far as the disk reaches.
    pub table: PagedTable<4>,
    /// For differencing disks.
    pub parent: Option<ParentReference>,
}

impl Layout {
    /// Reads the metadata of `file`.
    pub fn read(file: &Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let copies = FooterCopies::locate(&**file)?;
        let Some((footer_place, chosen)) = copies.chosen() else {
            return Err(OpenError::NotVhd { size: file.len() });
        };
        let footer = chosen.footer.clone();
        let Some(disk_type) = footer.disk_type() else {
            return Err(Damage::new(
                "disk type of the footer",
                chosen.offset + 60,
                "2, 3 or 4",
                footer.disk_type.to_string(),
            )
            .into());
        };
        let blocks = match disk_type {
            DiskType::Fixed => {
                if footer.current_size > chosen.offset {
                    return Err(Damage::new(
                        "current size of the footer",
                        chosen.offset + 48,
                        format!("at most the {} bytes before the footer", chosen.offset),
                        format!("{} bytes", footer.current_size),
                    )
                    .into());
                }
                None
            }
            DiskType::Dynamic | DiskType::Differencing => Some(BlockLayout::read(file, chosen, disk_type)?),
        };
        Ok(Self {
            copies,
            footer,
            footer_place,
            disk_type,
            blocks,
        })
    }
}

impl BlockLayout {
    fn read(file: &Arc<dyn ReadAt>, chosen: &FooterCopy, disk_type: DiskType) -> Result<Self, OpenError> {
        let FooterCopy {
            footer,
            offset: footer_offset,
            ..
        } = chosen;
        let header_offset = footer.data_offset;
        let header = read_header(&**file, header_offset, *footer_offset)?;
        check_block_size(&header, header_offset)?;
        let block_size = u64::from(header.block_size);
        let count = footer.current_size.div_ceil(block_size);
        if count > u64::from(header.max_table_entries) {
            return Err(Damage::new(
                "max table entries of the dynamic disk header",
                header_offset + 28,
                format!(
                    "at least {count} for a disk of {} bytes in blocks of {block_size}",
                    footer.current_size
                ),
                header.max_table_entries.to_string(),
            )
            .into());
        }
        let table = PagedTable::new(file.clone(), header.table_offset, count).map_err(|error| {
            if let ReadError::BeyondEnd { size, .. } = error {
                ReadError::from(Damage::new(
                    "table offset of the dynamic disk header",
                    header_offset + 16,
                    format!("room for {count} entries before the end at {size:#x}"),
                    format!("{:#x}", header.table_offset),
                ))
            } else {
                error
            }
        })?;
        let parent = match disk_type {
            DiskType::Differencing => Some(ParentReference::read(&**file, &header)?),
            _ => None,
        };
        Ok(Self {
            bitmap_size: bitmap_size(block_size),
            header,
            header_offset,
            block_size,
            table,
            parent,
        })
    }

    /// Bytes of a block with its bitmap.
    pub fn stored_size(&self) -> u64 {
        self.bitmap_size + self.block_size
    }

    /// Where block `index` begins, with its bitmap, in bytes; `None` where it is not allocated.
    pub fn block_offset(&self, index: u64) -> Result<Option<u64>, ReadError> {
        let sector = u32::from_be_bytes(self.table.get(index)?);
        Ok((sector != UNALLOCATED).then_some(u64::from(sector) * SECTOR))
    }

    /// Number of blocks.
    pub fn count(&self) -> u64 {
        self.table.len()
    }

    /// The byte after the BAT, padded to sectors.
    pub fn table_end(&self) -> u64 {
        table_end(&self.header)
    }
}

/// The byte after the BAT that `header` declares, padded to sectors.
pub(super) fn table_end(header: &DynamicHeader) -> u64 {
    let length = (u64::from(header.max_table_entries) * 4).next_multiple_of(SECTOR);
    header.table_offset.saturating_add(length)
}

/// Bytes of the sector bitmap of a block: a bit a sector, padded to sectors.
pub(super) fn bitmap_size(block_size: u64) -> u64 {
    (block_size / SECTOR).div_ceil(8).next_multiple_of(SECTOR)
}

/// Reads the dynamic disk header at `offset`, where the footer at `footer_offset` says that it is.
pub(super) fn read_header(file: &dyn ReadAt, offset: u64, footer_offset: u64) -> Result<DynamicHeader, ReadError> {
    let fits = offset.checked_add(HEADER_SIZE).is_some_and(|end| end <= file.len());
    if !fits {
        return Err(Damage::new(
            "data offset of the footer",
            footer_offset + 16,
            format!("room for a dynamic disk header before the end at {:#x}", file.len()),
            format!("{offset:#x}"),
        )
        .into());
    }
    let mut bytes = [0; HEADER_SIZE as usize];
    file.read_at(&mut bytes, offset)?;
    let header = DynamicHeader::parse(&bytes).ok_or_else(|| {
        Damage::new(
            "dynamic disk header",
            offset,
            "\"cxsparse\"",
            format!("\"{}\"", bytes[..8].escape_ascii()),
        )
    })?;
    if header.header_version != FORMAT_VERSION {
        return Err(Damage::new(
            "header version of the dynamic disk header",
            offset + 24,
            format!("{FORMAT_VERSION:#x}"),
            format!("{:#x}", header.header_version),
        )
        .into());
    }
    Ok(header)
}

/// Fails where the block size is none that the specification allows.
pub(super) fn check_block_size(header: &DynamicHeader, header_offset: u64) -> Result<(), Damage> {
    if header.block_size.is_power_of_two() && u64::from(header.block_size) >= SECTOR {
        return Ok(());
    }
    Err(Damage::new(
        "block size of the dynamic disk header",
        header_offset + 32,
        "a power of two, at least 512",
        header.block_size.to_string(),
    ))
}

/// Calls `visit` with the number and the value of every allocated entry of the BAT at `table_offset`, in bounded memory,
/// until it breaks. Entries beyond the end of the file are left out.
pub(super) fn visit_table(
    file: &dyn ReadAt,
    table_offset: u64,
    entries: Range<u64>,
    mut visit: impl FnMut(u64, u32) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut buffer = vec![0; 64 << 10];
    let mut index = entries.start;
    while index < entries.end {
        let offset = table_offset.saturating_add(index * 4);
        let length = ((entries.end - index) * 4)
            .min(buffer.len() as u64)
            .min(file.len().saturating_sub(offset) / 4 * 4);
        if length == 0 {
            return Ok(());
        }
        let page = &mut buffer[..length as usize];
        file.read_at(page, offset)?;
        for entry in page.chunks_exact(4) {
            let sector = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
            if sector != UNALLOCATED && visit(index, sector).is_break() {
                return Ok(());
            }
            index += 1;
        }
    }
    Ok(())
}

const _: () = assert!(FOOTER_SIZE == SECTOR);
