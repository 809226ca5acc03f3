//! Compressed grains: found by their markers, inflated by the thread that wants them.

use super::grain_tables::Grain;
use crate::structures::{GrainMarker, from_bytes};
use cv_disk::{Damage, ReadAt, ReadError};
use libdeflater::{DecompressionError, Decompressor};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of inflated grains kept for reads smaller than a grain.
const KEPT_BYTES: u64 = 2 << 20;
/// Bytes read from the file at once.
const SPAN: u64 = 2 << 20;

/// Bytes of a compressed grain at most: deflate adds little even to what cannot be compressed, and qemu's reader allows
/// twice the grain.
pub(crate) fn compressed_size_max(grain_size: u64) -> u64 {
    2 * grain_size + 1024
}

/// Inflates grains, never to more than a grain's size.
#[derive(Debug)]
pub(crate) struct GrainDecoder {
    grain_size: u64,
    has_markers: bool,
    idle: Mutex<Vec<Inflater>>,
    kept: Mutex<Kept>,
}

struct Inflater(Decompressor);

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inflater")
    }
}

#[derive(Debug, Default)]
struct Kept {
    grains: HashMap<u64, (u64, Arc<[u8]>)>,
    clock: u64,
}

/// A compressed grain wanted: where it begins in the file, what the file ends it with at the latest, and which bytes of
/// it go where.
struct Wanted {
    offset: u64,
    end: u64,
    within: Range<usize>,
    target: Range<usize>,
}

