//! Mending what needs no guessing.

use super::allocation::FILE;
use super::batch::Batch;
use super::check::check;
use super::error::OpenError;
use super::region_table::RegionTable;
use super::structures::REGION_TABLE_OFFSETS;
use super::writer::VhdxWriter;
use cv_disk::{Faults, ReadAt, Resize, WriteError};
use std::sync::Arc;
use uuid::Uuid;

/// Mends what can be mended without guessing, and returns what that was: replays the log, replaces a damaged copy of
/// the header or of the region table by the good one. `new_guid` is as for [`VhdxWriter::open`].
///
/// A file without a mendable fault is not touched. Where other faults keep the file from being opened for writing, the
/// error names the first.
pub fn repair(
    file: Arc<dyn Resize>,
    new_guid: impl Fn() -> Uuid + Send + Sync + 'static,
) -> Result<Faults, WriteError> {
    let readable: Arc<dyn ReadAt> = file.clone();
    let mut mended = Faults::new();
    for fault in check(&readable)?.into_iter().filter(|fault| fault.repairable) {
        mended.push(fault);
    }
    if mended.is_empty() {
        return Ok(mended);
    }
    let writer = VhdxWriter::open(file, new_guid).map_err(|error| match error {
        OpenError::Read(error) => WriteError::Read(error),
        OpenError::Replay(error) => error,
        other => WriteError::Limit(other.to_string()),
    })?;
    writer.begin(FILE)?;
    writer.restore_region_tables()?;
    writer.close(false)?;
    Ok(mended)
}

impl VhdxWriter {
    /// Makes both copies of the region table what the usable one is.
    fn restore_region_tables(&self) -> Result<(), WriteError> {
        let table = RegionTable::to_bytes(&self.structure.region_tables.usable()?.entries);
        for (slot, offset) in REGION_TABLE_OFFSETS.into_iter().enumerate() {
            if self.structure.region_tables.copies[slot].is_err() || slot == 1 {
                let mut batch = Batch::default();
                batch.write(&self.overlay, offset, &table)?;
                self.record(&mut self.state(), batch)?;
            }
        }
        Ok(())
    }
}
