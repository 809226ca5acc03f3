//! The structures on disk, each declared once for the reader, the writer and the checker.

mod cowd;
mod hosted;
mod marker;
mod sesparse;

pub(crate) use cowd::CowdHeader;
pub(crate) use hosted::{
    COMPRESSION_DEFLATE, FLAG_COMPRESSED, FLAG_MARKERS, FLAG_NEWLINE_TEST, FLAG_REDUNDANT_TABLE, FLAG_ZEROED_GRAINS,
    GD_AT_END, SparseExtentHeader,
};
pub(crate) use marker::{GrainMarker, Marker, MarkerKind};
pub(crate) use sesparse::{SeSparseConstHeader, SeSparseVolatileHeader};

use binrw::{BinRead, BinWrite};
use std::io::Cursor;

/// Bytes in a sector, the unit of nearly every field.
pub(crate) const SECTOR: u64 = 512;

/// A sector's bytes.
pub(crate) type SectorBytes = [u8; SECTOR as usize];

/// The bytes of a structure that takes a whole sector.
pub(crate) fn to_sector<T>(structure: &T) -> SectorBytes
where
    T: for<'a> BinWrite<Args<'a> = ()>,
{
    let mut sector = [0; SECTOR as usize];
    structure
        .write_le(&mut Cursor::new(&mut sector[..]))
        .expect("a structure of one sector fits a sector");
    sector
}

/// The structure at the start of `bytes`; `None` where its magic number is missing or it is cut short.
pub(crate) fn from_bytes<T>(bytes: &[u8]) -> Option<T>
where
    T: for<'a> BinRead<Args<'a> = ()>,
{
    T::read_le(&mut Cursor::new(bytes)).ok()
}
