//! Writing the MFT: file records by the thousand, with the content that stands in them.

use super::core::{Core, system_sequence};
use super::layout::{Layout, Outside};
use super::ordered::{Failed, Output};
use super::parts;
use super::record::{self, Clusters, Gap, Header, Part, Piece};
use super::streams::{Mover, PIECE};
use super::system_files;
use crate::structure::{AttributeType, FileReference, RecordFlags, fixup};
use std::collections::HashSet;
use std::ops::Range;

/// The update sequence number of everything.
const UPDATE_SEQUENCE_NUMBER: u16 = 1;

/// What writing the MFT needs to know.
pub(super) struct MftWriter<'a> {
    pub mover: &'a Mover<'a>,
    pub layout: &'a Layout,
    /// Files whose records are left for later.
    pub deferred: &'a HashSet<u32>,
}

/// The attributes of a file, spread over its records.
struct Spread<'a> {
    file: u32,
    parts: Vec<Part<'a>>,
    segments: Vec<Vec<Piece>>,
    list: Option<Part<'a>>,
}

/// The ranges of records that are made at once.
pub(super) fn items(core: &Core, layout: &Layout) -> impl Iterator<Item = Range<u64>> + Send + use<> {
    let step = (PIECE / u64::from(core.record_size)).max(1);
    let records = layout.records;
    (0..records.div_ceil(step)).map(move |piece| piece * step..((piece + 1) * step).min(records))
}

