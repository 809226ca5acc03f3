//! Noting another parent, or another place of the same one.

use super::create::lay_out_locators;
use super::dynamic_header::{LOCATOR_ENTRIES, ParentLocatorEntry};
use super::footer::DiskType;
use super::parent::ParentReference;
use super::write::VhdWriter;
use cv_disk::WriteError;

impl VhdWriter {
    /// Notes `parent` in place of the parent noted so far: its identity and all its paths.
    ///
    /// The content is not touched: that the new parent holds what the old one held is for the caller to see to. The paths
    /// are stored anew at the end of the file and the header points to them in one write, so a kill leaves either parent
    /// noted. A parent attached to the writer stays attached.
    pub fn relink(&mut self, parent: &ParentReference) -> Result<(), WriteError> {
        let Some(blocks) = self
            .vhd
            .layout()
            .blocks
            .as_ref()
            .filter(|blocks| blocks.parent.is_some())
        else {
            return Err(WriteError::Limit("only a differencing disk has a parent".to_owned()));
        };
        let mut header = blocks.header.clone();
        self.file.flush()?;
        let mut room = self.room();
        let (entries, locators) = lay_out_locators(parent, room.end)?;
        if !locators.is_empty() {
            let offset = room.end;
            let end = offset + locators.len() as u64;
            self.prepare(&mut room, end)?;
            self.file.write_at(&locators, offset)?;
            room.end = end;
        }
        drop(room);
        self.file.flush()?;
        header.parent_locator_entries = entries;
        header.parent_unique_id = parent.identity.into_bytes();
        header.parent_time_stamp = parent.time_stamp;
        header.parent_unicode_name = parent.header_name();
        self.write_header(&header)
    }

    /// Makes a differencing disk a dynamic one, which has no parent.
    ///
    /// What the file left to its parent reads as zeros from then on: the caller has written all of it before.
    pub fn detach_parent(&mut self) -> Result<(), WriteError> {
        let layout = self.vhd.layout();
        let Some(blocks) = layout.blocks.as_ref().filter(|blocks| blocks.parent.is_some()) else {
            return Err(WriteError::Limit("only a differencing disk has a parent".to_owned()));
        };
        let mut header = blocks.header.clone();
        let mut footer = layout.footer.clone();
        self.file.flush()?;
        footer.disk_type = DiskType::Dynamic.field();
        self.vhd.set_footer(footer)?;
        self.write_footers()?;
        header.parent_locator_entries = [ParentLocatorEntry::default(); LOCATOR_ENTRIES];
        header.parent_unique_id = [0; 16];
        header.parent_time_stamp = 0;
        header.parent_unicode_name = [0; 512];
        self.write_header(&header)
    }
}
