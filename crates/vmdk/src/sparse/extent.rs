//! A sparse extent: one file of grains.

use super::compressed::{GrainDecoder, invalid, outside};
use super::grain_tables::{Directory, EntryFormat, Grain, GrainTables};
use crate::error::OpenError;
use crate::structures::{
    CowdHeader, FLAG_MARKERS, FLAG_REDUNDANT_TABLE, GD_AT_END, Marker, MarkerKind, SECTOR, SeSparseConstHeader,
    SeSparseVolatileHeader, SparseExtentHeader, from_bytes,
};
use cv_disk::{Damage, ExtentKind, PagedTable, ReadAt, ReadError, Stored};
use std::sync::Arc;

/// Reads what lies below an extent, the parent, at an offset of the extent.
pub(crate) type Below<'a> = &'a dyn Fn(&mut [u8], u64) -> Result<(), ReadError>;

/// Grains looked up at once.
const BATCH: usize = 64;

/// Which kind of sparse extent a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SparseKind {
    /// Hosted, with the header in force: the footer's where the stream has one.
    Hosted(SparseExtentHeader),
    /// ESX sparse.
    Cowd(CowdHeader),
    /// Space-efficient sparse.
    SeSparse(SeSparseConstHeader),
}

/// A sparse extent open for reading.
pub(crate) struct SparseExtent {
    file: Arc<dyn ReadAt>,
    kind: SparseKind,
    tables: GrainTables,
    grain_size: u64,
    length: u64,
    decoder: Option<GrainDecoder>,
    uses_redundant: bool,
}

