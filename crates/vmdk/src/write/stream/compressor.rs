//! Compressing grains in the threads that write them.

use crate::sparse::compressed_size_max;
use crate::structures::{GrainMarker, SECTOR};
use binrw::BinWrite;
use cv_disk::WriteError;
use libdeflater::{CompressionLvl, Compressor};
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};

/// Compressors, one for each thread that compresses at the same time.
pub(super) struct Compressors {
    level: CompressionLvl,
    idle: Mutex<Vec<(Compressor, Vec<u8>)>>,
}

impl Compressors {
    /// Compressors of libdeflate's `level`, 1 to 12.
    pub fn new(level: i32) -> Self {
        Self {
            level: CompressionLvl::new(level).unwrap_or_default(),
            idle: Mutex::default(),
        }
    }

    /// `bytes` compressed, behind the marker of the grain that begins at sector `lba`, padded to whole sectors.
    pub fn compress(&self, lba: u64, bytes: &[u8]) -> Result<Vec<u8>, WriteError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut compressor, mut room) = idle.unwrap_or_else(|| (Compressor::new(self.level), Vec::new()));
        room.resize(compressed_size_max(bytes.len() as u64) as usize, 0);
        let outcome = compressor.zlib_compress(bytes, &mut room[GrainMarker::SIZE..]);
        let outcome = outcome.map_err(|_| WriteError::Limit("a grain does not compress within its bound".into()));
        let stored = outcome.map(|size| {
            let marker = GrainMarker { lba, size: size as u32 };
            marker
                .write(&mut Cursor::new(&mut room[..]))
                .expect("the room holds a marker");
            let end = GrainMarker::SIZE + size;
            let padded = end.next_multiple_of(SECTOR as usize);
            let mut stored = Vec::with_capacity(padded);
            stored.extend_from_slice(&room[..end]);
            stored.resize(padded, 0);
            stored
        });
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push((compressor, room));
        stored
    }
}
