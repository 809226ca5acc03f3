//! What only streams have: compressed grains and markers.

use super::{Checker, Target};
use crate::sparse::{GrainDecoder, compressed_size_max};
use crate::structures::{FLAG_MARKERS, GrainMarker, Marker, MarkerKind, SECTOR, SparseExtentHeader, from_bytes};
use cv_disk::{Damage, ReadAt, ReadError, Severity, WriteError};
use std::ops::Range;

impl Checker {
    /// Checks a compressed grain: its marker, its size, and that it inflates. Returns the bytes that it takes.
    pub(super) fn check_compressed(
        &mut self,
        file: &dyn ReadAt,
        header: &SparseExtentHeader,
        decoder: &GrainDecoder,
        grain: u64,
        offset: u64,
    ) -> Result<Range<u64>, ReadError> {
        let has_marker = header.has(FLAG_MARKERS);
        let mut head = [0; GrainMarker::SIZE];
        file.read_at(&mut head, offset)?;
        let marker = from_bytes::<GrainMarker>(&head);
        let most = compressed_size_max(header.grain_bytes()).min(file.len() - offset);
        let length = match marker {
            Some(marker) if has_marker => {
                if marker.lba != grain * header.grain_size {
                    self.fault(
                        Severity::Warning,
                        Damage::new(
                            "grain marker, lba",
                            offset,
                            (grain * header.grain_size).to_string(),
                            marker.lba.to_string(),
                        ),
                    );
                }
                (GrainMarker::SIZE as u64 + u64::from(marker.size)).min(most)
            }
            _ => most,
        };
        let mut stored = vec![0; length as usize];
        file.read_at(&mut stored, offset)?;
        let mut inflated = vec![0; header.grain_bytes() as usize];
        if let Err(error) = decoder.inflate(&stored, offset, &mut inflated) {
            match error {
                ReadError::Damaged(damage) => self.fault(Severity::Error, damage),
                other => return Err(other),
            }
        }
        // Without markers nothing says how long the grain is.
        let end = if has_marker { offset + length } else { offset + 1 };
        Ok(offset..end)
    }

    /// Checks the markers before the tables of a stream whose directory is at its end.
    pub(super) fn check_table_marker(
        &mut self,
        file: &dyn ReadAt,
        table_at: u64,
        sectors: u64,
    ) -> Result<(), ReadError> {
        let at = table_at.saturating_sub(SECTOR);
        let mut sector = [0; SECTOR as usize];
        file.read_at(&mut sector, at)?;
        let expected = Marker::new(MarkerKind::GrainTable, sectors);
        let found = from_bytes::<Marker>(&sector);
        if found != Some(expected) {
            self.fault(
                Severity::Note,
                Damage::new("grain table marker", at, format!("{expected:?}"), format!("{found:?}")),
            );
        }
        Ok(())
    }

    /// Checks how a stream ends.
    pub(super) fn check_stream_end(&mut self, target: &Target) -> Result<(), WriteError> {
        let length = target.file.len();
        if !length.is_multiple_of(SECTOR) {
            self.fault(
                Severity::Warning,
                Damage::new("stream", length, "a whole number of sectors", format!("{length} bytes")),
            );
        }
        let at = (length / SECTOR).saturating_sub(1) * SECTOR;
        let mut sector = [0; SECTOR as usize];
        target.file.read_at(&mut sector, at)?;
        let end = Marker::new(MarkerKind::EndOfStream, 0);
        if from_bytes::<Marker>(&sector) != Some(end) {
            self.fault(
                Severity::Note,
                Damage::new(
                    "end-of-stream marker",
                    at,
                    "a marker of type 0, which ESX wants",
                    "none",
                ),
            );
        }
        Ok(())
    }
}