impl<'a> MftWriter<'a> {
    fn core(&self) -> &'a Core {
        self.mover.core
    }

    /// Makes the records of `range`.
    pub fn work(&self, range: Range<u64>, output: &mut Output) -> Result<(), Failed> {
        let size = self.core().record_size as usize;
        let offset = self.core().offset(self.layout.mft.lcn) + range.start * size as u64;
        let bytes = output.begin(offset, size * (range.end - range.start) as usize);
        let mut spread = None;
        let mut made = Vec::new();
        let mut contents = Vec::new();
        for (index, number) in range.enumerate() {
            if self.file_of(number).is_some_and(|file| self.deferred.contains(&file)) {
                continue;
            }
            let record = index * size..(index + 1) * size;
            self.make(number, &mut bytes[record.clone()], &mut spread, |stream, place| {
                contents.push((stream, record.start + place.start..record.start + place.end));
            })?;
            made.push(record);
        }
        let read: usize = contents.iter().map(|(_, place)| place.len()).sum();
        self.mover.hash_whole(bytes, contents);
        for record in made {
            fixup::protect(&mut bytes[record], UPDATE_SEQUENCE_NUMBER);
        }
        output.done = (output.bytes.len() + read) as u64;
        Ok(())
    }

    /// Makes one record of a deferred file, which is to be written by itself.
    pub fn record(&self, number: u64) -> Result<(u64, Vec<u8>), Failed> {
        let size = self.core().record_size as usize;
        let mut record = vec![0; size];
        let mut contents = Vec::new();
        self.make(number, &mut record, &mut None, |stream, place| {
            contents.push((stream, place));
        })?;
        self.mover.hash_whole(&record, contents);
        fixup::protect(&mut record, UPDATE_SEQUENCE_NUMBER);
        Ok((self.core().offset(self.layout.mft.lcn) + number * size as u64, record))
    }

    fn file_of(&self, number: u64) -> Option<u32> {
        let extension = || {
            self.layout
                .extension_at(self.core(), number)
                .map(|extension| extension.file)
        };
        self.core().file_at(number).or_else(extension)
    }

    /// Fills `record`, which is yet to be hashed and then protected. `read` is told which streams were read into it.
    fn make(
        &self,
        number: u64,
        record: &mut [u8],
        spread: &mut Option<Spread<'a>>,
        mut read: impl FnMut(u32, Range<usize>),
    ) -> Result<(), Failed> {
        let core = self.core();
        let mut gaps = Vec::new();
        if system_files::is_system(number) {
            let parts = system_files::of_record(core, self.layout, number);
            let whole = parts.iter().map(|part| (part, 0..usize::MAX));
            record::encode(
                record,
                &system_files::header(number),
                whole,
                core.cluster_size,
                &mut gaps,
            );
        } else if let Some(file) = core.file_at(number) {
            self.make_segment(number, file, 0, record, &mut gaps, spread);
        } else if let Some(extension) = self.layout.extension_at(core, number) {
            self.make_segment(
                number,
                extension.file,
                extension.segment as usize,
                record,
                &mut gaps,
                spread,
            );
        } else {
            let header = Header {
                number,
                sequence: system_sequence(number),
                flags: RecordFlags::empty(),
                names: 0,
                base: FileReference(0),
            };
            record::encode(record, &header, std::iter::empty(), core.cluster_size, &mut gaps);
        }
        for Gap { stream, offset, length } in gaps {
            let place = offset..offset + length;
            self.mover.read_whole(stream.0, &mut record[place.clone()])?;
            read(stream.0, place);
        }
        Ok(())
    }

    fn make_segment(
        &self,
        number: u64,
        file: u32,
        segment: usize,
        record: &mut [u8],
        gaps: &mut Vec<Gap>,
        spread: &mut Option<Spread<'a>>,
    ) {
        let core = self.core();
        let spread = match spread {
            Some(spread) if spread.file == file => spread,
            _ => spread.insert(self.spread(file)),
        };
        let mut flags = RecordFlags::IN_USE;
        flags.set(
            RecordFlags::FILE_NAME_INDEX_PRESENT,
            core.is_directory(file) && segment == 0,
        );
        let header = Header {
            number,
            sequence: if segment == 0 {
                core.reference(file).sequence()
            } else {
                1
            },
            flags,
            names: if segment == 0 {
                parts::name_count(core, file) as u16
            } else {
                0
            },
            base: if segment == 0 {
                FileReference(0)
            } else {
                core.reference(file)
            },
        };
        let pieces = spread.segments[segment]
            .iter()
            .map(|piece| (&spread.parts[piece.part], piece.runs.clone()));
        match &spread.list {
            Some(list) if segment == 0 => {
                // Behind $STANDARD_INFORMATION.
                let (first, rest) = (pieces.clone().take(1), pieces.skip(1));
                let list = std::iter::once((list, 0..usize::MAX));
                record::encode(record, &header, first.chain(list).chain(rest), core.cluster_size, gaps);
            }
            _ => record::encode(record, &header, pieces, core.cluster_size, gaps),
        }
    }

    fn spread(&self, file: u32) -> Spread<'a> {
        let core = self.core();
        let parts = parts::of_file(core, self.layout, file);
        if !self.layout.has_extensions(file) {
            let all = (0..parts.len())
                .map(|part| Piece {
                    part,
                    runs: 0..usize::MAX,
                })
                .collect();
            return Spread {
                file,
                parts,
                segments: vec![all],
                list: None,
            };
        }
        let segments = record::distribute(&parts, core.record_size);
        let list = attribute_list(core, self.layout, file, &parts, &segments);
        let list = match self.layout.outside(file, Outside::AttributeList) {
            Some(place) => {
                let clusters = Clusters::contiguous(place.lcn, place.clusters, list.len() as u64, core.cluster_size);
                Part::clusters(AttributeType::ATTRIBUTE_LIST, clusters)
            }
            None => Part::resident(AttributeType::ATTRIBUTE_LIST, list),
        };
        Spread {
            file,
            parts,
            segments,
            list: Some(list),
        }
    }
}

fn attribute_list(core: &Core, layout: &Layout, file: u32, parts: &[Part<'_>], segments: &[Vec<Piece>]) -> Vec<u8> {
    let records: Vec<FileReference> = (0..segments.len())
        .map(|segment| match segment {
            0 => core.reference(file),
            _ => FileReference::new(layout.segment_record(core, file, segment), 1),
        })
        .collect();
    record::attribute_list(parts, segments, &records)
}

/// The value of the attribute list of `file`.
pub(super) fn attribute_list_of(core: &Core, layout: &Layout, file: u32) -> Vec<u8> {
    let parts = parts::of_file(core, layout, file);
    let segments = record::distribute(&parts, core.record_size);
    attribute_list(core, layout, file, &parts, &segments)
}
