//! The bytes of the volume, and of values that lie in its clusters.

use crate::structure::{Attribute, Form, Geometry, NonResidentHeader, Run, run_list};
use cv_disk::{Damage, ExtentKind, ReadAt};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The volume and the sizes of its parts.
pub(super) struct Volume {
    pub disk: Arc<dyn ReadAt>,
    pub geometry: Geometry,
}

impl Volume {
    /// Fills `buffer` from `offset` on. What cannot be read is damage like any other, so that the check goes on elsewhere.
    pub fn read(&self, buffer: &mut [u8], offset: u64, structure: &str) -> Result<(), Damage> {
        self.disk
            .read_at(buffer, offset)
            .map_err(|error| Damage::new(structure, offset, "bytes that can be read", chain(&error)))
    }

    /// The parts of `range` that the disk stores. What cannot be told counts as stored, so that reading it says why.
    fn stored(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let end = range.end.min(self.disk.len());
        let mut position = range.start;
        std::iter::from_fn(move || {
            while position < end {
                let start = position;
                let extent = self.disk.extent_at(position).ok();
                position = extent.map_or(end, |extent| extent.end().clamp(start + 1, end));
                let is_stored = extent.is_none_or(|extent| extent.kind == ExtentKind::Data);
                if is_stored {
                    return Some(start..position);
                }
            }
            None
        })
    }

    /// Bytes per cluster.
    pub fn cluster_size(&self) -> u64 {
        u64::from(self.geometry.cluster_size)
    }
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A value in clusters, from all extents of its attribute.
#[derive(Debug, Clone, Default)]
pub(super) struct Clusters {
    /// In ascending order of their VCN, without gaps.
    runs: Vec<Run>,
    /// Bytes of the value, no more than the runs hold.
    size: u64,
    /// Bytes that were written; beyond it the value is zeros.
    valid: u64,
}

impl Clusters {
    /// What the first extent of an attribute says; [`extend`](Self::extend) adds the runs.
    pub fn new(header: &NonResidentHeader) -> Self {
        Self {
            runs: Vec::new(),
            size: header.file_size,
            valid: header.valid_data_length.min(header.file_size),
        }
    }

    /// The first cluster that no run is known for.
    pub fn end(&self) -> u64 {
        self.runs.last().map_or(0, Run::end)
    }

    /// Adds the runs of the next extent. Fails where they do not follow the last one or lie outside the volume.
    pub fn extend(&mut self, header: &NonResidentHeader, pairs: &[u8], volume: &Volume) -> Result<(), Damage> {
        if header.lowest_vcn != self.end() {
            return Err(Damage::new(
                "attribute header, lowest VCN",
                0x10,
                self.end().to_string(),
                header.lowest_vcn.to_string(),
            ));
        }
        for run in run_list::decode(pairs, header.lowest_vcn)? {
            if run
                .lcn
                .is_some_and(|lcn| volume.geometry.clusters_offset(lcn, run.clusters).is_none())
            {
                return Err(Damage::new(
                    "mapping pairs",
                    0,
                    format!("clusters below {}", volume.geometry.total_clusters),
                    format!("{} from {} on", run.clusters, run.lcn.unwrap_or_default()),
                ));
            }
            self.runs.push(run);
        }
        Ok(())
    }

    /// Bytes of the value, no more than its runs hold.
    pub fn size(&self, volume: &Volume) -> u64 {
        self.size.min(self.end().saturating_mul(volume.cluster_size()))
    }

    /// Bytes that were written.
    pub fn valid(&self, volume: &Volume) -> u64 {
        self.valid.min(self.size(volume))
    }

    /// The runs.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Where the byte at `offset` of the value stands in the volume, and how many bytes follow it there.
    pub fn place(&self, offset: u64, volume: &Volume) -> Option<Range<u64>> {
        let cluster_size = volume.cluster_size();
        let vcn = offset / cluster_size;
        let number = self.runs.partition_point(|run| run.end() <= vcn);
        let run = self.runs.get(number)?;
        let start = (run.lcn? + (vcn - run.vcn)) * cluster_size + offset % cluster_size;
        Some(start..(run.lcn? + run.clusters) * cluster_size)
    }

