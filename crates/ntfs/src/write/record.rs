//! File records made of attributes: how they are spread over several where one is too small, and their bytes.

use super::residency::capacity;
use super::tree::StreamId;
use crate::structure::attribute::{encode_non_resident, encode_resident, non_resident_size, resident_size};
use crate::structure::{
    AttributeFlags, AttributeListEntry, AttributeType, FileRecordHeader, FileReference, NonResidentHeader, RecordFlags,
    ResidentHeader, Run, Structure, run_list,
};
use std::borrow::Cow;
use std::ops::Range;

/// An attribute that has no place in a record yet.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub type_code: AttributeType,
    pub name: Cow<'a, [u16]>,
    pub flags: AttributeFlags,
    pub value: Value<'a>,
}

/// The value of an attribute.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// These bytes, in the record.
    Resident(Cow<'a, [u8]>),
    /// A stream's content, in the record, put there when that is written.
    Content(StreamId, usize),
    /// In clusters.
    Clusters(Clusters),
}

/// A value in clusters.
#[derive(Debug, Clone, Default)]
pub(super) struct Clusters {
    pub runs: Vec<Run>,
    pub compression_unit: u8,
    pub allocated: u64,
    pub size: u64,
    /// Bytes of the clusters that are stored, where that is not all of them.
    pub total_allocated: Option<u64>,
}

impl Clusters {
    /// `clusters` that follow each other, holding `size` bytes.
    pub fn contiguous(lcn: u64, clusters: u64, size: u64, cluster_size: u32) -> Self {
        Self {
            runs: if clusters == 0 {
                Vec::new()
            } else {
                vec![Run {
                    vcn: 0,
                    lcn: Some(lcn),
                    clusters,
                }]
            },
            allocated: clusters * u64::from(cluster_size),
            size,
            ..Self::default()
        }
    }
}

impl<'a> Part<'a> {
    /// An attribute without a name whose value stands in the record.
    pub fn resident(type_code: AttributeType, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self {
            type_code,
            name: Cow::Borrowed(&[]),
            flags: AttributeFlags::empty(),
            value: Value::Resident(value.into()),
        }
    }

