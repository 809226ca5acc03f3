//! Everything an image says of itself.

use super::Vmdk;
use super::storage::{Storage, StoredExtent};
use crate::descriptor::Access;
use crate::sparse::SparseKind;
use crate::structures::{FLAG_REDUNDANT_TABLE, FLAG_ZEROED_GRAINS};
use crate::{Identity, ParentReference};

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmdkInfo {
    /// `createType`, the subformat; `None` where the descriptor does not say.
    pub create_type: Option<String>,
    /// Size of the disk in bytes.
    pub virtual_size: u64,
    /// Size of a sector in bytes, always 512.
    pub sector_size: u32,
    /// The content id and the long one.
    pub identity: Identity,
    /// The parent, for a differencing image.
    pub parent: Option<ParentReference>,
    /// The descriptor's version.
    pub version: Option<u32>,
    /// The descriptor's encoding, as it says.
    pub encoding: Option<String>,
    /// `ddb.adapterType`.
    pub adapter_type: Option<String>,
    /// `ddb.virtualHWVersion`.
    pub hardware_version: Option<String>,
    /// `ddb.uuid`.
    pub uuid: Option<String>,
    /// Cylinders, heads and sectors a track, where the descriptor has all three.
    pub geometry: Option<(u64, u64, u64)>,
    /// Every entry of the disk data base (`ddb.`), in the descriptor's order.
    pub database: Vec<(String, String)>,
    /// `changeTrackPath`: the file of changed block tracking.
    pub change_track_path: Option<String>,
    /// Whether the descriptor stands within the extent's file.
    pub is_descriptor_embedded: bool,
    /// The extents in the disk's order.
    pub extents: Vec<ExtentInfo>,
}

/// What is known of an extent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentInfo {
    /// The file's name in the descriptor; `None` for a zero extent, and for one whose descriptor is embedded, where the
    /// name means nothing.
    pub name: Option<String>,
    /// What may be done with it.
    pub access: Access,
    /// How it is stored, in the descriptor's word.
    pub kind: String,
    /// First byte of the disk that it holds.
    pub start: u64,
    /// Bytes of the disk that it holds.
    pub length: u64,
    /// The byte of the file where a flat extent begins.
    pub file_offset: u64,
    /// Size of the file in bytes, 0 for a zero extent.
    pub file_size: u64,
    /// What a sparse extent's header says.
    pub sparse: Option<SparseInfo>,
}

/// What a sparse extent's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, read by name")]
pub struct SparseInfo {
    /// The header's version.
    pub version: u64,
    /// The header's flags.
    pub flags: u32,
    /// Bytes of a grain.
    pub grain_size: u64,
    /// Entries of a grain table.
    pub grain_table_entries: u32,
    /// Number of grain tables.
    pub grain_tables: u64,
    /// Whether the grains are compressed.
    pub is_compressed: bool,
    /// Whether entries of value 1 mean zeros.
    pub has_zeroed_grains: bool,
    /// Whether a redundant directory and tables are kept.
    pub has_redundant_tables: bool,
    /// Whether the main grain directory was unusable, so that the redundant one serves.
    pub uses_redundant_directory: bool,
    /// Whether the last writer did not close the extent.
    pub was_not_closed: bool,
}

impl Vmdk {
    /// Everything the image says of itself.
    pub fn info(&self) -> VmdkInfo {
        let descriptor = self.descriptor();
        let number = |key: &str| descriptor.get(key).and_then(|value| value.trim().parse().ok());
        let geometry = || {
            Some((
                number("ddb.geometry.cylinders")?,
                number("ddb.geometry.heads")?,
                number("ddb.geometry.sectors")?,
            ))
        };
        let is_database = |(key, _): &(String, String)| key.to_ascii_lowercase().starts_with("ddb.");
        VmdkInfo {
            create_type: descriptor.get("createType"),
            virtual_size: self.size,
            sector_size: 512,
            identity: self.identity(),
            parent: self.parent_reference().cloned(),
            version: number("version").and_then(|version| u32::try_from(version).ok()),
            encoding: descriptor.get("encoding"),
            adapter_type: descriptor.get("ddb.adapterType"),
            hardware_version: descriptor.get("ddb.virtualHWVersion"),
            uuid: descriptor.get("ddb.uuid"),
            geometry: geometry(),
            database: descriptor.entries().filter(is_database).collect(),
            change_track_path: descriptor.get("changeTrackPath"),
            is_descriptor_embedded: self.descriptor_place.is_some(),
            extents: self.extents.iter().map(|extent| self.extent_info(extent)).collect(),
        }
    }

    fn extent_info(&self, extent: &StoredExtent) -> ExtentInfo {
        let (file_offset, file_size, sparse) = match &extent.storage {
            Storage::Flat { file, start } => (*start, file.len(), None),
            Storage::Zero => (0, 0, None),
            Storage::Sparse(sparse) => {
                let (version, flags, unclean) = match sparse.kind() {
                    SparseKind::Hosted(header) => (header.version.into(), header.flags, header.unclean_shutdown != 0),
                    SparseKind::Cowd(header) => (header.version.into(), header.flags, false),
                    SparseKind::SeSparse(header) => (header.version, 0, false),
                };
                let is_hosted = matches!(sparse.kind(), SparseKind::Hosted(_));
                let info = SparseInfo {
                    version,
                    flags,
                    grain_size: sparse.grain_size(),
                    grain_table_entries: sparse.tables().entries_per_table() as u32,
                    grain_tables: sparse.tables().directory().len(),
                    is_compressed: sparse.is_compressed(),
                    has_zeroed_grains: is_hosted && flags & FLAG_ZEROED_GRAINS != 0,
                    has_redundant_tables: is_hosted && flags & FLAG_REDUNDANT_TABLE != 0,
                    uses_redundant_directory: sparse.uses_redundant_directory(),
                    was_not_closed: unclean,
                };
                (0, sparse.file_len(), Some(info))
            }
        };
        ExtentInfo {
            name: extent.line.name.clone().filter(|_| self.descriptor_place.is_none()),
            access: extent.line.access,
            kind: extent.line.kind.to_string(),
            start: extent.start,
            length: extent.length,
            file_offset,
            file_size,
            sparse,
        }
    }
}