    /// Fills `buffer` with the value's bytes from `offset` on; what is not stored or was not written is zeros.
    pub fn read(&self, buffer: &mut [u8], offset: u64, volume: &Volume, structure: &str) -> Result<(), Damage> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.size(volume) {
            return Err(Damage::new(
                structure,
                self.place(offset, volume).map_or(0, |place| place.start),
                format!("{} bytes at {offset:#x}", buffer.len()),
                format!("a value of {} bytes", self.size(volume)),
            ));
        }
        let valid = self.valid(volume);
        let cluster_size = volume.cluster_size();
        let mut position = offset;
        while position < end {
            let within = (position - offset) as usize;
            let vcn = position / cluster_size;
            let number = self.runs.partition_point(|run| run.end() <= vcn);
            let run_end = self
                .runs
                .get(number)
                .map_or(end, |run| run.end().saturating_mul(cluster_size))
                .min(end);
            let place = self.place(position, volume).filter(|_| position < valid);
            let stop = if place.is_some() { run_end.min(valid) } else { run_end };
            let part = &mut buffer[within..(stop - offset) as usize];
            match place {
                Some(place) => volume.read(part, place.start, structure)?,
                None => part.fill(0),
            }
            position = stop;
        }
        Ok(())
    }

    /// The ranges of the value that are stored on the disk and may hold something but zeros, in ascending order.
    pub fn stored<'a>(&'a self, volume: &'a Volume) -> impl Iterator<Item = Range<u64>> + 'a {
        let cluster_size = volume.cluster_size();
        let valid = self.valid(volume);
        self.runs
            .iter()
            .filter_map(move |run| {
                let start = run.vcn.saturating_mul(cluster_size);
                let length = valid
                    .saturating_sub(start)
                    .min(run.clusters.saturating_mul(cluster_size));
                let place = run.lcn? * cluster_size;
                (length > 0).then_some((start, place, length))
            })
            .flat_map(move |(start, place, length)| {
                volume
                    .stored(place..place + length)
                    .map(move |stored| start + (stored.start - place)..start + (stored.end - place))
            })
    }
}

/// Bytes of a bitmap that are read together.
const PIECE: u64 = 64 << 10;

/// A value wherever it is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// In the record, at that place in the volume.
    Resident { bytes: Vec<u8>, place: u64 },
    /// In clusters.
    Clusters(Clusters),
}

impl Value {
    /// The value of an attribute that is whole in its record, which stands at `record` in the volume.
    pub fn of(attribute: &Attribute<'_>, record: u64, volume: &Volume) -> Result<Self, Damage> {
        match attribute.form {
            Form::Resident { header, value } => Ok(Self::Resident {
                bytes: value.to_vec(),
                place: record + attribute.offset as u64 + u64::from(header.value_offset),
            }),
            Form::NonResident {
                header, mapping_pairs, ..
            } => {
                let mut clusters = Clusters::new(&header);
                clusters.extend(&header, mapping_pairs, volume)?;
                Ok(Self::Clusters(clusters))
            }
        }
    }

    /// Bytes of the value.
    pub fn size(&self, volume: &Volume) -> u64 {
        match self {
            Self::Resident { bytes, .. } => bytes.len() as u64,
            Self::Clusters(clusters) => clusters.size(volume),
        }
    }

    /// Where the byte at `offset` stands in the volume; 0 where it is not stored.
    pub fn place(&self, offset: u64, volume: &Volume) -> u64 {
        match self {
            Self::Resident { place, .. } => place + offset,
            Self::Clusters(clusters) => clusters.place(offset, volume).map_or(0, |place| place.start),
        }
    }

