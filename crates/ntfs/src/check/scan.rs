//! The first pass: every record of `$MFT` in the order they lie there.

use super::attribute_list;
use super::clusters::{OwnedRuns, UsedClusters};
use super::context::Context;
use super::file::{self, File, FileFacts, Held};
use super::findings::Findings;
use super::mft::LoadedRecord;
use super::record::{self, Content, Record};
use super::records::{Kind, RecordState};
use super::volume::{Clusters, Value};
use crate::structure::{Attribute, AttributeType, FileReference, Form};
use cv_disk::Severity;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of `$MFT` that are read together.
const PIECE: u64 = 1 << 20;

/// What one piece of the work found.
#[derive(Default)]
pub(super) struct Outcome {
    pub findings: Findings,
    /// The records in use.
    pub states: Vec<(u64, RecordState)>,
    pub runs: OwnedRuns,
    /// Object ids and their files.
    pub object_ids: Vec<([u8; 16], FileReference)>,
    /// Reparse tags and their files.
    pub reparse_points: Vec<(u32, FileReference)>,
    /// The files of `$Extend`.
    pub in_extend: Vec<(Vec<u16>, u64)>,
    /// Further records that their files know of.
    pub listed: Vec<u64>,
    /// How much of `$MFT` it was, in bytes.
    pub bytes: u64,
}

impl Outcome {
    fn add(&mut self, file: &File<'_>, facts: FileFacts) {
        let reference = file.reference();
        self.object_ids.extend(facts.object_id.map(|id| (id, reference)));
        self.reparse_points
            .extend(facts.reparse_tag.map(|tag| (tag, reference)));
        self.in_extend
            .extend(facts.name_in_extend.map(|name| (name, file.base.number)));
        self.states.push((file.base.number, facts.state));
    }
}

/// The ranges of records that are stored and may be in use, each at most [`PIECE`] bytes.
pub(super) fn pieces(context: &Context) -> impl Iterator<Item = Range<u64>> + '_ {
    let size = u64::from(context.volume.geometry.record_size);
    let most = PIECE / size;
    let mut next = 0;
    let mut stored = context.mft.clusters().stored(&context.volume);
    let mut range = 0..0;
    std::iter::from_fn(move || {
        loop {
            if range.start < range.end {
                let end = range.end.min(range.start + most);
                let piece = range.start..end;
                range.start = end;
                return Some(piece);
            }
            let bytes = stored.next()?;
            // A record that begins in one stored range may end in the next.
            range = (bytes.start / size).max(next)..bytes.end.div_ceil(size).min(context.mft.records);
            next = range.end.max(next);
        }
    })
}

/// Checks the records of `piece`.
pub(super) fn scan(context: &Context, piece: Range<u64>) -> Outcome {
    let size = u64::from(context.volume.geometry.record_size);
    let mut outcome = Outcome {
        bytes: (piece.end - piece.start) * size,
        ..Outcome::default()
    };
    let mut bytes = vec![0; outcome.bytes as usize];
    let whole = context
        .mft
        .clusters()
        .read(&mut bytes, piece.start * size, &context.volume, "$MFT");
    if let Err(damage) = whole {
        outcome.findings.volume(Severity::Error, damage);
    }
    let marks = marks(context, &piece, &mut outcome.findings);
    for (number, bytes) in piece.clone().zip(bytes.chunks_exact_mut(size as usize)) {
        let bit = (number - piece.start / 8 * 8) as usize;
        let is_marked = marks.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        let content = record::check(
            context,
            number,
            bytes,
            is_marked,
            &mut outcome.runs,
            &mut outcome.findings,
        );
        match content {
            Content::Free => {}
            Content::Damaged => {
                let state = RecordState {
                    kind: Kind::IN_USE | Kind::DAMAGED,
                    ..RecordState::default()
                };
                outcome.states.push((number, state));
            }
            Content::InUse(record) if !record.header.is_base() => {
                let state = RecordState {
                    kind: Kind::IN_USE | Kind::EXTENSION,
                    sequence: record.header.sequence_number,
                    parent: record.header.base_file_record_segment,
                    ..RecordState::default()
                };
                outcome.states.push((number, state));
            }
            Content::InUse(record) if record.attributes.iter().any(is_for_later) => {
                let state = RecordState {
                    kind: Kind::IN_USE | Kind::DEFERRED,
                    sequence: record.header.sequence_number,
                    ..RecordState::default()
                };
                outcome.states.push((number, state));
            }
            Content::InUse(record) => {
                let file = File {
                    attributes: held(record.number, record.attributes.iter().copied()).collect(),
                    is_whole: record.is_whole,
                    base: &record,
                };
                let facts = file::check(context, &file, &mut outcome.findings);
                outcome.add(&file, facts);
            }
        }
    }
    outcome
}

