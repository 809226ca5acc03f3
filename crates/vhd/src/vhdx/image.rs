//! A VHDX file opened for reading.

use super::bat::Geometry;
use super::blocks::Blocks;
use super::error::OpenError;
use super::header::Headers;
use super::info::{VhdxIdentity, VhdxInfo};
use super::log::{ActiveSequence, LogState};
use super::metadata::{Metadata, MetadataTable};
use super::overlay::Overlay;
use super::parent_locator::ParentReference;
use super::region_table::{RegionTables, Regions};
use super::structures::{FILE_TYPE_OFFSET, FileTypeIdentifier, Header, decode};
use cv_disk::{Damage, Differencing, Extent, PagedTable, ReadAt, ReadError, Stored};
use std::ops::Range;
use std::sync::Arc;

/// A VHDX file, read as the virtual disk it holds.
///
/// A log that was left behind is replayed in memory; the file is not changed. The parent of a differencing file is not
/// opened but attached by the caller; until then, reading what the parent holds fails.
#[derive(Debug)]
pub struct Vhdx {
    blocks: Blocks,
    structure: Structure,
}

/// Everything in front of the blocks, as reader, writer and checker need it.
#[derive(Debug)]
pub(super) struct Structure {
    pub creator: String,
    pub headers: Headers,
    pub header: Header,
    pub log: Option<Range<u64>>,
    pub log_state: Option<LogState>,
    pub region_tables: RegionTables,
    pub regions: Regions,
    pub metadata_table: MetadataTable,
    pub metadata: Metadata,
    /// The file with its log replayed; `None` where there was none to replay.
    pub replayed: Option<Arc<Overlay>>,
}

impl Structure {
    /// Reads everything up to the BAT.
    pub fn read(file: &Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let creator = read_creator(&**file)?;
        let headers = Headers::read(&**file)?;
        let (header, offset) = headers.usable()?;
        let log = header.log_range(offset, file.len());
        let (replayed, log_state) = if header.log_guid.0.is_nil() {
            (None, None)
        } else {
            let log = log.clone()?;
            let sequence = ActiveSequence::find(&**file, log.clone(), header.log_guid.0)?;
            let overlay = Overlay::new(file.clone());
            sequence.replay(&**file, &log, &overlay)?;
            (Some(Arc::new(overlay)), Some(sequence.state()))
        };
        let view: Arc<dyn ReadAt> = match &replayed {
            Some(overlay) => overlay.clone(),
            None => file.clone(),
        };
        let region_tables = RegionTables::read(&*view)?;
        let regions = region_tables.usable()?.regions(view.len())?;
        let metadata_table = MetadataTable::read(&*view, regions.metadata.clone())?;
        let metadata = Metadata::read(&*view, &metadata_table)?;
        let structure = Self {
            creator,
            headers,
            header,
            log: log.ok(),
            log_state,
            region_tables,
            regions,
            metadata_table,
            metadata,
            replayed,
        };
        Self::check_bat_length(&structure.regions.bat, &structure.geometry())?;
        Ok(structure)
    }

    /// Fails where the BAT region is too short for every entry.
    pub fn check_bat_length(bat: &Range<u64>, geometry: &Geometry) -> Result<(), Damage> {
        let needed = geometry.entry_count() * 8;
        let length = bat.end - bat.start;
        if needed > length {
            return Err(Damage::new(
                "BAT region",
                bat.start,
                format!("{needed} bytes for {} entries", needed / 8),
                format!("{length} bytes"),
            ));
        }
        Ok(())
    }

    pub fn geometry(&self) -> Geometry {
        self.metadata.geometry()
    }

    pub fn identity(&self) -> VhdxIdentity {
        VhdxIdentity {
            virtual_disk_id: self.metadata.virtual_disk_id,
            data_write_guid: self.header.data_write_guid.0,
            file_write_guid: self.header.file_write_guid.0,
        }
    }
}

fn read_creator(file: &dyn ReadAt) -> Result<String, OpenError> {
    if !Vhdx::probe(file)? {
        return Err(OpenError::NotVhdx);
    }
    let mut bytes = [0; FileTypeIdentifier::SIZE];
    file.read_at(&mut bytes, FILE_TYPE_OFFSET)?;
    let identifier: FileTypeIdentifier = decode(&bytes, "file type identifier", FILE_TYPE_OFFSET)?;
    let units: Vec<u16> = identifier.creator.into_iter().take_while(|unit| *unit != 0).collect();
    Ok(String::from_utf16_lossy(&units))
}

impl Vhdx {
    /// Whether `file` begins with a VHDX file type identifier (section 2.2.1).
    pub fn probe(file: &dyn ReadAt) -> Result<bool, ReadError> {
        let mut signature = [0; 8];
        if file.len() < signature.len() as u64 {
            return Ok(false);
        }
        file.read_at(&mut signature, FILE_TYPE_OFFSET)?;
        Ok(signature == FileTypeIdentifier::SIGNATURE)
    }

    /// Opens `file` without its parent.
    pub fn open(file: Arc<dyn ReadAt>) -> Result<Self, OpenError> {
        let structure = Structure::read(&file)?;
        let view: Arc<dyn ReadAt> = match &structure.replayed {
            Some(overlay) => overlay.clone(),
            None => file,
        };
        let geometry = structure.geometry();
        let blocks = Blocks {
            bat: PagedTable::new(view.clone(), structure.regions.bat.start, geometry.entry_count())?,
            data: view.clone(),
            metadata: view,
            geometry,
            parent: None,
        };
        Ok(Self { blocks, structure })
    }

    /// Attaches the parent's whole view. The caller has compared the identities, see
    /// [`ParentReference::matches`].
    pub fn set_parent(&mut self, parent: Arc<dyn ReadAt>) {
        self.blocks.parent = Some(parent);
    }

    /// The same image with its parent attached.
    #[must_use]
    pub fn with_parent(mut self, parent: Arc<dyn ReadAt>) -> Self {
        self.set_parent(parent);
        self
    }

    /// What a differencing file says of its parent; `None` for other files.
    pub fn parent_reference(&self) -> Option<&ParentReference> {
        self.structure.metadata.parent.as_ref()
    }

    /// The GUIDs that identify the file and its content.
    pub fn identity(&self) -> VhdxIdentity {
        self.structure.identity()
    }

    /// Everything that the file says of itself.
    pub fn info(&self) -> VhdxInfo {
        VhdxInfo::new(&self.structure)
    }
}

impl ReadAt for Vhdx {
    fn len(&self) -> u64 {
        self.blocks.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.blocks.read_at(buf, offset)
    }

    fn extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.blocks.extent_at(offset)
    }

    fn stored_at(&self, offset: u64) -> Result<Option<Stored<'_>>, ReadError> {
        self.blocks.stored_at(offset)
    }
}

impl Differencing for Vhdx {
    fn own_extent_at(&self, offset: u64) -> Result<Extent, ReadError> {
        self.blocks.own_extent_at(offset)
    }
}