impl std::fmt::Debug for SparseExtent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SparseExtent")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl SparseExtent {
    /// Opens the extent in `file`, whichever kind it is.
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let mut head = [0; CowdHeader::SIZE];
        let available = file.len().min(head.len() as u64) as usize;
        file.read_at(&mut head[..available], 0)?;
        let head = &head[..available];
        if let Some(header) = from_bytes::<SparseExtentHeader>(head) {
            Self::open_hosted(file, header)
        } else if let Some(header) = from_bytes::<CowdHeader>(head) {
            Self::open_cowd(file, header)
        } else if let Some(header) = from_bytes::<SeSparseConstHeader>(head) {
            Self::open_sesparse(file, header)
        } else {
            Err(Damage::new(
                "sparse extent header, magicNumber",
                0,
                "KDMV, COWD or 0xcafebabe",
                format!("{:02x?}", &head[..head.len().min(8)]),
            )
            .into())
        }
    }

    fn open_hosted(file: Arc<dyn ReadAt>, header: SparseExtentHeader) -> Result<Self, OpenError> {
        let (header, at) = if header.gd_offset == GD_AT_END {
            read_footer(&*file)?
        } else {
            (header, 0)
        };
        header.validate(at)?;
        let directory_at = |sector: u64, field: &str, offset: u64| {
            sector
                .checked_mul(SECTOR)
                .and_then(|start| PagedTable::new(file.clone(), start, header.table_count()).ok())
                .map(Directory::Sector)
                .ok_or_else(|| {
                    Damage::new(
                        format!("sparse extent header, {field}"),
                        at + offset,
                        format!(
                            "a grain directory of {} entries within the file of {:#x} bytes",
                            header.table_count(),
                            file.len()
                        ),
                        format!("sector {sector:#x}"),
                    )
                })
        };
        let redundant = if header.has(FLAG_REDUNDANT_TABLE) && header.rgd_offset != 0 {
            directory_at(header.rgd_offset, "rgdOffset", 0x30).ok()
        } else {
            None
        };
        let (directory, redundant, uses_redundant) = match (directory_at(header.gd_offset, "gdOffset", 0x38), redundant)
        {
            (Ok(directory), redundant) if header.gd_offset != 0 => (directory, redundant, false),
            (_, Some(redundant)) => (redundant, None, true),
            (Ok(_), None) => {
                return Err(Damage::new(
                    "sparse extent header, gdOffset",
                    at + 0x38,
                    "the sector of the grain directory",
                    "0",
                )
                .into());
            }
            (Err(damage), None) => return Err(damage.into()),
        };
        let grain_size = header.grain_bytes();
        let length = header.capacity * SECTOR;
        Ok(Self {
            tables: GrainTables::new(
                file.clone(),
                directory,
                redundant,
                EntryFormat::Sector,
                header.num_gtes_per_gt,
                length.div_ceil(grain_size),
            ),
            decoder: header
                .is_compressed()
                .then(|| GrainDecoder::new(grain_size, header.has(FLAG_MARKERS))),
            kind: SparseKind::Hosted(header),
            file,
            grain_size,
            length,
            uses_redundant,
        })
    }

    fn open_cowd(file: Arc<dyn ReadAt>, header: CowdHeader) -> Result<Self, OpenError> {
        header.validate()?;
        let start = u64::from(header.gd_offset) * SECTOR;
        let directory = PagedTable::new(file.clone(), start, header.table_count()).map_err(|_| {
            Damage::new(
                "COWD header, gdOffset",
                0x14,
                format!("a grain directory within the file of {:#x} bytes", file.len()),
                format!("sector {:#x}", header.gd_offset),
            )
        })?;
        let grain_size = u64::from(header.grain_size) * SECTOR;
        let length = u64::from(header.num_sectors) * SECTOR;
        Ok(Self {
            tables: GrainTables::new(
                file.clone(),
                Directory::Sector(directory),
                None,
                EntryFormat::Sector,
                CowdHeader::GTES_PER_GT,
                length.div_ceil(grain_size),
            ),
            decoder: None,
            kind: SparseKind::Cowd(header),
            file,
            grain_size,
            length,
            uses_redundant: false,
        })
    }

    fn open_sesparse(file: Arc<dyn ReadAt>, header: SeSparseConstHeader) -> Result<Self, OpenError> {
        header.validate()?;
        let at = header.volatile_header_offset.saturating_mul(SECTOR);
        let mut sector = [0; SECTOR as usize];
        file.read_at(&mut sector, at)?;
        let volatile = from_bytes::<SeSparseVolatileHeader>(&sector).ok_or_else(|| {
            Damage::new(
                "seSparse volatile header, magic",
                at,
                "0xcafecafe",
                format!("{:02x?}", &sector[..8]),
            )
        })?;
        if volatile.replay_journal != 0 {
            return Err(OpenError::Unsupported(format!(
                "the seSparse extent was not closed: its journal must be replayed by ESXi first (volatile header at \
                 {at:#x}: expected replay journal 0, found {})",
                volatile.replay_journal
            )));
        }
        let in_bytes = |sectors: u64, field: &str, offset: u64| {
            sectors
                .checked_mul(SECTOR)
                .filter(|bytes| *bytes < file.len())
                .ok_or_else(|| {
                    Damage::new(
                        format!("seSparse header, {field}"),
                        offset,
                        format!("a sector within the file of {:#x} bytes", file.len()),
                        format!("{sectors:#x}"),
                    )
                })
        };
        let directory_start = in_bytes(header.grain_dir_offset, "grain directory offset", 0x80)?;
        let tables_start = in_bytes(header.grain_tables_offset, "grain tables offset", 0x90)?;
        // A disk without a grain ends where its grains would begin.
        let grains_start = header.grains_offset.saturating_mul(SECTOR);
        let entries = PagedTable::new(file.clone(), directory_start, header.table_count())?;
        let grain_size = SeSparseConstHeader::GRAIN_SECTORS * SECTOR;
        let length = header.capacity * SECTOR;
        Ok(Self {
            tables: GrainTables::new(
                file.clone(),
                Directory::SeSparse { entries, tables_start },
                None,
                EntryFormat::SeSparse { grains_start },
                SeSparseConstHeader::GTES_PER_GT,
                length.div_ceil(grain_size),
            ),
            decoder: None,
            kind: SparseKind::SeSparse(header),
            file,
            grain_size,
            length,
            uses_redundant: false,
        })
    }

    /// Size of the part of the disk that this is, in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Size of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.file.len()
    }

    /// Size of a grain in bytes.
    pub fn grain_size(&self) -> u64 {
        self.grain_size
    }

    /// What kind it is, with its header.
    pub fn kind(&self) -> &SparseKind {
        &self.kind
    }

    /// Its grain tables.
    pub fn tables(&self) -> &GrainTables {
        &self.tables
    }

    /// Whether the main grain directory was unusable, so that the redundant one serves.
    pub fn uses_redundant_directory(&self) -> bool {
        self.uses_redundant
    }

    /// Whether the grains are compressed.
    pub fn is_compressed(&self) -> bool {
        self.decoder.is_some()
    }

    /// The kind of the byte at `offset`, and where that kind ends, as far as is cheaply known.
    pub fn run_at(&self, offset: u64) -> Result<(ExtentKind, u64), ReadError> {
        let first = offset / self.grain_size;
        let (kind, count) = self.tables.run(first)?;
        let end = (first + count.max(1)).saturating_mul(self.grain_size);
        Ok((kind, end.min(self.length)))
    }

    /// Fills `buf` with the bytes from `offset` on; `below` gives what is not allocated here.
    pub fn read(&self, buf: &mut [u8], offset: u64, below: Below<'_>) -> Result<(), ReadError> {
        ReadError::check_range(offset, buf.len() as u64, self.length)?;
        let end = offset + buf.len() as u64;
        let mut grains = [Grain::Unallocated; BATCH + 1];
        let mut position = offset;
        while position < end {
            let first = position / self.grain_size;
            let count = (end.div_ceil(self.grain_size) - first).min(BATCH as u64) as usize;
            // One more shows where a compressed grain ends.
            let seen = (count as u64 + 1).min(self.tables.grain_count() - first) as usize;
            self.tables.lookup(first, &mut grains[..seen])?;
            let mut index = 0;
            while index < count {
                let run = index + self.alike(&grains[index..count]);
                let stop = ((first + run as u64) * self.grain_size).min(end);
                let part = &mut buf[(position - offset) as usize..(stop - offset) as usize];
                match grains[index] {
                    Grain::Unallocated => below(part, position)?,
                    Grain::Zeroed => part.fill(0),
                    Grain::At(place) => {
                        let within = position - (first + index as u64) * self.grain_size;
                        if let Some(decoder) = &self.decoder {
                            let next = match grains[..seen].get(run) {
                                Some(Grain::At(next)) => Some(*next),
                                _ => None,
                            };
                            decoder.read(&*self.file, &grains[index..run], next, part, within)?;
                        } else {
                            let from = place.saturating_add(within);
                            ReadError::check_range(from, part.len() as u64, self.file.len())
                                .map_err(|_| outside(from, self.file.len()))?;
                            self.file.read_at(part, from)?;
                        }
                    }
                    Grain::Invalid(_) => return Err(invalid(grains[index])),
                }
                position = stop;
                index = run;
            }
        }
        Ok(())
    }

    /// Where a file of the host has the bytes from `offset` on, where they stand in a grain as they are.
    pub fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        ReadError::check_range(offset, 1, self.length)?;
        if self.decoder.is_some() {
            return Ok(None);
        }
        let first = offset / self.grain_size;
        let mut grains = [Grain::Unallocated; BATCH];
        let seen = (self.tables.grain_count() - first).min(BATCH as u64) as usize;
        self.tables.lookup(first, &mut grains[..seen])?;
        let Grain::At(place) = grains[0] else { return Ok(None) };
        let from = place.saturating_add(offset % self.grain_size);
        if from >= self.file.len() {
            return Ok(None);
        }
        let end = ((first + self.alike(&grains[..seen]) as u64) * self.grain_size).min(self.length);
        let stored = self.file.stored_at(from)?;
        Ok(stored.map(|stored| stored.clipped(end - offset)))
    }

    /// How many of `grains` can be read together with the first: of one kind, and stored one behind the other unless
    /// they are compressed.
    fn alike(&self, grains: &[Grain]) -> usize {
        let mut count = 1;
        while let (Some(last), Some(next)) = (grains.get(count - 1), grains.get(count)) {
            let together = match (last, next) {
                (Grain::At(last), Grain::At(next)) => {
                    self.decoder.is_some() || last.checked_add(self.grain_size) == Some(*next)
                }
                (last, next) => last == next,
            };
            if !together {
                break;
            }
            count += 1;
        }
        count
    }
}

/// The footer of a stream: the header that knows where the grain directory is, in the last sector but one, behind its
/// marker. Returns it and its offset in bytes.
fn read_footer(file: &dyn ReadAt) -> Result<(SparseExtentHeader, u64), OpenError> {
    let length = file.len() / SECTOR * SECTOR;
    let at = length.checked_sub(3 * SECTOR).filter(|at| *at > 0).ok_or_else(|| {
        Damage::new(
            "stream footer",
            0,
            "three sectors at the end of the file",
            format!("{length} bytes"),
        )
    })?;
    let mut tail = [0; 3 * SECTOR as usize];
    file.read_at(&mut tail, at)?;
    let marker = from_bytes::<Marker>(&tail);
    let is_footer = marker.is_some_and(|marker| marker.size == 0 && marker.kind == MarkerKind::Footer as u32);
    let footer = from_bytes::<SparseExtentHeader>(&tail[SECTOR as usize..]).filter(|_| is_footer);
    let footer = footer.filter(|footer| footer.gd_offset != GD_AT_END).ok_or_else(|| {
        Damage::new(
            "stream footer",
            at,
            "a footer marker and a footer that names the grain directory; the stream may be cut short",
            "neither",
        )
    })?;
    Ok((footer, at + SECTOR))
}