    /// Fills `buffer` from `offset` of the value on.
    pub fn read(&self, buffer: &mut [u8], offset: u64, volume: &Volume, structure: &str) -> Result<(), Damage> {
        match self {
            Self::Resident { bytes, place } => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let part = start
                    .checked_add(buffer.len())
                    .and_then(|end| bytes.get(start..end))
                    .ok_or_else(|| {
                        Damage::new(
                            structure,
                            *place,
                            format!("{} bytes at {offset:#x}", buffer.len()),
                            format!("a value of {} bytes", bytes.len()),
                        )
                    })?;
                buffer.copy_from_slice(part);
                Ok(())
            }
            Self::Clusters(clusters) => clusters.read(buffer, offset, volume, structure),
        }
    }

    /// The whole value, where it is of `limit` bytes at most.
    pub fn read_all(&self, limit: u64, volume: &Volume, structure: &str) -> Result<Vec<u8>, Damage> {
        let size = self.size(volume);
        if size > limit {
            return Err(Damage::new(
                structure,
                self.place(0, volume),
                format!("at most {limit} bytes"),
                size.to_string(),
            ));
        }
        let mut bytes = vec![0; size as usize];
        self.read(&mut bytes, 0, volume, structure)?;
        Ok(bytes)
    }

    /// The ranges that may hold something but zeros.
    pub fn stored<'a>(&'a self, volume: &'a Volume) -> Box<dyn Iterator<Item = Range<u64>> + 'a> {
        match self {
            Self::Resident { bytes, .. } => {
                let range = 0..bytes.len() as u64;
                Box::new((!bytes.is_empty()).then_some(range).into_iter())
            }
            Self::Clusters(clusters) => Box::new(clusters.stored(volume)),
        }
    }

    /// The 64-bit words of a bitmap that are not 0, with their numbers, in ascending order. An error ends them.
    pub fn words<'a>(
        &'a self,
        volume: &'a Volume,
        structure: &'a str,
    ) -> impl Iterator<Item = Result<(u64, u64), Damage>> + 'a {
        let size = self.size(volume);
        let mut stored = self.stored(volume);
        // Words from `next` to `end` are still to be looked at, those from `read` on are in `piece`.
        let (mut next, mut end, mut read) = (0, 0, 0);
        let mut piece: Vec<u8> = Vec::new();
        let mut has_failed = false;
        std::iter::from_fn(move || {
            while !has_failed {
                if next == end {
                    let range = stored.next()?;
                    // Two ranges may share a word.
                    next = end.max(range.start / 8);
                    end = next.max(range.end.div_ceil(8));
                    piece.clear();
                    continue;
                }
                let within = ((next - read) * 8) as usize;
                if within >= piece.len() {
                    let start = next * 8;
                    piece.resize((end * 8).min(size).min(start + PIECE).saturating_sub(start) as usize, 0);
                    read = next;
                    if let Err(damage) = self.read(&mut piece, start, volume, structure) {
                        has_failed = true;
                        return Some(Err(damage));
                    }
                    if piece.is_empty() {
                        return None;
                    }
                    continue;
                }
                let part = &piece[within..piece.len().min(within + 8)];
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                let word = u64::from_le_bytes(word);
                next += 1;
                if word != 0 {
                    return Some(Ok((next - 1, word)));
                }
            }
            None
        })
    }
}

/// Bits that are set, and the first of them.
#[derive(Default)]
pub(super) struct Tally {
    pub count: u64,
    pub first: u64,
}

impl Tally {
    /// Adds the bits of a bitmap's 64-bit word, with its number.
    pub fn add(&mut self, word: u64, bits: u64) {
        if bits != 0 && self.count == 0 {
            self.first = word * 64 + u64::from(bits.trailing_zeros());
        }
        self.count += u64::from(bits.count_ones());
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "bit {} set", self.first),
            count => write!(f, "{count} bits set, the first is bit {}", self.first),
        }
    }
}