fn held<'a>(record: u64, attributes: impl Iterator<Item = Attribute<'a>>) -> impl Iterator<Item = Held<'a>> {
    attributes.map(move |attribute| Held { record, attribute })
}

/// The bytes of `$MFT`'s bitmap for `piece`, from a whole byte on; those that cannot be read are clear.
fn marks(context: &Context, piece: &Range<u64>, findings: &mut Findings) -> Vec<u8> {
    let Some(bitmap) = &context.mft.bitmap else {
        return Vec::new();
    };
    let start = piece.start / 8;
    let end = piece.end.div_ceil(8).min(bitmap.size(&context.volume));
    let mut marks = vec![0; end.saturating_sub(start) as usize];
    match bitmap.read(&mut marks, start, &context.volume, "$MFT, $BITMAP") {
        Ok(()) => marks,
        Err(damage) => {
            findings.volume(Severity::Error, damage);
            Vec::new()
        }
    }
}

/// Whether it takes other records, or clusters, to say what the attribute means. Those are looked at when it is known which
/// clusters belong to one file alone: else a hostile volume could have one large list read for each of a million records.
fn is_for_later(attribute: &Attribute<'_>) -> bool {
    let is_in_clusters = matches!(attribute.form, Form::NonResident { .. });
    match attribute.type_code() {
        AttributeType::ATTRIBUTE_LIST => true,
        AttributeType::REPARSE_POINT | AttributeType::EA | AttributeType::SECURITY_DESCRIPTOR => is_in_clusters,
        _ => false,
    }
}

/// Which values may be read although their clusters belong to several files: some, not endlessly many.
pub(super) struct Allowance<'a> {
    used: &'a UsedClusters,
    left: AtomicU64,
}

impl<'a> Allowance<'a> {
    /// Bytes in shared clusters that are read at most.
    const SHARED: u64 = 64 << 20;

    pub fn new(used: &'a UsedClusters) -> Self {
        Self {
            used,
            left: AtomicU64::new(Self::SHARED),
        }
    }

    /// Whether `value` may be read.
    pub fn may_read(&self, value: &Value, context: &Context) -> bool {
        match value {
            Value::Resident { .. } => true,
            Value::Clusters(clusters) => self.may_read_clusters(clusters, context),
        }
    }

    /// Whether a value in `clusters` may be read.
    pub fn may_read_clusters(&self, clusters: &Clusters, context: &Context) -> bool {
        if !self.used.is_shared(clusters) {
            return true;
        }
        let size = clusters.size(&context.volume);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size));
        taken.is_ok()
    }
}

/// Checks the files whose first records are `numbers`, which [`scan`] put off.
pub(super) fn scan_deferred(context: &Context, numbers: &[u64], allowance: &Allowance<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    for &number in numbers {
        let loaded = match context.mft.load(number, &context.volume) {
            Ok(loaded) => loaded,
            Err(damage) => {
                outcome.findings.record(Severity::Error, number, damage);
                continue;
            }
        };
        let mut findings = std::mem::take(&mut outcome.findings);
        with_file(context, &loaded, allowance, &mut findings, |file, findings| {
            let facts = file::check(context, file, findings);
            outcome.listed.extend(
                file.attributes
                    .iter()
                    .map(|held| held.record)
                    .filter(|record| *record != number),
            );
            outcome.add(file, facts);
        });
        outcome.findings = findings;
        outcome.listed.dedup();
    }
    outcome
}

/// Calls `look` with the file whose first record is `loaded`, and all of its attributes.
pub(super) fn with_file<T>(
    context: &Context,
    loaded: &LoadedRecord,
    allowance: &Allowance<'_>,
    findings: &mut Findings,
    look: impl FnOnce(&File<'_>, &mut Findings) -> T,
) -> T {
    let listed = loaded.header.attributes(&loaded.bytes);
    let mut is_whole = listed.is_ok();
    let attributes: Vec<Attribute<'_>> = listed
        .into_iter()
        .flatten()
        .filter_map(|attribute| {
            is_whole &= attribute.is_ok();
            attribute.ok()
        })
        .collect();
    let base = Record {
        number: loaded.number,
        header: loaded.header,
        attributes,
        is_whole,
    };
    let list = base
        .attributes
        .iter()
        .find(|one| one.type_code() == AttributeType::ATTRIBUTE_LIST);
    let extensions = list.map(|list| {
        let may_read = |value: &Value| allowance.may_read(value, context);
        attribute_list::check(context, &base, list, may_read, findings)
    });
    let further = extensions.iter().flat_map(|extensions| &extensions.records);
    let file = File {
        attributes: held(base.number, base.attributes.iter().copied())
            .chain(further.flat_map(|record| held(record.number, record.attributes())))
            .collect(),
        is_whole: base.is_whole && extensions.as_ref().is_none_or(|extensions| extensions.are_whole),
        base: &base,
    };
    look(&file, findings)
}