impl GrainDecoder {
    /// A decoder for grains of `grain_size` bytes; with `has_markers` each begins with a [`GrainMarker`].
    pub fn new(grain_size: u64, has_markers: bool) -> Self {
        Self {
            grain_size,
            has_markers,
            idle: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// Fills `buf` with the bytes from `start` on of the neighbouring grains `grains`, all of which are stored. `next` is
    /// where a later grain begins, if that is known.
    pub fn read(
        &self,
        file: &dyn ReadAt,
        grains: &[Grain],
        next: Option<u64>,
        buf: &mut [u8],
        start: u64,
    ) -> Result<(), ReadError> {
        let mut wanted = Vec::with_capacity(grains.len());
        let mut done = 0;
        for (index, grain) in grains.iter().enumerate() {
            let begin = if index == 0 { start } else { 0 };
            let length = (self.grain_size - begin).min((buf.len() - done) as u64) as usize;
            let Grain::At(offset) = *grain else {
                return Err(invalid(*grain));
            };
            let after = grains.get(index + 1).copied().map_or(next, |grain| match grain {
                Grain::At(after) => Some(after),
                _ => None,
            });
            wanted.push(Wanted {
                offset,
                end: self.end_of(offset, after, file.len()),
                within: begin as usize..begin as usize + length,
                target: done..done + length,
            });
            done += length;
        }
        let mut rest = &wanted[..];
        while let Some(first) = rest.first() {
            // Neighbours in the disk are neighbours in the file, as nearly every writer leaves them: one read for all.
            let mut count = 1;
            while let (Some(last), Some(next)) = (rest.get(count - 1), rest.get(count)) {
                let close = next.offset >= last.end && next.offset - last.end < 4096;
                if !close || next.end - first.offset > SPAN {
                    break;
                }
                count += 1;
            }
            self.read_span(file, &rest[..count], buf)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Where a grain that begins at `offset` ends at the latest; one that begins behind the file's end has no bytes.
    fn end_of(&self, offset: u64, next: Option<u64>, file_length: u64) -> u64 {
        let most = offset
            .saturating_add(compressed_size_max(self.grain_size))
            .min(file_length)
            .max(offset);
        match next {
            Some(next) if next > offset => most.min(next),
            _ => most,
        }
    }

    fn read_span(&self, file: &dyn ReadAt, wanted: &[Wanted], buf: &mut [u8]) -> Result<(), ReadError> {
        if let [one] = wanted
            && one.within.len() < self.grain_size as usize
        {
            let grain = match self.kept(one.offset) {
                Some(grain) => grain,
                None => self.inflate_and_keep(file, one)?,
            };
            buf[one.target.clone()].copy_from_slice(&grain[one.within.clone()]);
            return Ok(());
        }
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(());
        };
        let bytes = read_between(file, first.offset, last.end)?;
        for one in wanted {
            let from = &bytes[(one.offset - first.offset) as usize..(one.end - first.offset) as usize];
            let target = &mut buf[one.target.clone()];
            if one.within.len() == self.grain_size as usize {
                self.inflate(from, one.offset, target)?;
            } else {
                let mut grain = vec![0; self.grain_size as usize];
                self.inflate(from, one.offset, &mut grain)?;
                target.copy_from_slice(&grain[one.within.clone()]);
            }
        }
        Ok(())
    }

    fn kept(&self, offset: u64) -> Option<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock += 1;
        let clock = kept.clock;
        let (used, grain) = kept.grains.get_mut(&offset)?;
        *used = clock;
        Some(grain.clone())
    }

    fn inflate_and_keep(&self, file: &dyn ReadAt, one: &Wanted) -> Result<Arc<[u8]>, ReadError> {
        let bytes = read_between(file, one.offset, one.end)?;
        let mut grain = vec![0; self.grain_size as usize];
        self.inflate(&bytes, one.offset, &mut grain)?;
        let grain: Arc<[u8]> = grain.into();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.grains.len() as u64 >= (KEPT_BYTES / self.grain_size).max(1) {
            let oldest = kept
                .grains
                .iter()
                .min_by_key(|(_, (used, _))| *used)
                .map(|(key, _)| *key);
            oldest.and_then(|key| kept.grains.remove(&key));
        }
        let clock = kept.clock;
        kept.grains.insert(one.offset, (clock, grain.clone()));
        Ok(grain)
    }

    /// Inflates the grain that stands at the start of `stored`, which is at `offset` of the file, to `grain`; what the
    /// stream does not fill becomes zero.
    pub fn inflate(&self, stored: &[u8], offset: u64, grain: &mut [u8]) -> Result<(), ReadError> {
        let data = if self.has_markers {
            let marker = from_bytes::<GrainMarker>(stored);
            let size = marker.map_or(0, |marker| marker.size as usize);
            let data = stored.get(GrainMarker::SIZE..).and_then(|data| data.get(..size));
            data.filter(|data| !data.is_empty()).ok_or_else(|| {
                Damage::new(
                    "grain marker, size",
                    offset + 8,
                    format!("1 to {} bytes", stored.len().saturating_sub(GrainMarker::SIZE)),
                    size.to_string(),
                )
            })?
        } else {
            stored
        };
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut inflater = idle.unwrap_or_else(|| Inflater(Decompressor::new()));
        let outcome = inflater.0.zlib_decompress(data, grain);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(inflater);
        match outcome {
            Ok(length) => {
                grain[length..].fill(0);
                Ok(())
            }
            Err(DecompressionError::BadData) => Err(Damage::new(
                "compressed grain",
                offset,
                "a deflate stream with its checksum",
                "another",
            )
            .into()),
            Err(DecompressionError::InsufficientSpace) => Err(Damage::new(
                "compressed grain",
                offset,
                format!("at most {} bytes when inflated", grain.len()),
                "more",
            )
            .into()),
        }
    }
}

fn read_between(file: &dyn ReadAt, start: u64, end: u64) -> Result<Vec<u8>, ReadError> {
    if end <= start {
        return Err(outside(start, file.len()));
    }
    let mut bytes = vec![0; (end - start) as usize];
    file.read_at(&mut bytes, start)?;
    Ok(bytes)
}

/// A grain that should lie within the file and does not.
pub(super) fn outside(offset: u64, file_length: u64) -> ReadError {
    Damage::new(
        "grain",
        offset,
        format!("a place within the file of {file_length:#x} bytes"),
        format!("{offset:#x}"),
    )
    .into()
}

/// An entry that means nothing.
pub(super) fn invalid(grain: Grain) -> ReadError {
    Damage::new("grain table entry", 0, "a known kind of entry", format!("{grain:?}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cv_disk::MemoryDisk;

    #[test]
    fn grains_behind_the_end_of_the_file_are_refused() {
        let file = MemoryDisk::new(1 << 16);
        let decoder = GrainDecoder::new(4096, true);
        for places in [
            [1 << 20, 1 << 20],
            [1 << 20, 1 << 12],
            [0xfe00, 1 << 17],
            [1 << 17, (1 << 17) + 512],
        ] {
            let grains = places.map(Grain::At);
            for next in [None, Some(1 << 21), Some(512)] {
                let mut buf = vec![0; 8192];
                assert!(decoder.read(&file, &grains, next, &mut buf, 0).is_err(), "{places:?}");
            }
        }
    }
}
