//! Markers between the grains and the metadata of a stream (Virtual Disk Format 5.0, "Stream-Optimized Compressed
//! Sparse Extents").

use binrw::binrw;

/// What stands before a compressed grain, 12 bytes: its data follows at once.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GrainMarker {
    /// First sector of the disk that the grain covers.
    pub lba: u64,
    /// Bytes of compressed data, never 0.
    pub size: u32,
}

impl GrainMarker {
    /// Bytes of the marker.
    pub const SIZE: usize = 12;
}

/// What stands before metadata, a sector of its own.
#[binrw]
#[brw(little)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    /// Sectors of metadata that follow.
    pub sectors: u64,
    /// 0, which tells the marker from a grain's.
    pub size: u32,
    /// A [`MarkerKind`].
    #[brw(pad_after = 496)]
    pub kind: u32,
}

/// The kinds of [`Marker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkerKind {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

impl Marker {
    /// The marker before `sectors` sectors of metadata.
    pub fn new(kind: MarkerKind, sectors: u64) -> Self {
        Self {
            sectors,
            size: 0,
            kind: kind as u32,
        }
    }
}