    /// An attribute without a name whose value lies in clusters.
    pub fn clusters(type_code: AttributeType, value: Clusters) -> Self {
        Self {
            type_code,
            name: Cow::Borrowed(&[]),
            flags: AttributeFlags::empty(),
            value: Value::Clusters(value),
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(self, name: impl Into<Cow<'a, [u16]>>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// The same with flags.
    #[must_use]
    pub fn flagged(self, flags: AttributeFlags) -> Self {
        Self { flags, ..self }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Resident(bytes) => resident_size(self.name.len(), bytes.len()),
            Value::Content(_, length) => resident_size(self.name.len(), *length),
            Value::Clusters(clusters) => non_resident_size(
                self.name.len(),
                clusters.total_allocated.is_some(),
                pairs_size(&clusters.runs),
            ),
        }
    }
}

fn pairs_size(runs: &[Run]) -> usize {
    let mut previous = 0;
    let mut size = 1;
    for run in runs {
        size += run_list::encoded_size(run, previous);
        previous = run.lcn.unwrap_or(previous);
    }
    size
}

/// An attribute, or a part of its runs, in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Number of the attribute.
    pub part: usize,
    /// Which of its runs, as far as it has as many; of a resident one it does not count.
    pub runs: Range<usize>,
}

/// Bytes of a non-resident attribute list in the record.
const OUTSIDE_LIST: usize = non_resident_size(0, false, 16);

/// Spreads `parts`, sorted as they stand in records, over as many records as they need: the first one alone, where that
/// holds them all, else the first with room for an attribute list.
pub(super) fn distribute(parts: &[Part<'_>], record_size: u32) -> Vec<Vec<Piece>> {
    let capacity = capacity(record_size);
    let whole = |part: usize| Piece {
        part,
        runs: match &parts[part].value {
            Value::Clusters(clusters) => 0..clusters.runs.len(),
            _ => 0..0,
        },
    };
    if parts.iter().map(Part::size).sum::<usize>() <= capacity {
        return vec![(0..parts.len()).map(whole).collect()];
    }
    let mut segments = vec![Vec::new()];
    let mut free = capacity - OUTSIDE_LIST;
    for (number, part) in parts.iter().enumerate() {
        let size = part.size();
        if size > free && size <= capacity {
            segments.push(Vec::new());
            free = capacity;
        }
        if size <= free {
            free -= size;
            segments
                .last_mut()
                .into_iter()
                .for_each(|last| last.push(whole(number)));
            continue;
        }
        let Value::Clusters(clusters) = &part.value else {
            // No value that must be resident is larger than a record.
            continue;
        };
        let mut start = 0;
        while start < clusters.runs.len() {
            let header = non_resident_size(part.name.len(), start == 0 && clusters.total_allocated.is_some(), 0) + 8;
            let room = free.saturating_sub(header);
            let end = start + fitting(&clusters.runs[start..], room);
            if end > start {
                segments.last_mut().into_iter().for_each(|last| {
                    last.push(Piece {
                        part: number,
                        runs: start..end,
                    });
                });
                start = end;
            }
            if start < clusters.runs.len() {
                segments.push(Vec::new());
                free = capacity;
            } else {
                free = 0;
            }
        }
    }
    segments
}

/// How many of `runs` have mapping pairs of `room` bytes at most.
fn fitting(runs: &[Run], room: usize) -> usize {
    let mut previous = 0;
    let mut size = 1;
    runs.iter()
        .take_while(|run| {
            size += run_list::encoded_size(run, previous);
            previous = run.lcn.unwrap_or(previous);
            size <= room
        })
        .count()
}

/// The attribute list of a file whose attributes are spread so, its first record being `records[0]`, and so on. Instances
/// count from 0 in each record, and in the first the list has number 1.
pub(super) fn attribute_list(parts: &[Part<'_>], segments: &[Vec<Piece>], records: &[FileReference]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (segment, (pieces, record)) in segments.iter().zip(records).enumerate() {
        for (number, piece) in pieces.iter().enumerate() {
            let part = &parts[piece.part];
            let lowest_vcn = match &part.value {
                Value::Clusters(clusters) => clusters.runs.get(piece.runs.start).map_or(0, |run| run.vcn),
                _ => 0,
            };
            let entry = AttributeListEntry {
                type_code: part.type_code,
                name: part.name.to_vec(),
                lowest_vcn,
                segment_reference: *record,
                instance: number as u16 + u16::from(segment == 0 && number > 0),
            };
            bytes.extend(entry.to_bytes());
        }
    }
    bytes
}

/// Bytes of the attribute list.
pub(super) fn attribute_list_size(parts: &[Part<'_>], segments: &[Vec<Piece>]) -> usize {
    let pieces = segments.iter().flatten();
    pieces
        .map(|piece| AttributeListEntry::size(parts[piece.part].name.len()))
        .sum()
}

/// Whether an attribute list of `size` bytes fits into the first record beside what is there.
pub(super) fn list_is_resident(parts: &[Part<'_>], base: &[Piece], size: usize, record_size: u32) -> bool {
    let used: usize = base.iter().map(|piece| piece_size(&parts[piece.part], piece)).sum();
    used + resident_size(0, size) <= capacity(record_size)
}

fn piece_size(part: &Part<'_>, piece: &Piece) -> usize {
    match &part.value {
        Value::Clusters(clusters) => non_resident_size(
            part.name.len(),
            clusters.total_allocated.is_some() && piece.runs.start == 0,
            pairs_size(&clusters.runs[piece.runs.clone()]),
        ),
        _ => part.size(),
    }
}

/// What a record says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub number: u64,
    pub sequence: u16,
    pub flags: RecordFlags,
    pub names: u16,
    /// The first record, in a further one.
    pub base: FileReference,
}

/// A stream's content that is still to be put into a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub stream: StreamId,
    pub offset: usize,
    pub length: usize,
}

/// Fills `record`, which is all zeros, but for the update sequence array's work and the contents in `gaps`.
pub(super) fn encode<'a>(
    record: &mut [u8],
    header: &Header,
    pieces: impl Iterator<Item = (&'a Part<'a>, Range<usize>)>,
    cluster_size: u32,
    gaps: &mut Vec<Gap>,
) {
    let mut position = FileRecordHeader::first_attribute_offset(record.len() as u32);
    let mut instance = 0;
    for (part, runs) in pieces {
        let indexed = match part.type_code {
            AttributeType::FILE_NAME => ResidentHeader::INDEXED,
            _ => 0,
        };
        let bytes = match &part.value {
            Value::Resident(value) => encode_resident(part.type_code, &part.name, part.flags, instance, indexed, value),
            Value::Content(stream, length) => {
                let zeros = vec![0; *length];
                gaps.push(Gap {
                    stream: *stream,
                    offset: position + resident_size(part.name.len(), 0),
                    length: *length,
                });
                encode_resident(part.type_code, &part.name, part.flags, instance, indexed, &zeros)
            }
            Value::Clusters(clusters) => encode_clusters(part, clusters, runs, instance, cluster_size),
        };
        record[position..position + bytes.len()].copy_from_slice(&bytes);
        position += bytes.len();
        instance += 1;
    }
    record[position..position + 4].copy_from_slice(&AttributeType::END.0.to_le_bytes());
    FileRecordHeader {
        reference_count: header.names,
        first_free_byte: position as u32 + 8,
        base_file_record_segment: header.base,
        next_attribute_instance: instance,
        ..FileRecordHeader::new(header.number, header.sequence, header.flags, record.len() as u32)
    }
    .write_to(record, 0);
}

fn encode_clusters(
    part: &Part<'_>,
    clusters: &Clusters,
    runs: Range<usize>,
    instance: u16,
    cluster_size: u32,
) -> Vec<u8> {
    let is_first = runs.start == 0;
    let runs = &clusters.runs[runs.start..runs.end.min(clusters.runs.len())];
    let lowest_vcn = runs.first().map_or(0, |run| run.vcn);
    let end = runs.last().map_or(0, Run::end);
    debug_assert!(clusters.allocated.is_multiple_of(u64::from(cluster_size)));
    let header = NonResidentHeader {
        lowest_vcn,
        highest_vcn: end.wrapping_sub(1),
        mapping_pairs_offset: 0,
        compression_unit: clusters.compression_unit,
        reserved: [0; 5],
        allocated_length: if is_first { clusters.allocated } else { 0 },
        file_size: if is_first { clusters.size } else { 0 },
        valid_data_length: if is_first { clusters.size } else { 0 },
    };
    encode_non_resident(
        part.type_code,
        &part.name,
        part.flags,
        instance,
        &header,
        clusters.total_allocated.filter(|_| is_first),
        &run_list::encode(runs),
    )
}
